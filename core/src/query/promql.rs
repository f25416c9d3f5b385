//! The built-in queries, asked of Prometheus' own engine.
//!
//! `promtool` plays counters into it and compares what the queries answer. The names of the tests
//! say what each answer proves.

use std::io::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use super::{DURATION, QueryModel, SUCCESS_RATE, Scope, builtin};

const ROUTE: &str = "test_podinfo-web-canary_method";
const CANARY: &str = "10.244.0.5";
const PRIMARY: &str = "10.244.0.4";

fn query(name: &str) -> String {
    let model = QueryModel {
        namespace: "test".into(),
        target: "podinfo".into(),
        service: "web".into(),
        route: "podinfo".into(),
        interval: "1m".into(),
        ..QueryModel::default()
    };
    let scope = Scope::Nodes(vec![CANARY.into(), "10.244.0.6".into()]);
    builtin(name, "apisix", &model, &scope).unwrap()
}

/// A counter of responses that grows by `each` every 5 s.
fn responses(route: &str, node: &str, code: u16, each: u32) -> Value {
    let labels = format!(r#"route="{route}",node="{node}",code="{code}""#);
    json!({ "series": format!("apisix_http_status{{{labels}}}"), "values": format!("0+{each}x60") })
}

/// The counters of one bucket of the durations.
fn bucket(node: &str, le: &str, each: u32) -> Value {
    let labels = format!(r#"type="request",route="{ROUTE}",node="{node}",le="{le}""#);
    json!({
        "series": format!("apisix_http_latency_bucket{{{labels}}}"),
        "values": format!("0+{each}x60"),
    })
}

/// Fails unless the query answers `expected` after 5 minutes of these counters.
fn assert_answer(query: &str, series: &[Value], expected: Option<f64>) {
    let samples: Vec<Value> = expected
        .iter()
        .map(|value| json!({ "labels": "{}", "value": value }))
        .collect();
    // A sum of rates is off by some last digits.
    let query = format!("round({query}, 0.001)");
    let test = json!({
        "evaluation_interval": "5s",
        "tests": [{
            "interval": "5s",
            "input_series": series,
            "promql_expr_test": [{ "expr": query, "eval_time": "5m", "exp_samples": samples }],
        }],
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    // JSON is YAML.
    file.write_all(test.to_string().as_bytes()).unwrap();
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(file.path())
        .output();
    let output = output.expect("promtool runs (Debian: apt-get install prometheus)");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{query}\n{said}");
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn a_sound_canary_beside_a_broken_primary_has_100_percent() {
    let series = [
        responses(ROUTE, CANARY, 200, 1),
        responses(ROUTE, PRIMARY, 500, 9),
    ];
    assert_answer(&query(SUCCESS_RATE), &series, Some(100.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn a_canary_that_answers_nothing_but_errors_has_0_percent_and_not_no_value() {
    let series = [
        responses(ROUTE, CANARY, 500, 1),
        responses(ROUTE, PRIMARY, 200, 9),
    ];
    assert_answer(&query(SUCCESS_RATE), &series, Some(0.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn all_of_the_canarys_pods_are_counted_together() {
    let series = [
        responses(ROUTE, CANARY, 200, 3),
        responses(ROUTE, CANARY, 404, 1),
        responses(ROUTE, "10.244.0.6", 503, 1),
    ];
    assert_answer(&query(SUCCESS_RATE), &series, Some(80.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn an_error_of_the_gateway_itself_counts_against_the_canary() {
    let with_canary = [
        responses(ROUTE, CANARY, 200, 3),
        responses(ROUTE, "", 502, 1),
    ];
    assert_answer(&query(SUCCESS_RATE), &with_canary, Some(75.0));
    let alone = [
        responses(ROUTE, "", 503, 1),
        responses(ROUTE, PRIMARY, 200, 9),
    ];
    assert_answer(&query(SUCCESS_RATE), &alone, Some(0.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn a_request_that_the_gateway_refused_is_nobodys() {
    let series = [
        responses(ROUTE, CANARY, 200, 3),
        responses(ROUTE, "", 404, 5),
    ];
    assert_answer(&query(SUCCESS_RATE), &series, Some(100.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn without_traffic_on_the_canary_there_is_no_value() {
    assert_answer(
        &query(SUCCESS_RATE),
        &[responses(ROUTE, PRIMARY, 200, 9)],
        None,
    );
    let idle = [
        responses(ROUTE, CANARY, 200, 0),
        responses(ROUTE, "", 502, 0),
    ];
    assert_answer(&query(SUCCESS_RATE), &idle, None);
    assert_answer(
        &query(DURATION),
        &[bucket(PRIMARY, "500", 9), bucket(PRIMARY, "+Inf", 9)],
        None,
    );
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn traffic_of_another_route_is_not_the_canarys() {
    let series = [
        responses(ROUTE, CANARY, 200, 1),
        responses("test_other-web-canary_method", CANARY, 500, 5),
        responses("test_podinfo-web_method", CANARY, 500, 5),
        // The target's name, where the Service has another.
        responses("test_podinfo-podinfo-canary_method", CANARY, 500, 5),
    ];
    assert_answer(&query(SUCCESS_RATE), &series, Some(100.0));
}

#[test]
#[ignore = "needs promtool (Debian: apt-get install prometheus)"]
fn the_duration_is_the_canarys_whatever_the_primary_takes() {
    let series = [
        bucket(CANARY, "100", 0),
        bucket(CANARY, "200", 100),
        bucket(CANARY, "+Inf", 100),
        bucket(PRIMARY, "100", 900),
        bucket(PRIMARY, "200", 900),
        bucket(PRIMARY, "+Inf", 900),
    ];
    assert_answer(&query(DURATION), &series, Some(199.0));
}
