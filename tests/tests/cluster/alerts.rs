//! Alerts reach those who asked for them, and hold up no release.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::now;
use canary_tests::cluster::{Cluster, LIMIT, Namespace};
use canary_tests::fixtures::hooks::{Call, Hooks, Reply};
use canary_tests::fixtures::prometheus::Answer;
use serde_json::{Value, json};

use crate::setup::namespace;

const BEGAN: &str = "New revision detected, progressing canary analysis.";
const PROMOTED: &str = "Canary analysis completed successfully, promotion finished.";
/// A pause between attempts is at most half a minute.
const RETRIED: Duration = Duration::from_secs(90);

/// A receiver by that name, whose address is in the object.
fn provider(name: &str, type_: &str, address: &str) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": name},
        "spec": {"type": type_, "address": address},
    })
}

fn alert(provider: &str, severity: Option<&str>) -> Value {
    json!({"name": provider, "severity": severity, "providerRef": {"name": provider}})
}

/// Target, route, and a Canary with these alerts, which is `Initialized`.
async fn told(test: &Namespace<'_>, alerts: &Value) -> Result<()> {
    test.create_with(|canary| canary["spec"]["analysis"]["alerts"] = alerts.clone())
        .await?;
    test.phase("Initialized").await?;
    Ok(())
}

fn texts(calls: &[Call]) -> Vec<String> {
    let text = |call: &Call| call.payload["attachments"][0]["text"].clone();
    let texts = calls.iter().map(text);
    texts
        .map(|text| text.as_str().unwrap_or_default().to_owned())
        .collect()
}

/// Waits for the call that says `text`, among those to `path`.
async fn said(hooks: &Hooks, path: &str, text: &str, limit: Duration) -> Call {
    let start = now();
    loop {
        let calls = hooks.calls(path);
        if let Some(call) = calls
            .iter()
            .find(|call| call.payload.to_string().contains(text))
        {
            return call.clone();
        }
        assert!(start.elapsed() < limit, "{text:?} is not in {calls:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn each_receiver_is_told_from_its_severity_on_and_its_secret_is_used() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = namespace("alerts").await?;
    test.create_as_admin(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "slack"},
        "stringData": {"address": hooks.url("/secret"), "token": "t0k"},
    }))
    .await?;
    test.create_as_admin(&json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "all"},
        "spec": {"type": "slack", "channel": "releases", "secretRef": {"name": "slack"}},
    }))
    .await?;
    test.create_as_admin(&provider("bad-news", "rocket", &hooks.url("/bad")))
        .await?;
    let alerts = json!([
        alert("all", None),
        alert("bad-news", Some("error")),
        alert("gone", None)
    ]);
    told(&test, &alerts).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;

    let promoted = said(&hooks, "/secret", PROMOTED, LIMIT).await;
    assert_eq!(promoted.headers["authorization"], "Bearer t0k");
    assert_eq!(promoted.payload["channel"], "releases");
    assert_eq!(
        texts(&hooks.calls("/secret")),
        [
            "New Deployment detected, initialization completed.",
            BEGAN,
            PROMOTED
        ]
    );
    let began = said(&hooks, "/secret", BEGAN, LIMIT).await;
    let attachment = &began.payload["attachments"][0];
    assert_eq!(attachment["author_name"], format!("podinfo.{}", test.name));
    assert_eq!(
        attachment["fields"][3],
        json!({"title": "Traffic routing", "value": "Weight step: 20 max: 40", "short": false})
    );
    assert!(hooks.calls("/bad").is_empty());

    test.prometheus.answer("", Answer::value(50.0));
    test.set_image("6.0.2").await?;
    test.phase("Failed").await?;
    let failed = said(&hooks, "/bad", "Failed checks threshold reached 3", LIMIT).await;
    assert_eq!(failed.payload["attachments"][0]["color"], "#FF0000");
    assert_eq!(hooks.calls("/bad").len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_alert_is_delivered_when_a_receiver_is_back_after_30_seconds() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = namespace("alerts-down").await?;
    test.create_as_admin(&provider("away", "slack", &hooks.url("/away")))
        .await?;
    told(&test, &json!([alert("away", Some("info"))])).await?;
    let first = "initialization completed";
    said(&hooks, "/away", first, LIMIT).await;
    hooks.reply("/away", Reply::status(503));
    test.set_image("6.0.1").await?;
    said(&hooks, "/away", BEGAN, LIMIT).await;
    let down = now();
    // Nothing of the release waits for it.
    test.phase("Succeeded").await?;
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(down.elapsed())).await;
    let refused = hooks.calls("/away").len();
    hooks.reply("/away", Reply::status(200));
    let promoted = said(&hooks, "/away", PROMOTED, RETRIED).await;
    assert!(promoted.at > down);
    let after: Vec<Call> = hooks.calls("/away").split_off(refused);
    assert_eq!(texts(&after), [BEGAN, PROMOTED], "in order, each once");
    Ok(())
}

#[tokio::test]
async fn who_has_no_alerts_of_its_own_is_told_to_the_servers_receiver_and_a_hanging_one_holds_up_nothing()
-> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/hang", Reply::Hang);
    let slack = format!("--slack-url={}", hooks.url("/slack"));
    let cluster = Cluster::start(&[&slack, "--slack-channel=ops", "--cluster-name=eu-1"]).await?;
    let test = cluster.namespace("alerts-global").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let call = said(&hooks, "/slack", "initialization completed", LIMIT).await;
    assert_eq!(call.payload["channel"], "ops");
    assert_eq!(call.payload["attachments"][0]["fields"][0]["value"], "eu-1");

    let other = cluster.namespace("alerts-own").await?;
    other
        .create_as_admin(&provider("hangs", "gchat", &hooks.url("/hang")))
        .await?;
    let told_before = hooks.calls("/slack").len();
    told(&other, &json!([alert("hangs", None)])).await?;
    other.set_image("6.0.1").await?;
    other.phase("Succeeded").await?;
    assert!(!hooks.calls("/hang").is_empty());
    assert_eq!(hooks.calls("/slack").len(), told_before);
    Ok(())
}
