//! The target, and objects of the names that are generated.

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace, deployment, route};
use serde_json::{Value, json};

use super::{spec, told};
use crate::setup::{initialized, namespace};

#[tokio::test]
async fn a_target_that_is_missing_is_named_and_waited_for() -> Result<()> {
    let test = namespace("no-target").await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    told(
        &test,
        &format!("deployment podinfo.{} not found", test.name),
    )
    .await?;

    test.create(&deployment()).await?;
    test.phase("Initialized").await?;
    let canary = test.get("canaries/podinfo").await?;
    assert!(!canary.to_string().contains("not found"), "{canary:#}");
    Ok(())
}

#[tokio::test]
async fn a_target_that_goes_away_leaves_the_primary_serving() -> Result<()> {
    let test = initialized("target-gone").await?;
    let before = spec(&test, "deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo").await?;
    told(
        &test,
        &format!("deployment podinfo.{} not found", test.name),
    )
    .await?;
    assert_eq!(spec(&test, "deployments/podinfo-primary").await?, before);
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn a_target_without_a_label_that_tells_its_pods_is_left_alone() -> Result<()> {
    let test = namespace("no-label").await?;
    let mut target = deployment();
    target["spec"]["selector"]["matchLabels"] = json!({"component": "web"});
    target["spec"]["template"]["metadata"]["labels"] = json!({"component": "web"});
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    let sentence =
        "spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]";
    told(&test, sentence).await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );
    assert!(test.find("deployments/podinfo-primary").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_service_of_a_generated_name_that_is_somebody_elses_is_not_taken() -> Result<()> {
    let test = namespace("service-taken").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo-canary"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 81, "protocol": "TCP", "targetPort": 81}]},
    });
    untouched(&test, "services/podinfo-canary", &service).await
}

#[tokio::test]
async fn a_deployment_of_the_primarys_name_that_is_somebody_elses_is_not_taken() -> Result<()> {
    let test = namespace("primary-taken").await?;
    let mut other = deployment();
    other["metadata"]["name"] = json!("podinfo-primary");
    other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    untouched(&test, "deployments/podinfo-primary", &other).await
}

async fn untouched(
    test: &canary_tests::cluster::Namespace<'_>,
    object: &str,
    others: &Value,
) -> Result<()> {
    test.create(others).await?;
    let before = spec(test, object).await?;
    test.create_all().await?;
    told(test, "exists and belongs to somebody else").await?;
    assert_eq!(spec(test, object).await?, before);
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );

    let adopt = json!({"metadata": {"annotations": {"kubectl-canary.dev/adopt": "true"}}});
    if object.starts_with("services") {
        test.patch(object, &adopt).await?;
        test.phase("Initialized").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_apex_service_of_other_pods_is_not_taken() -> Result<()> {
    let test = namespace("apex-taken").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "other"}, "ports": [{"port": 80, "targetPort": 9898}]},
    });
    test.create(&service).await?;
    test.create_all().await?;
    let sentence = format!(
        "Service podinfo.{} selects other pods than deployment podinfo",
        test.name
    );
    told(&test, &sentence).await?;
    let selector = spec(&test, "services/podinfo").await?["selector"].clone();
    assert_eq!(selector, json!({"app": "other"}));
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );
    Ok(())
}

#[tokio::test]
async fn an_apex_service_that_leads_to_a_name_is_told_and_left_as_it_is() -> Result<()> {
    let test = namespace("external-name").await?;
    let external = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"type": "ExternalName", "externalName": "shop.example.com", "selector": {"app": "podinfo"}},
    });
    let created = test.create(&external).await?;
    test.create_all().await?;
    told(
        &test,
        "is of type ExternalName and leads to shop.example.com",
    )
    .await?;
    let live = test.get("services/podinfo").await?;
    assert_eq!(
        live["metadata"]["resourceVersion"],
        created["metadata"]["resourceVersion"]
    );
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );

    let mended = json!({"spec": {
        "type": "ClusterIP", "externalName": null, "ports": [{"port": 80, "targetPort": 9898}],
    }});
    test.patch("services/podinfo", &mended).await?;
    test.phase("Initialized").await?;
    Ok(())
}

/// Whether the API server would take it, and what it says if not.
async fn would_take(test: &Namespace<'_>, object: &Value) -> Result<Result<(), String>> {
    let create = ["create", "--dry-run=server", "-f", "-"];
    let input = object.to_string();
    let output = test.kubectl_with(ALICE, &create, &input).await?;
    Ok((output.code == Some(0)).then_some(()).ok_or(output.stderr))
}

/// A Service, and a Canary whose Services would be like it.
fn with(test: &Namespace<'_>, what: &str, value: &str) -> (Value, Value) {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"name": "http", "port": 80, "targetPort": 9898}]},
    });
    let mut canary = test.canary();
    let of_canary = &mut canary["spec"]["service"];
    match what {
        "label" => {
            service["metadata"]["labels"] = json!({"a": value});
            of_canary["primary"] = json!({"labels": {"a": value}});
        }
        "key" => {
            service["metadata"]["annotations"] = json!({value: "a"});
            of_canary["canary"] = json!({"annotations": {value: "a"}});
        }
        _ => {
            let field = if what == "portName" { "name" } else { what };
            service["spec"]["ports"][0][field] = json!(value);
            of_canary[what] = json!(value);
        }
    }
    (service, canary)
}

#[tokio::test]
async fn a_canary_is_refused_for_what_the_api_server_would_refuse_in_its_services() -> Result<()> {
    let test = namespace("service-rules").await?;
    let [name, label, key, protocol] = ["portName", "label", "key", "appProtocol"];
    let port = "targetPort";
    let (long, longer) = ("a".repeat(63), "a".repeat(64));
    for (what, text) in [
        (name, "http"),
        (name, "1-a"),
        (name, "UPPER_case"),
        (name, "a-"),
        (name, &long),
        (name, &longer),
        (label, ""),
        (label, "A.b_c"),
        (label, "not valid!"),
        (label, "a-"),
        (label, &longer),
        (key, "example.com/Team"),
        (key, "Example.com/a"),
        (key, "a/b/c"),
        (key, "no key"),
        (key, &longer),
        (protocol, "kubernetes.io/h2c"),
        (protocol, "bad proto!"),
        (protocol, &longer),
        (port, "http"),
        (port, "9898"),
        (port, "a--b"),
        (port, "a-name-of-16-chr"),
        (port, "HTTP"),
    ] {
        let (service, canary) = with(&test, what, text);
        let (service, canary) = (
            would_take(&test, &service).await?,
            would_take(&test, &canary).await?,
        );
        assert_eq!(
            service.is_ok(),
            canary.is_ok(),
            "{what} {text:?}: {service:?} {canary:?}"
        );
        if let Err(said) = canary {
            assert!(said.contains("spec.service."), "{said}");
        }
    }
    Ok(())
}
