//! The arithmetic of steps.

// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::scripts::canary;
use crate::release::weights::{Routes, ladder, max_weight, next_promotion_weight, next_weight};

fn of(analysis: Value) -> Vec<i64> {
    ladder(&canary(&analysis))
}

#[test]
fn routes_always_sum_to_100() {
    for (weight, wanted) in [(-5, 0), (0, 0), (1, 1), (99, 99), (100, 100), (250, 100)] {
        assert_eq!(
            Routes::to_canary(weight),
            Routes {
                primary: 100 - wanted,
                canary: wanted
            }
        );
    }
}

#[test]
fn the_last_step_is_cut_at_the_maximum() {
    assert_eq!(
        of(json!({ "stepWeight": 20, "maxWeight": 50 })),
        [20, 40, 50]
    );
    assert_eq!(of(json!({ "stepWeight": 40 })), [40, 80, 100]);
    assert_eq!(of(json!({ "stepWeight": 150 })), [100]);
}

#[test]
fn listed_weights_end_at_their_last_and_never_above_100() {
    assert_eq!(of(json!({ "stepWeights": [5, 50, 80] })), [5, 50, 80]);
    assert_eq!(of(json!({ "stepWeights": [5, 150] })), [5, 100]);
    assert_eq!(of(json!({ "stepWeights": [50, 10] })), [10]);
    assert_eq!(
        of(json!({ "stepWeights": [5, 50], "maxWeight": 20 })),
        [5, 50]
    );
}

#[test]
fn a_step_weight_wins_over_listed_weights_but_not_over_their_end() {
    assert_eq!(
        of(json!({ "stepWeight": 20, "stepWeights": [1, 50] })),
        [20, 40, 50]
    );
}

#[test]
fn a_weight_that_is_in_no_list_goes_to_the_next_above_it() {
    let canary = canary(&json!({ "stepWeights": [5, 50, 80] }));
    assert_eq!(next_weight(&canary, 10), Some(50));
    assert_eq!(next_weight(&canary, 80), None);
    assert_eq!(next_weight(&canary, 95), None);
}

#[test]
fn a_maximum_of_nothing_is_the_default() {
    assert_eq!(
        max_weight(&canary(&json!({ "stepWeight": 10, "maxWeight": 0 }))),
        100
    );
    assert_eq!(
        max_weight(&canary(&json!({ "stepWeight": 10, "maxWeight": 900 }))),
        100
    );
    assert_eq!(max_weight(&canary(&json!({ "stepWeights": [-3] }))), 0);
}

#[test]
fn without_steps_there_is_no_next_weight() {
    assert_eq!(of(json!({ "iterations": 3 })), [0_i64; 0]);
    assert_eq!(of(json!({ "stepWeights": [-3, 0] })), [0_i64; 0]);
}

#[test]
fn a_promotion_gives_back_all_at_once_or_step_by_step() {
    let at_once = canary(&json!({ "stepWeight": 10 }));
    assert_eq!(next_promotion_weight(&at_once, 50), 0);
    let in_steps = canary(&json!({ "stepWeight": 10, "stepWeightPromotion": 30 }));
    assert_eq!(next_promotion_weight(&in_steps, 50), 20);
    assert_eq!(next_promotion_weight(&in_steps, 20), 0);
    let odd = canary(&json!({ "stepWeight": 10, "stepWeightPromotion": -1 }));
    assert_eq!(next_promotion_weight(&odd, 50), 0);
}
