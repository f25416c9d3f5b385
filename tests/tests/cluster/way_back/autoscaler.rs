//! An autoscaler that goes missing.

use anyhow::Result;
use canary_tests::cluster::{BOB, Cluster, Namespace};
use serde_json::{Value, json};

use super::{
    at_rest, bob_rolls_back, condition, failed, only_forward_is_closed, release_to_first_step,
};
use crate::setup::image;

fn autoscaler(name: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99},
            }}],
        },
    })
}

/// A release at its first step, of a Canary that names its autoscaler.
async fn scaled_at_first_step(name: &str) -> Result<Namespace<'static>> {
    let plane = &Cluster::shared().await?.plane;
    let test = at_rest(plane, name, |_| ()).await?;
    test.create(&autoscaler("scaler")).await?;
    let reference = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "scaler",
    });
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"autoscalerRef": reference}}),
    )
    .await?;
    test.until("horizontalpodautoscalers/scaler-primary", |_| true)
        .await?;
    release_to_first_step(&test).await?;
    Ok(test)
}

fn not_found(test: &Namespace<'_>) -> String {
    format!(
        "HorizontalPodAutoscaler scaler.{} not found, named by spec.autoscalerRef",
        test.name
    )
}

#[tokio::test]
async fn without_its_autoscaler_checks_go_on_and_the_threshold_rolls_back() -> Result<()> {
    let test = scaled_at_first_step("scaler-checks").await?;
    test.delete("horizontalpodautoscalers/scaler").await?;
    let message = test
        .condition("Ready", "False", "AutoscalerNotFound")
        .await?;
    assert_eq!(message, not_found(&test));
    let seen = test.get("canaries/podinfo").await?["status"]["failedChecks"].clone();
    test.until("canaries/podinfo", |canary| {
        canary["status"]["failedChecks"].as_i64() > seen.as_i64()
    })
    .await?;
    assert_eq!(test.weights().await?, (80, 20));

    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"analysis": {"threshold": 1}}}),
    )
    .await?;
    test.event("failed checks threshold reached").await?;
    failed(&test).await?;
    let still = test.condition("Ready", "False", "AutoscalerNotFound");
    assert_eq!(still.await?, not_found(&test));
    Ok(())
}

#[tokio::test]
async fn without_its_autoscaler_a_person_rolls_back_at_once() -> Result<()> {
    let test = scaled_at_first_step("scaler-bob").await?;
    test.delete("horizontalpodautoscalers/scaler").await?;
    only_forward_is_closed(&test, "AutoscalerNotFound", &not_found(&test)).await?;
    let promoted = test.plugin(BOB, &["promote", "podinfo"]).await?;
    assert_ne!(promoted.code, Some(0), "{promoted:?}");
    assert!(
        (promoted.stderr.clone() + &promoted.stdout).contains("AutoscalerNotFound")
            || promoted
                .stderr
                .contains("not found, named by spec.autoscalerRef"),
        "{promoted:?}"
    );
    bob_rolls_back(&test).await
}

#[tokio::test]
async fn an_autoscaler_that_is_created_again_lets_the_release_go_on() -> Result<()> {
    let test = scaled_at_first_step("scaler-again").await?;
    test.delete("horizontalpodautoscalers/scaler").await?;
    only_forward_is_closed(&test, "AutoscalerNotFound", &not_found(&test)).await?;
    test.create(&autoscaler("scaler")).await?;
    let canary = test.phase("Succeeded").await?;
    assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
    Ok(())
}

#[tokio::test]
async fn an_autoscaler_that_is_renamed_while_its_canary_is_paused_is_followed() -> Result<()> {
    let test = scaled_at_first_step("scaler-renamed").await?;
    test.plugin(BOB, &["pause", "podinfo"]).await?.ok()?;
    test.delete("horizontalpodautoscalers/scaler").await?;
    test.create(&autoscaler("renamed")).await?;
    test.condition("Ready", "False", "AutoscalerNotFound")
        .await?;
    assert_eq!(test.weights().await?, (80, 20));

    let renamed = json!({"spec": {"autoscalerRef": {"name": "renamed"}}});
    test.patch("canaries/podinfo", &renamed).await?;
    test.until("horizontalpodautoscalers/renamed-primary", |_| true)
        .await?;
    let canary = test
        .until("canaries/podinfo", |canary| {
            condition(canary, "Ready").is_none()
        })
        .await?;
    assert!(
        canary["status"]["release"]["paused"].is_object(),
        "{canary:#}"
    );
    super::success_rate(&test, 100.0);
    test.plugin(BOB, &["resume", "podinfo"]).await?.ok()?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    test.gone("horizontalpodautoscalers/scaler-primary").await?;
    Ok(())
}
