//! A promotion that failed, or that somebody does not want: everybody goes home, and the primary gets what it had.
//!
//! ```text
//!  Failed, recovering ─► as many home as it carries ─► primary given the promoted one ─► ready ─► drained
//!                                                        └─ not in its time: what is newer does not wait
//! ```

use jiff::SignedDuration;

use crate::message::Message;
use crate::release::draft::Draft;
use crate::release::facts::Readiness;
use crate::release::home::{keep_unanalysed_away, primary_with, routed_home, send_home, serves};
use crate::release::plan::Action;
use crate::status::AfterDrain;

/// In `release.passed`: the promotion failed, and the primary was given the promoted one again.
const RESTORED: &str = "restored";

/// Failed, with the primary on its way back to the promoted revision. People come first: sending them
/// home must not hang on the write of the primary.
pub fn recover(d: &mut Draft<'_>) {
    let (promoted, served) = (d.promoted().to_owned(), d.served());
    keep_unanalysed_away(d);
    let sent = send_home(d);
    if sent {
        routed_home(d);
    }
    let home = sent && d.facts.serving.primary > 0;
    if !d.has_passed(RESTORED) {
        d.act(Action::Promote(promoted));
        let now = d.now();
        d.release().rolling_since = Some(now);
        return d.pass(RESTORED);
    }
    let Some(primary) = primary_with(d, promoted) else {
        return;
    };
    if !home || !primary.is_ready() {
        return;
    }
    if d.status.drain.is_none() {
        d.say(Message::PrimaryRestored);
        return d.drain(served, AfterDrain::Recovered);
    }
    if d.drained(AfterDrain::Recovered) {
        d.status.drain = None;
        d.release().recovering = false;
        d.release().primary_pods = None;
        d.release().primary_size = None;
        if d.target().revision == d.released_revision() {
            d.scale_down();
        }
    }
}

/// The primary could not be put back in its time, or does not become ready in it: a newer revision is not made to
/// wait for it any longer.
pub fn gave_up(d: &mut Draft<'_>) -> bool {
    let promoted = d.promoted();
    if !d.has_passed(RESTORED) {
        return is_given_nothing(d);
    }
    let primary = d.facts.primary.as_ref();
    let Some(primary) = primary.filter(|primary| primary.revision == promoted) else {
        return false;
    };
    let stuck = matches!(primary.readiness, Readiness::Stuck(_));
    !serves(d, primary) && (stuck || d.past_deadline(primary))
}

/// The write that puts the primary back is refused for as long as a rollout may take: its template is lost, or
/// somebody does not let it be written.
fn is_given_nothing(d: &Draft<'_>) -> bool {
    let release = d.status.release.as_ref();
    let Some(since) = release.and_then(|release| release.ended_at) else {
        return false;
    };
    let time = SignedDuration::try_from(d.canary.progress_deadline());
    let end = since.saturating_add(time.unwrap_or(SignedDuration::MAX));
    end.is_ok_and(|end| end <= d.now())
}
