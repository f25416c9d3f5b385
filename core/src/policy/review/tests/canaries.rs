//! What a policy has against a Canary.

use super::*;

fn with(analysis: Value) -> Canary {
    canary_of(analysis, json!({}))
}

fn found(policy: &Value, analysis: Value) -> usize {
    let policy = read(json!({ "canary": policy }));
    canary(&policy, None, &with(analysis)).len()
}

#[test]
fn no_step_adds_more_than_the_cap() {
    let cap = json!({ "maxStepWeight": 20 });
    assert_eq!(found(&cap, json!({ "stepWeight": 20 })), 0);
    assert_eq!(found(&cap, json!({ "stepWeight": 21 })), 1);
    assert_eq!(found(&cap, json!({ "stepWeights": [20, 40, 41] })), 0);
    assert_eq!(
        found(&cap, json!({ "stepWeights": [21] })),
        1,
        "the first step begins at 0"
    );
    assert_eq!(found(&cap, json!({ "stepWeights": [5, 10, 31] })), 1);
    // Neither has steps.
    assert_eq!(found(&cap, json!({ "iterations": 10 })), 0);
    assert_eq!(found(&cap, json!({})), 0);
}

#[test]
fn no_canary_gets_more_than_the_cap_before_its_promotion() {
    let cap = json!({ "maxWeight": 50 });
    assert_eq!(found(&cap, json!({ "stepWeight": 10, "maxWeight": 50 })), 0);
    assert_eq!(found(&cap, json!({ "stepWeight": 10, "maxWeight": 51 })), 1);
    assert_eq!(
        found(&cap, json!({ "stepWeight": 10 })),
        1,
        "all, if nothing is said"
    );
    assert_eq!(found(&cap, json!({ "stepWeights": [10, 50] })), 0);
    assert_eq!(found(&cap, json!({ "stepWeights": [10, 60] })), 1);
    assert_eq!(
        found(&cap, json!({ "stepWeights": [60, 10] })),
        1,
        "in any order"
    );
    assert_eq!(found(&cap, json!({ "iterations": 10 })), 0);
    assert_eq!(found(&cap, json!({})), 0);
}

#[test]
fn an_analysis_has_enough_metrics() {
    let least = json!({ "minMetrics": 2 });
    let metrics =
        |n: usize| json!({ "stepWeight": 10, "metrics": vec![json!({ "name": "m" }); n] });
    assert_eq!(found(&least, metrics(2)), 0);
    assert_eq!(found(&least, metrics(1)), 1);
    assert_eq!(found(&json!({ "minMetrics": 0 }), metrics(0)), 0);
    assert_eq!(found(&json!({ "minMetrics": 1 }), json!({})), 1);
}

#[test]
fn a_number_of_any_size_is_judged() {
    let caps = json!({ "maxStepWeight": 20, "maxWeight": 100 });
    for steps in [
        json!([i64::MIN, 10]),
        json!([i64::MIN, i64::MAX]),
        json!([i64::MAX, i64::MIN, i64::MAX]),
    ] {
        assert!(found(&caps, json!({ "stepWeights": steps })) > 0, "{steps}");
    }
    assert_eq!(found(&caps, json!({ "stepWeights": [i64::MIN] })), 0);
    assert_eq!(found(&json!({ "minMetrics": i64::MIN }), json!({})), 0);
}

#[test]
fn no_release_goes_without_analysis() {
    let forbid = json!({ "forbidSkipAnalysis": true });
    assert_eq!(found(&forbid, json!({ "stepWeight": 10 })), 0);
    assert_eq!(found(&forbid, json!({})), 1, "there is none to make");
    let policy = read(json!({ "canary": forbid }));
    let mut skips = with(json!({ "stepWeight": 10 }));
    skips.spec.skip_analysis = Some(true);
    assert_eq!(
        fields(&canary(&policy, None, &skips)),
        ["spec.canary.forbidSkipAnalysis"]
    );
    assert!(canary(&policy, Some(&skips), &skips).is_empty());
    skips.spec.skip_analysis = Some(false);
    assert!(canary(&policy, None, &skips).is_empty());
}

#[test]
fn what_was_over_the_cap_may_stay_or_get_better_and_not_worse() {
    let policy = read(json!({ "canary": { "maxStepWeight": 20, "maxWeight": 40 } }));
    let of = |step: i64| with(json!({ "stepWeight": step, "maxWeight": 50 }));
    let found = |before: i64, after: i64| {
        canary(&policy, Some(&of(before)), &of(after))
            .iter()
            .map(|o| o.field.clone())
            .collect::<Vec<_>>()
    };
    assert!(found(30, 30).is_empty());
    assert!(found(30, 25).is_empty());
    assert_eq!(found(30, 31), ["spec.canary.maxStepWeight"]);
    assert_eq!(found(20, 21), ["spec.canary.maxStepWeight"]);
}

#[test]
fn the_sentences_name_the_field_of_the_canary_and_what_to_write() {
    let policy = read(json!({ "canary": {
        "maxStepWeight": 20, "maxWeight": 40, "minMetrics": 1, "forbidSkipAnalysis": true,
    } }));
    let said = |analysis: Value, skip: bool| {
        let mut of = with(analysis);
        of.spec.skip_analysis = Some(skip);
        let lines: Vec<_> = canary(&policy, None, &of)
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.join("\n")
    };
    insta::assert_snapshot!(
        [
            said(json!({ "stepWeight": 30, "maxWeight": 90 }), true),
            said(json!({ "stepWeights": [30, 90] }), false),
        ]
        .join("\n\n")
    );
}
