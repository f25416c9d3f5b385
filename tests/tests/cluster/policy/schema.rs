//! What the API server refuses in a policy by its schema alone.

use serde_json::{Value, json};

use super::{Site, canary_policy};

/// What the API server says to a policy with that spec.
async fn said(site: &Site, spec: &Value) -> String {
    let name = format!("{}-schema", site.name);
    site.said(&canary_policy(&name, spec)).await
}

fn window(fields: &Value) -> Value {
    let mut window = json!({"name": "w"});
    window
        .as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    json!({"release": {"freezeWindows": [window]}})
}

fn registry(prefix: &str) -> Value {
    json!({"images": {"allowedRegistries": [prefix]}})
}

fn recurring() -> Value {
    json!({"schedule": "0 18 * * 5", "duration": "62h"})
}

fn single() -> Value {
    json!({"start": "2026-12-18T17:00:00Z", "end": "2027-01-03T08:00:00Z"})
}

/// Each with what the refusal says.
fn wrong() -> Vec<(Value, &'static str)> {
    let mut both = recurring();
    both.as_object_mut()
        .unwrap()
        .extend(single().as_object().unwrap().clone());
    let twice = json!({"release": {"freezeWindows": [
        {"name": "w", "schedule": "0 18 * * 5", "duration": "1h"},
        {"name": "w", "schedule": "0 18 * * 4", "duration": "1h"},
    ]}});
    vec![
        (registry("registry.acme.io"), "must end in /"),
        (registry("acme/"), "must begin with a registry"),
        (registry("https://registry.acme.io/"), "without https://"),
        (window(&json!({})), "is either recurring or single"),
        (window(&both), "is either recurring or single"),
        (
            window(&json!({"schedule": "0 18 * * 5"})),
            "give both or neither",
        ),
        (
            window(&json!({"start": "2026-12-18T17:00:00Z"})),
            "give both or neither",
        ),
        (
            window(&json!({"schedule": "0 18 * * 5", "duration": "62 hours"})),
            "duration",
        ),
        (twice, "Duplicate value"),
        (
            json!({"canary": {"maxStepWeight": 0}}),
            "greater than or equal to 1",
        ),
        (
            json!({"canary": {"maxWeight": 101}}),
            "less than or equal to 100",
        ),
        (
            json!({"canary": {"minMetrics": -1}}),
            "greater than or equal to 0",
        ),
        (
            json!({"release": {"maxConcurrentPerNamespace": 0}}),
            "greater than or equal to 1",
        ),
        (json!({"release": {"minInterval": "soon"}}), "minInterval"),
        (
            json!({"enforcement": "Maybe"}),
            "\"Deny\", \"Warn\", \"Audit\"",
        ),
    ]
}

#[tokio::test]
async fn a_policy_that_its_schema_shows_to_be_wrong_is_refused_with_what_to_write() {
    let site = Site::new().await;
    for (spec, why) in wrong() {
        let said = said(&site, &spec).await;
        assert!(said.contains(why), "{spec}: {said}");
    }
}

#[tokio::test]
async fn a_policy_at_the_edge_of_its_schema_is_accepted() {
    let site = Site::new().await;
    for spec in [
        json!({}),
        registry("docker.io/library/"),
        registry("registry:5000/"),
        registry("localhost/team/"),
        window(&recurring()),
        window(&single()),
        json!({"canary": {"maxStepWeight": 1, "maxWeight": 100, "minMetrics": 0}}),
        json!({"release": {"minInterval": "1h30m", "maxConcurrentPerNamespace": 1}}),
    ] {
        assert_eq!(said(&site, &spec).await, "", "{spec}");
    }
}
