//! A release that fails, and what follows.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace};
use canary_tests::fixtures::prometheus::Answer;
use serde_json::json;

use crate::setup::{image, initialized};

/// What the checks of the success rate find from now on.
fn success_rate(test: &Namespace<'_>, percent: f64) {
    let answer = Answer::value(percent);
    test.prometheus.answer("apisix_http_status", answer);
}

/// A Canary whose first release, of 6.0.2, has failed.
async fn failed(name: &str) -> Result<Namespace<'static>> {
    let test = initialized(name).await?;
    success_rate(&test, 0.0);
    test.set_image("6.0.2").await?;
    test.phase("Failed").await?;
    Ok(test)
}

#[tokio::test]
async fn at_the_threshold_all_traffic_goes_back_and_the_canary_is_scaled_to_zero() -> Result<()> {
    let test = initialized("rollback").await?;
    success_rate(&test, 0.0);
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.2").await?;
    test.phase("Failed").await?;

    let id = format!("podinfo.{}", test.name);
    let halt = format!("Halt {id} advancement success rate 0.00% < 99%");
    let events = test.list("events").await?;
    let halts = events
        .iter()
        .filter(|event| event["message"] == halt.as_str());
    let halted: i64 = halts.filter_map(|event| event["count"].as_i64()).sum();
    assert_eq!(halted, 3, "{:?}", test.events().await?);
    let told = test.events().await?;
    assert_eq!(
        told[told.len() - 3..],
        [
            halt,
            format!("Rolling back {id} failed checks threshold reached 3"),
            format!("Canary failed! Scaling down {id}"),
        ]
    );
    assert_eq!(route.weights(), [(100, 0), (80, 20), (100, 0)]);
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    let message = test.condition("Promoted", "False", "Failed").await?;
    assert_eq!(
        message,
        "Canary analysis failed, Deployment scaled to zero."
    );
    Ok(())
}

#[tokio::test]
async fn after_a_failed_release_a_fix_starts_from_no_traffic_and_succeeds() -> Result<()> {
    let test = failed("fixed").await?;
    success_rate(&test, 100.0);
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.3").await?;
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    Ok(())
}

#[tokio::test]
async fn a_canary_that_is_never_ready_fails_at_its_deadline() -> Result<()> {
    let test = initialized("deadline").await?;
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"progressDeadlineSeconds": 3}}),
    )
    .await?;
    let patch =
        json!({"spec": {"template": {"metadata": {"annotations": {"lab/never-ready": "true"}}}}});
    test.patch("deployments/podinfo", &patch).await?;
    test.event("not ready: waiting for rollout to finish: 0 of 1")
        .await?;
    let event = test.event("Rolling back").await?;
    assert!(event.contains("progress deadline exceeded"), "{event}");
    test.phase("Failed").await?;
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn a_lost_primary_comes_back_with_the_promoted_version_not_the_failed_one() -> Result<()> {
    let test = failed("lost").await?;
    let lost = test.get("deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo-primary").await?;
    let primary = test
        .until("deployments/podinfo-primary", |primary| {
            primary["metadata"]["uid"] != lost["metadata"]["uid"]
                && primary["status"]["readyReplicas"] == 1
        })
        .await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    assert_eq!(
        primary["spec"]["template"]["spec"],
        lost["spec"]["template"]["spec"]
    );
    Ok(())
}

#[tokio::test]
async fn a_failed_release_is_tried_again_on_request() -> Result<()> {
    let test = failed("retried").await?;
    success_rate(&test, 100.0);
    let output = test.plugin(BOB, &["retry", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    eventually("the failed version on the primary", LIMIT, async || {
        let primary = test.get("deployments/podinfo-primary").await?;
        Ok((image(&primary) == "stefanprodan/podinfo:6.0.2").then_some(()))
    })
    .await?;
    test.phase("Succeeded").await?;
    Ok(())
}
