//! What the tests of all parts are built from.

// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::*;
use crate::canary::Canary;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A policy `prod` with this spec.
pub(super) fn policy(spec: Value) -> CanaryPolicy {
    serde_json::from_value(json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1",
        "kind": "CanaryPolicy",
        "metadata": { "name": "prod" },
        "spec": spec,
    }))
    .unwrap()
}

pub(super) fn read(spec: Value) -> Policy {
    Policy::read(&policy(spec))
}

/// Canary podinfo with this analysis and status.
pub(super) fn canary(analysis: Value, status: Value) -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "service": { "port": 80 },
            "analysis": analysis,
        },
        "status": status,
    }))
    .unwrap()
}

/// The fields that are objected to.
pub(super) fn fields(objections: &[Objection]) -> Vec<&str> {
    objections.iter().map(|o| o.field.as_str()).collect()
}

#[test]
fn a_policy_applies_to_namespaces_that_have_all_its_labels() {
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        pairs.collect::<BTreeMap<_, _>>()
    };
    let prod = read(json!({ "namespaces": { "matchLabels": { "env": "prod", "tier": "1" } } }));
    assert!(prod.applies(&labels(&[("env", "prod"), ("tier", "1"), ("x", "y")])));
    assert!(!prod.applies(&labels(&[("env", "prod")])));
    assert!(!prod.applies(&labels(&[("env", "test"), ("tier", "1")])));
    assert!(read(json!({})).applies(&labels(&[])));
}

#[test]
fn the_status_says_what_the_calendar_does() {
    let policy = read(json!({ "release": { "freezeWindows": [
        { "name": "year-end", "start": "2026-12-18T17:00:00Z", "end": "2027-01-03T08:00:00Z", "reason": "CHG-1234" },
        { "name": "easter", "start": "2027-03-26T00:00:00Z", "end": "2027-03-30T00:00:00Z" },
    ] } }));
    let status = |now| {
        let outlook = policy.calendar.outlook(at(now));
        serde_json::to_value(policy.status(&outlook, Some(3))).unwrap()
    };
    let easter =
        json!({ "name": "easter", "start": "2027-03-26T00:00:00Z", "end": "2027-03-30T00:00:00Z" });
    assert_eq!(
        status("2026-12-24T00:00:00Z"),
        json!({
            "observedGeneration": 3, "frozen": true, "window": "year-end", "reason": "CHG-1234",
            "until": "2027-01-03T08:00:00Z", "nextFreeze": easter,
        })
    );
    assert_eq!(
        status("2027-02-01T00:00:00Z"),
        json!({ "observedGeneration": 3, "frozen": false, "nextFreeze": easter })
    );
    assert_eq!(
        status("2028-01-01T00:00:00Z"),
        json!({ "observedGeneration": 3, "frozen": false })
    );
}

#[test]
fn a_window_that_cannot_be_read_freezes_nothing_and_the_others_do() {
    let spec = json!({ "release": { "freezeWindows": [
        { "name": "typo", "start": "2026-12-18T17:00:00Z", "end": "2027-01-03T08:00:00Z", "timeZone": "Europe/Springfield" },
        { "name": "easter", "start": "2027-03-26T00:00:00Z", "end": "2027-03-30T00:00:00Z" },
    ] } });
    let calendar = read(spec.clone()).calendar;
    assert!(!calendar.is_frozen(at("2026-12-24T00:00:00Z")));
    assert!(calendar.is_frozen(at("2027-03-27T00:00:00Z")));
    assert_eq!(
        not_ready(&policy(spec), at("2026-11-01T00:00:00Z")).as_deref(),
        Some(
            "spec.release.freezeWindows[typo].timeZone: \"Europe/Springfield\" is no time zone: write an IANA name, as Europe/Berlin"
        )
    );
    assert_eq!(
        not_ready(&policy(json!({})), at("2026-11-01T00:00:00Z")),
        None
    );
}

#[test]
fn objections_are_told_apart_by_what_becomes_of_them() {
    let of = |enforcement: &str| {
        let policy =
            read(json!({ "enforcement": enforcement, "images": { "requireDigest": true } }));
        let template = json!({ "spec": { "containers": [{ "name": "app", "image": "app:1" }] } });
        review::images(&policy, None, &template)
    };
    let verdict: Verdict = ["Deny", "Warn", "Audit", "Deny"]
        .into_iter()
        .flat_map(of)
        .collect();
    assert_eq!(
        (
            verdict.denied.len(),
            verdict.warned.len(),
            verdict.audited.len()
        ),
        (2, 1, 1)
    );
    assert_eq!(
        verdict.denied[0].to_string(),
        "CanaryPolicy prod: spec.images.requireDigest: name images by their digest (name@sha256:…), not app=app:1"
    );
    assert_eq!(verdict.denied[0].gate(), "CanaryPolicy prod");
}
