//! Webhooks of a release: when each kind is called, what it is told, and what its answer does.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::{BOB, LIMIT};
use canary_tests::fixtures::hooks::{Call, Hooks, Reply};
use serde_json::{Value, json};

use crate::setup::initialized_with;

/// A webhook of that kind; its path is its kind.
fn hook(hooks: &Hooks, kind: &str) -> Value {
    json!({
        "name": format!("my-{kind}"), "type": kind, "url": hooks.url(&format!("/{kind}")),
        "timeout": "5s", "retries": 0, "metadata": {"team": "web"},
    })
}

/// A change of a Canary that gives it webhooks of these kinds.
fn with(hooks: &Hooks, kinds: &[&str]) -> impl FnOnce(&mut Value) {
    let all: Vec<Value> = kinds.iter().map(|kind| hook(hooks, kind)).collect();
    move |canary| canary["spec"]["analysis"]["webhooks"] = json!(all)
}

/// What a call said: phase, and that it spoke of this Canary as Flagger does.
#[track_caller]
fn phase(call: &Call, namespace: &str) -> String {
    let payload = &call.payload;
    assert_eq!(call.method, "POST");
    assert_eq!(call.headers["content-type"], "application/json");
    assert_eq!(payload["name"], "podinfo");
    assert_eq!(payload["namespace"], namespace);
    assert_eq!(payload["metadata"]["team"], "web");
    assert!(
        payload["checksum"]
            .as_str()
            .is_some_and(|checksum| !checksum.is_empty()),
        "{payload}"
    );
    payload["phase"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_kind_is_called_when_it_is_its_turn() -> Result<()> {
    let hooks = Hooks::start().await?;
    // Success of this one would roll the release back.
    hooks.reply("/rollback", Reply::status(403));
    let kinds = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "post-rollout",
        "rollback",
    ];
    let test = initialized_with("kinds", with(&hooks, &kinds)).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    hooks.wait("/post-rollout", 1, LIMIT).await;

    let mut order: Vec<(String, String)> = Vec::new();
    for call in hooks.all_calls() {
        let kind = call.path.trim_start_matches('/').to_owned();
        let said = (kind.clone(), phase(&call, &test.name));
        if kind != "rollback" && order.last() != Some(&said) {
            order.push(said);
        }
    }
    let order: Vec<(&str, &str)> = order
        .iter()
        .map(|(kind, phase)| (&kind[..], &phase[..]))
        .collect();
    assert_eq!(
        order.first().map(|(kind, _)| *kind),
        Some("confirm-rollout")
    );
    assert_eq!(
        order[1..],
        [
            ("pre-rollout", "Progressing"),
            ("confirm-traffic-increase", "Progressing"),
            ("rollout", "Progressing"),
            ("confirm-traffic-increase", "Progressing"),
            ("rollout", "Progressing"),
            ("confirm-promotion", "Progressing"),
            ("post-rollout", "Succeeded"),
        ]
    );
    assert!(!hooks.calls("/rollback").is_empty());
    for passed in [
        "Confirm-rollout check my-confirm-rollout passed",
        "Pre-rollout check my-pre-rollout passed",
        "Confirm-traffic-increase check my-confirm-traffic-increase passed",
        "Confirm-promotion check my-confirm-promotion passed",
        "Post-rollout check my-post-rollout passed",
    ] {
        test.event(passed).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_closed_rollout_gate_holds_the_release_before_it_begins() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/confirm-rollout", Reply::status(403));
    let test = initialized_with("waiting", with(&hooks, &["confirm-rollout"])).await?;
    test.set_image("6.0.1").await?;
    test.phase("Waiting").await?;
    let halt = format!(
        "Halt podinfo.{} advancement waiting for approval my-confirm-rollout",
        test.name
    );
    assert_eq!(test.event("waiting for approval").await?, halt);
    // Asked again at each check, and said once.
    assert!(hooks.wait("/confirm-rollout", 3, LIMIT).await.len() >= 3);
    let said = test
        .events()
        .await?
        .into_iter()
        .filter(|text| *text == halt)
        .count();
    assert_eq!(said, 1);
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );
    let message = test.condition("Promoted", "Unknown", "Waiting").await?;
    assert_eq!(message, "Waiting for approval.");

    hooks.reply("/confirm-rollout", Reply::status(200));
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_closed_promotion_gate_holds_the_release_at_its_last_step() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/confirm-promotion", Reply::status(403));
    let test = initialized_with("promotion-gate", with(&hooks, &["confirm-promotion"])).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    assert_eq!(test.weights().await?, (60, 40));
    let halt = "waiting for promotion approval my-confirm-promotion";
    assert!(
        test.event("waiting for promotion approval")
            .await?
            .ends_with(halt)
    );
    let output = test.plugin(BOB, &["promote", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_closed_traffic_gate_holds_the_step_and_no_check_fails() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test =
        initialized_with("traffic-gate", with(&hooks, &["confirm-traffic-increase"])).await?;
    hooks.reply("/confirm-traffic-increase", Reply::status(403));
    test.set_image("6.0.1").await?;
    test.event("waiting for traffic increase approval my-confirm-traffic-increase")
        .await?;
    hooks.wait("/confirm-traffic-increase", 5, LIMIT).await;
    assert_eq!(test.weights().await?, (100, 0));
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Progressing");
    assert_eq!(canary["status"]["failedChecks"], 0);
    hooks.reply("/confirm-traffic-increase", Reply::status(200));
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_rollback_hook_that_says_yes_rolls_back_at_the_next_check() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/rollback", Reply::status(403));
    let test =
        initialized_with("rollback-hook", with(&hooks, &["rollback", "post-rollout"])).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    hooks.reply("/rollback", Reply::status(200));
    test.phase("Failed").await?;
    test.event("Rollback check my-rollback passed").await?;
    test.event(&format!(
        "Rolling back podinfo.{} manual webhook invoked",
        test.name
    ))
    .await?;
    assert_eq!(test.weights().await?, (100, 0));
    let told = hooks.wait("/post-rollout", 1, LIMIT).await;
    assert_eq!(phase(&told[0], &test.name), "Failed");
    Ok(())
}

#[tokio::test]
async fn a_pre_rollout_check_that_fails_lets_no_traffic_through() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply(
        "/pre-rollout",
        Reply::Status(500, "smoke test failed".to_owned()),
    );
    let test = initialized_with("pre-rollout", with(&hooks, &["pre-rollout"])).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.event("advancement pre-rollout check my-pre-rollout failed")
        .await?;
    test.phase("Failed").await?;
    assert_eq!(route.weights(), [(100, 0)]);
    assert_eq!(hooks.calls("/pre-rollout").len(), 3, "the threshold");
    Ok(())
}

#[tokio::test]
async fn a_hook_is_tried_again_as_often_as_it_asks_for() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/rollout", Reply::status(500));
    let mut hook = hook(&hooks, "rollout");
    hook["retries"] = json!(1);
    let test = initialized_with("retries", |canary| {
        canary["spec"]["analysis"]["threshold"] = json!(1);
        canary["spec"]["analysis"]["webhooks"] = json!([hook]);
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.event("giving up after 2 attempt(s)").await?;
    test.phase("Failed").await?;
    let calls = hooks.calls("/rollout");
    assert_eq!(calls.len(), 2);
    let pause = calls[1].at.duration_since(calls[0].at);
    assert!(pause >= Duration::from_millis(900), "{pause:?}");
    Ok(())
}

#[tokio::test]
async fn an_event_hook_is_told_everything_in_order_and_decides_nothing() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/event", Reply::status(500));
    let test = initialized_with("event-hook", with(&hooks, &["event"])).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let events = test.events().await?;
    let calls = hooks.wait("/event", events.len(), LIMIT).await;
    let told: Vec<&str> = calls
        .iter()
        .filter_map(|call| call.payload["metadata"]["eventMessage"].as_str())
        .collect();
    assert_eq!(told, events.iter().map(String::as_str).collect::<Vec<_>>());
    for call in &calls {
        phase(call, &test.name);
        let metadata = &call.payload["metadata"];
        assert!(
            ["Normal", "Warning"].contains(&metadata["eventType"].as_str().unwrap_or_default())
        );
        let stamp = metadata["timestamp"].as_str().unwrap_or_default();
        assert!(
            stamp.len() == 13 && stamp.parse::<u64>().is_ok(),
            "{metadata}"
        );
    }
    Ok(())
}
