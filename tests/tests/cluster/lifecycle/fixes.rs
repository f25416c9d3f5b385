//! The promoted revision cannot run, and somebody sets a version that can.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use canary_tests::fixtures::prometheus::Answer;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::setup::{image, namespace};

#[tokio::test]
async fn a_baseline_that_never_starts_gives_way_to_the_version_that_does() -> Result<()> {
    let test = namespace("broken-baseline").await?;
    let mut target = deployment();
    target["spec"]["template"]["metadata"]["annotations"] = json!({"lab/never-ready": "true"});
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initializing").await?;
    test.until("deployments/podinfo-primary", |primary| {
        primary["status"]["updatedReplicas"] == 1
    })
    .await?;

    let fix = json!({"spec": {"template": {
        "metadata": {"annotations": {"lab/never-ready": null}},
        "spec": {"containers": [{"name": "podinfod", "image": "stefanprodan/podinfo:6.0.1"}]},
    }}});
    test.patch("deployments/podinfo", &fix).await?;
    let canary = test.phase("Initialized").await?;
    let status = &canary["status"];
    assert!(status["release"].is_null(), "no release: {status:#}");
    let reasons = status["conditions"].to_string();
    assert!(!reasons.contains("BaselineReplaced"), "{reasons}");
    test.event("never became ready").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    assert_eq!(primary["status"]["readyReplicas"], 1);
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

/// Whether pods that ask for this namespace's node find it.
async fn node(test: &Namespace<'_>, there: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(test.plane.client().await?);
    let label = if there { json!("true") } else { Value::Null };
    let patch = json!({"metadata": {"labels": {&test.name: label}}});
    nodes
        .patch("node-0", &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    Ok(())
}

/// A target whose pods run only on a node that is gone by now, and with it the primary's pods.
async fn without_its_node(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    node(&test, true).await?;
    let mut target = deployment();
    target["spec"]["template"]["spec"]["nodeSelector"] = json!({&test.name: "true"});
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    node(&test, false).await?;
    // One of the target's pods may be leaving, and be gone before it is its turn: kubectl minds that not.
    let all = ["delete", "pods", "--all", "--wait=false"];
    test.kubectl_as_admin(&all, "").await?.ok()?;
    test.until("deployments/podinfo-primary", |primary| {
        primary["status"]["readyReplicas"].is_null()
    })
    .await?;
    Ok(test)
}

/// A version that runs anywhere.
async fn set_anywhere(test: &Namespace<'_>, version: &str) -> Result<()> {
    let image = format!("stefanprodan/podinfo:{version}");
    let pod = json!({"nodeSelector": null, "containers": [{"name": "podinfod", "image": image}]});
    let patch = json!({"spec": {"template": {"spec": pod}}});
    test.patch("deployments/podinfo", &patch).await?;
    Ok(())
}

async fn promoted(test: &Namespace<'_>, version: &str) -> Result<()> {
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), format!("stefanprodan/podinfo:{version}"));
    assert_eq!(primary["status"]["readyReplicas"], 1);
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn a_version_that_runs_is_promoted_though_the_primary_lost_all_its_pods() -> Result<()> {
    let test = without_its_node("lost-node").await?;
    set_anywhere(&test, "6.0.1").await?;
    promoted(&test, "6.0.1").await
}

#[tokio::test]
async fn a_rollback_that_finds_no_primary_does_not_keep_the_fix_waiting() -> Result<()> {
    let test = without_its_node("no-way-back").await?;
    test.prometheus
        .answer("apisix_http_status", Answer::value(0.0));
    set_anywhere(&test, "6.0.2").await?;
    test.event("Rolling back").await?;
    // No pod of the primary is ready: who is on the canary stays there.
    assert_eq!(test.weights().await?, (80, 20));

    test.prometheus
        .answer("apisix_http_status", Answer::value(100.0));
    set_anywhere(&test, "6.0.3").await?;
    test.event("has no ready pods to return to, analysing the new revision at weight 20")
        .await?;
    promoted(&test, "6.0.3").await?;
    let history = test.get("canaries/podinfo").await?["status"]["history"].clone();
    let outcomes = [&history[0]["outcome"], &history[1]["outcome"]];
    assert_eq!(outcomes, ["Promoted", "RolledBack"]);
    Ok(())
}
