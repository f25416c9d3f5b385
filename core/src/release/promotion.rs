//! The end of a release: promotion, rollback, and the promotion that fails.
//!
//! ```text
//!  promote ─► Promoting ─► primary ready ─► route to it ─► Finalising ─► drained ─► Succeeded
//!                 └─► deadline ─► canary serves all, Failed ─► old primary ready ─► route to it
//!  roll_back ─► route to primary ─► drained ─► canary scaled down ─► Failed
//! ```
//! Status says what is about to happen to the primary before it happens: after a crash nobody can
//! take a primary that was given the new revision for one that still has the old.

use crate::message::{Message, RollbackReason};
use crate::release::change::{Change, change};
use crate::release::draft::Draft;
use crate::release::facts::{Readiness, Workload};
use crate::release::home::{
    keep_unanalysed_away, primary_with, routed_home, send_home, serves, share,
};
use crate::release::plan::Action;
use crate::release::weights::{Routes, next_promotion_weight};
use crate::status::{AfterDrain, Outcome, Phase};

/// In `release.passed`: a person asked for the promotion without further analysis.
pub const FULL: &str = "approved:full";
/// In `release.passed`: the primary was given the released revision.
pub const COPIED: &str = "copied";
/// A person, or the spec, wants no (further) analysis.
pub fn unanalysed(d: &Draft<'_>) -> bool {
    d.canary.skip_analysis() || d.has_passed(FULL)
}

pub fn promote(d: &mut Draft<'_>) {
    d.say(Message::Copying);
    // Known before anything is written: after a crash it could not be told any more.
    let pods = d.facts.primary.as_ref().map(|primary| primary.ready);
    let size = d.facts.primary.as_ref().map(|primary| primary.replicas);
    let now = d.now();
    let release = d.release();
    release.primary_pods = pods;
    release.primary_size = size;
    // Also a primary that cannot be given it has its time.
    release.rolling_since = Some(now);
    release.next_check_at = None;
    release.step_since = None;
    release.waiting_for = None;
    release.interrupted_at = None;
    release.message = String::new();
    d.set_phase(Phase::Promoting);
}

pub fn promoting(d: &mut Draft<'_>) {
    if d.facts.target_gone {
        return withdraw(d, RollbackReason::TargetGone);
    }
    if change(d) == Change::BackToPromoted {
        return withdraw(d, RollbackReason::SetBack);
    }
    keep_unanalysed_away(d);
    let revision = d.released_revision().to_owned();
    if !d.has_passed(COPIED) {
        if d.is_suspended() {
            // It is nobody's fault but ours that it is not given it.
            d.release().rolling_since = None;
        } else if d.had_its_time() {
            let problem = d.facts.problems.first();
            let why = problem.map_or("it could not be changed", |problem| &problem.message);
            fail_promotion(d, why);
        } else if !d.is_hindered() {
            copy(d, revision);
        }
        return;
    }
    let Some(primary) = promoted_primary(d, revision) else {
        return;
    };
    if !primary_failed(d, primary) && serves(d, primary) {
        d.release().rolling_since = None;
        if !d.is_suspended() {
            shift_back(d);
        }
    }
}

/// Gives the primary the released revision.
fn copy(d: &mut Draft<'_>, revision: String) {
    let now = d.now();
    // Its time runs from here, unless nobody looks at it.
    d.release().rolling_since = Some(now);
    d.act(Action::Promote(revision));
    d.pass(COPIED);
}

/// Gives a primary that somebody changed its revision again. True if it had another.
pub fn hold_primary(d: &mut Draft<'_>) -> bool {
    let promoted = d.promoted();
    let changed = d
        .facts
        .primary
        .as_ref()
        .is_some_and(|primary| primary.revision != promoted);
    if changed {
        let promoted = promoted.to_owned();
        d.act(Action::Promote(promoted));
    }
    changed
}

/// The same on the way forward, where nothing is given to it while the Canary is suspended.
fn promoted_primary<'a>(d: &mut Draft<'a>, revision: String) -> Option<&'a Workload> {
    let primary = d.facts.primary.as_ref();
    if d.is_suspended() && primary.is_none_or(|primary| primary.revision != revision) {
        return None;
    }
    primary_with(d, revision)
}

/// The primary has the new revision and is ready: traffic returns to it, at once or in steps.
fn shift_back(d: &mut Draft<'_>) {
    let weight = d.weight();
    let skipped = weight == 0 && d.status.iterations == 0;
    let steps = d.canary.step_weight_promotion() > 0 && weight > 0;
    if !steps {
        if !d.route(Routes::ALL_PRIMARY) {
            return;
        }
        if d.has_traffic() && !skipped {
            d.say(Message::RoutingToPrimary);
        }
        let served = d.served();
        return finalise(d, served);
    }
    let now = d.now();
    if let Some(due) = d.release().next_check_at.filter(|due| *due > now) {
        return d.wake_at(due);
    }
    let next = next_promotion_weight(d.canary, weight);
    if d.route(Routes::to_canary(next)) {
        d.say(Message::AdvancePrimary(100 - next));
        if next == 0 {
            return finalise(d, true);
        }
    }
    d.schedule_next_check();
}

fn finalise(d: &mut Draft<'_>, drain: bool) {
    d.drain(drain, AfterDrain::Succeeded);
    d.release().next_check_at = None;
    d.set_phase(Phase::Finalising);
}

pub fn finalising(d: &mut Draft<'_>) {
    if change(d) == Change::BackToPromoted {
        return withdraw(d, RollbackReason::SetBack);
    }
    let revision = d.released_revision().to_owned();
    let Some(primary) = promoted_primary(d, revision) else {
        return;
    };
    if primary_failed(d, primary) {
        return;
    }
    // Routed anew even where nobody strayed: a crash may have kept the weight from being stored.
    let strayed = d.routed() > 0;
    if !d.route(Routes::ALL_PRIMARY) {
        return;
    }
    if strayed || d.status.drain.is_none() {
        // Somebody sent people to the canary, who have just been brought back.
        d.drain(true, AfterDrain::Succeeded);
    }
    if !d.drained(AfterDrain::Succeeded) || !serves(d, primary) || d.is_suspended() {
        return;
    }
    let skipped = d.canary.skip_analysis();
    // A revision that arrived meanwhile is the next release, and needs its pods.
    if d.target().revision == d.released_revision() {
        d.scale_down();
    }
    d.say(if skipped {
        Message::PromotionCompletedSkipped
    } else {
        Message::PromotionCompleted
    });
    d.status.last_promoted_spec = Some(d.released_revision().to_owned());
    d.status.canary_weight = 0;
    d.status.iterations = 0;
    // It was for the way back only.
    d.release().primary_pods = None;
    d.release().primary_size = None;
    d.end(Outcome::Promoted);
    d.set_phase(Phase::Succeeded);
    d.tell_end(Phase::Succeeded, skipped);
}

/// Ends a promotion whose primary does not become ready in time.
fn primary_failed(d: &mut Draft<'_>, primary: &Workload) -> bool {
    let why = match &primary.readiness {
        Readiness::Ready if serves(d, primary) => return false,
        Readiness::Ready => "none of its pods can be reached".to_owned(),
        Readiness::Waiting(wait) => wait.to_string(),
        Readiness::Stuck(why) => {
            fail_promotion(d, why);
            return true;
        }
    };
    let late = d.past_deadline(primary);
    if late {
        fail_promotion(d, &why);
    }
    late
}

/// The canary, which was analysed, serves everybody while the primary is put back.
fn fail_promotion(d: &mut Draft<'_>, why: &str) {
    d.say(Message::PromotionFailed(why.to_owned()));
    let canary_is_sound = d.target().is_ready() && d.target().revision == d.released_revision();
    if canary_is_sound && share(d) < 100 {
        d.route(Routes::ALL_CANARY);
    } else {
        d.route(Routes::ALL_PRIMARY);
    }
    why.clone_into(&mut d.release().message);
    put_back(d, Outcome::PromotionFailed);
}

/// A person does not want the promotion that is under way, or has set the target back: nobody is sent to the new
/// revision.
pub fn withdraw(d: &mut Draft<'_>, reason: RollbackReason) {
    let outcome = match reason {
        RollbackReason::SetBack => Outcome::Aborted,
        _ => Outcome::RolledBack,
    };
    let message = Message::RollingBack(reason);
    d.release().message = message.text(d.canary);
    d.say(message);
    send_home(d);
    put_back(d, outcome);
}

fn put_back(d: &mut Draft<'_>, outcome: Outcome) {
    d.release().recovering = true;
    failed(d, outcome);
}

/// Says why, and sends everybody to the primary; the canary goes once connections have drained.
pub fn roll_back(d: &mut Draft<'_>, reason: RollbackReason, outcome: Outcome) {
    let release = d.release();
    release.outcome = Some(outcome);
    release.next_check_at = None;
    release.message = reason.why();
    d.say(Message::RollingBack(reason));
    go_back(d, outcome);
}

/// Goes on with a rollback that was decided: by an earlier tick, or just now.
pub fn go_back(d: &mut Draft<'_>, outcome: Outcome) {
    let served = d.served();
    if !d.route(Routes::ALL_PRIMARY) {
        // The primary has no ready pods: a change of its readiness wakes us. A newer revision is
        // not made to wait for that.
        if change(d) == Change::New {
            failed(d, outcome);
        }
        return;
    }
    routed_home(d);
    // The decision is stored before pods go: without them it could not be made again.
    if d.status.drain.is_none() {
        return d.drain(served, AfterDrain::Failed);
    }
    if !d.drained(AfterDrain::Failed) {
        return;
    }
    d.say(Message::CanaryFailed);
    // A revision that arrived meanwhile is the next release, and needs its pods.
    if d.target().revision == d.released_revision() || d.target().revision == d.promoted() {
        d.scale_down();
    }
    d.status.canary_weight = 0;
    d.status.iterations = 0;
    failed(d, outcome);
}

/// At rest with traffic on the canary: a newer revision cut a rollback short, and was then taken
/// back itself. True until that is over.
pub fn go_back_late(d: &mut Draft<'_>) -> bool {
    if d.weight() > 0 {
        let served = d.served();
        if d.route(Routes::ALL_PRIMARY) {
            d.drain(served, AfterDrain::Failed);
        }
        return true;
    }
    if d.status.drain.is_none() {
        return false;
    }
    if d.drained(AfterDrain::Failed) {
        d.status.drain = None;
        d.scale_down();
    }
    true
}

fn failed(d: &mut Draft<'_>, outcome: Outcome) {
    d.end(outcome);
    d.set_phase(Phase::Failed);
    d.tell_end(Phase::Failed, false);
}
