//! One step forward, by each of the three strategies.

use crate::canary::Strategy;
use crate::hook::HookKind;
use crate::message::{Approval, Message};
use crate::release::draft::Draft;
use crate::release::facts::Question;
use crate::release::gates;
use crate::release::holds::{self, Hold};
use crate::release::promotion;
use crate::release::weights::{Routes, next_weight};
use crate::status::Phase;

pub fn step(d: &mut Draft<'_>) -> Result<(), Question> {
    match d.canary.strategy() {
        Strategy::Canary => weighted(d),
        Strategy::BlueGreen => blue_green(d),
        Strategy::AbTesting => ab_testing(d),
    }
}

fn weighted(d: &mut Draft<'_>) -> Result<(), Question> {
    let current = d.release().interrupted_at.unwrap_or_else(|| d.weight());
    let Some(next) = next_weight(d.canary, current) else {
        return confirm_and_promote(d);
    };
    if !may_increase(d)? {
        return Ok(());
    }
    if d.route(Routes::to_canary(next)) {
        d.say(Message::AdvanceWeight(next));
        d.release().interrupted_at = None;
        d.begin_step();
    } else {
        d.schedule_next_check();
    }
    resume_progressing(d);
    Ok(())
}

/// Iterations with all traffic on the primary, then one with all of it on the canary.
fn blue_green(d: &mut Draft<'_>) -> Result<(), Question> {
    let of = d.canary.iterations();
    let done = d.status.iterations;
    if done < of {
        iterate(d, of);
        return Ok(());
    }
    if done > of {
        return confirm_and_promote(d);
    }
    if !confirmed(d)? {
        return Ok(());
    }
    if !d.has_traffic() {
        promotion::promote(d);
        return Ok(());
    }
    if !may_increase(d)? {
        return Ok(());
    }
    if d.route(Routes::ALL_CANARY) {
        d.say(Message::RoutingToCanary);
        d.status.iterations = of + 1;
        d.begin_step();
    } else {
        d.schedule_next_check();
    }
    resume_progressing(d);
    Ok(())
}

/// All matching traffic goes to the canary from the first iteration on.
fn ab_testing(d: &mut Draft<'_>) -> Result<(), Question> {
    let of = d.canary.iterations();
    if d.status.iterations >= of {
        return confirm_and_promote(d);
    }
    if d.weight() < 100 {
        if !may_increase(d)? {
            return Ok(());
        }
        if !d.route(Routes::ALL_CANARY) {
            d.schedule_next_check();
            return Ok(());
        }
    }
    iterate(d, of);
    Ok(())
}

fn iterate(d: &mut Draft<'_>, of: i64) {
    d.status.iterations += 1;
    let done = d.status.iterations;
    d.say(Message::AdvanceIteration { done, of });
    d.begin_step();
    resume_progressing(d);
}

/// Asked before the canary gets more traffic than it has.
fn may_increase(d: &mut Draft<'_>) -> Result<bool, Question> {
    if holds::is_held(d, Hold::Advance) {
        holds::check_again(d, Hold::Advance);
        return Ok(false);
    }
    // The policy that keeps it from being promoted is not told again after each step.
    let kept = holds::keeps_unanalysed(d).then(|| d.release().waiting_for.take());
    let (kind, approval) = (HookKind::ConfirmTrafficIncrease, Approval::TrafficIncrease);
    let open = gates::open(d, kind, approval)?;
    if open && let Some(gate) = kept {
        d.release().waiting_for = gate;
    }
    Ok(open)
}

fn confirmed(d: &mut Draft<'_>) -> Result<bool, Question> {
    if !agreed(d) {
        holds::check_again(d, Hold::Promote);
        return Ok(false);
    }
    let open = gates::open(d, HookKind::ConfirmPromotion, Approval::Promotion)?;
    if !open {
        d.set_phase(Phase::WaitingPromotion);
    }
    Ok(open)
}

/// Whether policies let the release be promoted; also one that nobody wants analysed.
pub fn agreed(d: &mut Draft<'_>) -> bool {
    let held = holds::is_held(d, Hold::Promote);
    if held {
        d.set_phase(Phase::WaitingPromotion);
    }
    !held
}

fn confirm_and_promote(d: &mut Draft<'_>) -> Result<(), Question> {
    if confirmed(d)? {
        promotion::promote(d);
    }
    Ok(())
}

fn resume_progressing(d: &mut Draft<'_>) {
    if d.phase() == Phase::WaitingPromotion && !holds::keeps_unanalysed(d) {
        d.set_phase(Phase::Progressing);
    }
}
