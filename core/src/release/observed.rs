//! Whether the Deployment controller has looked at what was written. Until it has, nothing is known of
//! a rollout: no clock runs, and nothing goes forward. Going back never waits for it.

use jiff::SignedDuration;

use crate::message::Message;
use crate::release::conditions::{self, NOT_OBSERVED};
use crate::release::draft::Draft;
use crate::release::facts::Workload;
use crate::release::promotion;
use crate::status::Phase;

/// A controller that keeps up looks within it: it is not worth a write of status.
const USUAL: SignedDuration = SignedDuration::from_secs(2);
/// People are told after it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// The workload whose rollout the release waits for.
fn awaited<'a>(d: &Draft<'a>) -> Option<&'a Workload> {
    let recovering = d
        .status
        .release
        .as_ref()
        .is_some_and(|release| release.recovering);
    match d.phase() {
        Phase::Progressing | Phase::WaitingPromotion => Some(d.target()),
        // What others write to it before we did is not waited for.
        Phase::Promoting if !d.has_passed(promotion::COPIED) => None,
        Phase::Promoting | Phase::Finalising => d.facts.primary.as_ref(),
        Phase::Failed if recovering => d.facts.primary.as_ref(),
        _ => None,
    }
}

/// Stops the clock of the rollout while it is unobserved, and says so when that takes long.
pub fn note(d: &mut Draft<'_>) {
    let unobserved = awaited(d).is_some_and(Workload::is_unobserved);
    if unobserved && !d.facts.target_gone {
        return wait(d);
    }
    d.clear_condition(NOT_OBSERVED);
    if let Some(release) = &mut d.status.release
        && release.unobserved_since.take().is_some()
    {
        // From the first look at which it was seen.
        release.rolling_since = None;
    }
}

fn wait(d: &mut Draft<'_>) {
    let now = d.now();
    let release = d.release();
    let since = release
        .unobserved_since
        .or(release.rolling_since)
        .unwrap_or(now);
    let late = now.duration_since(since) >= USUAL;
    if late || release.rolling_since.is_none() {
        release.unobserved_since = Some(since);
        release.rolling_since = None;
    }
    let told_at = since.saturating_add(PATIENCE).unwrap_or(now);
    if told_at > now {
        let next = since.saturating_add(USUAL).unwrap_or(now);
        return d.wake_at(if late { told_at } else { next });
    }
    let primary = matches!(
        d.phase(),
        Phase::Promoting | Phase::Finalising | Phase::Failed
    );
    let message = Message::NotObserved { primary };
    let text = message.text(d.canary);
    if conditions::get(&d.status, NOT_OBSERVED).is_none() {
        d.say(message);
    }
    d.condition(NOT_OBSERVED, "ControllerBehind", &text);
}
