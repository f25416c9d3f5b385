//! How many pods the primary has: it never gets fewer unless somebody wants that.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB, Namespace, deployment, route};
use serde_json::{Value, json};

use crate::setup::{initialized, namespace};

/// A Deployment that says nothing of its size.
fn manifest(version: &str) -> Value {
    let mut target = deployment();
    target["spec"].as_object_mut().unwrap().remove("replicas");
    let image = format!("stefanprodan/podinfo:{version}");
    target["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    target
}

/// A Canary at rest whose primary has six pods.
async fn six(name: &str) -> Result<Namespace<'static>> {
    let test = initialized(name).await?;
    scale(&test, "podinfo-primary", 6).await?;
    ready(&test, "podinfo-primary", 6).await?;
    Ok(test)
}

async fn scale(test: &Namespace<'_>, name: &str, replicas: i32) -> Result<()> {
    let (name, replicas) = (
        format!("deployment/{name}"),
        format!("--replicas={replicas}"),
    );
    test.kubectl(ALICE, &["scale", &name, &replicas])
        .await?
        .ok()?;
    Ok(())
}

async fn ready(test: &Namespace<'_>, name: &str, replicas: i64) -> Result<()> {
    test.until(&format!("deployments/{name}"), |it| {
        it["status"]["readyReplicas"] == replicas && it["spec"]["replicas"] == replicas
    })
    .await?;
    Ok(())
}

/// What the primary was ever asked to have.
fn sizes(versions: &[(std::time::Instant, Value)]) -> Vec<i64> {
    let mut sizes: Vec<i64> = versions
        .iter()
        .filter_map(|(_, it)| it["spec"]["replicas"].as_i64())
        .collect();
    sizes.dedup();
    sizes
}

#[tokio::test]
async fn a_target_that_is_deleted_and_applied_without_replicas_leaves_the_primary_its_size()
-> Result<()> {
    let test = six("reapplied").await?;
    let primary = test.record("deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo").await?;
    test.gone("deployments/podinfo").await?;
    let applied = ["apply", "-f", "-"];
    test.kubectl_with(ALICE, &applied, &manifest("6.0.1").to_string())
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    ready(&test, "podinfo-primary", 6).await?;
    assert_eq!(sizes(&primary.versions()), [6]);
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_replaced_without_replicas_is_analysed_and_promoted_at_the_primarys_size()
-> Result<()> {
    let test = six("defaulted").await?;
    let (primary, target) = (
        test.record("deployments/podinfo-primary").await?,
        test.record("deployments/podinfo").await?,
    );
    let replaced = ["replace", "-f", "-"];
    test.kubectl_with(ALICE, &replaced, &manifest("6.0.1").to_string())
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    assert_eq!(sizes(&primary.versions()), [6]);
    assert!(sizes(&target.versions()).contains(&6), "the canary too");
    Ok(())
}

#[tokio::test]
async fn the_size_that_somebody_gives_the_target_in_a_release_is_the_primarys_afterwards()
-> Result<()> {
    let test = six("wanted").await?;
    let slow = json!({"spec": {"analysis": {"interval": "60s"}}});
    test.patch("canaries/podinfo", &slow).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    ready(&test, "podinfo", 6).await?;
    scale(&test, "podinfo", 3).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["release"]["replicas"] == 3
    })
    .await?;
    let full = ["promote", "podinfo", "--full"];
    test.plugin(BOB, &full).await?.ok()?;
    test.phase("Succeeded").await?;
    ready(&test, "podinfo-primary", 3).await
}

#[tokio::test]
async fn a_canary_that_is_deleted_and_created_anew_makes_its_primary_as_large_as_the_one_before()
-> Result<()> {
    let test = six("anew").await?;
    let size =
        |target: &Value| target["metadata"]["annotations"]["kubectl-canary.dev/replicas"] == "6";
    test.until("deployments/podinfo", size).await?;
    test.delete("canaries/podinfo").await?;
    test.gone("deployments/podinfo-primary").await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    ready(&test, "podinfo-primary", 6).await
}

#[tokio::test]
async fn a_primary_that_is_deleted_is_made_anew_with_its_size() -> Result<()> {
    let test = six("lost").await?;
    let size =
        |target: &Value| target["metadata"]["annotations"]["kubectl-canary.dev/replicas"] == "6";
    test.until("deployments/podinfo", size).await?;
    let before = test.get("deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo-primary").await?;
    test.until("deployments/podinfo-primary", |primary| {
        primary["metadata"]["uid"] != before["metadata"]["uid"] && primary["spec"]["replicas"] == 6
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_primary_whose_revision_somebody_took_off_keeps_its_size() -> Result<()> {
    let test = six("unnamed").await?;
    let primary = test.record("deployments/podinfo-primary").await?;
    let revision = "kubectl-canary.dev/revision";
    test.patch(
        "deployments/podinfo-primary",
        &json!({"metadata": {"annotations": {revision: null}}}),
    )
    .await?;
    test.until("deployments/podinfo-primary", |it| {
        it["metadata"]["annotations"][revision].is_string()
    })
    .await?;
    assert_eq!(sizes(&primary.versions()), [6]);
    Ok(())
}

#[tokio::test]
async fn a_target_without_replicas_is_adopted_with_the_default() -> Result<()> {
    let test = namespace("first").await?;
    test.create(&manifest("6.0.0")).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    ready(&test, "podinfo-primary", 1).await
}
