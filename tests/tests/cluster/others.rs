//! Other Services that lead to the target's pods.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, QUICK};
use canary_tests::server::Server;
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::bad_input::told;
use crate::setup::{initialized, namespace};

const FOLLOW: &str = "kubectl-canary.dev/follow";
const RECONCILE: &str = "kustomize.toolkit.fluxcd.io/reconcile";
const DRIFT: &str = "helm.toolkit.fluxcd.io/driftDetection";

fn service(name: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": selector, "ports": [{"name": "grpc", "port": 9999, "targetPort": 9999}]},
    })
}

fn of_target(name: &str) -> Value {
    service(name, &json!({"app": "podinfo"}))
}

fn follows(value: &str) -> Value {
    json!({"metadata": {"annotations": {FOLLOW: value}}})
}

fn selects(app: &str) -> impl Fn(&Value) -> bool {
    let selector = json!({"app": app});
    move |service| service["spec"]["selector"] == selector
}

/// Pods behind a Service.
async fn pods(test: &Namespace<'_>, service: &str) -> Result<Vec<String>> {
    let mut pods = Vec::new();
    for slice in test.list("endpointslices").await? {
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] == service {
            let all = slice["endpoints"].as_array().cloned().unwrap_or_default();
            let ready = all.iter().filter(|one| one["conditions"]["ready"] == true);
            pods.extend(
                ready.filter_map(|one| one["targetRef"]["name"].as_str().map(str::to_owned)),
            );
        }
    }
    Ok(pods)
}

/// Waits until a Service leads to pods with this prefix alone.
async fn leads_to(test: &Namespace<'_>, service: &str, prefix: &str) -> Result<()> {
    eventually(service, LIMIT, async || {
        let pods = pods(test, service).await?;
        let theirs = pods.iter().all(|pod| pod.starts_with(prefix));
        Ok((!pods.is_empty() && theirs).then_some(()))
    })
    .await
}

fn condition<'a>(canary: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = canary["status"]["conditions"].as_array()?;
    all.iter().find(|it| it["type"] == kind)
}

#[tokio::test]
async fn an_adoption_waits_until_other_services_say_what_becomes_of_them_and_no_pod_is_lost()
-> Result<()> {
    let test = namespace("others").await?;
    for name in ["podinfo-grpc", "podinfo-admin"] {
        test.create(&of_target(name)).await?;
    }
    let grpc = test.record_endpoints("podinfo-grpc").await?;
    test.create_with(|canary| canary["spec"]["revertOnDeletion"] = json!(true))
        .await?;
    let why = test.condition("Ready", "False", "OtherServices").await?;
    for part in [
        "podinfo-admin, podinfo-grpc lead to the pods of podinfo alone",
        "kubectl-canary.dev/follow=primary",
        "kubectl-canary.dev/follow=ignore",
    ] {
        assert!(why.contains(part), "{why}");
    }
    leads_to(&test, "podinfo-grpc", "podinfo-").await?;
    test.patch("services/podinfo-grpc", &follows("primary"))
        .await?;
    told(&test, "Service podinfo-admin leads").await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 1);
    test.patch("services/podinfo-admin", &follows("ignore"))
        .await?;
    test.phase("Initialized").await?;

    let followed = test.get("services/podinfo-grpc").await?;
    assert!(selects("podinfo-primary")(&followed), "{followed}");
    for key in [RECONCILE, DRIFT] {
        assert_eq!(followed["metadata"]["annotations"][key], "disabled");
    }
    leads_to(&test, "podinfo-grpc", "podinfo-primary-").await?;
    let ignored = test.get("services/podinfo-admin").await?;
    assert!(selects("podinfo")(&ignored), "{ignored}");
    let canary = test.get("canaries/podinfo").await?;
    assert!(condition(&canary, "OtherServices").is_none(), "{canary}");

    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let back = test.get("services/podinfo-grpc").await?;
    assert!(selects("podinfo")(&back), "{back}");
    assert_eq!(back["metadata"]["annotations"], json!({FOLLOW: "primary"}));
    leads_to(&test, "podinfo-grpc", "podinfo-").await?;
    // From the first ready pod on there was always one.
    let ready = |slice: &Value| {
        let all = slice["endpoints"].as_array().cloned().unwrap_or_default();
        Some(all.iter().any(|one| one["conditions"]["ready"] == true))
    };
    let mut seen = grpc.changes(ready);
    while seen.first() == Some(&false) {
        seen.remove(0);
    }
    assert_eq!(seen, [true], "it was never without a ready pod");
    Ok(())
}

#[tokio::test]
async fn a_service_that_selects_both_sides_or_that_no_pod_answers_holds_no_adoption() -> Result<()>
{
    let test = namespace("both").await?;
    let mut target = canary_tests::cluster::deployment();
    target["spec"]["template"]["metadata"]["labels"]["tier"] = json!("front");
    for (name, selector) in [
        ("front", json!({"tier": "front"})),
        ("back", json!({"app": "podinfo", "tier": "back"})),
    ] {
        test.create(&service(name, &selector)).await?;
    }
    test.create(&target).await?;
    test.create(&canary_tests::cluster::route()).await?;
    test.create(&test.canary()).await?;
    let canary = test.phase("Initialized").await?;
    assert!(condition(&canary, "OtherServices").is_none(), "{canary}");
    leads_to(&test, "front", "podinfo-primary-").await
}

#[tokio::test]
async fn a_service_that_comes_later_is_told_of_once_and_follows_as_soon_as_it_says_so() -> Result<()>
{
    let test = initialized("later").await?;
    test.create(&of_target("podinfo-grpc")).await?;
    let why = test
        .condition("OtherServices", "True", "WithoutPods")
        .await?;
    assert!(why.contains("podinfo-grpc"), "{why}");
    let canary = test.phase("Initialized").await?;
    assert!(condition(&canary, "Ready").is_none(), "{canary}");
    test.event("Service podinfo-grpc leads").await?;

    test.patch("services/podinfo-grpc", &follows("primary"))
        .await?;
    test.until("services/podinfo-grpc", selects("podinfo-primary"))
        .await?;
    leads_to(&test, "podinfo-grpc", "podinfo-primary-").await?;
    test.until("canaries/podinfo", |canary| {
        condition(canary, "OtherServices").is_none()
    })
    .await?;

    // Somebody applies its manifest again.
    let again = json!({"spec": {"selector": {"app": "podinfo"}}});
    test.patch("services/podinfo-grpc", &again).await?;
    test.until("services/podinfo-grpc", selects("podinfo-primary"))
        .await?;
    // It follows through a release too.
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    leads_to(&test, "podinfo-grpc", "podinfo-primary-").await
}

#[tokio::test]
async fn whoever_creates_the_canary_is_warned_of_other_services() -> Result<()> {
    let test = namespace("warned").await?;
    test.create(&of_target("podinfo-grpc")).await?;
    test.create(&canary_tests::cluster::deployment()).await?;
    let canary = test.canary().to_string();
    let dry = ["create", "--dry-run=server", "-f", "-"];
    // Its cache has both at some time.
    let warning = eventually("the warning", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &dry, &canary).await?;
        let said = output.stderr.contains("podinfo-grpc");
        Ok(said.then(|| output.stderr.clone()))
    })
    .await?;
    assert!(
        warning.contains("kubectl-canary.dev/follow=ignore"),
        "{warning}"
    );
    Ok(())
}

#[tokio::test]
async fn with_the_flag_an_adoption_goes_on_and_says_what_has_no_pods() -> Result<()> {
    let alone = Alone::turn().await?;
    let args = [&QUICK[..], &["--other-services=warn"]].concat();
    let mut server = Server::beside(alone.plane, &args)?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(alone.plane, "warns").await?;
    test.create(&of_target("podinfo-grpc")).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let why = test
        .condition("OtherServices", "True", "WithoutPods")
        .await?;
    assert!(why.contains("podinfo-grpc"), "{why}");
    let service = test.get("services/podinfo-grpc").await?;
    assert!(selects("podinfo")(&service), "{service}");
    Ok(())
}
