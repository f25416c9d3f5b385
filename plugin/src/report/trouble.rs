//! What a person should look at, for as long as it lasts, and what helps. Pure.
//!
//! ```text
//!  a deletion that waits ────────┐
//!  a rollback not carried out ───┤
//!  a request not answered ───────┤
//!  a primary without pods ───────┼─► Attention {type, reason, message, hint} ─► status, doctor, explain,
//!  conditions that are not well ─┤                                              can-i, wait, JSON, dashboard
//!  pods that do not come ────────┤
//!  objects missing or unread ────┘
//! ```

pub mod deletion;
mod hint;
mod outage;
mod pending;
mod pods;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::conditions::{PAUSED, PROMOTED, READY};
use canary_core::status::{CanaryCondition, CanaryStatus, Phase};

use super::{Attention, CanaryReport, Extra, Observed, Traffic, waiting};

/// Type of what is said of pods that do not come.
pub const PODS: &str = "Pods";
/// Type of a rollback that is decided and cannot be carried out yet.
pub const PENDING: &str = "Pending";
/// Type of a target that the spec names and that is not adopted yet.
pub const IN_FORCE: &str = "InForce";
/// Type of a deletion that is asked for and waits.
pub const DELETING: &str = "Deleting";

/// Of [`PODS`]: people are served by nobody, or nothing is changed any more.
pub const OUTAGES: [&str; 4] = [
    outage::SCALED_TO_ZERO,
    outage::NO_READY_POD,
    pods::PAUSED,
    pods::PRIMARY_DELETED,
];

/// Nothing at all is done for a Canary with one of these reasons, not even to go back.
const UNTOUCHED: [&str; 2] = ["Contested", "DefinitionOutdated"];

/// Everything that wants attention, the most urgent first. `observed.workloads` are the two Deployments.
pub(super) fn of(
    observed: &Observed,
    status: &CanaryStatus,
    traffic: &Traffic,
    workloads: &[super::Workload],
) -> Vec<Attention> {
    let canary = &observed.canary;
    // What the server says of a deletion is told by the deletion itself.
    let said = deletion::of(canary).is_some();
    let told = |it: &&CanaryCondition| said && it.type_ == READY && it.reason == deletion::SAID;
    let conditions = status.conditions.iter().filter(|it| is_bad(it));
    let conditions = conditions.filter(|it| !told(it));
    let conditions = conditions.map(|condition| of_condition(canary, condition));
    deletion::of(canary)
        .into_iter()
        .chain(pending::of(observed, status, traffic.canary))
        .chain(waiting::attention(observed))
        .chain(outage::of(observed, status, traffic, workloads))
        .chain(conditions)
        .chain(not_adopted(canary).map(in_force))
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

/// What the spec names is adopted later: what was adopted before goes on to serve. The sentence that says so.
pub fn not_adopted(canary: &Canary) -> Option<String> {
    let names = canary.status.as_ref()?.in_force.as_ref()?;
    let target = canary.target_name();
    (names.target != target).then(|| {
        format!(
            "Deployment {target} is not adopted yet: Deployment {} and what belongs to it serve until then",
            names::primary_of(&names.target)
        )
    })
}

fn in_force(message: String) -> Attention {
    Attention {
        type_: IN_FORCE.to_owned(),
        reason: "NotAdopted".to_owned(),
        message,
        hint: None,
    }
}

/// Before that, generated objects come into being; after it, they go.
fn is_adopted(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated
    )
}

/// What should be there and is not, or could not be read.
fn extras(observed: &Observed, phase: Phase) -> Vec<Attention> {
    let canary = &observed.canary;
    let generated = is_adopted(phase) && not_adopted(canary).is_none();
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

    /// The deletion that is asked for and waits.
    pub fn deleting(&self) -> Option<&Attention> {
        self.attention.iter().find(|it| it.type_ == DELETING)
    }

    /// What keeps the server from going on with it.
    pub fn obstacle(&self) -> Option<&Attention> {
        self.deleting().or_else(|| self.hindrance())
    }

    /// The rollback that is decided and not carried out yet.
    pub fn pending(&self) -> Option<&Attention> {
        self.attention.iter().find(|it| it.type_ == PENDING)
    }

    /// A release that is hindered, and not on its way back yet.
    pub fn can_only_go_back(&self) -> bool {
        let release = self.release.as_ref().filter(|_| self.running);
        let forward = release.is_some_and(|release| release.outcome.is_none());
        forward && self.obstacle().is_some_and(|it| !it.closes_the_way_back())
    }

    /// What helps first: a verb that ends without success names the same as `status` does. That nobody answers
    /// it, it says itself.
    pub fn remedy(&self) -> Option<String> {
        let troubles = self.troubles().filter(|it| it.type_ != waiting::REQUEST);
        troubles.into_iter().find_map(|it| it.hint.clone())
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
        let reason = self.reason.as_str();
        self.type_ == DELETING && reason != deletion::GOES_BACK
            || self.type_ == READY && UNTOUCHED.contains(&reason)
    }
}

#[cfg(test)]
pub mod tests;
