//! Each form is kept as a snapshot: receivers, bots and filters read them.

use serde_json::json;

use super::*;
use crate::message::Approval;

const SERVICES: [(Service, &str); 8] = [
    (Service::Slack, "https://hooks.slack.test/T0"),
    (
        Service::Discord,
        "https://discord.test/api/webhooks/1/slack",
    ),
    (Service::Rocket, "https://rocket.test/hooks/1"),
    (Service::MsTeams, "https://outlook.test/webhook/1"),
    (
        Service::MsTeams,
        "https://prod-1.westus.logic.azure.com:443/workflows/1",
    ),
    (Service::GoogleChat, "https://chat.test/v1/spaces/1"),
    (
        Service::Alertmanager,
        "http://alertmanager.test:9093/api/v2/alerts",
    ),
    (Service::CloudEvents, "http://broker.test"),
];

fn canary() -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test", "uid": "c0ffee"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "progressDeadlineSeconds": 60,
            "service": {"port": 80},
            "analysis": {
                "threshold": 5, "maxWeight": 50, "stepWeight": 10,
                "webhooks": [{"name": "quiet", "type": "confirm-promotion", "url": "http://g", "muteAlert": true}],
            },
        },
    }))
    .unwrap()
}

fn notice(message: &Message, cluster: &str) -> Option<Notice> {
    let mut status = CanaryStatus::default();
    status.events.sequence = 7;
    let at = "2026-12-24T12:00:00Z".parse().unwrap();
    Notice::of(message, &canary(), &status, cluster, at)
}

fn forms(message: &Message) -> String {
    let notice = notice(message, "eu-1").unwrap();
    let recipient = Recipient {
        channel: "general".to_owned(),
        username: "flagger".to_owned(),
    };
    let forms = SERVICES.map(|(service, url)| {
        let body = service.body(&notice, None, &recipient, url);
        let body = body.map_or("nothing".to_owned(), |body| {
            serde_json::to_string_pretty(&body).unwrap()
        });
        format!("== {} at {url}\n{body}", service.as_str())
    });
    forms.join("\n")
}

fn waiting(hook: &str) -> Message {
    Message::WaitingForApproval {
        approval: Approval::Promotion,
        hook: hook.to_owned(),
    }
}

#[test]
fn a_release_that_began_is_told_with_how_it_goes_on() {
    insta::assert_snapshot!(forms(&Message::NewRevision));
}

#[test]
fn a_release_that_waits() {
    insta::assert_snapshot!(forms(&waiting("gate")));
}

#[test]
fn a_release_that_failed() {
    let failed = Message::RollingBack(RollbackReason::Threshold(5));
    insta::assert_snapshot!(forms(&failed));
}

#[test]
fn a_release_that_was_promoted() {
    insta::assert_snapshot!(forms(&Message::PromotionCompleted));
}

#[test]
fn who_ended_a_release_by_hand_is_not_told_and_what_keeps_a_state_is() {
    let requested = Message::RollingBack(RollbackReason::Requested {
        by: "alice".to_owned(),
        reason: "slow".to_owned(),
    });
    insta::assert_snapshot!(forms(&requested));
}

#[test]
fn steps_of_a_release_are_no_news() {
    for message in [Message::AdvanceWeight(10), Message::StartingAnalysis] {
        assert_eq!(notice(&message, ""), None, "{message:?}");
    }
}

#[test]
fn a_muted_gate_wakes_nobody() {
    assert_eq!(notice(&waiting("quiet"), "").unwrap().severity, None);
    let loud = notice(&waiting("gate"), "").unwrap();
    assert_eq!(loud.severity, Some(AlertSeverity::Warn));
}

#[test]
fn an_alert_is_for_its_severity_and_what_is_worse_and_without_one_for_all() {
    use AlertSeverity::{Error, Info, Warn};
    for (least, expected) in [
        (None, [true, true, true]),
        (Some(""), [true, true, true]),
        (Some("info"), [true, true, true]),
        (Some("warn"), [false, true, true]),
        (Some("error"), [false, false, true]),
    ] {
        assert_eq!(
            [Info, Warn, Error].map(|severity| wanted(least, severity)),
            expected
        );
    }
}

#[test]
fn an_address_is_completed_once() {
    for (service, address, url) in [
        (Service::Discord, "https://d/1/", "https://d/1/slack"),
        (Service::Discord, "https://d/1/slack", "https://d/1/slack"),
        (
            Service::Alertmanager,
            "http://a:9093",
            "http://a:9093/api/v2/alerts",
        ),
        (
            Service::Alertmanager,
            "http://a/api/v2/alerts",
            "http://a/api/v2/alerts",
        ),
        (Service::Slack, " https://s/1\n", "https://s/1"),
    ] {
        assert_eq!(service.url(address), url);
    }
}

#[test]
fn each_type_that_is_delivered_has_its_service() {
    for (type_, delivered) in crate::capability::ALERT_PROVIDERS {
        let service = Service::of(type_);
        assert_eq!(service.is_some(), *delivered);
        assert_eq!(service.unwrap().as_str(), *type_);
    }
    assert_eq!(Service::of("email"), None);
}

#[test]
fn steps_that_are_listed_and_other_strategies_are_told() {
    let with = |analysis: Value| {
        let mut canary = canary();
        canary.spec.analysis = serde_json::from_value(analysis).unwrap();
        routing(&canary)
    };
    assert_eq!(
        with(json!({"stepWeights": [1, 2, 10]})),
        "Weight steps: 1,2,10 max: 10"
    );
    assert_eq!(with(json!({"iterations": 3})), "Blue/Green");
    let header = json!([{"headers": {"x": {"exact": "y"}}}]);
    assert_eq!(
        with(json!({"iterations": 3, "match": header})),
        "A/B Testing"
    );
}

#[test]
fn what_is_not_wanted_is_not_fired_and_ends_are_told_nevertheless() {
    let body = |message: &Message| {
        let notice = notice(message, "").unwrap();
        let alerts = Service::Alertmanager.body(&notice, Some("error"), &Recipient::default(), "");
        let alerts = alerts.unwrap_or_default();
        let alerts = alerts.as_array().cloned().unwrap_or_default();
        let started = alerts.iter().filter(|alert| alert["startsAt"].is_string());
        (started.count(), alerts.len())
    };
    assert_eq!(body(&waiting("gate")), (0, 0));
    assert_eq!(body(&Message::NewRevision), (0, 2));
    assert_eq!(body(&Message::PromotionCompleted), (0, 3));
    let failed = Message::RollingBack(RollbackReason::Threshold(5));
    assert_eq!(body(&failed), (1, 3));
}

#[test]
fn what_a_hook_answered_calls_nobody() {
    let failed = Message::PreRolloutFailed {
        hook: "smoke".to_owned(),
        error: "<!channel> & <b>".to_owned(),
    };
    let notice = notice(&failed, "").unwrap();
    for service in [Service::Slack, Service::GoogleChat] {
        let body = service
            .body(&notice, None, &Recipient::default(), "")
            .unwrap();
        let body = body.to_string();
        assert!(body.contains("&lt;!channel&gt; &amp; &lt;b&gt;"), "{body}");
    }
}
