//! A Canary that is deleted.

use anyhow::Result;
use serde_json::json;

use crate::setup::{image, initialized, initialized_with};

#[tokio::test]
async fn deletion_says_what_stops_and_leaves_the_target_at_rest() -> Result<()> {
    let test = initialized("deleted").await?;
    let output = test.kubectl("alice", &["delete", "canary/podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("Warning:"), "{output:?}");
    test.gone("canaries/podinfo").await?;
    // The garbage collector takes what the Canary owned.
    test.gone("deployments/podinfo-primary").await?;
    test.gone("apisixroutes/podinfo-podinfo-canary").await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );
    Ok(())
}

#[tokio::test]
async fn deletion_with_revert_gives_the_traffic_back_to_the_target() -> Result<()> {
    let test = initialized_with("reverted", |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 1);
    assert_eq!(
        target["status"]["readyReplicas"], 1,
        "it serves before the primary goes"
    );
    assert_eq!(image(&target), "stefanprodan/podinfo:6.0.1");
    let id = format!("podinfo.{}", test.name);
    test.event(&format!("Terminated canary {id}")).await?;
    Ok(())
}

#[tokio::test]
async fn the_finalizer_that_flagger_left_is_handled_too() -> Result<()> {
    let test = initialized("finalizer").await?;
    let finalizers = json!({"metadata": {"finalizers": ["finalizer.flagger.app"]}});
    test.patch("canaries/podinfo", &finalizers).await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await
}

#[tokio::test]
async fn a_namespace_with_a_canary_in_it_can_be_deleted() -> Result<()> {
    let test = initialized_with("namespace", |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    let delete = ["delete", "namespace", &test.name, "--timeout=60s"];
    test.plane.kubectl(&delete).await?.ok()?;
    Ok(())
}
