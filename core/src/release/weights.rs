//! The arithmetic of steps: pure functions over whole percentages.

use crate::canary::Canary;

/// Percentages that the router sends each way; they sum to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Routes {
    pub primary: i64,
    pub canary: i64,
}

// === impl Routes ===

impl Routes {
    pub const ALL_PRIMARY: Self = Self {
        primary: 100,
        canary: 0,
    };
    pub const ALL_CANARY: Self = Self {
        primary: 0,
        canary: 100,
    };

    pub fn to_canary(weight: i64) -> Self {
        let canary = weight.clamp(0, 100);
        Self {
            primary: 100 - canary,
            canary,
        }
    }
}

/// The most that the canary gets before its promotion.
pub fn max_weight(canary: &Canary) -> i64 {
    canary.max_weight().clamp(0, 100)
}

/// The weight after `current`; none at the maximum.
///
/// Of `stepWeights` it is the next greater rung, whatever `current` is: a ladder that was edited
/// in mid-release must never jump past its end.
pub fn next_weight(canary: &Canary, current: i64) -> Option<i64> {
    let max = max_weight(canary);
    if current >= max {
        return None;
    }
    let step = canary.step_weight();
    if step > 0 {
        return Some((current + step).min(max));
    }
    canary
        .step_weights()
        .iter()
        .copied()
        .filter(|rung| *rung > current)
        .min()
        .map(|rung| rung.min(max))
}

/// All weights of a release in order: what a progress bar counts.
pub fn ladder(canary: &Canary) -> Vec<i64> {
    std::iter::successors(next_weight(canary, 0), |weight| {
        next_weight(canary, *weight)
    })
    .collect()
}

/// The canary's weight after one more step of `stepWeightPromotion` back to the primary.
pub fn next_promotion_weight(canary: &Canary, current: i64) -> i64 {
    match canary.step_weight_promotion() {
        step if step > 0 => (current - step).max(0),
        _ => 0,
    }
}
