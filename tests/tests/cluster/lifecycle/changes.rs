//! Which changes start a release, and what a change during one does.

use anyhow::Result;
use canary_tests::cluster::{ALICE, deployment};
use serde_json::{Value, json};

use crate::setup::{image, initialized, initialized_with};

/// A Canary whose steps take long enough to do something meanwhile.
fn slow(canary: &mut Value) {
    canary["spec"]["analysis"]["interval"] = json!("3s");
}

#[tokio::test]
async fn changed_replicas_labels_and_annotations_are_no_release() -> Result<()> {
    let test = initialized("metadata").await?;
    let canary = test.record("canaries/podinfo").await?;
    let metadata = json!({"labels": {"team": "web"}, "annotations": {"note": "changed"}});
    test.patch("deployments/podinfo", &json!({"metadata": metadata}))
        .await?;
    let scale = ["scale", "deployment/podinfo", "--replicas=2"];
    test.kubectl(ALICE, &scale).await?.ok()?;
    let event = test.event("was scaled to 2 by").await?;
    assert!(event.contains("scaling it back to 0"), "{event}");
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(canary.phases(), ["Initialized"]);
    Ok(())
}

#[tokio::test]
async fn applying_the_same_manifest_again_is_no_release() -> Result<()> {
    let test = initialized("applied").await?;
    let canary = test.record("canaries/podinfo").await?;
    let mut manifest = deployment();
    manifest["spec"]
        .as_object_mut()
        .map(|spec| spec.remove("replicas"));
    let applied = manifest.to_string();
    for _ in 0..2 {
        test.kubectl_with(ALICE, &["apply", "-f", "-"], &applied)
            .await?
            .ok()?;
    }
    // What is a release is seen by the same watch, later.
    test.set_image("6.0.1").await?;
    test.phase("Progressing").await?;
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(status["release"]["number"], 1, "{status:#}");
    assert_eq!(canary.phases(), ["Initialized", "Progressing"]);
    Ok(())
}

#[tokio::test]
async fn a_rollout_restart_is_a_release() -> Result<()> {
    let test = initialized("restart").await?;
    test.kubectl(ALICE, &["rollout", "restart", "deployment/podinfo"])
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    let annotations = &primary["spec"]["template"]["metadata"]["annotations"];
    assert!(
        annotations["kubectl.kubernetes.io/restartedAt"].is_string(),
        "{annotations}"
    );
    Ok(())
}

#[tokio::test]
async fn a_second_change_starts_the_analysis_again_from_the_first_step() -> Result<()> {
    let test = initialized_with("again", slow).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 40
    })
    .await?;
    test.set_image("6.0.2").await?;
    let sentence = format!(
        "New revision detected! Restarting analysis for podinfo.{}",
        test.name
    );
    assert_eq!(test.event("Restarting").await?, sentence);
    test.phase("Succeeded").await?;
    let weights = route.weights();
    assert_eq!(
        weights,
        [
            (100, 0),
            (80, 20),
            (60, 40),
            (100, 0),
            (80, 20),
            (60, 40),
            (100, 0)
        ]
    );
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.2");
    Ok(())
}

#[tokio::test]
async fn a_target_set_back_to_the_promoted_version_aborts_the_release() -> Result<()> {
    let test = initialized_with("set-back", slow).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    test.set_image("6.0.0").await?;
    let event = test.event("Rolling back").await?;
    assert!(
        event.ends_with("target was set back to the promoted revision"),
        "{event}"
    );
    let canary = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["release"]["outcome"] == "Aborted"
        })
        .await?;
    assert_eq!(test.weights().await?, (100, 0), "{canary}");
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    Ok(())
}
