//! From a Canary at rest to a release that runs.

use crate::hook::HookKind;
use crate::message::{Approval, Message, RollbackReason};
use crate::release::change::{Change, change, observe_target};
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::facts::Question;
use crate::release::holds::{self, Hold};
use crate::release::plan::Action;
use crate::release::weights::Routes;
use crate::release::{
    drift, gates, in_force, initialize, promotion, providers, put_back, stranded,
};
use crate::revision::changed_images;
use crate::status::{AfterDrain, ImageChange, Outcome, Phase, Release};

pub fn at_rest(d: &mut Draft<'_>) -> Result<(), Question> {
    if d.status
        .release
        .as_ref()
        .is_some_and(|release| release.recovering)
        && !(change(d) == Change::New && put_back::gave_up(d) && !d.is_hindered())
    {
        put_back::recover(d);
        return Ok(());
    }
    if d.is_hindered() {
        promotion::go_back_late(d);
        return Ok(());
    }
    if initialize::another_target(d)? {
        return Ok(());
    }
    d.observe_generation();
    match change(d) {
        Change::None => {
            if promotion::go_back_late(d) {
                return Ok(());
            }
            if !promotion::hold_primary(d) {
                drift::hold_at_zero(d);
            }
            providers::again(d)
        }
        Change::BackToPromoted => {
            back_to_promoted(d);
            Ok(())
        }
        // Who is asked may take a while: people do not wait on the canary of the release before.
        Change::New if d.weight() > 0 && d.route(Routes::ALL_PRIMARY) => Ok(()),
        Change::New => start(d),
    }
}

fn back_to_promoted(d: &mut Draft<'_>) {
    take_as_applied(d);
    if !promotion::go_back_late(d) {
        d.scale_down();
    }
}

fn take_as_applied(d: &mut Draft<'_>) {
    d.status.last_applied_spec = Some(d.target().revision.clone());
    d.status.iterations = 0;
    observe_target(d);
}

/// A new revision: gates first, then the canary is scaled up.
pub fn start(d: &mut Draft<'_>) -> Result<(), Question> {
    let waiting = d.phase() == Phase::Waiting;
    if !(waiting && d.released_revision() == d.target().revision) {
        if waiting {
            d.end(Outcome::Superseded);
        }
        open_release(d);
    }
    through_the_gates(d)
}

/// The failed revision once more, as a release of its own.
pub fn retry(d: &mut Draft<'_>) -> Result<(), Question> {
    // The target was scaled away since: what somebody wanted is not in it any more.
    let wanted = d.release().replicas;
    open_release(d);
    d.release().replicas = wanted;
    d.pass(RETRIED);
    through_the_gates(d)
}

fn through_the_gates(d: &mut Draft<'_>) -> Result<(), Question> {
    let held = holds::is_held(d, Hold::Start);
    if held {
        // Nothing is asked meanwhile: the hold's end wakes us.
        d.release().next_check_at = None;
    }
    if held || !gates::open(d, HookKind::ConfirmRollout, Approval::Rollout)? {
        wait(d);
    } else {
        scale_up(d);
    }
    Ok(())
}

fn wait(d: &mut Draft<'_>) {
    d.status
        .tracked_configs
        .get_or_insert_with(|| d.facts.configs.clone());
    // As when it starts: what was left on the canary does not wait with it.
    d.route(Routes::ALL_PRIMARY);
    d.set_phase(Phase::Waiting);
}

/// The new phase, once nothing holds the release any more; pods come with the next look. The target's own
/// rollout is under way, and a scale that lost to it would keep people waiting for a sign of life.
fn scale_up(d: &mut Draft<'_>) {
    let revision = d.target().revision.clone();
    d.act(Action::Record(revision.clone()));
    d.say(Message::NewRevision);
    applied(d, revision);
    d.route(Routes::ALL_PRIMARY);
    stranded::note(d);
    let now = d.now();
    let release = d.release();
    release.rolling_since = Some(now);
    // It was the time to ask a gate again; the analysis has its own.
    release.next_check_at = None;
    release.waiting_for = None;
    release.message = String::new();
    d.set_phase(Phase::Progressing);
}

fn applied(d: &mut Draft<'_>, revision: String) {
    d.status.last_applied_spec = Some(revision);
    d.status.tracked_configs = Some(d.facts.configs.clone());
    d.status.failed_checks = 0;
    d.status.iterations = 0;
    d.status.drain = None;
    d.status.drift = None;
    d.clear_condition(conditions::DRIFT);
    d.clear_condition(conditions::READY);
    d.clear_condition(conditions::HALTED);
    observe_target(d);
}

fn open_release(d: &mut Draft<'_>) {
    let number = d
        .status
        .release
        .as_ref()
        .map_or(0, |release| release.number)
        + 1;
    // Of connections that it finds open, somebody has to wait for the end.
    let peak_weight = d.weight().max(undrained(d));
    let target = d.target();
    d.status.release = Some(Release {
        number,
        revision: target.revision.clone(),
        from: d.promoted().to_owned(),
        images: image_changes(d),
        by: target.changed_by.clone(),
        started_at: d.now(),
        peak_weight,
        ..Release::default()
    });
    d.status.in_force = Some(in_force::of(d.canary, &d.target().labels));
    holds::open(d);
}

/// What the release before had, if its pods still run: it was not promoted, and has not drained yet.
fn undrained(d: &Draft<'_>) -> i64 {
    let before = d.status.release.as_ref();
    let before = before.filter(|release| release.outcome != Some(Outcome::Promoted));
    let runs = d.target().replicas > 0;
    before
        .filter(|_| runs)
        .map_or(0, |release| release.peak_weight)
}

fn image_changes(d: &Draft<'_>) -> Vec<ImageChange> {
    let primary = d.facts.primary.as_ref();
    let old = primary.map(|primary| primary.images.clone());
    changed_images(old.unwrap_or_default(), d.target().images.clone())
}

pub fn waiting(d: &mut Draft<'_>) -> Result<(), Question> {
    if let Some(outcome) = d.release().outcome {
        promotion::go_back(d, outcome);
        return Ok(());
    }
    if d.facts.target_gone {
        promotion::roll_back(d, RollbackReason::TargetGone, Outcome::RolledBack);
        return Ok(());
    }
    if d.release().paused.is_some() {
        return Ok(());
    }
    if d.weight() > 0 && d.route(Routes::ALL_PRIMARY) {
        d.say(Message::PrimaryServesAgain);
        return Ok(());
    }
    if d.is_hindered() {
        return Ok(());
    }
    let retried = d.has_passed(RETRIED);
    let nothing_left = match change(d) {
        Change::BackToPromoted => true,
        Change::None => d.target().revision == d.promoted() && !retried,
        Change::New => false,
    };
    if nothing_left {
        give_up_waiting(d);
        return Ok(());
    }
    let due = d
        .status
        .release
        .as_ref()
        .and_then(|release| release.next_check_at);
    let same = d.released_revision() == d.target().revision;
    if let Some(due) = due
        && same
        && !d.facts.answers.news
        && due > d.now()
    {
        d.wake_at(due);
        return Ok(());
    }
    start(d)
}

/// What waited was taken back. Pods that people were on go once their connections have drained.
fn give_up_waiting(d: &mut Draft<'_>) {
    let served = d.served();
    d.end(Outcome::Aborted);
    take_as_applied(d);
    if served {
        d.drain(true, AfterDrain::Failed);
    } else {
        d.scale_down();
    }
    d.set_phase(Phase::Initialized);
}

/// The target changed while its canary was analysed: from the beginning, with the new revision.
pub fn restart(d: &mut Draft<'_>) {
    d.route(Routes::ALL_PRIMARY);
    let revision = d.target().revision.clone();
    let now = d.now();
    if d.released_revision() == revision {
        // Its configuration is another: whatever it got past was for the old one.
        d.release().passed = Vec::new();
    } else {
        d.end(Outcome::Superseded);
        open_release(d);
    }
    let release = d.release();
    release.rolling_since = Some(now);
    release.step_since = None;
    release.next_check_at = None;
    release.interrupted_at = None;
    release.waiting_for = None;
    release.checks = Vec::new();
    release.message = String::new();
    // Admission refuses a new template in a freeze; what it does not see waits as if it came alone.
    if holds::is_held(d, Hold::Start) {
        d.status.iterations = 0;
        return wait(d);
    }
    d.act(Action::Record(revision.clone()));
    d.say(Message::RestartingAnalysis);
    applied(d, revision);
    stranded::note(d);
    d.set_phase(Phase::Progressing);
}

/// The target was set back to what the primary runs: nothing is left to release.
pub fn abort(d: &mut Draft<'_>) {
    d.status.last_applied_spec = Some(d.target().revision.clone());
    observe_target(d);
    promotion::roll_back(d, RollbackReason::SetBack, Outcome::Aborted);
}

/// In `release.passed`: a person wants the failed revision tried again.
pub const RETRIED: &str = "retried";
