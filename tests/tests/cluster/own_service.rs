//! The apex Service is the user's own: it stays theirs whatever tool makes it anew, and it is given back with what
//! they made of it meanwhile.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace, deployment, route};
use serde_json::{Value, json};

use crate::setup::{initialized, namespace};

const APEX: &str = "services/podinfo";
const ORIGINAL: &str = "kubectl-canary.dev/original-service";
const MARK: &str = "kubectl-canary.dev/generated";

fn manifest() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo", "labels": {"team": "web"}},
        "spec": {
            "type": "NodePort", "selector": {"app": "podinfo"},
            "ports": [{"name": "web", "port": 80, "targetPort": 9898}],
        },
    })
}

/// As kubectl does it, with the manifest on its stdin.
async fn kubectl(test: &Namespace<'_>, args: &[&str], manifest: &Value) -> Result<()> {
    let done = test
        .kubectl_with(ALICE, args, &manifest.to_string())
        .await?;
    done.ok()?;
    Ok(())
}

async fn with_own_service(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    kubectl(&test, &["apply", "-f", "-"], &manifest()).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    Ok(test)
}

/// Leads to the primary, and is the user's.
fn is_taken_over(service: &Value) -> bool {
    let metadata = &service["metadata"];
    service["spec"]["selector"] == json!({"app": "podinfo-primary"})
        && metadata["annotations"][ORIGINAL].is_string()
        && metadata["labels"][MARK].is_null()
        && metadata["ownerReferences"].is_null()
}

fn ports(service: &Value) -> Vec<(&str, i64)> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let shown = ports.map(|port| (port["name"].as_str(), port["port"].as_i64()));
    shown
        .map(|(name, number)| (name.unwrap_or_default(), number.unwrap_or_default()))
        .collect()
}

/// What is left of it once the Canary and all that it made are gone.
async fn given_back(test: &Namespace<'_>) -> Result<Value> {
    test.delete("canaries/podinfo").await?;
    test.gone("deployments/podinfo-primary").await?;
    let back = |it: &Value| it["spec"]["selector"] == json!({"app": "podinfo"});
    let service = test.until(APEX, back).await?;
    assert!(service["metadata"]["annotations"][ORIGINAL].is_null());
    Ok(service)
}

#[tokio::test]
async fn a_service_that_its_owner_replaces_by_force_is_theirs_as_before() -> Result<()> {
    let test = with_own_service("replaced-apex").await?;
    let uid = test.get(APEX).await?["metadata"]["uid"].clone();
    let mut headless = manifest();
    headless["metadata"]["labels"]["version"] = json!("2");
    kubectl(&test, &["replace", "--force", "-f", "-"], &headless).await?;
    let replaced = test.until(APEX, is_taken_over).await?;
    assert_ne!(replaced["metadata"]["uid"], uid);
    assert_eq!(replaced["metadata"]["labels"]["version"], "2");
    let service = given_back(&test).await?;
    assert_eq!(service["spec"]["type"], "NodePort");
    Ok(())
}

#[tokio::test]
async fn a_service_that_its_owner_deletes_is_made_anew_and_stays_theirs() -> Result<()> {
    let test = with_own_service("deleted-apex").await?;
    let before = test.until(APEX, is_taken_over).await?;
    test.kubectl(ALICE, &["delete", "service", "podinfo"])
        .await?
        .ok()?;
    let anew = |it: &Value| is_taken_over(it) && it["metadata"]["uid"] != before["metadata"]["uid"];
    let made = test.until(APEX, anew).await?;
    let node = |it: &Value| it["spec"]["ports"][0]["nodePort"].clone();
    assert_eq!(node(&made), node(&before), "who comes by it goes on");
    let service = given_back(&test).await?;
    assert_eq!(service["spec"]["type"], "NodePort");
    assert_eq!(service["metadata"]["labels"], json!({"team": "web"}));
    Ok(())
}

#[tokio::test]
async fn an_apex_that_the_canary_made_and_somebody_applied_since_outlives_the_canary() -> Result<()>
{
    for (name, words) in [
        ("applied-apex", vec!["apply", "-f", "-"]),
        (
            "applied-apex-ssa",
            vec![
                "apply",
                "--server-side",
                "--force-conflicts",
                "--field-manager=argocd",
                "-f",
                "-",
            ],
        ),
    ] {
        let test = initialized(name).await?;
        kubectl(&test, &words, &manifest()).await?;
        test.until(APEX, is_taken_over).await?;
        let service = given_back(&test).await?;
        assert_eq!(service["spec"]["type"], "NodePort", "{name}");
        assert_eq!(
            service["metadata"]["labels"],
            json!({"team": "web"}),
            "{name}"
        );
        assert_eq!(ports(&service), [("web", 80)], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn ports_that_we_added_go_and_ports_of_the_owners_stay_whenever_they_came() -> Result<()> {
    let test = with_own_service("apex-ports").await?;
    let change = |port: i64| json!({"spec": {"service": {"port": port}}});
    let mut routed = route();
    routed["spec"]["http"][0]["backends"][0]["servicePort"] = json!(8080);
    test.patch("canaries/podinfo", &change(8080)).await?;
    test.patch("apisixroutes/podinfo", &json!({"spec": routed["spec"]}))
        .await?;
    let both = |it: &Value| ports(it) == [("web", 80), ("http", 8080)];
    test.until(APEX, both).await?;

    let mut more = manifest();
    let metrics = json!({"name": "metrics", "port": 9797, "targetPort": 9797});
    more["spec"]["ports"].as_array_mut().unwrap().push(metrics);
    kubectl(&test, &["apply", "-f", "-"], &more).await?;
    routed["spec"]["http"][0]["backends"][0]["servicePort"] = json!(9090);
    test.patch("canaries/podinfo", &change(9090)).await?;
    test.patch("apisixroutes/podinfo", &json!({"spec": routed["spec"]}))
        .await?;
    let followed = |it: &Value| {
        let mut all = ports(it);
        all.sort_unstable();
        all == [("http", 9090), ("metrics", 9797), ("web", 80)]
    };
    test.until(APEX, followed).await?;
    let service = given_back(&test).await?;
    let mut left = ports(&service);
    left.sort_unstable();
    assert_eq!(left, [("metrics", 9797), ("web", 80)]);
    Ok(())
}

#[tokio::test]
async fn a_service_that_leads_to_another_deployment_too_is_taken_over_when_its_owner_accepts_it()
-> Result<()> {
    let test = namespace("apex-shared").await?;
    let web = json!({"app": "podinfo", "tier": "web"});
    let mut target = deployment();
    target["spec"]["template"]["metadata"]["labels"] = web;
    let mut legacy = deployment();
    legacy["metadata"]["name"] = json!("legacy");
    legacy["spec"]["selector"]["matchLabels"] = json!({"app": "legacy"});
    legacy["spec"]["template"]["metadata"]["labels"] = json!({"app": "legacy", "tier": "web"});
    let mut shared = manifest();
    shared["spec"]["selector"] = json!({"tier": "web"});
    for object in [&target, &legacy, &shared, &route(), &test.canary()] {
        test.create(object).await?;
    }
    let said = test.condition("Ready", "False", "SharedSelector").await?;
    assert!(said.contains("deployment legacy"), "{said}");
    let live = test.get(APEX).await?;
    assert_eq!(live["spec"]["selector"], json!({"tier": "web"}));
    let accept =
        json!({"metadata": {"annotations": {"kubectl-canary.dev/allow-shared-selector": "true"}}});
    test.patch("canaries/podinfo", &accept).await?;
    test.phase("Initialized").await?;
    test.until(APEX, is_taken_over).await?;
    Ok(())
}

#[tokio::test]
async fn ports_of_two_protocols_and_of_one_name_are_discovered() -> Result<()> {
    let test = namespace("apex-discovers").await?;
    let long = "a".repeat(63);
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"] = json!([
        {"name": "podinfod", "image": "stefanprodan/podinfo:6.0.0", "ports": [
            {"name": "http", "containerPort": 8080}, {"name": "app", "containerPort": 9898},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53}, {"name": "again", "containerPort": 8080},
        ]},
        {"name": long, "image": "stefanprodan/podinfo:6.0.0", "ports": [{"containerPort": 9000}]},
    ]);
    let mut canary = test.canary();
    canary["spec"]["service"] = json!({"port": 80, "targetPort": "app", "portDiscovery": true});
    for object in [&target, &route(), &canary] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    for service in [
        "services/podinfo",
        "services/podinfo-primary",
        "services/podinfo-canary",
    ] {
        let live = test.get(service).await?;
        let keys = live["spec"]["ports"].as_array().into_iter().flatten();
        let keys: Vec<String> = keys
            .map(|port| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap()))
            .collect();
        let expected = ["80/TCP", "8080/TCP", "53/UDP", "53/TCP", "9000/TCP"];
        assert_eq!(keys, expected, "{service}");
    }
    Ok(())
}
