//! The rules of a release: what is so, and what is to be done about it.
//!
//! ```text
//!            ┌──────────────── decide(&Canary, &Facts) ────────────────┐
//!   caches ─►│ Facts                                                   │─► Plan: actions, status, wake
//!            └───────────────────────────┬─────────────────────────────┘
//!                         Err(Question) ◄┘   the driver answers, and it decides again
//!
//!  New ─► Initializing ─► Initialized ◄───────────────────────────────┐ (at rest)
//!                             │ new revision                          │
//!          Waiting ◄─ gate ───┤                                       │
//!             └───────────────┴─► Progressing ◄─► WaitingPromotion    │
//!                                   │       │                         │
//!                     checks failed │       │ last step passed        │
//!                                   ▼       ▼                         │
//!                                Failed  Promoting ─► Finalising ─► Succeeded
//!                                   ▲       │ primary never ready
//!                                   └───────┘
//! ```
//! Nothing here knows a clock, an environment or chance: all of it arrives in [`Facts`].

mod analysis;
mod begin;
mod change;
pub mod conditions;
mod draft;
mod drift;
pub mod facts;
mod gates;
mod holds;
mod initialize;
mod metrics;
mod pauses;
pub mod plan;
mod promotion;
mod providers;
pub mod readiness;
mod requests;
mod stranded;
mod strategy;
mod takeover;
mod terminate;
#[cfg(test)]
mod tests;
pub mod weights;
mod worst;

use jiff::Timestamp;

pub use facts::{
    Answers, Facts, Governance, Measured, Question, Readiness, Serving, Settings, Wait, Wish,
    Workload,
};
pub use gates::is_gate_passed;
pub use pauses::FOR as PAUSE_FOR;
pub use plan::{Action, Ended, Plan};
pub use terminate::{Leaving, terminate};
pub use weights::Routes;
pub use worst::worst;

use crate::canary::Canary;
use crate::message::Message;
use crate::status::Phase;
use draft::Draft;

/// Decides what is to be done now. Pure: the same canary and facts give the same plan, so a tick
/// that is run again after a crash does nothing new.
pub fn decide(canary: &Canary, facts: &Facts) -> Result<Plan, Question> {
    let mut d = Draft::new(canary, facts);
    gates::forget_urls(&mut d);
    look(&mut d)?;
    holds::remember_glass(&mut d);
    Ok(d.finish())
}

fn look(d: &mut Draft<'_>) -> Result<(), Question> {
    if takeover::needed(d) {
        return takeover::take_over(d);
    }
    let suspended = d.canary.suspended();
    d.clear_condition_of(conditions::READY, "Suspended", suspended);
    if suspended && d.phase() != Phase::New {
        begin::suspended(d);
        requests::refuse_all(d, "the Canary is suspended");
        return Ok(());
    }
    if d.phase() != Phase::New && change::rebaseline(d) {
        return Ok(());
    }
    d.clear_problem();
    holds::notice_glass(d);
    pauses::expire(d);
    if !requests::serve(d)? {
        by_phase(d)?;
    }
    d.hold_weight();
    Ok(())
}

fn by_phase(d: &mut Draft<'_>) -> Result<(), Question> {
    match d.phase() {
        Phase::New => return initialize::adopt(d),
        Phase::Initializing => initialize::initializing(d),
        Phase::Initialized | Phase::Succeeded | Phase::Failed => return begin::at_rest(d),
        Phase::Waiting => return begin::waiting(d),
        Phase::Progressing | Phase::WaitingPromotion => return analysis::progressing(d),
        Phase::Promoting => promotion::promoting(d),
        Phase::Finalising => promotion::finalising(d),
        // The finalizer's own plan: see `terminate`.
        Phase::Terminating | Phase::Terminated => {}
    }
    Ok(())
}

/// Something outside keeps the Canary from being acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word for the condition: `TargetNotFound`, `RouteInvalid`, `Forbidden`, …
    pub reason: &'static str,
    pub message: String,
}

/// What a problem comes to: said once, kept as condition `Ready` = `False`, and nothing touched.
pub fn hindered(canary: &Canary, problem: &Problem, now: Timestamp) -> Plan {
    let mut status = canary.status.clone().unwrap_or_default();
    let before = status.clone();
    if status.conditions.is_empty() {
        status.phase = if status.phase == Phase::New {
            Phase::Initializing
        } else {
            status.phase
        };
        conditions::set_promoted(&mut status, &canary.spec.target_ref.kind, now);
        // Not begun: the phase is for Flagger's readers, the baseline is still to be taken.
        status.phase = before.phase;
    }
    let known = conditions::get(&status, conditions::READY)
        .is_some_and(|old| old.message == problem.message);
    conditions::set(
        &mut status,
        conditions::READY,
        problem.reason,
        &problem.message,
        now,
    );
    let actions = if known {
        Vec::new()
    } else {
        vec![Action::Say(Message::Problem(problem.message.clone()))]
    };
    if status != before {
        status.last_transition_time = Timestamp::from_second(now.as_second()).ok();
        status.observed_generation = canary.metadata.generation;
    }
    Plan {
        actions,
        status,
        wake: None,
        ended: None,
        checked: false,
    }
}
