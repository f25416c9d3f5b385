//! `wait`, `history`, `explain`, and the guards of the verbs that ask for something.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB};
use canary_tests::fixtures::prometheus::Answer;
use canary_tests::plugin::plugin;
use serde_json::{Value, json};

use crate::setup::{at_first_step, image, initialized};

#[tokio::test]
async fn wait_right_after_a_change_ends_when_that_change_is_promoted() -> Result<()> {
    let test = initialized("wait").await?;
    for (version, release) in [("6.0.1", 1), ("6.0.2", 2)] {
        test.set_image(version).await?;
        // The release before this one was promoted too, and is not what is meant.
        let waited = test
            .plugin(ALICE, &["wait", "podinfo", "--for=promoted"])
            .await?;
        assert_eq!(waited.code, Some(0), "{waited:?}");
        let said = format!("release {release} promoted");
        assert!(waited.stdout.contains(&said), "{waited:?}");
        let primary = test.get("deployments/podinfo-primary").await?;
        assert_eq!(image(&primary), format!("stefanprodan/podinfo:{version}"));
    }
    let again = test
        .plugin(ALICE, &["wait", "podinfo", "--release=r1", "-o", "json"])
        .await?;
    let report: Value = serde_json::from_str(&again.ok()?)?;
    assert_eq!(report["phase"], "Succeeded");
    Ok(())
}

#[tokio::test]
async fn wait_for_a_release_that_is_superseded_ends_with_exit_code_6() -> Result<()> {
    let test = at_first_step("wait-newer").await?;
    let kubeconfig = test.kubeconfig(ALICE)?;
    let wait = ["wait", "podinfo", "--release=r1", "-n", &test.name];
    let (waited, changed) = tokio::join!(plugin(&kubeconfig, &wait), test.set_image("6.0.2"));
    changed?;
    let waited = waited?;
    assert_eq!(waited.code, Some(6), "{waited:?}");
    assert!(waited.stderr.contains("was superseded"), "{waited:?}");
    Ok(())
}

#[tokio::test]
async fn a_release_that_failed_is_explained_and_stays_in_the_history() -> Result<()> {
    let test = initialized("explained").await?;
    test.prometheus
        .answer("apisix_http_status", Answer::value(40.0));
    test.set_image("6.0.1").await?;
    let waited = test.plugin(BOB, &["wait", "podinfo"]).await?;
    assert_eq!(waited.code, Some(2), "{waited:?}");
    let explained = test.plugin(BOB, &["explain", "podinfo"]).await?.ok()?;
    for part in [
        "was rolled back",
        "failed checks threshold reached",
        "success rate 40.00%",
        "query: (sum(rate(apisix_http_status{",
        "kubectl canary retry podinfo",
    ] {
        assert!(
            explained.contains(part),
            "{part} is missing in\n{explained}"
        );
    }
    let json = test
        .plugin(BOB, &["history", "podinfo", "-o", "json"])
        .await?;
    let history: Value = serde_json::from_str(&json.ok()?)?;
    let release = &history["releases"][0];
    assert_eq!(release["outcome"], "RolledBack");
    assert_eq!(release["by"], "alice");
    assert_eq!(release["worst"]["name"], "request-success-rate");
    assert_eq!(release["worst"]["value"], 40.0);
    Ok(())
}

#[tokio::test]
async fn two_releases_are_compared_by_the_templates_that_the_controller_keeps() -> Result<()> {
    let test = initialized("diff").await?;
    test.set_image("6.0.1").await?;
    test.plugin(BOB, &["wait", "podinfo"]).await?.ok()?;
    let set = ["set", "env", "deployment/podinfo", "COLOUR=blue"];
    test.kubectl(ALICE, &set).await?.ok()?;
    test.plugin(BOB, &["wait", "podinfo"]).await?.ok()?;
    let diff = ["history", "diff", "podinfo", "1", "2", "-o", "json"];
    let diff: Value = serde_json::from_str(&test.plugin(BOB, &diff).await?.ok()?)?;
    assert_eq!(diff["images"], json!([]));
    let changed = diff["template"].to_string();
    assert!(
        changed.contains("env") && changed.contains("COLOUR"),
        "{diff}"
    );
    assert!(diff["unknown"].is_null(), "{diff}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_lets_the_policies_answer_and_changes_nothing() -> Result<()> {
    let test = at_first_step("rehearsed").await?;
    let promote = ["promote", "podinfo", "--dry-run=server"];
    let refused = test.plugin(ALICE, &promote).await?;
    assert_eq!(refused.code, Some(5), "{refused:?}");
    assert!(refused.stderr.contains("promote"), "{refused:?}");
    let before = test.get("canaries/podinfo").await?;
    let rehearsed = test.plugin(BOB, &promote).await?;
    assert_eq!(rehearsed.code, Some(0), "{rehearsed:?}");
    assert!(
        rehearsed.stdout.contains("would promote release 1"),
        "{rehearsed:?}"
    );
    let after = test.get("canaries/podinfo").await?;
    assert_eq!(
        after["metadata"]["annotations"],
        before["metadata"]["annotations"]
    );
    assert_eq!(test.weights().await?, (80, 20));
    Ok(())
}

#[tokio::test]
async fn several_are_asked_by_label_and_another_release_than_expected_is_left_alone() -> Result<()>
{
    let test = at_first_step("several").await?;
    let labelled = json!({"metadata": {"labels": {"team": "a"}}});
    test.patch("canaries/podinfo", &labelled).await?;
    let other = ["rollback", "podinfo", "--expect-release=r7"];
    let refused = test.plugin(BOB, &other).await?;
    assert_eq!(refused.code, Some(6), "{refused:?}");
    let nobody = test
        .plugin(BOB, &["pause", "-l", "team=b", "--yes"])
        .await?;
    assert_eq!(nobody.code, Some(1), "{nobody:?}");
    let unsure = test.plugin(BOB, &["pause", "-l", "team=a"]).await?;
    assert_eq!(unsure.code, Some(1), "{unsure:?}");
    assert_eq!(test.weights().await?, (80, 20));
    let paused = test
        .plugin(BOB, &["pause", "-l", "team=a", "--yes"])
        .await?;
    assert_eq!(paused.code, Some(0), "{paused:?}");
    test.condition("Paused", "True", "Requested").await?;
    // A pause that is so already is what is waited for.
    let waited = test
        .plugin(ALICE, &["wait", "podinfo", "--for=paused"])
        .await?;
    assert_eq!(waited.code, Some(0), "{waited:?}");
    Ok(())
}
