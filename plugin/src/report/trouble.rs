//! What a person should look at, for as long as it lasts, and what helps. Pure.
//!
//! ```text
//!  conditions that are not well ─┐
//!  a rollback not carried out ───┼─► Attention {type, reason, message, hint} ─► status, doctor, explain,
//!  pods that do not come ────────┤                                              can-i, wait, JSON, dashboard
//!  objects missing or unread ────┘
//! ```

mod hint;
mod pods;

use canary_core::canary::Canary;
use canary_core::release::conditions::{PAUSED, PROMOTED, READY};
use canary_core::status::{CanaryCondition, CanaryStatus, Phase};

use super::{Attention, CanaryReport, Extra, Observed, is_running};

/// Type of what is said of pods that do not come.
pub const PODS: &str = "Pods";
/// Type of a rollback that is decided and cannot be carried out yet.
pub const PENDING: &str = "Pending";

/// Nothing at all is done for a Canary with one of these, not even to go back.
const UNTOUCHED: [&str; 2] = ["Contested", "DefinitionOutdated"];

/// Everything that wants attention, the most urgent first. `observed.workloads` are the two Deployments.
pub(super) fn of(
    observed: &Observed,
    status: &CanaryStatus,
    canary_weight: i64,
    workloads: &[super::Workload],
) -> Vec<Attention> {
    let canary = &observed.canary;
    let pending = pending(status, canary_weight);
    let conditions = status.conditions.iter().filter(|it| is_bad(it));
    let conditions = conditions.map(|condition| of_condition(canary, condition));
    pending
        .into_iter()
        .chain(conditions)
        .chain(pods::lacking(observed, workloads))
        .chain(extras(observed, status.phase))
        .collect()
}

/// Every condition counts, also those of a later server: `Promoted` only says the phase, `Ready` is well when
/// it is true, and all others when they are not.
pub fn is_bad(condition: &CanaryCondition) -> bool {
    match condition.type_.as_str() {
        PROMOTED => false,
        READY => condition.status != "True",
        _ => condition.status != "False",
    }
}

pub fn of_condition(canary: &Canary, condition: &CanaryCondition) -> Attention {
    Attention {
        type_: condition.type_.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        hint: hint::of_condition(canary, condition),
    }
}

/// A rollback that was decided, while a write that it takes is refused.
fn pending(status: &CanaryStatus, canary_weight: i64) -> Option<Attention> {
    let release = status.release.as_ref()?;
    let decided = release.outcome.is_some() && release.ended_at.is_none();
    let asked = status.last_request.as_ref().is_some_and(|it| it.pending);
    let hindered = status.conditions.iter().any(is_hindrance) && canary_weight > 0;
    if !(is_running(status.phase) && (asked || decided && hindered)) {
        return None;
    }
    let why = match release.message.as_str() {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    Some(Attention {
        type_: PENDING.to_owned(),
        reason: "RollbackPending".to_owned(),
        message: format!(
            "the rollback of release {} is decided{why} and not routed yet: it is tried again by itself",
            release.number
        ),
        hint: None,
    })
}

fn is_hindrance(condition: &CanaryCondition) -> bool {
    condition.type_ == READY && is_bad(condition)
}

/// What should be there and is not, or could not be read.
fn extras(observed: &Observed, phase: Phase) -> Vec<Attention> {
    let canary = &observed.canary;
    // Generated objects come into being while the Canary is initialized.
    let generated = !matches!(
        phase,
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated
    );
    let route = canary.canary_route().unwrap_or_default();
    [
        (
            &observed.target,
            format!("Deployment {}", canary.target_name()),
            true,
        ),
        (
            &observed.primary,
            format!("Deployment {}", canary.primary_name()),
            generated,
        ),
        (&observed.route, format!("ApisixRoute {route}"), generated),
    ]
    .into_iter()
    .filter_map(|(extra, name, expected)| match extra {
        Extra::Unknown(why) => Some(("Unread", format!("{name} cannot be read: {why}"))),
        Extra::Absent if expected => Some(("Missing", format!("{name} does not exist"))),
        _ => None,
    })
    .map(|(type_, message)| Attention {
        type_: type_.into(),
        reason: String::new(),
        message,
        hint: None,
    })
    .collect()
}

// === impl CanaryReport ===

impl CanaryReport {
    /// What closes the ways forward.
    pub fn hindrance(&self) -> Option<&Attention> {
        self.attention.iter().find(|it| it.type_ == READY)
    }

    /// The rollback that is decided and not carried out yet.
    pub fn pending(&self) -> Option<&Attention> {
        self.attention.iter().find(|it| it.type_ == PENDING)
    }

    /// A release that is hindered, and not on its way back yet.
    pub fn can_only_go_back(&self) -> bool {
        let release = self.release.as_ref().filter(|_| self.running);
        let forward = release.is_some_and(|release| release.outcome.is_none());
        forward && self.hindrance().is_some_and(|it| !it.closes_the_way_back())
    }

    /// A pause is no trouble: somebody wanted it.
    pub fn troubles(&self) -> impl Iterator<Item = &Attention> {
        self.attention.iter().filter(|it| it.type_ != PAUSED)
    }
}

// === impl Attention ===

impl Attention {
    /// Whether the ways back are closed, too.
    pub fn closes_the_way_back(&self) -> bool {
        self.type_ == READY && UNTOUCHED.contains(&self.reason.as_str())
    }
}

#[cfg(test)]
pub mod tests;
