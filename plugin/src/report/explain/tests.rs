//! Explanations of the states that people see, for the tests of the renderer too.

#![allow(clippy::missing_panics_doc, reason = "these are tests")]

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::report::tests::{noon, observed, progressing, status};

pub fn facts(status: &Value) -> Facts {
    let observed = observed(status);
    Facts {
        report: observed.report(),
        canary: observed.canary,
        queries: vec![
            Query {
                text: Ok("sum(rate(apisix_http_status[1m]))".into()),
                server: Some("http://prometheus:9090".into()),
                link: Some("http://prometheus:9090/graph?g0.expr=sum".into()),
            },
            Query {
                text: Err("MetricTemplate test/p99 does not exist".into()),
                server: None,
                link: None,
            },
        ],
        pods: Pods::Found(Vec::new()),
        now: noon(),
    }
}

fn conditions(mut status: Value, type_: &str, reason: &str, message: &str) -> Value {
    let value = if type_ == "Ready" { "False" } else { "True" };
    status["conditions"] =
        json!([{"type": type_, "status": value, "reason": reason, "message": message}]);
    status
}

fn rolled_back(message: &str) -> Value {
    let over = json!({
        "outcome": "RolledBack", "endedAt": "2026-03-01T11:59:42Z", "message": message,
        "checks": [
            {"name": "request-success-rate", "value": 35.2, "min": 99.0, "verdict": "Failed", "at": "2026-03-01T11:59:40Z"},
            {"name": "request-duration", "max": 500.0, "verdict": "NoValues", "message": "no values found", "at": "2026-03-01T11:59:40Z"},
        ],
    });
    status("Failed", 0, 10, &over)
}

pub fn failed_by_metric() -> Value {
    let message = "Halt podinfo.test advancement success rate 35.20% < 99%";
    let failed = rolled_back("failed checks threshold reached 10");
    conditions(failed, "Halted", "MetricFailed", message)
}

fn bare(phase: &str) -> Value {
    json!({"phase": phase, "canaryWeight": 0, "failedChecks": 0, "iterations": 0})
}

fn ended(phase: &str, outcome: &str, message: &str) -> Value {
    let over = json!({"outcome": outcome, "endedAt": "2026-03-01T11:59:50Z", "message": message});
    status(phase, 0, 0, &over)
}

const HOOK: &str = "Halt podinfo.test advancement external check load-test failed 500";

fn in_progress() -> Vec<(&'static str, Value)> {
    let gate = |phase: &str| status(phase, 30, 0, &json!({"waitingFor": "ask-ops"}));
    let policy = status("Waiting", 0, 0, &json!({"waitingFor": "CanaryPolicy prod"}));
    let held = "CanaryPolicy prod: spec.release.freezeWindows[weekend]: releases are frozen until 2026-03-02T06:00:00Z; wait";
    let paused = json!({"paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 4200, "by": "bob", "reason": "incident 42"}});
    let halted = status("Progressing", 30, 3, &json!({}));
    let unready =
        json!({"message": "waiting for rollout to finish: 0 of 2 updated replicas are available"});
    let going = json!({"outcome": "RolledBack", "message": "failed checks threshold reached 10"});
    vec![
        ("goes on", progressing()),
        ("gate before the start", gate("Waiting")),
        ("gate before a step", gate("Progressing")),
        ("gate before the promotion", gate("WaitingPromotion")),
        (
            "held by a policy",
            conditions(policy, "Held", "CanaryPolicy", held),
        ),
        ("paused", status("Progressing", 30, 2, &paused)),
        (
            "a check fails",
            conditions(halted, "Halted", "MetricFailed", HOOK),
        ),
        ("pods not ready", status("Progressing", 0, 0, &unready)),
        ("being rolled back", status("Progressing", 30, 10, &going)),
        ("promoting", status("Promoting", 50, 0, &json!({}))),
        ("finalising", status("Finalising", 50, 0, &json!({}))),
        ("another controller's", bare("Progressing")),
    ]
}

fn over() -> Vec<(&'static str, Value)> {
    let threshold = rolled_back("failed checks threshold reached 10");
    let deadline = "progress deadline exceeded 0 of 2 updated replicas are available";
    let set_back = "target was set back to the promoted revision";
    let missing = "ApisixRoute podinfo does not exist";
    vec![
        ("failed by a metric", failed_by_metric()),
        (
            "failed by a webhook",
            conditions(threshold, "Halted", "HookFailed", HOOK),
        ),
        (
            "failed by the rollback webhook",
            rolled_back("manual webhook invoked"),
        ),
        ("failed by the deadline", rolled_back(deadline)),
        (
            "rolled back by a person",
            rolled_back("on request of bob: errors"),
        ),
        ("set back", ended("Failed", "Aborted", set_back)),
        (
            "promotion failed",
            ended("Failed", "PromotionFailed", "0 of 2 replicas are available"),
        ),
        ("at rest", ended("Succeeded", "Promoted", "")),
        ("at rest without a release", bare("Initialized")),
        ("initializing", bare("Initializing")),
        ("nobody has looked", bare("")),
        (
            "not acted on",
            conditions(bare("Initialized"), "Ready", "RouteMissing", missing),
        ),
        ("being deleted", bare("Terminating")),
    ]
}

/// Name, and facts.
pub fn all() -> Vec<(&'static str, Facts)> {
    let mut suspended = facts(&progressing());
    suspended.report.suspended = true;
    let states = in_progress().into_iter().chain(over());
    states
        .map(|(name, status)| (name, facts(&status)))
        .chain([("suspended", suspended)])
        .collect()
}

#[test]
fn every_state_has_an_answer_and_no_empty_line() {
    for (name, facts) in all() {
        let explanation = Explanation::of(&facts);
        assert!(
            explanation.answer.contains("podinfo.test") || explanation.answer.contains("release 2"),
            "{name}: {}",
            explanation.answer
        );
        let mut lines = explanation.paragraphs.iter().flat_map(|it| &it.lines);
        assert!(lines.all(|line| !line.trim().is_empty()), "{name}");
    }
}

#[test]
fn the_reason_of_each_rollback_is_recognised_by_the_words_of_the_rules() {
    use canary_core::message::RollbackReason as Reason;
    let table = [
        (
            Reason::Threshold(10),
            "failed checks (spec.analysis.threshold)",
        ),
        (Reason::Deadline("x".into()), "spec.progressDeadlineSeconds"),
        (Reason::Hook, "a webhook of type rollback"),
        (
            Reason::Requested {
                by: "bob".into(),
                reason: String::new(),
            },
            "a person asked for it",
        ),
    ];
    for (reason, rule) in table {
        let explanation = Explanation::of(&facts(&rolled_back(&reason.why())));
        let said = &explanation.paragraphs[0];
        assert!(
            said.about == "rule" && said.lines[0].contains(rule),
            "{said:?}"
        );
    }
}

#[test]
fn commands_can_be_pasted() {
    for (name, facts) in all() {
        for command in Explanation::of(&facts).commands {
            let own = command.contains(" podinfo -n test");
            assert!(
                command == "kubectl canary version" || own,
                "{name}: {command}"
            );
        }
    }
}

#[test]
fn a_pod_says_how_it_ended() {
    let crashing: Pod = serde_json::from_value(json!({
        "metadata": {"name": "podinfo-x"},
        "status": {
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [{
                "name": "podinfod", "image": "", "imageID": "", "ready": false, "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-03-01T11:59:48Z"}},
            }],
        },
    }))
    .unwrap();
    let fact = pod(&crashing, noon());
    assert_eq!(
        fact.says,
        [
            "podinfod CrashLoopBackOff: back-off 40s, ended 12s ago with exit code 137 (OOMKilled), 4 restarts"
        ]
    );
    let healthy: Pod = serde_json::from_value(json!({
        "metadata": {"name": "podinfo-y"},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [{"name": "init", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
            "containerStatuses": [{"name": "podinfod", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}],
        },
    }))
    .unwrap();
    assert_eq!(
        pod(&healthy, noon()),
        PodFact {
            name: "podinfo-y".into(),
            ready: true,
            says: Vec::new()
        }
    );
}

#[test]
fn pods_that_cannot_be_read_are_said_and_many_are_counted() {
    let lines = |pods: Pods| pods.paragraph("deployment/podinfo").map(|it| it.lines);
    assert_eq!(lines(Pods::Unasked), None);
    let unknown = lines(Pods::Unknown("User \"bob\" cannot list".into())).unwrap();
    assert_eq!(
        unknown,
        ["the pods of deployment/podinfo cannot be read: User \"bob\" cannot list"]
    );
    let odd = (0..7).map(|at| PodFact {
        name: format!("p{at}"),
        ready: false,
        says: vec!["x".into()],
    });
    let many = lines(Pods::Found(odd.collect())).unwrap();
    assert_eq!(
        (many.len(), many[0].as_str(), many[6].as_str()),
        (7, "0 of 7 ready", "2 more like these")
    );
}

#[test]
fn a_request_that_was_refused_belongs_to_the_explanation() {
    let mut value = progressing();
    value["lastRequest"] = json!({"id": "x", "verb": "promote", "by": "bob", "at": "2026-03-01T11:59:50Z", "outcome": "Refused", "message": "the canary is not ready"});
    let about = |value: &Value| -> Vec<&str> {
        let explanation = Explanation::of(&facts(value));
        explanation.paragraphs.iter().map(|it| it.about).collect()
    };
    assert!(about(&value).contains(&"request"));
    // Before this release began.
    value["lastRequest"]["at"] = json!("2026-03-01T11:00:00Z");
    assert!(!about(&value).contains(&"request"));
}

#[test]
fn the_machine_output_is_versioned_and_stable() {
    insta::assert_yaml_snapshot!(Explanation::of(&facts(&failed_by_metric())));
}
