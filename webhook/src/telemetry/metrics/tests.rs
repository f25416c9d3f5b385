use super::*;
use crate::telemetry::encode;

fn metrics() -> (Registry, Metrics) {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    (registry, metrics)
}

fn podinfo() -> Workload {
    Workload {
        name: "podinfo".into(),
        namespace: "test".into(),
    }
}

fn used() -> (Registry, Metrics) {
    let (registry, metrics) = metrics();
    let target = podinfo();
    metrics.phase(&target, Phase::Failed);
    metrics.weights(&target, 90, 10);
    metrics.analysis(&target, "request-success-rate", 99.5);
    metrics.analysis(&target, "not-found", f64::INFINITY);
    metrics.succeeded(&target, Strategy::BlueGreen, Analysis::Skipped);
    metrics.failed(&target, Strategy::Canary, Analysis::Completed);
    metrics.reconciled(&target, "ok", Duration::from_millis(20));
    (registry, metrics)
}

#[test]
fn series_have_flaggers_names_and_labels() {
    let (registry, metrics) = used();
    metrics.totals(&BTreeMap::from([("test".to_owned(), 3)]));
    let text = encode(&registry);
    for line in [
        r#"flagger_canary_total{namespace="test"} 3"#,
        r#"flagger_canary_status{name="podinfo",namespace="test"} 2"#,
        r#"flagger_canary_weight{workload="podinfo-primary",namespace="test"} 90"#,
        r#"flagger_canary_weight{workload="podinfo",namespace="test"} 10"#,
        r#"flagger_canary_metric_analysis{name="podinfo",namespace="test",metric="request-success-rate"} 99.5"#,
        r#"flagger_canary_metric_analysis{name="podinfo",namespace="test",metric="not-found"} inf"#,
        r#"flagger_canary_successes_total{name="podinfo",namespace="test",deployment_strategy="blue-green",analysis_status="skipped"} 1"#,
        r#"flagger_canary_failures_total{name="podinfo",namespace="test",deployment_strategy="canary",analysis_status="completed"} 1"#,
        r#"flagger_canary_duration_seconds_bucket{le="0.025",name="podinfo",namespace="test"} 1"#,
        r#"canary_reconcile_total{result="ok"} 1"#,
        "canary_reconcile_duration_seconds_count 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn only_progressing_is_zero_and_only_failed_is_two() {
    let (registry, metrics) = metrics();
    let value = |phase| {
        metrics.phase(&podinfo(), phase);
        let text = encode(&registry);
        let line = text
            .lines()
            .find(|l| l.starts_with("flagger_canary_status{"));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value(Phase::Progressing), "0");
    assert_eq!(value(Phase::Failed), "2");
    assert_eq!(value(Phase::Succeeded), "1");
    assert_eq!(value(Phase::Promoting), "1");
}

#[test]
fn nothing_of_a_canary_that_is_gone_remains() {
    let (registry, metrics) = used();
    assert!(encode(&registry).contains("podinfo"));
    metrics.forget(&podinfo());
    let text = encode(&registry);
    assert!(!text.contains("podinfo"), "{text}");
    assert!(text.contains(r#"canary_reconcile_total{result="ok"} 1"#));
}

#[test]
fn another_canary_of_the_name_in_another_namespace_remains() {
    let (registry, metrics) = used();
    let other = Workload {
        namespace: "prod".into(),
        ..podinfo()
    };
    metrics.analysis(&other, "request-success-rate", 1.0);
    metrics.forget(&podinfo());
    assert!(encode(&registry).contains(r#"name="podinfo",namespace="prod""#));
}

#[test]
fn a_namespace_without_canaries_has_no_total() {
    let (registry, metrics) = metrics();
    metrics.totals(&BTreeMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]));
    metrics.totals(&BTreeMap::from([("b".to_owned(), 1)]));
    let text = encode(&registry);
    assert!(!text.contains(r#"namespace="a""#), "{text}");
    assert!(
        text.contains(r#"flagger_canary_total{namespace="b"} 1"#),
        "{text}"
    );
}
