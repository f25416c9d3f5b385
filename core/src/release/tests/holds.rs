//! What must hold of every plan while `CanaryPolicies` hold a release.

use super::invariants::Decision;
use super::world::Replies;
use crate::policy::{Enforcement, Holds, Objection};
use crate::release::{Governance, Plan};
use crate::status::{CanaryStatus, Outcome, Phase};

/// A release that begins again under a hold of its start.
pub fn held(d: &Decision<'_>, to: Phase) -> bool {
    to == Phase::Waiting && !d.facts.policy.holds.start.is_empty()
}

pub fn no_start_under_a_hold(d: &Decision<'_>) -> bool {
    let started = |status: &CanaryStatus| {
        let release = status.release.as_ref();
        let release = release.filter(|release| release.outcome.is_none())?;
        let running = matches!(status.phase, Phase::Progressing | Phase::WaitingPromotion);
        running.then(|| (release.number, status.tracked_configs.clone()))
    };
    let after = started(&d.plan.status);
    let same = after.is_none() || after == started(d.before);
    d.facts.policy.holds.start.is_empty() || same || d.taken_over()
}

pub fn no_advance_under_a_hold(d: &Decision<'_>) -> bool {
    let back_to_its_step = d.release().is_some_and(|it| it.interrupted_at.is_some());
    let more = d.plan.status.canary_weight > d.before.canary_weight;
    let free = d.facts.policy.holds.advance.is_empty();
    free || !d.on_trial() || !more || back_to_its_step || d.taken_over()
}

pub fn no_promotion_under_a_hold(d: &Decision<'_>) -> bool {
    let starts = d.plan.status.phase == Phase::Promoting && d.before.phase != Phase::Promoting;
    let holds = &d.facts.policy.holds;
    let marks = d.plan.status.release.as_ref().map(|it| &it.passed);
    let agreed = marks.is_some_and(|marks| {
        let of_a_person = ["approved:promotion", "approved:full"];
        marks
            .iter()
            .any(|mark| of_a_person.contains(&mark.as_str()))
    });
    let readable = d.facts.policy.unreadable.is_none();
    !starts || readable && holds.promote.is_empty() && (holds.approval.is_empty() || agreed)
}

pub fn a_hold_keeps_no_rollback(d: &Decision<'_>) -> bool {
    let ended = |plan: &Plan| {
        let outcome = plan.status.release.as_ref().and_then(|it| it.outcome);
        outcome.filter(|outcome| matches!(outcome, Outcome::RolledBack | Outcome::Aborted))
    };
    let mut world = d.world.clone();
    world.policy = Governance::default();
    // The same answers would have to come once more.
    if !d.facts.answers.awaited.is_empty() {
        return true;
    }
    world.replies = Replies::AtOnce;
    let (_, free) = world.plan();
    let goes_back = ended(&free).is_some() && ended(&free) != d.release().and_then(|it| it.outcome);
    !goes_back || (ended(d.plan) == ended(&free) && d.plan.actions == free.actions)
}

/// As one policy holds it.
pub fn governance([start, advance, promote, approval]: [bool; 4]) -> Governance {
    let against = |held: bool, what: &str| {
        let objection = Objection {
            policy: "prod".to_owned(),
            enforcement: Enforcement::Deny,
            field: format!("spec.{what}"),
            message: "not now".to_owned(),
            until: None,
        };
        if held { vec![objection] } else { Vec::new() }
    };
    Governance {
        holds: Holds {
            start: against(start, "start"),
            advance: against(advance, "advance"),
            promote: against(promote, "promote"),
            approval: against(approval, "approval"),
            lock: false,
            edge: None,
        },
        request: Vec::new(),
        unreadable: None,
    }
}
