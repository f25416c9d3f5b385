//! Somebody applies manifests again and again that say otherwise.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::cluster::{ALICE, Namespace, deployment};
use serde_json::{Value, json};

use crate::setup::initialized;

/// Applies the target as a GitOps tool does: its whole manifest, as its own field manager.
async fn apply_as_gitops(test: &Namespace<'_>, image: &str) -> Result<()> {
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=argocd",
        "-f",
        "-",
    ];
    let manifest = target.to_string();
    let applied = test.kubectl_with(ALICE, &apply, &manifest).await?;
    applied.ok()?;
    Ok(())
}

fn times_scaled_back(events: &[Value]) -> i64 {
    let scaled = events.iter().filter(|event| {
        event["message"]
            .to_string()
            .contains("scaling it back to 0")
    });
    scaled.filter_map(|event| event["count"].as_i64()).sum()
}

#[tokio::test]
async fn a_loop_that_scales_the_target_up_is_named_and_not_fought() -> Result<()> {
    let test = initialized("drift").await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    let apex = test.record("services/podinfo").await?;
    let old = "stefanprodan/podinfo:6.0.0";
    for _ in 0..6 {
        apply_as_gitops(&test, old).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let message = test.condition("Drift", "True", "ReplicasNotZero").await?;
    assert!(message.contains("argocd"), "{message}");
    let back = times_scaled_back(&test.list("events").await?);
    assert_eq!(back, 3, "scaled back so often");
    assert_eq!(route.weights(), [(100, 0)]);
    let selector = |apex: &Value| apex["spec"]["selector"]["app"].as_str().map(str::to_owned);
    assert_eq!(apex.changes(selector), ["podinfo-primary"]);

    // A release works all the same, and the loop goes on meanwhile.
    let new = "stefanprodan/podinfo:6.0.1";
    let looped = async {
        loop {
            apply_as_gitops(&test, new).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let released = async {
        let released = |canary: &Value| {
            canary["status"]["release"]["outcome"] == "Promoted"
                && canary["status"]["phase"] == "Succeeded"
        };
        test.until("canaries/podinfo", released).await
    };
    let ended: Result<Value> = tokio::select! {
        ended = looped => ended,
        ended = released => ended,
    };
    ended.context("a release under the loop")?;
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    Ok(())
}

#[tokio::test]
async fn a_changed_apex_selector_is_repaired_at_once() -> Result<()> {
    let test = initialized("selector").await?;
    let change = json!({"spec": {"selector": {"app": "podinfo"}}});
    let changed = canary_tests::clock::now();
    test.patch("services/podinfo", &change).await?;
    test.until("services/podinfo", |apex| {
        apex["spec"]["selector"]["app"] == "podinfo-primary"
    })
    .await?;
    let took = changed.elapsed();
    assert!(took < Duration::from_secs(1), "{took:?}");
    Ok(())
}
