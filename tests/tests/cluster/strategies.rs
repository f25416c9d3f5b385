//! The ways to move traffic, as the router is given them.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{Cluster, Namespace, deployment, route};
use serde_json::{Value, json};

use crate::bad_input::told;
use crate::setup::{image, initialized_with, namespace};

type Weights = Vec<(i64, i64)>;

/// Weights that a release is routed through, from the first to the last.
async fn routed(name: &str, change: impl FnOnce(&mut Value)) -> Result<Weights> {
    let test = initialized_with(name, |canary| change(&mut canary["spec"]["analysis"])).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    promoted(&test).await?;
    Ok(route.weights())
}

async fn promoted(test: &Namespace<'_>) -> Result<()> {
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    assert_eq!(primary["status"]["readyReplicas"], 1);
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn step_weights_are_taken_one_after_the_other() -> Result<()> {
    let weights = routed("step-weights", |analysis| {
        *analysis = json!({"interval": "1s", "threshold": 3, "stepWeights": [5, 30, 80]});
    });
    let expected = [(100, 0), (95, 5), (70, 30), (20, 80), (100, 0)];
    assert_eq!(weights.await?, expected);
    Ok(())
}

#[tokio::test]
async fn no_step_goes_beyond_the_maximum() -> Result<()> {
    let weights = routed("maximum", |analysis| {
        analysis["maxWeight"] = json!(50);
        analysis["stepWeight"] = json!(30);
    });
    let expected = [(100, 0), (70, 30), (50, 50), (100, 0)];
    assert_eq!(weights.await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_promotion_in_steps_gives_the_traffic_back_step_by_step() -> Result<()> {
    let weights = routed("promotion", |analysis| {
        analysis["stepWeightPromotion"] = json!(20);
    });
    let expected = [(100, 0), (80, 20), (60, 40), (80, 20), (100, 0)];
    assert_eq!(weights.await?, expected);
    Ok(())
}

#[tokio::test]
async fn blue_green_tests_the_canary_and_then_switches_all_traffic_at_once() -> Result<()> {
    let weights = routed("blue-green", |analysis| {
        let metrics = analysis["metrics"].take();
        *analysis = json!({"interval": "1s", "threshold": 3, "iterations": 2, "metrics": metrics});
    });
    assert_eq!(weights.await?, [(100, 0), (0, 100), (100, 0)]);
    Ok(())
}

#[tokio::test]
async fn blue_green_works_without_a_router() -> Result<()> {
    let test = namespace("kubernetes").await?;
    test.create(&deployment()).await?;
    let mut canary = test.canary();
    canary["spec"]["provider"] = json!("kubernetes");
    canary["spec"].as_object_mut().unwrap().remove("routeRef");
    canary["spec"]["analysis"] = json!({"interval": "1s", "threshold": 3, "iterations": 2});
    test.create(&canary).await?;
    test.phase("Initialized").await?;
    assert!(test.list("apisixroutes").await?.is_empty());
    test.set_image("6.0.1").await?;
    let id = format!("podinfo.{}", test.name);
    test.event(&format!("Advance {id} canary iteration 2/2"))
        .await?;
    test.phase("Succeeded").await?;
    promoted(&test).await?;
    let apex = test.get("services/podinfo").await?;
    assert_eq!(apex["spec"]["selector"], json!({"app": "podinfo-primary"}));
    Ok(())
}

/// A/B needs a router that tells requests apart, and APISIX's is not supported to.
fn ab(canary: &mut Value) {
    canary["spec"]["analysis"] = json!({
        "interval": "1s", "threshold": 3, "iterations": 2,
        "match": [{"headers": {"x-canary": {"exact": "insider"}}}],
    });
}

#[tokio::test]
async fn a_b_is_refused_by_admission() -> Result<()> {
    let test = namespace("ab").await?;
    let mut canary = test.canary();
    ab(&mut canary);
    let refused = test.create(&canary).await.unwrap_err();
    let refusal = format!("{refused:?}");
    assert!(
        refusal.contains("denied the request") && refusal.contains("match"),
        "{refusal}"
    );
    Ok(())
}

#[tokio::test]
async fn a_b_is_refused_by_the_controller_where_admission_was_not_asked() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let test = cluster.namespace("ab").await?;
    let delete = ["delete", "validatingwebhookconfiguration", "canary-webhook"];
    cluster.plane.kubectl(&delete).await?.ok()?;
    test.create(&deployment()).await?;
    test.create(&route()).await?;
    let mut canary = test.canary();
    ab(&mut canary);
    // The API server forgets a registration a moment after it is deleted.
    canary_tests::clock::eventually("the Canary", canary_tests::cluster::LIMIT, async || {
        Ok(test.create(&canary).await.is_ok().then_some(()))
    })
    .await?;
    let message = test.condition("Ready", "False", "Invalid").await?;
    assert!(message.contains("match"), "{message}");
    told(&test, &message).await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );
    assert!(test.find("deployments/podinfo-primary").await?.is_none());
    Ok(())
}
