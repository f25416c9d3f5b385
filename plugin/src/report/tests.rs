//! Canaries in the states that people see, for the tests of all modules.

#![allow(clippy::missing_panics_doc, reason = "these are tests")]

use canary_core::canary::Canary;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::*;

/// The moment at which all of them are looked at.
pub fn noon() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// The user's Canary, with this status.
pub fn canary(status: &Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test", "uid": "uid-1", "resourceVersion": "7"},
        "spec": {
            "provider": "apisix",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "routeRef": {"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "podinfo"},
            "service": {"port": 80, "targetPort": 9898},
            "analysis": {
                "interval": "10s", "threshold": 10, "maxWeight": 50, "stepWeight": 10,
                "metrics": [
                    {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
                    {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "30s"},
                ],
            },
        },
        "status": status,
    }))
    .unwrap()
}

pub fn release_of(canary: &Canary) -> &Release {
    let status = canary.status.as_ref().unwrap();
    status.release.as_ref().unwrap()
}

fn release() -> Value {
    json!({
        "number": 2, "revision": "v1-bbbbbbbbbbbb", "from": "v1-aaaaaaaaaaaa",
        "images": [{"container": "podinfod", "from": "stefanprodan/podinfo:6.0.0", "to": "stefanprodan/podinfo:6.0.1"}],
        "by": "alice", "startedAt": "2026-03-01T11:59:02Z",
        "stepSince": "2026-03-01T11:59:56Z", "nextCheckAt": "2026-03-01T12:00:05.5Z",
        "checks": [
            {"name": "request-success-rate", "value": 99.8, "min": 99.0, "verdict": "Passed", "at": "2026-03-01T11:59:56Z"},
            {"name": "request-duration", "value": 42.0, "max": 500.0, "verdict": "Passed", "at": "2026-03-01T11:59:56Z"},
        ],
    })
}

fn merged(mut base: Value, over: &Value) -> Value {
    if let (Some(base), Some(over)) = (base.as_object_mut(), over.as_object()) {
        for (key, value) in over {
            base.insert(key.clone(), value.clone());
        }
    }
    base
}

/// A status whose release differs from the usual one by `over`.
pub fn status(phase: &str, weight: i64, failed: i64, over: &Value) -> Value {
    json!({"phase": phase, "canaryWeight": weight, "failedChecks": failed, "iterations": 0, "release": merged(release(), over)})
}

pub fn progressing() -> Value {
    status("Progressing", 30, 0, &json!({}))
}

fn deployment(ready: i64, desired: i64, image: &str) -> Extra {
    found(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
        "spec": {"replicas": desired, "template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}}},
        "status": {"readyReplicas": ready},
    }))
}

fn route(canary: i64) -> Extra {
    found(json!({
        "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": "podinfo-podinfo-canary"},
        "spec": {"http": [{"backends": [
            {"serviceName": "podinfo-primary", "weight": 100 - canary},
            {"serviceName": "podinfo-canary", "weight": canary},
        ]}]},
    }))
}

fn found(object: Value) -> Extra {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    Extra::Found(Box::new(object))
}

/// A Canary with all its objects around it.
pub fn observed(status: &Value) -> Observed {
    let canary = canary(status);
    let weight = canary
        .status
        .as_ref()
        .map_or(0, |status| status.canary_weight);
    let pods = i64::from(weight > 0) * 2;
    let serves = if status["phase"] == "Succeeded" {
        "stefanprodan/podinfo:6.0.1"
    } else {
        "stefanprodan/podinfo:6.0.0"
    };
    Observed {
        canary,
        route: route(weight),
        primary: deployment(2, 2, serves),
        target: deployment(pods, pods, "stefanprodan/podinfo:6.0.1"),
        below: Below::default(),
        clock: None,
    }
}

pub fn report(status: &Value) -> CanaryReport {
    observed(status).report()
}

#[test]
fn the_route_has_the_last_word_about_weights() {
    let mut observed = observed(&progressing());
    observed.route = route(20);
    assert_eq!(
        observed.report().traffic,
        Traffic {
            primary: 80,
            canary: 20,
            source: Source::Route
        }
    );
    observed.route = Extra::Unknown("forbidden".into());
    let report = observed.report();
    assert_eq!(
        report.traffic,
        Traffic {
            primary: 70,
            canary: 30,
            source: Source::Status
        }
    );
    assert_eq!(
        report.attention[0].message,
        "ApisixRoute podinfo-podinfo-canary cannot be read: forbidden"
    );
}

#[test]
fn steps_are_counted_on_the_ladder_of_the_spec() {
    let expected = Progress {
        current: 3,
        of: 5,
        next_weight: Some(40),
    };
    assert_eq!(report(&progressing()).progress, Some(expected));
    let last = Progress {
        current: 5,
        of: 5,
        next_weight: None,
    };
    assert_eq!(
        report(&status("Progressing", 50, 0, &json!({}))).progress,
        Some(last)
    );
    assert_eq!(
        report(&status("Promoting", 50, 0, &json!({}))).progress,
        None
    );
    assert_eq!(
        report(&status("Succeeded", 0, 0, &json!({}))).progress,
        None
    );
}

#[test]
fn metrics_stand_there_before_their_first_check() {
    let report = report(&status("Progressing", 0, 0, &json!({"checks": []})));
    assert_eq!(report.checks.len(), 2);
    assert_eq!(
        (report.checks[0].min, report.checks[1].max),
        (Some(99.0), Some(500.0))
    );
    assert!(report.checks.iter().all(|check| check.last.is_none()));
}

#[test]
fn only_conditions_that_say_something_bad_want_attention() {
    let mut value = progressing();
    value["conditions"] = json!([
        {"type": "Promoted", "status": "False", "reason": "Progressing", "message": "x"},
        {"type": "Ready", "status": "True", "reason": "", "message": "fine"},
        {"type": "Drift", "status": "True", "reason": "Scaled", "message": "argocd keeps scaling"},
        {"type": "Contested", "status": "False", "reason": "", "message": "no"},
    ]);
    let types: Vec<_> = report(&value)
        .attention
        .into_iter()
        .map(|attention| attention.type_)
        .collect();
    assert_eq!(types, ["Drift"]);
    value["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "RouteMissing", "message": "no route"}]);
    assert_eq!(report(&value).attention[0].message, "no route");
}

#[test]
fn the_machine_output_is_versioned_and_stable() {
    insta::assert_yaml_snapshot!(report(&progressing()));
}

#[test]
fn a_canary_that_nobody_has_looked_at_has_a_report_too() {
    let canary: Canary = serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "x", "namespace": "y"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}, "service": {"port": 80}, "analysis": {}},
    }))
    .unwrap();
    let report = Observed::alone(canary).report();
    assert_eq!(
        (report.phase, report.running, report.traffic.source),
        (Phase::New, false, Source::Status)
    );
}

#[test]
fn an_object_that_should_be_there_and_is_not_is_named() {
    let mut observed = observed(&progressing());
    (observed.route, observed.primary, observed.target) =
        (Extra::Absent, Extra::Absent, Extra::Absent);
    let said: Vec<_> = observed
        .report()
        .attention
        .into_iter()
        .map(|attention| attention.message)
        .collect();
    assert_eq!(
        said,
        [
            "Deployment podinfo does not exist",
            "Deployment podinfo-primary does not exist",
            "ApisixRoute podinfo-podinfo-canary does not exist"
        ]
    );
    observed.canary = canary(
        &json!({"phase": "Initializing", "canaryWeight": 0, "failedChecks": 0, "iterations": 0}),
    );
    assert_eq!(
        observed.report().attention.len(),
        1,
        "generated objects do not exist yet"
    );
}
