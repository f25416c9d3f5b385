//! Somebody applies manifests again and again that say otherwise.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::clock::now;
use canary_tests::cluster::{ALICE, Namespace, Traffic, deployment, route};
use serde_json::{Value, json};

use crate::setup::{initialized, namespace};

/// How often the loop applies, and how long it does so before something new is released.
const EVERY: Duration = Duration::from_secs(5);
const AT_REST: Duration = Duration::from_secs(24);

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
    released_under_the_loop(&test, Duration::from_secs(1)).await?;
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    Ok(())
}

/// Applies a new version again and again until it is promoted.
async fn released_under_the_loop(test: &Namespace<'_>, every: Duration) -> Result<()> {
    let looped = async {
        loop {
            apply_as_gitops(test, "stefanprodan/podinfo:6.0.1").await?;
            tokio::time::sleep(every).await;
        }
    };
    let promoted = |canary: &Value| {
        canary["status"]["release"]["outcome"] == "Promoted"
            && canary["status"]["phase"] == "Succeeded"
    };
    let ended: Result<Value> = tokio::select! {
        ended = looped => ended,
        ended = test.until("canaries/podinfo", promoted) => ended,
    };
    ended.context("a release under the loop")?;
    Ok(())
}

/// How many addresses of an `EndpointSlice` take requests.
fn ready(slice: &Value) -> usize {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    endpoints
        .filter(|endpoint| endpoint["conditions"]["ready"] == true)
        .count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_loop_scales_the_target_up_traffic_stays_whole_at_rest_and_in_a_release()
-> Result<()> {
    const HOST: &str = "whole.example.com";
    let test = namespace("whole").await?;
    let mut own = route();
    own["spec"]["http"][0]["match"]["hosts"] = json!([HOST]);
    for object in [&deployment(), &own, &test.canary()] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    let apex = test.record("services/podinfo").await?;
    let endpoints = test.record_endpoints("podinfo-primary").await?;
    let traffic = Traffic::start(&test, HOST).await?;

    let start = now();
    while start.elapsed() < AT_REST {
        apply_as_gitops(&test, "stefanprodan/podinfo:6.0.0").await?;
        tokio::time::sleep(EVERY).await;
    }
    test.condition("Drift", "True", "ReplicasNotZero").await?;
    assert_eq!(route.weights(), [(100, 0)]);
    released_under_the_loop(&test, EVERY).await?;

    let report = traffic.stop().await;
    let total = report.total();
    println!("{report}");
    let least = 50 * (report.per_second.len() as u64 - 1);
    assert!(total.requests >= least, "{report}");
    assert_eq!((total.lost(), total.errors()), (0, 0), "{report}");
    assert!(total.percent("canary") > 1.0, "no release: {report}");
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    let selector = |apex: &Value| apex["spec"]["selector"]["app"].as_str().map(str::to_owned);
    assert_eq!(apex.changes(selector), ["podinfo-primary"]);
    let slices = endpoints.versions();
    assert!(
        slices.iter().all(|(_, slice)| ready(slice) > 0),
        "the primary had no ready address for a while: {slices:#?}"
    );
    let uid = |slice: &Value| Some(slice["metadata"]["uid"].clone());
    assert_eq!(endpoints.changes(uid).len(), 1, "one slice throughout");
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

#[tokio::test]
async fn what_somebody_adds_to_what_is_generated_is_taken_away() -> Result<()> {
    let test = namespace("added").await?;
    test.create(&json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "podinfo"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 2,
        },
    }))
    .await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let (route, scaler) = (
        "apisixroutes/podinfo-podinfo-canary",
        "horizontalpodautoscalers/podinfo-primary",
    );
    let (before, bounds) = (test.get(route).await?, test.get(scaler).await?);
    let mut rules = before["spec"]["http"].clone();
    rules[0]["plugins"] = json!([{"name": "fault-injection", "enable": true}]);
    test.patch_as_admin(route, &json!({"spec": {"http": rules}}))
        .await?;
    let behavior = json!({"scaleUp": {"stabilizationWindowSeconds": 3600}});
    test.patch_as_admin(scaler, &json!({"spec": {"behavior": behavior}}))
        .await?;
    let as_before = |before: Value| {
        move |live: &Value| {
            let version = |it: &Value| it["metadata"]["resourceVersion"].clone();
            version(live) != version(&before) && live["spec"] == before["spec"]
        }
    };
    test.until(route, as_before(before)).await?;
    test.until(scaler, as_before(bounds)).await?;
    Ok(())
}
