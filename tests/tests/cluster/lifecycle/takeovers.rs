//! Objects that others made, or that there are several of.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment};
use serde_json::{Value, json};

use crate::bad_input::told;
use crate::setup::{image, initialized, namespace, owner};

/// A Deployment of the primary's name whose owner hands it over.
async fn handed_over(test: &Namespace<'_>, app: &str) -> Result<Value> {
    let mut other = deployment();
    other["metadata"] = json!({
        "name": "podinfo-primary", "annotations": {"kubectl-canary.dev/adopt": "true"},
    });
    other["spec"]["selector"]["matchLabels"] = json!({"app": app});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": app});
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other:1");
    test.create(&other).await
}

#[tokio::test]
async fn a_deployment_that_is_handed_over_becomes_the_primary() -> Result<()> {
    let test = namespace("handed-over").await?;
    let before = handed_over(&test, "podinfo-primary").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(primary["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(owner(&primary), "Canary/podinfo");
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    assert_eq!(
        primary["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"],
        0
    );

    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_is_handed_over_with_another_selector_is_left_alone() -> Result<()> {
    let test = namespace("other-selector").await?;
    let before = handed_over(&test, "other").await?;
    test.create_all().await?;
    let sentence = format!(
        "Deployment podinfo-primary.{} cannot become the primary, because its selector is not app=podinfo-primary",
        test.name
    );
    told(&test, &sentence).await?;
    let after = test.get("deployments/podinfo-primary").await?;
    assert_eq!(after["spec"], before["spec"]);
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 1);

    test.delete("deployments/podinfo-primary").await?;
    test.phase("Initialized").await?;
    Ok(())
}

fn autoscaler(name: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99},
            }}],
        },
    })
}

#[tokio::test]
async fn of_several_autoscalers_none_is_used_until_one_is_named() -> Result<()> {
    let test = namespace("autoscalers").await?;
    for name in ["by-cpu", "by-queue"] {
        test.create(&autoscaler(name)).await?;
    }
    test.create_all().await?;
    test.phase("Initialized").await?;
    let message = test
        .condition("AutoscalerAmbiguous", "True", "Several")
        .await?;
    for part in ["by-cpu", "by-queue", "spec.autoscalerRef"] {
        assert!(message.contains(part), "{message}");
    }
    let all = test.list("horizontalpodautoscalers").await?;
    assert_eq!(all.len(), 2, "{all:#?}");

    let named = json!({"spec": {"autoscalerRef": {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "by-cpu",
    }}});
    test.patch("canaries/podinfo", &named).await?;
    let copy = test
        .until("horizontalpodautoscalers/by-cpu-primary", |copy| {
            copy["spec"]["scaleTargetRef"]["name"] == "podinfo-primary"
        })
        .await?;
    assert_eq!(owner(&copy), "Canary/podinfo");
    test.until("canaries/podinfo", |canary| {
        !canary["status"]["conditions"]
            .to_string()
            .contains("AutoscalerAmbiguous")
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn edits_of_the_service_in_the_spec_are_no_fight_about_it() -> Result<()> {
    let test = initialized("service-edits").await?;
    let canary = test.record("canaries/podinfo").await?;
    // The last is what the route names: else it would hold the release.
    for port in [81, 82, 80] {
        let edit = json!({"spec": {"service": {"port": port}}});
        test.patch("canaries/podinfo", &edit).await?;
        test.until("services/podinfo", |apex| {
            apex["spec"]["ports"][0]["port"] == port
        })
        .await?;
    }
    // A release is decided on after all of it.
    test.set_image("6.0.1").await?;
    test.phase("Progressing").await?;
    let drift = canary.changes(|canary| {
        let conditions = canary["status"]["conditions"].to_string();
        conditions.contains("SelectorChanged").then_some(conditions)
    });
    assert_eq!(drift, [""; 0]);
    Ok(())
}
