//! What the deletion of a Canary waits for, and what it would put in charge. Pure.

use canary_core::release::conditions::REVERTING;
use canary_core::status::Phase;

use super::Facts;
use crate::report::{Attention, CanaryReport};

/// What a deletion waits for that lets the target serve first.
pub fn reverting(report: &CanaryReport) -> Option<&Attention> {
    report.hindrance().filter(|it| it.reason == REVERTING)
}

/// With `revertOnDeletion` the target takes over with the template that it has. One that failed, and was not set
/// back since, would serve everybody.
pub fn put_in_charge(facts: &Facts) -> Option<String> {
    let (canary, report) = (&facts.canary, &facts.report);
    let status = canary.status.as_ref()?;
    let set_back = status.last_applied_spec == status.last_promoted_spec;
    if !canary.revert_on_deletion() || report.phase != Phase::Failed || set_back {
        return None;
    }
    let number = report.release.as_ref()?.number;
    let (target, namespace) = (canary.target_name(), canary.namespace_name());
    Some(format!(
        "deleting this Canary puts release {number}, which failed, in charge of all users (spec.revertOnDeletion); to take it back first: kubectl rollout undo deployment/{target} -n {namespace}"
    ))
}
