//! How far a release has come, and what its checks said.

use canary_core::canary::{Canary, Strategy};
use canary_core::release::weights;
use canary_core::status::{CanaryStatus, MetricCheck, Phase};
use schemars::JsonSchema;
use serde::Serialize;

/// Steps of a weighted release, or iterations of the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    pub current: i64,
    pub of: i64,
    /// The weight that follows; none where a promotion does, or where weights have no steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_weight: Option<i64>,
}

/// One metric of the analysis and what it said last.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// None before the first check of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<MetricCheck>,
}

/// None outside of an analysis.
pub(super) fn progress(canary: &Canary) -> Option<Progress> {
    let status = canary.status.as_ref()?;
    if !matches!(
        status.phase,
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion
    ) || canary.skip_analysis()
    {
        return None;
    }
    match canary.strategy() {
        Strategy::Canary => {
            let ladder = weights::ladder(canary);
            let done = ladder
                .iter()
                .filter(|weight| **weight <= status.canary_weight)
                .count();
            Some(Progress {
                current: i64::try_from(done).ok()?,
                of: i64::try_from(ladder.len()).ok()?,
                next_weight: weights::next_weight(canary, status.canary_weight),
            })
        }
        Strategy::BlueGreen | Strategy::AbTesting => {
            let of = canary.iterations();
            Some(Progress {
                current: status.iterations.clamp(0, of),
                of,
                next_weight: None,
            })
        }
    }
}

/// The metrics of the spec in their order, each with its last verdict; before the first check
/// they stand there without one.
pub(super) fn checks(canary: &Canary, status: &CanaryStatus) -> Vec<Check> {
    let Some(release) = &status.release else {
        return Vec::new();
    };
    canary
        .analysis()
        .metrics
        .iter()
        .map(|metric| {
            let last = release
                .checks
                .iter()
                .find(|check| check.name == metric.name)
                .cloned();
            let range = metric.threshold_range.unwrap_or_default();
            Check {
                name: metric.name.clone(),
                min: last.as_ref().and_then(|check| check.min).or(range.min),
                max: last.as_ref().and_then(|check| check.max).or(range.max),
                last,
            }
        })
        .collect()
}
