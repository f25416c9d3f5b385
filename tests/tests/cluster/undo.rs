//! Back to a version that was promoted before, and pauses that end by themselves.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, Cluster, LIMIT};
use canary_tests::plugin::plugin;
use serde_json::{Value, json};

use crate::setup::{at_first_step, image, initialized};

#[tokio::test]
async fn what_was_promoted_is_released_again_as_a_canary() -> Result<()> {
    let test = initialized("undo").await?;
    test.set_image("6.0.1").await?;
    test.plugin(ALICE, &["wait", "podinfo"]).await?.ok()?;
    let there = test.get("deployments/podinfo").await?["spec"]["template"].clone();
    let back = ["rollback", "podinfo", "--to=0", "--reason=errors"];
    let back = test.plugin(ALICE, &back).await?;
    assert_eq!(back.code, Some(0), "{back:?}");
    let said = "releases the version before release 1 again (6.0.1 -> 6.0.0)";
    assert!(back.stdout.contains(said), "{back:?}");
    assert!(back.stdout.trim_end().ends_with("promoted"), "{back:?}");
    assert!(back.stderr.contains("kept in Git"), "{back:?}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    let target = test.get("deployments/podinfo").await?;
    let cause = &target["metadata"]["annotations"]["kubernetes.io/change-cause"];
    assert_eq!(cause, "errors");
    let canary = test.get("canaries/podinfo").await?;
    let release = &canary["status"]["history"][0];
    assert_eq!(
        (&release["by"], &release["weight"]),
        (&json!("alice"), &json!(40))
    );
    // Forth again: the template is the one that was there, to the last field.
    let forth = test
        .plugin(ALICE, &["rollback", "podinfo", "--to=r1"])
        .await?;
    assert_eq!(forth.code, Some(0), "{forth:?}");
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["template"],
        there
    );
    let again = test
        .plugin(ALICE, &["rollback", "podinfo", "--to=r1"])
        .await?;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("runs release 1 already"), "{again:?}");
    Ok(())
}

#[tokio::test]
async fn fast_goes_back_without_analysis() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let test = cluster.namespace("undo-fast").await?;
    // Each step would stand for longer than the test.
    test.create_with(|canary| canary["spec"]["analysis"]["interval"] = json!("10m"))
        .await?;
    test.phase("Initialized").await?;
    let admin = cluster.plane.admin_kubeconfig();
    let run = async |args: &[&str]| plugin(admin, &[args, &["-n", &test.name]].concat()).await;
    test.set_image("6.0.1").await?;
    test.phase("Progressing").await?;
    let early = run(&["rollback", "podinfo", "--to=0", "--fast"]).await?;
    assert_eq!(early.code, Some(1), "{early:?}");
    assert!(early.stderr.contains("has to end first"), "{early:?}");
    run(&["promote", "podinfo", "--full"]).await?.ok()?;
    let rehearsed = run(&["rollback", "podinfo", "--to=0", "--dry-run=server"]).await?;
    assert!(rehearsed.stdout.contains("would release"), "{rehearsed:?}");
    let back = run(&["rollback", "podinfo", "--to=0", "--fast", "--reason=errors"]).await?;
    assert_eq!(back.code, Some(0), "{back:?}");
    assert!(back.stdout.contains("release 2 promoted"), "{back:?}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["lastRequest"]["reason"], "errors");
    Ok(())
}

/// Its ConfigMap has a name of its own for each version, and the one before was pruned.
#[tokio::test]
async fn a_version_that_needs_what_was_pruned_is_gone_back_to_by_force_only() -> Result<()> {
    let test = initialized("undo-pruned").await?;
    for (name, version) in [("config-a", "6.0.1"), ("config-b", "6.0.2")] {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"},
        });
        test.create(&map).await?;
        let container = json!({
            "name": "podinfod", "image": format!("stefanprodan/podinfo:{version}"),
            "envFrom": [{"configMapRef": {"name": name}}],
        });
        let spec = json!({"containers": [container]});
        test.patch(
            "deployments/podinfo",
            &json!({"spec": {"template": {"spec": spec}}}),
        )
        .await?;
        test.plugin(ALICE, &["wait", "podinfo"]).await?.ok()?;
    }
    test.delete("configmaps/config-a").await?;
    let back = ["rollback", "podinfo", "--to=1"];
    let refused = test.plugin(ALICE, &back).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let why = format!(
        "release 1 of podinfo.{} needs ConfigMap config-a, which is not there",
        test.name
    );
    assert!(refused.stderr.contains(&why), "{refused:?}");
    assert!(refused.stderr.contains("--force"), "{refused:?}");
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(image(&target), "stefanprodan/podinfo:6.0.2");

    let rehearsed = [&back[..], &["--force", "--dry-run=server"]].concat();
    let rehearsed = test.plugin(ALICE, &rehearsed).await?.ok()?;
    assert!(rehearsed.contains("would release release 1"), "{rehearsed}");
    Ok(())
}

#[tokio::test]
async fn whoever_may_not_change_the_deployment_cannot_go_back() -> Result<()> {
    let test = initialized("undo-denied").await?;
    test.set_image("6.0.1").await?;
    test.plugin(ALICE, &["wait", "podinfo"]).await?.ok()?;
    let denied = test.plugin(BOB, &["rollback", "podinfo", "--to=0"]).await?;
    assert_eq!(denied.code, Some(5), "{denied:?}");
    assert_eq!(
        image(&test.get("deployments/podinfo").await?),
        "stefanprodan/podinfo:6.0.1"
    );
    Ok(())
}

#[tokio::test]
async fn a_pause_for_some_time_ends_by_itself() -> Result<()> {
    let test = at_first_step("pause-for").await?;
    let paused = test.plugin(BOB, &["pause", "podinfo", "--for=5s"]).await?;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    assert!(
        paused.stdout.contains("paused at weight 20 until 2"),
        "{paused:?}"
    );
    let shown = test.plugin(BOB, &["status", "podinfo"]).await?.ok()?;
    assert!(shown.contains("resumes in"), "{shown}");
    eventually("the release to go on", LIMIT, async || {
        let status: Value = test.get("canaries/podinfo").await?["status"].clone();
        let release = &status["release"];
        let waits = !release["nextCheckAt"].is_null();
        Ok((release["paused"].is_null() && waits).then_some(()))
    })
    .await
}
