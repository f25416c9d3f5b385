// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::super::tests::{at, policy};
use super::*;

const NOW: &str = "2026-11-23T12:00:00Z";

fn found(spec: Value) -> Vec<String> {
    let violations = validate(&policy(spec), at(NOW));
    violations.iter().map(ToString::to_string).collect()
}

fn warned(spec: Value) -> Vec<String> {
    warnings(&policy(spec), at(NOW))
}

fn windows(windows: Value) -> Value {
    json!({ "release": { "freezeWindows": windows } })
}

#[test]
fn the_policy_of_the_documentation_is_fine() {
    let spec = json!({
        "namespaces": { "matchLabels": { "env": "prod" } },
        "enforcement": "Deny",
        "images": {
            "allowedRegistries": ["registry.acme.io/", "localhost/", "registry:5000/team/", "docker.io/library/"],
            "requireDigest": true,
            "disallowedTags": ["latest", "main"],
        },
        "canary": { "required": true, "maxStepWeight": 20, "maxWeight": 50, "minMetrics": 1, "forbidSkipAnalysis": true },
        "release": {
            "freezeWindows": [
                { "name": "weekend", "schedule": "0 18 * * 5", "duration": "62h", "timeZone": "Europe/Berlin" },
                { "name": "year-end", "start": "2026-12-18T17:00:00Z", "end": "2027-01-03T08:00:00Z", "reason": "CHG-1234" },
            ],
            "minInterval": "30m",
            "maxConcurrentPerNamespace": 1,
        },
    });
    assert_eq!(found(spec.clone()), [""; 0]);
    assert_eq!(warned(spec), [""; 0]);
}

#[test]
fn what_cannot_be_meant_is_named_by_field_with_what_to_write() {
    let specs = [
        json!({ "images": { "allowedRegistries": ["registry.acme.io"] } }),
        json!({ "images": { "allowedRegistries": ["https://registry.acme.io/"] } }),
        json!({ "images": { "allowedRegistries": ["registry/"] } }),
        json!({ "images": { "allowedRegistries": ["/"] } }),
        json!({ "images": { "allowedRegistries": [""] } }),
        json!({ "canary": { "maxStepWeight": 0, "maxWeight": 101, "minMetrics": 33 } }),
        json!({ "release": { "minInterval": "half an hour", "maxConcurrentPerNamespace": 0 } }),
        windows(
            json!([{ "name": "zone", "schedule": "0 18 * * 5", "duration": "1h", "timeZone": "Mars/Olympus" }]),
        ),
        windows(json!([{ "name": "cron", "schedule": "0 18 * *", "duration": "1h" }])),
        windows(json!([{ "name": "february", "schedule": "0 0 30 2 *", "duration": "1h" }])),
        windows(json!([{ "name": "daily", "schedule": "0 0 * * *", "duration": "24h" }])),
        windows(json!([{ "name": "neither" }])),
        windows(
            json!([{ "name": "both", "schedule": "0 18 * * 5", "duration": "1h", "start": "2026-12-18T17:00:00Z", "end": "2027-01-03T08:00:00Z" }]),
        ),
        windows(json!([{ "name": "open", "start": "2026-12-18T17:00:00Z" }])),
        windows(
            json!([{ "name": "backwards", "start": "2027-01-03T08:00:00Z", "end": "2026-12-18T17:00:00Z" }]),
        ),
        windows(json!([
            { "name": "twice", "schedule": "0 18 * * 5", "duration": "1h" },
            { "name": "twice", "schedule": "0 18 * * 4", "duration": "1h" },
        ])),
    ];
    let said: Vec<String> = specs.into_iter().flat_map(found).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let specs = [
        json!({}),
        windows(json!([
            { "name": "am", "schedule": "0 0 * * *", "duration": "12h" },
            { "name": "pm", "schedule": "0 12 * * *", "duration": "12h" },
        ])),
        windows(json!([
            { "name": "now", "start": "2026-11-23T12:00:00Z", "end": "2026-11-23T13:00:00Z" },
        ])),
        windows(json!([
            { "name": "typo", "schedule": "x", "duration": "1h" },
            { "name": "past", "start": "2025-12-18T17:00:00Z", "end": "2026-01-03T08:00:00Z" },
        ])),
    ];
    let said: Vec<String> = specs.into_iter().flat_map(warned).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn bounds_are_inside() {
    let bounds = |step: i64, metrics: i64| {
        found(json!({ "canary": { "maxStepWeight": step, "minMetrics": metrics } })).len()
    };
    assert_eq!(bounds(1, 0), 0);
    assert_eq!(bounds(100, 32), 0);
    assert_eq!(bounds(0, -1), 2);
    assert_eq!(bounds(101, 33), 2);
}
