//! Line 9 of the user's scenario: their own MetricTemplate. It is named after 404, and as it is written
//! its value is the share of answers that are *not* 4xx.

use canary_tests::scenario;
use serde_json::Value;

use crate::play;
use crate::play::acts::Judged;

#[test]
fn the_users_template_stops_a_release_whose_answers_are_not_404_as_its_query_is_written() {
    let Judged { seen, values } = &play::custom().unwrap().many_answers;
    assert_eq!(
        seen.canary["status"]["phase"], "Failed",
        "{}",
        seen.canary["status"]
    );
    let halts = seen.halts();
    assert!(
        halts.iter().all(|halt| {
            halt.starts_with("Halt backend.test advancement not-found-percentage ")
                && halt.ends_with(" > 5")
        }),
        "{halts:#?}"
    );
    assert!(
        !values.is_empty() && values.iter().all(|(value, _)| *value > 5.0),
        "{values:?}"
    );
}

#[test]
fn the_users_template_lets_a_release_pass_whose_answers_are_mostly_404() {
    let Judged { seen, values } = &play::custom().unwrap().few_answers;
    assert_eq!(
        seen.canary["status"]["phase"], "Succeeded",
        "{}",
        seen.canary["status"]
    );
    assert!(values.iter().any(|(value, _)| *value <= 5.0), "{values:?}");
    let template: Value =
        serde_yaml::from_str(&scenario::user_yaml("not-found-percentage.yaml").unwrap()).unwrap();
    let query = template["spec"]["query"].as_str().unwrap();
    assert!(
        query.contains(r#"code!~"4..""#),
        "the query counts what is not 4xx: {query}"
    );
}

#[test]
fn a_checks_value_is_what_prometheus_says_for_the_query_filled_in() {
    let custom = play::custom().unwrap();
    let values = custom
        .few_answers
        .values
        .iter()
        .chain(&custom.many_answers.values);
    let values: Vec<_> = values.collect();
    assert!(
        values.len() >= 3,
        "both releases stored what they measured: {values:?}"
    );
    for (ours, prometheus) in &values {
        assert!(
            (ours - prometheus).abs() < 0.5,
            "stored {ours}, Prometheus says {prometheus} for the same moment; all: {values:?}"
        );
    }
}
