//! What a metric's value comes to: the sentence, and what status keeps.

// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::scripts::{canary, two_steps};
use super::world::World;
use crate::release::Measured;
use crate::status::{MetricCheck, Phase, Verdict};

/// At its first step with these metrics.
fn world(metrics: &Value) -> World {
    let mut analysis = two_steps();
    analysis["metrics"] = metrics.clone();
    world_of(&analysis)
}

fn world_of(analysis: &Value) -> World {
    let mut canary = canary(analysis);
    canary.spec.provider = Some("apisix".to_owned());
    let mut world = World::at_rest_behind("apisix", canary);
    world.set_revision("v1-000000000002");
    world.settle();
    world.log.clear();
    world
}

/// What is said at the next check, and what is kept of it.
fn check(metric: Value, measured: Measured) -> (Option<String>, MetricCheck) {
    let mut world = world(&json!([metric]));
    world.metrics.insert(0, measured);
    world.run(10);
    let said = world
        .said()
        .into_iter()
        .next()
        .filter(|line| !line.starts_with("Advance"));
    (said, world.status().release.unwrap().checks.remove(0))
}

fn said(metric: Value, measured: Measured) -> String {
    check(metric, measured).0.unwrap_or_default()
}

fn success_rate(range: Value) -> Value {
    json!({ "name": "request-success-rate", "thresholdRange": range })
}

fn duration(range: Value) -> Value {
    json!({ "name": "request-duration", "thresholdRange": range })
}

fn template(range: Value) -> Value {
    json!({ "name": "errors", "templateRef": { "name": "errors" }, "thresholdRange": range })
}

#[test]
fn the_last_twenty_values_of_a_release_are_kept_oldest_first() {
    let mut analysis = two_steps();
    analysis["threshold"] = json!(100);
    // It stays where it is, as every check fails.
    analysis["metrics"] = json!([template(json!({ "max": 0 }))]);
    let mut world = world_of(&analysis);
    let mut next = |measured: Measured| {
        world.metrics.insert(0, measured);
        world.run(10);
        world.status().release.unwrap().checks.remove(0).recent
    };
    assert_eq!(next(Measured::Value(1.0)).last(), Some(&1.0));
    let two = next(Measured::Value(2.0));
    assert!(two.ends_with(&[1.0, 2.0]), "{two:?}");
    assert_eq!(next(Measured::NoValues("no".to_owned())), two);
    assert_eq!(next(Measured::Value(f64::INFINITY)), two);
    for value in 3..=30 {
        next(Measured::Value(f64::from(value)));
    }
    let expected: Vec<f64> = (12..=31).map(f64::from).collect();
    assert_eq!(next(Measured::Value(31.0)), expected);
    world.set_revision("v1-000000000003");
    world.settle();
    let checks = world.status().release.unwrap().checks;
    assert!(
        checks.iter().all(|check| !check.recent.contains(&31.0)),
        "a release has values of its own: {checks:?}"
    );
}

#[test]
fn both_ends_of_a_range_pass() {
    for value in [10.0, 15.0, 20.0] {
        let (said, check) = check(
            template(json!({ "min": 10, "max": 20 })),
            Measured::Value(value),
        );
        assert_eq!(
            (said, check.verdict, check.value),
            (None, Verdict::Passed, Some(value))
        );
        assert_eq!((check.min, check.max), (Some(10.0), Some(20.0)));
    }
}

#[test]
fn a_value_outside_its_range_fails_in_the_words_of_its_kind() {
    let id = "Halt podinfo.test advancement";
    let out = |metric: Value, value: f64| said(metric, Measured::Value(value));
    assert_eq!(
        out(success_rate(json!({ "min": 99 })), 98.994),
        format!("{id} success rate 98.99% < 99%")
    );
    assert_eq!(
        out(success_rate(json!({ "max": 50 })), 51.0),
        format!("{id} success rate 51.00% > 50%")
    );
    assert_eq!(
        out(duration(json!({ "max": 500 })), 501.0),
        format!("{id} request duration 501ms > 500ms")
    );
    assert_eq!(
        out(duration(json!({ "min": 20 })), 19.0),
        format!("{id} request duration 19ms < 20ms")
    );
    assert_eq!(
        out(template(json!({ "max": 5 })), 5.01),
        format!("{id} errors 5.01 > 5")
    );
    assert_eq!(
        out(template(json!({ "min": 0.5 })), 0.0),
        format!("{id} errors 0.00 < 0.5")
    );
}

#[test]
fn durations_are_compared_in_whole_milliseconds() {
    assert_eq!(
        said(duration(json!({ "max": 500 })), Measured::Value(500.9)),
        ""
    );
}

#[test]
fn a_template_or_query_of_a_built_in_name_is_judged_as_its_own() {
    let mut metric = success_rate(json!({ "min": 99 }));
    metric["query"] = json!("vector(1)");
    assert_eq!(
        said(metric.clone(), Measured::Value(1.0)),
        "Halt podinfo.test advancement request-success-rate 1.00 < 99"
    );
    metric["query"] = json!("");
    metric["templateRef"] = json!({ "name": "mine" });
    assert_eq!(
        said(metric, Measured::Value(1.0)),
        "Halt podinfo.test advancement request-success-rate 1.00 < 99"
    );
}

#[test]
fn a_range_without_ends_passes_everything() {
    assert_eq!(said(template(json!({})), Measured::Value(-1e9)), "");
}

#[test]
fn the_older_threshold_is_a_minimum_for_the_success_rate_and_a_maximum_elsewhere() {
    let older = |name: &str, value: f64| {
        said(
            json!({ "name": name, "threshold": 90, "query": null }),
            Measured::Value(value),
        )
    };
    assert_eq!(older("request-success-rate", 90.0), "");
    assert_eq!(
        older("request-success-rate", 89.0),
        "Halt podinfo.test advancement success rate 89.00% < 90%"
    );
    assert_eq!(older("request-duration", 90.0), "");
    assert_eq!(
        older("request-duration", 91.0),
        "Halt podinfo.test advancement request duration 91ms > 90ms"
    );
}

#[test]
fn without_any_threshold_every_positive_value_fails() {
    let metric = json!({ "name": "errors", "query": "vector(1)" });
    assert_eq!(said(metric.clone(), Measured::Value(0.0)), "");
    assert_eq!(
        said(metric, Measured::Value(0.1)),
        "Halt podinfo.test advancement errors 0.10 > 0"
    );
}

#[test]
fn no_values_are_a_failed_check_in_the_words_of_its_kind() {
    let none = || Measured::NoValues("no values found".to_owned());
    assert_eq!(
        said(success_rate(json!({ "min": 99 })), none()),
        "Halt advancement no values found for apisix metric request-success-rate probably podinfo.test is not receiving traffic: running query failed: no values found"
    );
    assert_eq!(
        said(duration(json!({ "max": 500 })), none()),
        "Halt advancement no values found for apisix metric request-duration probably podinfo.test is not receiving traffic"
    );
    assert_eq!(
        said(json!({ "name": "errors", "query": "vector(1)" }), none()),
        "Halt advancement no values found for metric: errors"
    );
    assert_eq!(
        said(template(json!({ "max": 5 })), none()),
        "Halt advancement no values found for custom metric: errors: no values found"
    );
}

#[test]
fn not_a_number_is_no_value() {
    let (said, check) = check(template(json!({ "max": 5 })), Measured::Value(f64::NAN));
    assert_eq!(
        said.unwrap(),
        "Halt advancement no values found for custom metric: errors: no values found"
    );
    assert_eq!((check.verdict, check.value), (Verdict::NoValues, None));
}

#[test]
fn an_infinite_value_is_judged_and_kept_in_words() {
    let (said, check) = check(
        template(json!({ "max": 5 })),
        Measured::Value(f64::INFINITY),
    );
    assert_eq!(
        said.unwrap(),
        "Halt podinfo.test advancement errors inf > 5"
    );
    assert_eq!((check.value, check.message.as_str()), (None, "inf"));
}

#[test]
fn a_query_that_fails_is_a_failed_check() {
    let failed = || Measured::Failed("503".to_owned());
    assert_eq!(
        said(success_rate(json!({ "min": 99 })), failed()),
        "Prometheus query failed: 503"
    );
    let (said, check) = check(template(json!({ "max": 5 })), failed());
    assert_eq!(said.unwrap(), "Metric query failed for errors: 503");
    assert_eq!(
        (check.verdict, check.message.as_str()),
        (Verdict::Error, "503")
    );
}

#[test]
fn a_template_that_cannot_be_used_is_named() {
    let broken = Measured::Template {
        template: "errors.test".to_owned(),
        error: "not found".to_owned(),
    };
    let (said, check) = check(template(json!({ "max": 5 })), broken);
    assert_eq!(said.unwrap(), "Metric template errors.test not found");
    assert_eq!(
        (check.verdict, check.message.as_str()),
        (Verdict::Error, "not found")
    );
}

#[test]
fn built_in_metrics_come_before_templates_and_the_first_failure_ends_the_check() {
    let metrics = json!([
        template(json!({ "max": 5 })),
        success_rate(json!({ "min": 99 }))
    ]);
    let mut world = world(&metrics);
    world.metrics.insert(0, Measured::Value(100.0));
    world.metrics.insert(1, Measured::Value(0.0));
    world.run(10);
    assert_eq!(
        world.said(),
        ["Halt podinfo.test advancement success rate 0.00% < 99%"]
    );
    let names = |world: &World| -> Vec<String> {
        world
            .status()
            .release
            .unwrap()
            .checks
            .into_iter()
            .map(|check| check.name)
            .collect()
    };
    assert_eq!(names(&world), ["request-success-rate"]);
    world.metrics.insert(1, Measured::Value(100.0));
    world.run(10);
    assert_eq!(names(&world), ["errors", "request-success-rate"]);
    assert_eq!(world.phase(), Phase::Progressing);
}

#[test]
fn checks_of_metrics_that_the_spec_dropped_are_forgotten() {
    let mut world = world(&json!([
        template(json!({})),
        success_rate(json!({ "min": 99 }))
    ]));
    world.run(10);
    world.canary.spec.analysis.metrics.remove(0);
    world.run(10);
    let checks = world.status().history;
    assert!(checks.is_empty());
    let names: Vec<String> = world
        .status()
        .release
        .unwrap()
        .checks
        .into_iter()
        .map(|c| c.name)
        .collect();
    assert_eq!(names, ["request-success-rate"]);
}
