//! A release that succeeds.

use anyhow::Result;
use canary_tests::cluster::ALICE;
use serde_json::json;

use crate::setup::{image, initialized, initialized_with, story};

/// How long a rollout takes is the machine's affair, and so are the texts that count its pods.
fn without_waiting(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let texts = texts.into_iter();
    texts.filter(|text| !text.contains("not ready")).collect()
}

#[tokio::test]
async fn a_new_image_goes_step_by_step_to_the_primary() -> Result<()> {
    let test = initialized("steps").await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    let canary = test.record("canaries/podinfo").await?;

    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;

    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    assert_eq!(
        canary.phases(),
        [
            "Initialized",
            "Progressing",
            "Promoting",
            "Finalising",
            "Succeeded"
        ]
    );
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 0);
    let message = test.condition("Promoted", "True", "Succeeded").await?;
    assert_eq!(
        message,
        "Canary analysis completed successfully, promotion finished."
    );
    Ok(())
}

#[tokio::test]
async fn events_are_told_once_and_in_order_by_the_api_server_and_by_describe() -> Result<()> {
    let test = initialized("events").await?;
    let before = test.list("events").await?.len();
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    test.event("Promotion completed!").await?;

    let listed = without_waiting(test.events().await?);
    assert_eq!(listed[2..], story(&test.name), "before: {before}");
    for event in test.list("events").await? {
        if event["involvedObject"]["kind"] == "Canary" {
            assert_eq!(event["reason"], "Synced");
            assert_eq!(event["source"]["component"], "flagger");
        }
    }
    let described = test
        .kubectl(ALICE, &["describe", "canary/podinfo"])
        .await?
        .ok()?;
    let (_, events) = described.split_once("Events:").unwrap_or_default();
    let texts: Vec<String> = events
        .lines()
        .filter_map(|line| line.split_once("flagger "))
        .map(|(_, text)| text.trim().to_owned())
        .collect();
    assert_eq!(
        without_waiting(texts)[2..],
        story(&test.name),
        "{described}"
    );
    Ok(())
}

#[tokio::test]
async fn the_release_names_who_started_it_and_what_changed() -> Result<()> {
    let test = initialized("attributed").await?;
    let warned = [
        "set",
        "image",
        "deployment/podinfo",
        "podinfod=stefanprodan/podinfo:6.0.1",
    ];
    let output = test.kubectl(ALICE, &warned).await?;
    assert!(output.stderr.contains("Warning:"), "{output:?}");
    let canary = test.phase("Succeeded").await?;
    let release = &canary["status"]["release"];
    assert_eq!(release["by"], "alice");
    assert_eq!(release["outcome"], "Promoted");
    assert_eq!(
        release["images"],
        json!([{
            "container": "podinfod",
            "from": "stefanprodan/podinfo:6.0.0", "to": "stefanprodan/podinfo:6.0.1",
        }])
    );
    Ok(())
}

#[tokio::test]
async fn without_analysis_a_new_image_goes_straight_to_the_primary() -> Result<()> {
    let test = initialized_with("skipped", |canary| {
        canary["spec"]["skipAnalysis"] = json!(true);
    })
    .await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), [(100, 0)]);
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    let sentence = format!(
        "Promotion completed! Canary analysis was skipped for podinfo.{}",
        test.name
    );
    assert_eq!(test.event("was skipped").await?, sentence);
    Ok(())
}

#[tokio::test]
async fn a_suspended_canary_waits_and_releases_when_it_is_resumed() -> Result<()> {
    let test = initialized("suspended").await?;
    test.patch("canaries/podinfo", &json!({"spec": {"suspend": true}}))
        .await?;
    test.set_image("6.0.1").await?;
    test.event("skipping canary run as object is suspended")
        .await?;
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Initialized");
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );

    test.patch("canaries/podinfo", &json!({"spec": {"suspend": false}}))
        .await?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn the_last_ten_templates_are_kept() -> Result<()> {
    let test = initialized_with("revisions", |canary| {
        canary["spec"]["skipAnalysis"] = json!(true);
    })
    .await?;
    for number in 1..=11 {
        let version = format!("6.1.{number}");
        test.set_image(&version).await?;
        let wanted = format!("stefanprodan/podinfo:{version}");
        test.until("canaries/podinfo", |canary| {
            let release = &canary["status"]["release"];
            canary["status"]["phase"] == "Succeeded"
                && release["images"][0]["to"] == wanted.as_str()
        })
        .await?;
    }
    let mut revisions = test.list("controllerrevisions").await?;
    revisions.retain(|revision| revision["metadata"]["ownerReferences"][0]["kind"] == "Canary");
    assert_eq!(revisions.len(), 10);
    let kept = serde_json::to_string(&revisions)?;
    assert!(
        kept.contains("podinfo:6.1.11") && !kept.contains("podinfo:6.0.0"),
        "{kept}"
    );
    Ok(())
}
