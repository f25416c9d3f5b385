use super::text::go_millis;
use super::*;
use crate::canary::{Canary, CanarySpec, LocalObjectReference};

/// Canary, target and namespace have names of their own, so that each text shows which it means.
fn canary() -> Canary {
    let target_ref = LocalObjectReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "target".to_owned(),
    };
    let spec = CanarySpec {
        target_ref,
        ..CanarySpec::default()
    };
    let mut canary = Canary::new("canary", spec);
    canary.metadata.namespace = Some("test".to_owned());
    canary
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn life_cycle() -> Vec<Message> {
    vec![
        Message::ProvidersAvailable,
        Message::ProvidersUnavailable(s("ERROR")),
        Message::Initialized,
        Message::PrimaryNotReady(s("WHY")),
        Message::CanaryNotReady(s("WHY")),
        Message::NewRevision,
        Message::RestartingAnalysis,
        Message::StartingAnalysis,
        Message::AdvanceWeight(10),
        Message::AdvanceIteration { done: 1, of: 3 },
        Message::AdvancePrimary(60),
        Message::Copying,
        Message::RoutingToPrimary,
        Message::RoutingToCanary,
        Message::PromotionCompleted,
        Message::PromotionCompletedSkipped,
        Message::CanaryFailed,
        Message::PromotionFailed(s("WHY")),
        Message::PrimaryRestored,
        Message::Terminating,
        Message::Terminated,
        Message::Suspended,
        Message::ChangedWhileSuspended,
        Message::NoReadyPods,
        Message::Unreachable,
        Message::ReadyAgain(30),
        Message::Stranded(30),
        Message::PrimaryServesAgain,
        Message::BaselineReplaced,
        Message::BaselineFailed {
            number: 3,
            promoted: vec![ImageChange {
                container: s("CONTAINER"),
                from: Some(s("NEW")),
                to: Some(s("OLD")),
            }],
        },
        Message::BaselineFailed {
            number: 3,
            promoted: Vec::new(),
        },
        Message::UnanalysedChange,
        Message::NotObserved { primary: true },
        Message::NotObserved { primary: false },
        Message::Unanswered {
            hook: "load".to_owned(),
            asked: jiff::Timestamp::UNIX_EPOCH,
            called: Some(jiff::Timestamp::UNIX_EPOCH),
        },
        Message::Unanswered {
            hook: "load".to_owned(),
            asked: jiff::Timestamp::UNIX_EPOCH,
            called: None,
        },
        Message::Problem(s("PROBLEM")),
    ]
}

fn rollbacks() -> Vec<Message> {
    let requested = |reason: &str| RollbackReason::Requested {
        by: s("alice"),
        reason: s(reason),
    };
    let reasons = vec![
        RollbackReason::Threshold(5),
        RollbackReason::Deadline(s("WHY")),
        RollbackReason::TargetGone,
        RollbackReason::Hook,
        requested(""),
        requested("REASON"),
        RollbackReason::SetBack,
    ];
    reasons.into_iter().map(Message::RollingBack).collect()
}

fn hooks() -> Vec<Message> {
    let (hook, error) = (s("HOOK"), s("ERROR"));
    let approvals = [
        Approval::Rollout,
        Approval::TrafficIncrease,
        Approval::Promotion,
    ];
    let gates = approvals.into_iter().flat_map(|approval| {
        [
            Message::WaitingForApproval {
                approval,
                hook: s("HOOK"),
            },
            Message::HookPassed {
                approval,
                hook: s("HOOK"),
            },
        ]
    });
    let others = [
        Message::Held(s("WHY")),
        Message::PreRolloutPassed(hook.clone()),
        Message::PreRolloutFailed {
            hook: hook.clone(),
            error: error.clone(),
        },
        Message::RolloutHookFailed {
            hook: hook.clone(),
            error: error.clone(),
        },
        Message::PostRolloutPassed(hook.clone()),
        Message::PostRolloutFailed {
            hook: hook.clone(),
            error,
        },
        Message::RollbackHookPassed(hook.clone()),
        Message::RollbackHookQuiet(hook),
    ];
    gates.chain(others).collect()
}

fn metrics() -> Vec<Message> {
    let (metric, error) = (s("METRIC"), s("ERROR"));
    let (provider, template) = (s("PROVIDER"), s("TEMPLATE"));
    let (m, e) = (|| metric.clone(), || error.clone());
    vec![
        Message::SuccessRateBelow {
            value: 98.766,
            min: 99.5,
        },
        Message::SuccessRateAbove {
            value: 51.0,
            max: 50.0,
        },
        Message::DurationAbove {
            millis: 61_500.0,
            max: 500.0,
        },
        Message::DurationBelow {
            millis: 1250.0,
            min: 3_600_000.0,
        },
        Message::MetricAbove {
            metric: m(),
            value: 5.126,
            max: 5.0,
        },
        Message::MetricBelow {
            metric: m(),
            value: 0.1,
            min: 0.25,
        },
        Message::NoValuesSuccessRate {
            provider: provider.clone(),
            metric: m(),
            error: e(),
        },
        Message::NoValuesDuration {
            provider,
            metric: m(),
        },
        Message::NoValuesInline(m()),
        Message::NoValuesTemplate {
            metric: m(),
            error: e(),
        },
        Message::QueryFailed(e()),
        Message::QueryFailedFor {
            metric: m(),
            error: e(),
        },
        Message::TemplateError {
            template,
            error: e(),
        },
        Message::NothingToMeasure(m()),
    ]
}

fn people_and_drift() -> Vec<Message> {
    let (by, none) = (|| s("alice"), String::new());
    vec![
        Message::Paused {
            by: by(),
            reason: none.clone(),
        },
        Message::Paused {
            by: by(),
            reason: s("REASON"),
        },
        Message::Resumed { by: by() },
        Message::PauseOver,
        Message::Requested {
            what: s("WHAT"),
            by: by(),
            reason: none,
        },
        Message::Requested {
            what: s("WHAT"),
            by: by(),
            reason: s("REASON"),
        },
        Message::RequestRefused {
            by: by(),
            why: s("WHY"),
        },
        Message::ScaledBack {
            manager: s("flux"),
            replicas: 2,
        },
        Message::DriftStopped {
            manager: s("flux"),
            times: 3,
        },
        Message::ApexContested { replicas: 2 },
    ]
}

fn all() -> Vec<Message> {
    [
        life_cycle(),
        rollbacks(),
        hooks(),
        metrics(),
        people_and_drift(),
    ]
    .concat()
}

/// The variants as the source has them, so that none can be left out of [`all`].
fn variants() -> Vec<&'static str> {
    let source = include_str!("../message.rs");
    let (_, body) = source.split_once("pub enum Message {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let four_spaces = |line: &&str| line.starts_with("    ") && !line.starts_with("     ");
    let names = body.lines().filter(four_spaces).map(str::trim);
    names
        .map(|line| line.split(['(', '{', ',', ' ']).next().unwrap())
        .filter(|name| name.starts_with(char::is_uppercase))
        .collect()
}

#[test]
fn every_sentence_has_its_text_severity_and_alert() {
    let canary = canary();
    let lines = all().into_iter().map(|message| {
        let alert = message.alert(&canary).map_or_else(String::new, |alert| {
            let fields = if alert.with_fields {
                " with fields"
            } else {
                ""
            };
            format!(
                "\n         alert {:?}{fields}: {}",
                alert.severity, alert.text
            )
        });
        format!("{:?}: {}{alert}", message.severity(), message.text(&canary))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

#[test]
fn no_sentence_is_empty() {
    for message in all() {
        assert!(!message.text(&canary()).is_empty(), "{message:?}");
    }
}

#[test]
fn no_sentence_is_left_out_here() {
    let listed: Vec<String> = all().iter().map(|message| format!("{message:?}")).collect();
    for variant in variants() {
        let is_it = |text: &String| text.split(['(', '{', ' ']).next() == Some(variant);
        assert!(listed.iter().any(is_it), "{variant} is not in the table");
    }
    assert!(variants().len() > 50);
}

#[test]
fn durations_are_printed_as_go_does() {
    let shown = [
        (-1.0, "0s"),
        (0.0, "0s"),
        (0.9, "0s"),
        (1.0, "1ms"),
        (999.9, "999ms"),
        (1000.0, "1s"),
        (1250.0, "1.25s"),
        (59_999.0, "59.999s"),
        (60_000.0, "1m0s"),
        (61_500.0, "1m1.5s"),
        (3_600_000.0, "1h0m0s"),
        (3_725_250.0, "1h2m5.25s"),
    ];
    for (millis, text) in shown {
        assert_eq!(go_millis(millis), text);
    }
}
