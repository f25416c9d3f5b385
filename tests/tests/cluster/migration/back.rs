//! From us to a real Flagger: what `uninstall --for-flagger` leaves is taken over as it is.

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace};
use canary_tests::control_plane::{ControlPlane, free_port};
use canary_tests::plugin::plugin;
use canary_tests::process::Process;
use serde_json::Value;

use super::{Left, plane, start};
use crate::setup::image;

/// Flagger looks every ten seconds at the earliest.
const ITS_LIMIT: Duration = Duration::from_secs(60);

/// It is killed when dropped.
fn flagger(plane: &ControlPlane) -> Result<Process> {
    let mut command = plane.lab().command(&plane.tools().join("flagger"));
    command
        .arg(format!(
            "--kubeconfig={}",
            plane.admin_kubeconfig().display()
        ))
        .arg("--mesh-provider=apisix")
        .arg("--control-loop-interval=1s")
        .arg(format!("--port={}", free_port()?));
    plane.lab().spawn("flagger", command)
}

async fn phase(test: &Namespace<'_>, phase: &str) -> Result<()> {
    let what = format!("{phase} in {}", test.name);
    eventually(&what, ITS_LIMIT, async || {
        let canary = test.get("canaries/podinfo").await?;
        Ok((canary["status"]["phase"] == phase).then_some(()))
    })
    .await
}

/// Released by us, and left with a release that succeeded, one that was rolled back, one that is paused.
async fn released<'a>(plane: &'a ControlPlane, outcome: &str) -> Result<Namespace<'a>> {
    let test = Namespace::new(plane, outcome).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    let verb = match outcome {
        "rolled-back" => "rollback",
        "paused" => "pause",
        _ => {
            test.phase("Succeeded").await?;
            return Ok(test);
        }
    };
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    test.plugin(BOB, &[verb, "podinfo"]).await?.ok()?;
    Ok(test)
}

fn is_ready(primary: &Value) -> bool {
    primary["status"]["readyReplicas"] == 1
}

#[tokio::test]
async fn flagger_takes_over_what_an_uninstallation_left_without_a_rollout() -> Result<()> {
    let plane = plane().await?;
    let mut server = start(&plane).await?;
    let mut all = Vec::new();
    for outcome in ["succeeded", "rolled-back", "paused"] {
        all.push(Left::of(released(&plane, outcome).await?).await?);
    }
    let [succeeded, rolled_back, paused] = all.as_slice() else {
        unreachable!("three were released");
    };
    // There is no Deployment of it here: its pods end before Canaries are left.
    server.process().terminate()?;
    let words = ["uninstall", "--for-flagger", "--yes"];
    plugin(plane.admin_kubeconfig(), &words).await?.ok()?;

    let _flagger = flagger(&plane)?;
    for left in [succeeded, rolled_back] {
        phase(&left.test, "Initialized").await?;
    }
    // Longer than it takes to see a change.
    paused
        .test
        .event("New revision detected! Restarting analysis for podinfo")
        .await?;
    for left in [succeeded, rolled_back] {
        assert_eq!(left.templates(), [1, 1], "{}", left.test.name);
        assert_eq!(left.test.weights().await?, (100, 0));
        let target = left.test.get("deployments/podinfo").await?;
        assert_eq!(target["spec"]["replicas"], 0);
    }
    let primary = rolled_back.test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    assert_eq!(paused.templates(), [1, 1]);
    assert!(is_ready(
        &paused.test.get("deployments/podinfo-primary").await?
    ));

    for left in [succeeded, rolled_back] {
        left.test.set_image("6.0.2").await?;
        phase(&left.test, "Progressing").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_release_that_flagger_began_anew_comes_back_to_us() -> Result<()> {
    let plane = plane().await?;
    let test = Namespace::new(&plane, "both-ways").await?;
    test.create_all().await?;
    let first = flagger(&plane)?;
    phase(&test, "Initialized").await?;
    test.set_image("6.0.1").await?;
    eventually("Flagger's first step", ITS_LIMIT, async || {
        let canary = test.get("canaries/podinfo").await?;
        Ok((canary["status"]["canaryWeight"] == 20).then_some(()))
    })
    .await?;
    drop(first);

    let left = Left::of(test).await?;
    let mut server = start(&plane).await?;
    left.test.phase("Succeeded").await?;
    assert_eq!(left.route.weights(), [(80, 20), (60, 40), (100, 0)]);
    assert_eq!(left.templates(), [1, 2]);
    server.logged("Promotion completed", LIMIT).await?;
    Ok(())
}
