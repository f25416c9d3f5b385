//! Lanes and receivers on loopback. The forms themselves are tested where they are made, in the core.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use canary_core::alert::{Occasion, Recipient, Service};
use canary_core::message::AlertSeverity;
use canary_core::template::{AlertProviderSpec, SecretReference};
use k8s_openapi::ByteString;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;
use crate::transport::testing::{closed, serve, transport};

const QUICK: Backoff = Backoff {
    first: Duration::from_millis(10),
    longest: Duration::from_millis(20),
};

/// Knows one receiver, or none at all and never says so.
struct One(Option<Receiver>);

impl Directory for One {
    fn receiver<'a>(&'a self, _: &'a To) -> BoxFuture<'a, Result<Receiver, Failure>> {
        match self.0.clone() {
            Some(receiver) => Box::pin(async move { Ok(receiver) }),
            None => Box::pin(std::future::pending()),
        }
    }
}

fn slack(address: String) -> Receiver {
    Receiver {
        service: Service::Slack,
        address,
        token: Some("t0k".to_owned()),
        proxy: None,
        recipient: Recipient::default(),
    }
}

fn notice() -> Notice {
    Notice {
        name: "podinfo".to_owned(),
        namespace: "test".to_owned(),
        target: ("Deployment".to_owned(), "podinfo".to_owned()),
        uid: "c0ffee".to_owned(),
        cluster: String::new(),
        occasion: Occasion::Failed,
        text: "Failed checks threshold reached 5".to_owned(),
        severity: Some(AlertSeverity::Error),
        fields: Vec::new(),
        number: Some(2),
        at: "2026-12-24T12:00:00Z".parse().unwrap(),
        sequence: 7,
    }
}

fn canary(alerts: &Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"alerts": alerts},
        },
    }))
    .unwrap()
}

/// Alerts to that receiver, whom the server's flags name as well if `flagged`, and what counts them.
fn alerts(receiver: Option<Receiver>, flagged: bool) -> (Alerts, Registry) {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    let args = AlertArgs {
        slack_url: if flagged { "http://slack.test" } else { "" }.to_owned(),
        ..AlertArgs::default()
    };
    let alerts = Alerts::new(Box::new(One(receiver)), transport(), QUICK, metrics, &args);
    (alerts, registry)
}

async fn counted(registry: &Registry, expected: &str) {
    let text = || {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    };
    for _ in 0..1000 {
        if text().contains(expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{expected} is not in\n{}", text());
}

fn to_ops() -> Value {
    json!([{"name": "ops", "providerRef": {"name": "ops"}}])
}

#[tokio::test]
async fn an_alert_waits_for_a_receiver_that_is_away_and_brings_its_token() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let answer = move |headers: HeaderMap, body: String| async move {
        assert_eq!(headers["authorization"], "Bearer t0k");
        assert!(body.contains("threshold reached 5"), "{body}");
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => StatusCode::BAD_GATEWAY,
            1 => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::NO_CONTENT,
        }
    };
    let address = serve(Router::new().route("/hook", post(answer))).await;
    let (alerts, registry) = alerts(Some(slack(format!("http://{address}/hook"))), false);
    alerts.send(&canary(&to_ops()), &notice());
    counted(&registry, r#"canary_alerts_total{result="delivered"} 1"#).await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn what_a_receiver_refuses_is_not_sent_again() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let answer = move || async move {
        count.fetch_add(1, Ordering::SeqCst);
        StatusCode::FORBIDDEN
    };
    let address = serve(Router::new().route("/", post(answer))).await;
    let (alerts, registry) = alerts(Some(slack(format!("http://{address}/"))), false);
    alerts.send(&canary(&to_ops()), &notice());
    counted(&registry, r#"canary_alerts_total{result="failed"} 1"#).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_receiver_behind_a_proxy_is_called_through_it() {
    let proxy = serve(Router::new().fallback(|uri: axum::http::Uri| async move {
        assert_eq!(uri.host(), Some("slack.invalid"));
        StatusCode::OK
    }))
    .await;
    let receiver = Receiver {
        proxy: Some(format!("http://{proxy}")),
        ..slack("http://slack.invalid/hook".to_owned())
    };
    let (alerts, registry) = alerts(Some(receiver), false);
    alerts.send(&canary(&to_ops()), &notice());
    counted(&registry, r#"canary_alerts_total{result="delivered"} 1"#).await;
}

#[tokio::test]
async fn a_lane_that_is_full_drops_what_comes_and_counts_it() {
    let (alerts, registry) = alerts(None, false);
    // One more than wait is in the courier's hands.
    for _ in 0..DEPTH + 4 {
        alerts.send(&canary(&to_ops()), &notice());
        tokio::task::yield_now().await;
    }
    counted(&registry, r#"canary_alerts_total{result="dropped"} 3"#).await;
}

#[tokio::test]
async fn the_servers_receiver_is_told_of_canaries_without_alerts_only() {
    let (alerts, _) = alerts(None, true);
    let lanes = |alerts: &Alerts| -> Vec<To> {
        let lanes = alerts.lanes.lock().unwrap();
        lanes.keys().cloned().collect()
    };
    alerts.send(&canary(&json!([])), &notice());
    assert_eq!(lanes(&alerts), [To::Default]);
    alerts.lanes.lock().unwrap().clear();
    let elsewhere = json!([{"name": "ops", "providerRef": {"name": "ops", "namespace": "sre"}}]);
    alerts.send(&canary(&elsewhere), &notice());
    assert_eq!(
        lanes(&alerts),
        [To::Provider("sre".to_owned(), "ops".to_owned())]
    );
}

#[tokio::test]
async fn a_failure_never_says_the_address() {
    let address = format!(
        "http://alice:pass@{}/services/S3CRET?token=S3CRET",
        closed().await
    );
    let (alerts, _) = alerts(Some(slack(address)), false);
    let job = Job {
        notice: notice(),
        least: None,
    };
    let failure = alerts
        .courier
        .attempt(&To::Default, &job)
        .await
        .unwrap_err();
    let text = failure.to_string();
    assert!(matches!(failure, Failure::Passing { .. }), "{text}");
    assert!(!text.contains("S3CRET") && !text.contains("pass"), "{text}");

    let (alerts, _) = self::alerts(Some(slack("S3CRET\u{7f}".to_owned())), false);
    let failure = alerts
        .courier
        .attempt(&To::Default, &job)
        .await
        .unwrap_err();
    assert!(!failure.to_string().contains("S3CRET"), "{failure}");
}

#[test]
fn a_provider_and_its_secret_make_a_receiver() {
    let provider = |type_: &str, secret: bool| {
        let spec = AlertProviderSpec {
            type_: type_.to_owned(),
            address: Some("http://plain.test".to_owned()),
            secret_ref: secret.then(|| SecretReference {
                name: "s".to_owned(),
            }),
            ..AlertProviderSpec::default()
        };
        AlertProvider::new("ops", spec)
    };
    let data: BTreeMap<String, ByteString> =
        [("address", "http://secret.test\n"), ("token", "t0k")]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec())))
            .collect();
    let found = |type_: &str, secret: Option<&BTreeMap<String, ByteString>>| {
        receiver_of(&provider(type_, secret.is_some()), secret)
    };
    let slack = found("slack", Some(&data)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(slack.address, "http://secret.test");
    assert_eq!(slack.token.as_deref(), Some("t0k"));
    assert_eq!(
        (
            slack.recipient.username.as_str(),
            slack.recipient.channel.as_str()
        ),
        ("flagger", "general")
    );
    let teams = found("msteams", Some(&data)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(teams.token, None, "a token is Slack's");
    let plain = found("gchat", None).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plain.address, "http://plain.test");
    assert_eq!(
        found("email", None).err().unwrap(),
        r#"there is no provider of type "email""#
    );
}

#[test]
fn of_two_receivers_by_flags_it_is_teams_as_in_flagger() {
    let args = |slack: &str, teams: &str| AlertArgs {
        slack_url: slack.to_owned(),
        msteams_url: teams.to_owned(),
        ..AlertArgs::default()
    };
    let service = |args: &AlertArgs| default_receiver(args).map(|receiver| receiver.service);
    assert_eq!(service(&args("", "")), None);
    assert_eq!(service(&args("http://s", "")), Some(Service::Slack));
    assert_eq!(
        service(&args("http://s", "http://t")),
        Some(Service::MsTeams)
    );
}
