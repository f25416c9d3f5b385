//! A target that is deleted in mid-release.

use anyhow::Result;
use canary_tests::cluster::{BOB, Cluster, Namespace, deployment};
use serde_json::{Value, json};

use super::{at_first_step, failed, promoting, success_rate, told};
use crate::setup::image;

const GONE: &str = "the target does not exist any more";

fn target(version: &str) -> Value {
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!(format!("stefanprodan/podinfo:{version}"));
    target
}

async fn told_once(test: &Namespace<'_>) -> Result<()> {
    let missing = format!("deployment podinfo.{} not found", test.name);
    assert_eq!(
        (told(test, GONE).await?, told(test, &missing).await?),
        (1, 1),
        "{:?}",
        test.events().await?
    );
    Ok(())
}

/// A release at 20 % whose target was deleted, and that has ended.
async fn ended(name: &str) -> Result<Namespace<'static>> {
    let plane = &Cluster::shared().await?.plane;
    let test = at_first_step(plane, name).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.delete("deployments/podinfo").await?;
    failed(&test).await?;
    assert_eq!(route.weights(), [(80, 20), (100, 0)]);
    let reason = test.condition("Ready", "False", "TargetNotFound").await?;
    assert!(reason.contains("not found"), "{reason}");
    told_once(&test).await?;
    Ok(test)
}

#[tokio::test]
async fn a_release_whose_target_is_deleted_ends_and_another_template_starts_anew() -> Result<()> {
    let test = ended("target-anew").await?;
    success_rate(&test, 100.0);
    test.create(&target("6.0.2")).await?;
    let canary = test.phase("Succeeded").await?;
    assert_eq!(canary["status"]["release"]["number"], 2, "{canary:#}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.2");
    told_once(&test).await
}

#[tokio::test]
async fn a_target_that_comes_back_as_it_was_promoted_is_no_release() -> Result<()> {
    let test = ended("target-back").await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.create(&target("6.0.0")).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(status["release"]["number"], 1, "{status:#}");
    assert_eq!(status["lastAppliedSpec"], status["lastPromotedSpec"]);
    assert_eq!(route.weights(), [(100, 0)]);
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_deleted_while_it_is_promoted_gives_the_primary_its_template_back()
-> Result<()> {
    let plane = &Cluster::shared().await?.plane;
    let test = promoting(plane, "target-promoting", |_| ()).await?;
    let primary = test.record("deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo").await?;
    failed(&test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["release"]["recovering"] == false
    })
    .await?;
    let images = primary.changes(|primary| Some(image(primary).to_owned()));
    assert_eq!(
        images,
        ["stefanprodan/podinfo:6.0.1", "stefanprodan/podinfo:6.0.0"]
    );
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(primary["status"]["readyReplicas"], 1);
    told_once(&test).await
}

#[tokio::test]
async fn a_paused_release_whose_target_is_deleted_ends_too() -> Result<()> {
    let plane = &Cluster::shared().await?.plane;
    let test = at_first_step(plane, "target-paused").await?;
    test.plugin(BOB, &["pause", "podinfo"]).await?.ok()?;
    test.delete("deployments/podinfo").await?;
    failed(&test).await
}
