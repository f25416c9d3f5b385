//! A rollback that was decided, by the server or by a person, while people are still on the canary. Pure.

use canary_core::release::conditions::READY;
use canary_core::status::{CanaryCondition, CanaryStatus, Outcome, Phase, Release};

use super::super::{Attention, Extra, Observed, is_running, replicas};
use super::{PENDING, deletion, is_bad};

pub(super) fn of(
    observed: &Observed,
    status: &CanaryStatus,
    canary_weight: i64,
) -> Option<Attention> {
    let release = status.release.as_ref()?;
    // Of a Canary that is being deleted nothing may be tried any more.
    if deletion::of(&observed.canary).is_some_and(|it| it.closes_the_way_back()) {
        return None;
    }
    let refused = status.conditions.iter().any(is_hindrance);
    if !(is_decided(status, release) && is_not_routed(status, canary_weight, refused)) {
        return None;
    }
    let why = match release.message.as_str() {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    let number = release.number;
    // Nobody is sent to a primary without pods.
    let until = if !refused && has_no_ready_pod(&observed.primary) {
        format!(
            "Deployment {} has no ready pod. It is routed as soon as one is ready",
            observed.canary.primary_name()
        )
    } else {
        "it is tried again by itself".to_owned()
    };
    Some(Attention {
        type_: PENDING.to_owned(),
        reason: "RollbackPending".to_owned(),
        message: format!(
            "the rollback of release {number} is decided{why} and not routed yet: {until}"
        ),
        hint: None,
    })
}

/// Of a promotion that failed people stay on the canary on purpose, until the primary is put back.
fn is_decided(status: &CanaryStatus, release: &Release) -> bool {
    if is_running(status.phase) {
        return asked(status) || release.outcome.is_some() && release.ended_at.is_none();
    }
    let withdrawn = release.recovering && release.outcome == Some(Outcome::RolledBack);
    status.phase == Phase::Failed && withdrawn
}

/// The server notes a weight once it is routed. A route that is a moment ahead of it or behind it says
/// nothing, unless a write is refused.
fn is_not_routed(status: &CanaryStatus, canary_weight: i64, refused: bool) -> bool {
    asked(status) || canary_weight > 0 && (refused || status.canary_weight > 0)
}

fn asked(status: &CanaryStatus) -> bool {
    status.last_request.as_ref().is_some_and(|it| it.pending)
}

fn is_hindrance(condition: &CanaryCondition) -> bool {
    // A deletion refuses no write, and going back goes on while it is suspended.
    let passive = [deletion::SAID, "Suspended"].contains(&condition.reason.as_str());
    condition.type_ == READY && is_bad(condition) && !passive
}

fn has_no_ready_pod(primary: &Extra) -> bool {
    replicas(primary).is_some_and(|it| it.ready == 0)
}
