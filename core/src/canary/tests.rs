// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::*;
use crate::hook::HookKind;
use crate::template::MetricTemplate;

const COMPLETE: &str = include_str!("complete.yaml");
const SEED_CANARY: &str = include_str!("../../../tests/seed/podinfo-canary.yaml");
const SEED_TEMPLATE: &str = include_str!("../../../tests/seed/not-found-percentage.yaml");

fn canary(spec: Value) -> Canary {
    let object = json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

fn analysis(analysis: Value) -> Canary {
    canary(json!({ "targetRef": { "name": "podinfo" }, "analysis": analysis }))
}

fn round_trip<T: Serialize + serde::de::DeserializeOwned>(yaml: &str) -> (Value, Value) {
    let written: Value = serde_yaml::from_str(yaml).unwrap();
    let typed: T = serde_yaml::from_str(yaml).unwrap();
    (written, serde_json::to_value(typed).unwrap())
}

/// Every path to a property of the schema, as `analysis.metrics[].name`.
fn paths(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        found.push(path.clone());
        paths(property, &path, found);
        paths(&property["items"], &format!("{path}[]"), found);
        paths(
            &property["additionalProperties"],
            &format!("{path}{{}}"),
            found,
        );
    }
}

/// Whether a value has something at such a path.
fn has(value: &Value, path: &str) -> bool {
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    let step = value.get(head.trim_end_matches("[]").trim_end_matches("{}"));
    let inner: Vec<&Value> = match step {
        None => return false,
        Some(Value::Array(list)) => list.iter().collect(),
        Some(Value::Object(map)) if head.ends_with("{}") => map.values().collect(),
        Some(value) => vec![value],
    };
    rest.is_empty() || inner.iter().any(|value| has(value, rest))
}

#[test]
fn every_field_survives_a_round_trip_also_those_of_embedded_objects_that_we_do_not_know() {
    let (written, read) = round_trip::<Canary>(COMPLETE);
    assert_eq!(written, read);
}

#[test]
fn the_complete_canary_sets_every_field_of_the_schema() {
    let complete: Value = serde_yaml::from_str(COMPLETE).unwrap();
    let crd = serde_json::to_value(&crate::crd::all()[0]).unwrap();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut all = Vec::new();
    paths(schema, "", &mut all);
    // A StringMatch sets one of its own.
    let one_of = [".exact", ".prefix", ".suffix", ".regex"];
    let missing: Vec<_> = all
        .iter()
        .filter(|path| !one_of.iter().any(|field| path.ends_with(field)))
        .filter(|path| !has(&complete["spec"], path))
        .collect();
    assert!(all.len() > 150, "the schema has only {} fields", all.len());
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn the_users_yaml_survives_a_round_trip() {
    let (written, read) = round_trip::<Canary>(SEED_CANARY);
    assert_eq!(written, read);
    let (written, read) = round_trip::<MetricTemplate>(SEED_TEMPLATE);
    assert_eq!(written, read);
}

#[test]
fn a_number_may_be_written_as_an_integral_float_and_is_written_back_as_an_integer() {
    let canary = analysis(json!({
        "interval": "1m", "threshold": 5.0, "stepWeights": [1.0, 20], "maxWeight": 50.0,
        "metrics": [{ "name": "x", "thresholdRange": { "min": 99.0, "max": 99.9 } }],
    }));
    assert_eq!(canary.threshold(), 5);
    assert_eq!(canary.step_weights(), [1, 20]);
    let written = serde_json::to_string(&canary.spec.analysis).unwrap();
    assert!(
        written.contains(r#""threshold":5,"maxWeight":50,"stepWeights":[1,20]"#),
        "{written}"
    );
    assert!(written.contains(r#"{"min":99,"max":99.9}"#), "{written}");
}

#[test]
fn a_number_that_is_no_integer_is_cut_down_so_that_the_object_can_be_read_at_all() {
    let canary = canary(json!({
        "service": { "port": 80.9 },
        "analysis": { "stepWeight": 2.5, "iterations": -1.5, "threshold": 1e300 },
    }));
    assert_eq!(canary.spec.service.port, 80);
    assert_eq!(canary.step_weight(), 2);
    assert_eq!(canary.iterations(), -1);
    assert_eq!(canary.threshold(), i64::MAX);
}

#[test]
fn a_port_beyond_32_bits_does_not_wrap_around() {
    let canary = canary(json!({ "service": { "port": 4_294_967_376_i64 } }));
    assert_eq!(canary.spec.service.port, i32::MAX);
}

#[test]
fn an_empty_spec_has_flaggers_defaults() {
    let canary = canary(json!({}));
    assert_eq!(canary.interval(), Duration::from_mins(1));
    assert_eq!(canary.threshold(), 1);
    assert_eq!(canary.max_weight(), 100);
    assert_eq!(canary.progress_deadline(), Duration::from_mins(10));
    assert_eq!(canary.primary_ready_threshold(), 100);
    assert_eq!(canary.canary_ready_threshold(), 100);
    assert_eq!(canary.strategy(), Strategy::Canary);
    assert_eq!(canary.provider_or("kubernetes"), "kubernetes");
    assert_eq!(
        canary.metrics_server_or("http://prometheus:9090"),
        "http://prometheus:9090"
    );
    assert_eq!(canary.port_name(), "http");
    assert!(!canary.suspended());
    assert!(!canary.revert_on_deletion());
    assert!(!canary.mirror());
}

#[test]
fn an_absent_analysis_is_a_skipped_one() {
    assert!(canary(json!({})).skip_analysis());
    assert!(!analysis(json!({ "interval": "1m" })).skip_analysis());
    let skipped = canary(json!({ "skipAnalysis": true, "analysis": { "interval": "1m" } }));
    assert!(skipped.skip_analysis());
}

#[test]
fn the_names_of_services_follow_the_apex_and_those_of_workloads_the_target() {
    let canary = canary(json!({
        "targetRef": { "name": "podinfo" },
        "routeRef": { "name": "public" },
        "service": { "name": "web", "port": 80 },
    }));
    assert_eq!(canary.apex(), "web");
    assert_eq!(canary.primary_service(), "web-primary");
    assert_eq!(canary.canary_service(), "web-canary");
    assert_eq!(canary.target_name(), "podinfo");
    assert_eq!(canary.primary_name(), "podinfo-primary");
    assert_eq!(canary.canary_route().as_deref(), Some("public-web-canary"));
    assert_eq!(canary.id(), "podinfo.test");
}

#[test]
fn without_a_service_name_the_apex_is_the_target() {
    let unnamed = canary(json!({ "targetRef": { "name": "podinfo" } }));
    assert_eq!(unnamed.apex(), "podinfo");
    let empty = canary(json!({ "targetRef": { "name": "podinfo" }, "service": { "name": "" } }));
    assert_eq!(empty.apex(), "podinfo");
    assert_eq!(unnamed.canary_route(), None);
}

#[test]
fn an_interval_that_is_empty_or_no_duration_is_a_minute() {
    for (text, seconds) in [
        ("10s", 10),
        ("1m30s", 90),
        ("2m", 120),
        ("", 60),
        ("soon", 60),
        ("5", 60),
        ("-10s", 60),
    ] {
        let canary = analysis(json!({ "interval": text }));
        assert_eq!(canary.interval(), Duration::from_secs(seconds), "{text:?}");
    }
}

#[test]
fn a_threshold_below_one_is_one() {
    assert_eq!(analysis(json!({ "threshold": 0 })).threshold(), 1);
    assert_eq!(analysis(json!({ "threshold": -3 })).threshold(), 1);
    assert_eq!(analysis(json!({ "threshold": 2 })).threshold(), 2);
}

#[test]
fn a_step_weight_wins_over_listed_steps() {
    let both = analysis(json!({ "stepWeight": 10, "stepWeights": [1, 50] }));
    assert_eq!((both.step_weight(), both.step_weights()), (10, &[][..]));
    let zero = analysis(json!({ "stepWeight": 0, "stepWeights": [1, 50] }));
    assert_eq!(zero.step_weights(), [1, 50]);
}

#[test]
fn listed_steps_end_at_their_last_whatever_the_maximum_says() {
    assert_eq!(
        analysis(json!({ "stepWeights": [1, 40], "maxWeight": 10 })).max_weight(),
        40
    );
    assert_eq!(
        analysis(json!({ "stepWeights": [1, 140] })).max_weight(),
        100
    );
    assert_eq!(
        analysis(json!({ "stepWeight": 5, "maxWeight": 0 })).max_weight(),
        100
    );
    assert_eq!(
        analysis(json!({ "stepWeight": 5, "maxWeight": 30 })).max_weight(),
        30
    );
}

#[test]
fn iterations_choose_the_strategy_and_a_match_with_them_is_an_ab_test() {
    let conditions = json!([{ "headers": { "x-beta": { "exact": "1" } } }]);
    let cases = [
        (json!({ "stepWeight": 10 }), Strategy::Canary),
        (
            json!({ "iterations": 0, "match": conditions }),
            Strategy::Canary,
        ),
        (json!({ "iterations": 5 }), Strategy::BlueGreen),
        (
            json!({ "iterations": 5, "match": conditions }),
            Strategy::AbTesting,
        ),
    ];
    for (spec, strategy) in cases {
        assert_eq!(analysis(spec.clone()).strategy(), strategy, "{spec}");
    }
}

#[test]
fn hooks_of_one_kind_keep_their_position_and_an_untyped_one_is_a_rollout_hook() {
    let canary = analysis(json!({ "webhooks": [
        { "name": "a", "url": "http://a" },
        { "name": "b", "url": "http://b", "type": "confirm-promotion" },
        { "name": "c", "url": "http://c", "type": "rollout" },
        { "name": "d", "url": "http://d", "type": "no-such-type" },
    ] }));
    let found = |kind| {
        canary
            .hooks(kind)
            .map(|(i, hook)| (i, hook.name.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(HookKind::Rollout), [(0, "a"), (2, "c")]);
    assert_eq!(found(HookKind::ConfirmPromotion), [(1, "b")]);
    assert_eq!(found(HookKind::Event), []);
}

#[test]
fn a_hook_waits_ten_seconds_and_is_called_once_unless_it_says_otherwise() {
    let plain = Hook::default();
    assert_eq!(
        (plain.timeout(), plain.retries()),
        (Duration::from_secs(10), 0)
    );
    let told = Hook {
        timeout: Some("1m".into()),
        retries: Some(3),
        ..Hook::default()
    };
    assert_eq!(
        (told.timeout(), told.retries()),
        (Duration::from_mins(1), 3)
    );
    let negative = Hook {
        retries: Some(-1),
        ..Hook::default()
    };
    assert_eq!(negative.retries(), 0);
}

#[test]
fn an_absent_empty_or_zero_target_port_is_the_port_of_the_service() {
    let port = |service: Value| canary(json!({ "service": service })).target_port();
    assert_eq!(port(json!({ "port": 80 })), IntOrString::Int(80));
    assert_eq!(
        port(json!({ "port": 80, "targetPort": 0 })),
        IntOrString::Int(80)
    );
    assert_eq!(
        port(json!({ "port": 80, "targetPort": "" })),
        IntOrString::Int(80)
    );
    assert_eq!(
        port(json!({ "port": 80, "targetPort": 9898 })),
        IntOrString::Int(9898)
    );
    assert_eq!(
        port(json!({ "port": 80, "targetPort": "web" })),
        IntOrString::String("web".into())
    );
}

#[test]
fn a_metric_without_an_interval_looks_back_a_minute() {
    assert_eq!(Metric::default().interval(), "1m");
    let metric = Metric {
        interval: Some("30s".into()),
        ..Metric::default()
    };
    assert_eq!(metric.interval(), "30s");
}

#[test]
fn a_canary_that_flagger_left_behind_can_be_read() {
    let status = json!({
        "canaryWeight": 0, "failedChecks": 0, "iterations": 0, "phase": "Failed",
        "conditions": [{
            "type": "Promoted", "status": "False", "reason": "Failed",
            "message": "Canary analysis failed, Deployment scaled to zero.",
            "lastUpdateTime": "2026-11-23T08:31:41Z", "lastTransitionTime": "2026-11-23T08:31:41Z",
        }],
        "lastAppliedSpec": "6859bf9d5d", "lastPromotedSpec": "7b888b985",
        "lastTransitionTime": "2026-11-23T08:32:01Z",
        "trackedConfigs": { "configmap/podinfo-config": "f234cb93c08ad64e" },
    });
    let read: CanaryStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), status);
}

#[test]
fn a_duration_is_read_as_go_reads_it_and_what_does_not_fit_is_none() {
    let ms = |text: &str| duration(text).map(|it| it.as_millis());
    for (text, read) in [
        ("90s", Some(90_000)),
        ("1m30s", Some(90_000)),
        ("62h", Some(223_200_000)),
        ("1.5h", Some(5_400_000)),
        ("+250ms", Some(250)),
        ("0", Some(0)),
        ("0s", Some(0)),
        ("1000us", Some(1)),
        ("1000\u{b5}s", Some(1)),
        ("2562047h", Some(9_223_369_200_000)),
        ("2562048h", None),
        ("18446744073709551615s", None),
        // The schema of the cluster takes both of these.
        ("18446744073709551615s1s", None),
        ("1m-5s", None),
        ("99999999999999999999999999h", None),
        ("-1s", None),
        ("-0s", None),
        ("1", None),
        ("s", None),
        ("1 s", None),
        ("1e5s", None),
        ("infs", None),
        ("1d", None),
        ("é", None),
    ] {
        assert_eq!(ms(text), read, "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_reading_a_duration_panic(text in "(-?[0-9.]{1,24}(h|m|s|ms|us|ns|\u{b5}s|d|)){0,4}") {
        let _ = duration(&text);
    }
}
