//! Webhooks that were called and do not answer hold what needs their answer, and nothing else.

use anyhow::Result;
use canary_tests::cluster::{Cluster, LIMIT, Namespace};
use canary_tests::fixtures::hooks::{Hooks, Reply};
use serde_json::{Value, json};

use super::{bob_rolls_back, failed};
use crate::setup::initialized_with;

/// Longer than any test waits.
const HOURS: &str = "180m";

/// A change of a Canary that gives it one webhook, with more time than any test has.
fn one(hooks: &Hooks, kind: &str, name: &str) -> impl FnOnce(&mut Value) {
    let hook = json!({
        "name": name, "type": kind, "url": hooks.url(&format!("/{name}")), "timeout": HOURS,
    });
    move |canary| canary["spec"]["analysis"]["webhooks"] = json!([hook])
}

/// A release at 20 % whose check has called a webhook that never answers.
async fn hanging(name: &str, hooks: &Hooks) -> Result<Namespace<'static>> {
    hooks.reply("/check", Reply::Hang);
    let test = initialized_with(name, one(hooks, "rollout", "check")).await?;
    test.set_image("6.0.1").await?;
    assert_eq!(hooks.wait("/check", 1, LIMIT).await.len(), 1);
    assert_eq!(test.weights().await?, (80, 20));
    Ok(test)
}

#[tokio::test]
async fn while_a_webhook_hangs_a_person_rolls_back() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = hanging("hangs-person", &hooks).await?;
    bob_rolls_back(&test).await
}

#[tokio::test]
async fn while_a_webhook_hangs_a_target_that_is_set_back_ends_the_release() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = hanging("hangs-set-back", &hooks).await?;
    test.set_image("6.0.0").await?;
    let canary = test.phase("Failed").await?;
    assert_eq!(canary["status"]["release"]["outcome"], "Aborted");
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn while_a_webhook_hangs_a_canary_that_loses_its_pods_loses_its_traffic() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = hanging("hangs-pods", &hooks).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    let scaled = json!({"spec": {"replicas": 0}});
    test.patch("deployments/podinfo", &scaled).await?;
    // It gets its pods again, and with them what it had.
    test.until("apisixroutes/podinfo-podinfo-canary", |_| {
        route.weights().ends_with(&[(100, 0), (80, 20)])
    })
    .await?;
    // The check that is due then is a call of its own.
    assert_eq!(hooks.wait("/check", 2, LIMIT).await.len(), 2);
    Ok(())
}

#[tokio::test]
async fn while_a_webhook_hangs_the_release_of_another_revision_takes_its_place() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = hanging("hangs-newer", &hooks).await?;
    hooks.reply("/check", Reply::status(200));
    test.set_image("6.0.2").await?;
    let canary = test.phase("Succeeded").await?;
    let history = &canary["status"]["history"];
    assert_eq!(history[0]["outcome"], "Promoted", "{history:#}");
    assert_eq!(history[1]["outcome"], "Superseded", "{history:#}");
    Ok(())
}

/// `--calls-per-namespace` is one here: the second release waits for its turn, and another namespace's
/// does not.
#[tokio::test]
async fn webhooks_that_hang_hold_no_rollback_of_their_namespace_and_nothing_of_another()
-> Result<()> {
    let cluster = Cluster::start(&["--calls-per-namespace=1"]).await?;
    let hooks = Hooks::start().await?;
    hooks.reply("/hangs", Reply::Hang);
    let with = async |test: &Namespace<'_>, name: &str| {
        test.create_with(one(&hooks, "rollout", name)).await?;
        test.phase("Initialized").await
    };
    let (hostile, other) =
        tokio::try_join!(cluster.namespace("hostile"), cluster.namespace("other"))?;
    with(&hostile, "hangs").await?;
    with(&other, "answers").await?;
    hostile.set_image("6.0.1").await?;
    assert_eq!(hooks.wait("/hangs", 1, LIMIT).await.len(), 1);
    other.set_image("6.0.1").await?;
    other.phase("Succeeded").await?;
    bob_rolls_back(&hostile).await?;
    failed(&hostile).await
}

#[tokio::test]
async fn a_webhook_that_is_told_the_end_and_hangs_holds_nothing() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/told", Reply::Hang);
    let test = initialized_with("hangs-told", one(&hooks, "post-rollout", "told")).await?;
    test.set_image("6.0.1").await?;
    assert_eq!(hooks.wait("/told", 1, LIMIT).await.len(), 1);
    test.set_image("6.0.2").await?;
    test.until("canaries/podinfo", |canary| {
        let status = &canary["status"];
        status["phase"] == "Succeeded" && status["release"]["number"] == 2
    })
    .await?;
    // Each end is told.
    assert_eq!(hooks.wait("/told", 2, LIMIT).await.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_release_whose_first_gate_hangs_waits_where_people_see_it_and_goes_back() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::Hang);
    let test = initialized_with("hangs-start", one(&hooks, "confirm-rollout", "gate")).await?;
    test.set_image("6.0.1").await?;
    let canary = test.phase("Waiting").await?;
    assert_eq!(canary["status"]["release"]["waitingFor"], "gate");
    bob_rolls_back(&test).await
}

#[tokio::test]
async fn while_a_gate_hangs_failed_checks_roll_back() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::Hang);
    let test = initialized_with("hangs-gate", one(&hooks, "confirm-promotion", "gate")).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    super::success_rate(&test, 50.0);
    failed(&test).await
}
