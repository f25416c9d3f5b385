//! From a Canary that nobody has looked at to one whose primary serves.
//!
//! ```text
//!  adopt ─► baseline ─► primary ready ─► Services and route point at it ─► drained ─► Initialized
//!              ▲              │ never, and there is a newer template
//!              └──────────────┘
//! ```

use crate::message::Message;
use crate::release::change::{Change, change, observe_target};
use crate::release::conditions::{self, BASELINE_REPLACED};
use crate::release::draft::Draft;
use crate::release::facts::{Question, Readiness};
use crate::release::plan::Action;
use crate::release::{in_force, providers};
use crate::revision::changed_images;
use crate::status::{AfterDrain, CanaryStatus, Phase};

/// First sight: the template as it stands is the baseline. A primary of this Canary that serves another one
/// is from before its status was lost: that is what was promoted, and the target has what was not.
pub fn adopt(d: &mut Draft<'_>) -> Result<(), Question> {
    providers::first(d)?;
    if let Some(promoted) = served(d).filter(|served| *served != d.target().revision) {
        based_on(d, promoted);
    } else {
        baseline(d);
        warn_of_failed(d);
    }
    d.set_phase(Phase::Initializing);
    Ok(())
}

/// The revision of a primary that serves.
fn served(d: &Draft<'_>) -> Option<String> {
    let primary = d.facts.primary.as_ref()?;
    let serves = !primary.revision.is_empty() && primary.ready > 0;
    serves.then(|| primary.revision.clone())
}

/// The spec names another target than the one that was adopted: it is adopted in its place. Whoever is
/// served now goes on being served by the old primary until the new one is ready.
pub fn another_target(d: &mut Draft<'_>) -> Result<bool, Question> {
    let adopted = d.status.in_force.as_ref().map(|names| &names.target);
    if adopted.is_none_or(|adopted| adopted == d.canary.target_name()) {
        return Ok(false);
    }
    d.status = CanaryStatus {
        events: d.status.events.clone(),
        history: d.status.history.clone(),
        last_request: d.status.last_request.clone(),
        release: d.status.release.clone(),
        conditions: d.status.conditions.clone(),
        ..CanaryStatus::default()
    };
    adopt(d)?;
    Ok(true)
}

fn baseline(d: &mut Draft<'_>) {
    let revision = d.target().revision.clone();
    d.act(Action::Record(revision.clone()));
    based_on(d, revision);
}

/// Nothing else is left that could be served: who knows better has to know at once.
fn warn_of_failed(d: &mut Draft<'_>) {
    d.clear_condition(conditions::BASELINE_FAILED);
    let Some(failed) = &d.target().failed else {
        return;
    };
    let message = Message::BaselineFailed {
        number: failed.number,
        promoted: changed_images(d.target().images.clone(), failed.images.clone()),
    };
    let text = message.text(d.canary);
    d.condition(conditions::BASELINE_FAILED, "WentBack", &text);
    d.say(message);
}

fn based_on(d: &mut Draft<'_>, revision: String) {
    d.status.in_force = Some(in_force::of(d.canary, &d.target().labels));
    d.status.last_applied_spec = Some(revision.clone());
    d.status.last_promoted_spec = Some(revision);
    d.status.tracked_configs = Some(d.facts.configs.clone());
    observe_target(d);
}

/// Make before break: the primary is ready, then Services and route point at it, and only when its
/// addresses serve and connections have drained is the target scaled away.
pub fn initializing(d: &mut Draft<'_>) {
    let Some(primary) = &d.facts.primary else {
        return;
    };
    let replaced = conditions::get(&d.status, conditions::READY)
        .is_some_and(|ready| ready.reason == BASELINE_REPLACED);
    if !replaced && let Some(promoted) = served(d).filter(|served| *served != d.promoted()) {
        // It has become ours since the target was taken for the baseline, and serves what was promoted.
        d.clear_condition(conditions::BASELINE_FAILED);
        return based_on(d, promoted);
    }
    if replaced || primary.revision != d.promoted() {
        // The other case: it is Flagger's, or never started. What was said of it stays, or it would be said
        // again.
        d.clear_condition_of(conditions::READY, BASELINE_REPLACED, false);
        let promoted = d.promoted().to_owned();
        return d.act(Action::Promote(promoted));
    }
    if overtaken(d) {
        return replace_baseline(d);
    }
    if let Readiness::Stuck(why) = &primary.readiness {
        return baseline_stuck(d, why);
    }
    if !primary.is_ready() || primary.ready == 0 || d.facts.serving.primary == 0 {
        return;
    }
    // Some are still sent to the target where a status was lost in mid-release.
    let split = d.facts.routes.is_some_and(|routes| routes.canary > 0);
    if !d.facts.serving.pointed || split {
        let someone_was_served = (d.facts.serving.adopted || split) && d.target().replicas > 0;
        d.act(Action::Point);
        return d.drain(someone_was_served, AfterDrain::Initialized);
    }
    if d.status.drain.is_none() {
        // A crash came after pointing: who was served before is not known any more.
        d.drain(d.target().replicas > 0, AfterDrain::Initialized);
    }
    if d.facts.serving.apex == 0 || !d.drained(AfterDrain::Initialized) {
        return;
    }
    d.status.drain = None;
    d.clear_condition(conditions::READY);
    d.scale_down();
    d.say(Message::Initialized);
    d.status.canary_weight = 0;
    d.status.iterations = 0;
    d.set_phase(Phase::Initialized);
}

/// A newer template has pods that are ready while those of the baseline are not: it is the fix that
/// somebody waits for, and serves whoever is served at all.
fn overtaken(d: &Draft<'_>) -> bool {
    let target = d.target();
    let without_pods = d.facts.primary.as_ref().is_some_and(|it| it.ready == 0);
    without_pods && target.revision != d.promoted() && target.is_ready() && target.ready > 0
}

/// A baseline that never starts must not hold the fix hostage: until something serves, the newest
/// template, with its newest configuration, is the baseline.
fn baseline_stuck(d: &mut Draft<'_>, why: &str) {
    if change(d) != Change::None {
        return replace_baseline(d);
    }
    let first = conditions::get(&d.status, conditions::READY).is_none();
    d.condition(conditions::READY, "PrimaryNotReady", why);
    if first {
        d.say(Message::PrimaryNotReady(why.to_owned()));
    }
}

/// Stored before the primary gets it: a primary that has the new baseline is never taken for one
/// from an earlier life.
fn replace_baseline(d: &mut Draft<'_>) {
    baseline(d);
    d.clear_condition(conditions::BASELINE_FAILED);
    d.status.drain = None;
    let text = Message::BaselineReplaced.text(d.canary);
    d.clear_condition(conditions::READY);
    d.condition(conditions::READY, BASELINE_REPLACED, &text);
    d.say(Message::BaselineReplaced);
}
