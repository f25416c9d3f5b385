//! Trouble while it lasts, on a real API server: `status NAME` and `doctor NAME` name it, with what helps.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::{Result, ensure};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace};
use canary_tests::plugin::plugin;
use serde_json::{Value, json};

use crate::setup::namespace;

fn autoscaler(test: &Namespace<'_>) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "podinfo", "namespace": test.name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 2, "maxReplicas": 3,
        },
    })
}

/// At its first step, with an autoscaler that the Canary names.
async fn scaled_at_first_step(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    test.create(&autoscaler(&test)).await?;
    test.create_with(|canary| {
        canary["spec"]["analysis"]["interval"] = json!("60s");
        canary["spec"]["autoscalerRef"] =
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"});
    })
    .await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    Ok(test)
}

/// Until both say all of these, in one line however they wrap.
async fn both_say(test: &Namespace<'_>, texts: &[&str]) -> Result<String> {
    eventually(&format!("{texts:?}"), LIMIT, async || {
        let mut said = String::new();
        for verb in ["status", "doctor"] {
            let words = [verb, "podinfo", "-n", &test.name];
            let output = plugin(test.plane.admin_kubeconfig(), &words).await?;
            let flat = output
                .stdout
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            if !texts.iter().all(|text| flat.contains(text)) {
                return Ok(None);
            }
            said = flat;
        }
        Ok(Some(said))
    })
    .await
}

#[tokio::test]
async fn what_goes_missing_around_a_release_is_named_with_what_helps_and_the_way_back_stays_open()
-> Result<()> {
    let test = scaled_at_first_step("trouble").await?;
    test.bind(ALICE, "canary-operator").await?;
    let edit = format!("kubectl edit canary podinfo -n {}", test.name);

    test.delete("horizontalpodautoscalers/podinfo").await?;
    let missing = format!("HorizontalPodAutoscaler podinfo.{} not found", test.name);
    both_say(&test, &[&missing, &edit]).await?;

    // A route that is not there yet is followed after the release.
    let renamed = json!({"spec": {"routeRef": {"name": "shop"}}});
    test.patch("canaries/podinfo", &renamed).await?;
    let rollback = format!("kubectl canary rollback podinfo -n {}", test.name);
    both_say(&test, &["spec.routeRef shop", &rollback]).await?;

    let output = test.plugin(ALICE, &["rollback", "podinfo"]).await?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(
        test.weights().await? == (100, 0),
        "everybody is on the primary"
    );

    test.delete("deployments/podinfo").await?;
    let gone = format!("deployment podinfo.{} not found", test.name);
    both_say(&test, &[&gone, "apply Deployment podinfo again"]).await?;
    // It reads CanaryPolicies, which are the cluster's.
    let words = ["can-i", "release", "podinfo", "-n", &test.name];
    let answer = plugin(test.plane.admin_kubeconfig(), &words).await?;
    ensure!(answer.stdout.starts_with("no\n"), "{answer:?}");
    Ok(())
}
