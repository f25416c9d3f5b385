//! The rules of a release: what is so, and what is to be done about it.
//!
//! ```text
//!            ┌──────────────── decide(&Canary, &Facts) ────────────────┐
//!   caches ─►│ Facts                                                   │─► Plan: actions, status, wake
//!            └───────────────────────────┬─────────────────────────────┘
//!                         Err(Question) ◄┘   the driver asks, and it decides again: with the answer, or
//!                                            while it is awaited without what needs it
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
mod awaited;
mod begin;
mod change;
pub mod conditions;
mod draft;
mod drift;
pub mod facts;
mod gates;
mod hindrance;
mod holds;
mod home;
pub mod in_force;
mod initialize;
mod metrics;
mod observed;
mod pauses;
pub mod plan;
mod promotion;
mod providers;
mod put_back;
mod reach;
pub mod readiness;
mod requests;
mod sizes;
mod stranded;
mod strategy;
mod suspended;
mod takeover;
mod terminate;
#[cfg(test)]
mod tests;
pub mod weights;
mod worst;

pub use facts::{
    Answers, Awaited, Facts, Governance, Measured, Problem, Question, Readiness, Serving, Settings,
    Wait, WentBack, Wish, Workload,
};
pub use gates::is_gate_passed;
pub use hindrance::{undone, untouched};
pub use pauses::FOR as PAUSE_FOR;
pub use plan::{Action, Ended, Plan};
pub use requests::GOING_BACK;
pub use terminate::{Leaving, terminate};
pub use weights::Routes;
pub use worst::worst;

use crate::canary::Canary;
use crate::status::Phase;
use draft::Draft;

/// Decides what is to be done now. Pure: the same canary and facts give the same plan, so a tick
/// that is run again after a crash does nothing new.
pub fn decide(canary: &Canary, facts: &Facts) -> Result<Plan, Question> {
    let mut d = Draft::new(canary, facts);
    gates::forget_urls(&mut d);
    look(&mut d)?;
    holds::remember_glass(&mut d);
    sizes::note(&mut d);
    Ok(d.finish())
}

fn look(d: &mut Draft<'_>) -> Result<(), Question> {
    if takeover::needed(d) && !d.facts.target_gone {
        awaited::answered(d, takeover::take_over)?;
        return Ok(());
    }
    d.clear_condition_of(conditions::READY, "Suspended", d.canary.suspended());
    if d.is_suspended() {
        suspended::note(d);
        if suspended::is_at_rest(d) {
            requests::refuse_all(d, suspended::REFUSED);
            return Ok(());
        }
    }
    if d.phase() != Phase::New && !d.facts.target_gone && change::rebaseline(d) {
        return Ok(());
    }
    if !d.is_suspended() {
        hindrance::note(d);
        holds::notice_glass(d);
        pauses::expire(d);
    }
    observed::note(d);
    awaited::note(d);
    if awaited::answered(d, requests::serve)? != Some(true) {
        awaited::answered(d, by_phase)?;
    }
    d.hold_weight();
    Ok(())
}

fn by_phase(d: &mut Draft<'_>) -> Result<(), Question> {
    match d.phase() {
        // Adoption only goes forward.
        Phase::New | Phase::Initializing if d.is_hindered() => {}
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
