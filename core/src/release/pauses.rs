//! A release that a person holds: with an end, or until they resume it.

use jiff::{SignedDuration, Timestamp};

use crate::canary::duration;
use crate::message::Message;
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::facts::Wish;
use crate::request::Request;
use crate::status::{Pause, RequestOutcome};

/// The option of a `pause` that gives it an end.
pub const FOR: &str = "for";

/// Holds the release: what is said of it, or why it cannot be read.
pub fn begin(
    d: &mut Draft<'_>,
    request: &Request,
    wish: &Wish,
    by: &str,
) -> Result<String, (RequestOutcome, String)> {
    let until = end(d, request)?;
    let now = d.now();
    let release = d.release();
    let remaining = release
        .next_check_at
        .map_or(SignedDuration::ZERO, |due| due.duration_since(now));
    release.paused = Some(Pause {
        since: now,
        until,
        remaining_ms: i64::try_from(remaining.as_millis()).unwrap_or(0).max(0),
        by: wish.by.clone(),
        reason: wish.reason.clone(),
    });
    release.next_check_at = None;
    let message = Message::Paused {
        by: by.to_owned(),
        reason: wish.reason.clone().unwrap_or_default(),
    };
    d.condition(conditions::PAUSED, "Requested", &message.text(d.canary));
    d.say(message);
    let until = until.map_or(String::new(), |until| format!(" until {until}"));
    Ok(format!("paused at weight {}{until}", d.weight()))
}

/// When it goes on by itself. A whole second, since that is what people are told.
fn end(d: &Draft<'_>, request: &Request) -> Result<Option<Timestamp>, (RequestOutcome, String)> {
    let Some(text) = request.options.get(FOR) else {
        return Ok(None);
    };
    let Some(length) = duration(text).filter(|length| !length.is_zero()) else {
        return Err((
            RequestOutcome::Malformed,
            format!("option {FOR}: {text} is no duration: write it as 90s, 30m or 1h30m"),
        ));
    };
    let at = d.after(length);
    Ok(Some(Timestamp::from_second(at.as_second()).unwrap_or(at)))
}

/// Lets it go on: with what was left of its dwell. False if nothing is paused.
pub fn resume(d: &mut Draft<'_>, message: Message) -> bool {
    let now = d.now();
    let paused = d.status.release.as_mut().and_then(|it| it.paused.take());
    let Some(pause) = paused else {
        return false;
    };
    d.clear_condition(conditions::PAUSED);
    d.say(message);
    let due = now
        .saturating_add(SignedDuration::from_millis(pause.remaining_ms))
        .unwrap_or(now);
    // What had no time set when it was paused has none now: it waits for pods, or is due.
    if pause.remaining_ms > 0 {
        d.release().next_check_at = Some(due);
    }
    d.wake_at(due);
    true
}

/// Ends a pause whose time is over.
pub fn expire(d: &mut Draft<'_>) {
    let release = d.status.release.as_ref();
    let running = release.filter(|release| release.outcome.is_none());
    let Some(pause) = running.and_then(|release| release.paused.as_ref()) else {
        // It may have gone with a status that somebody wrote by hand.
        return d.clear_condition(conditions::PAUSED);
    };
    let Some(until) = pause.until else {
        return;
    };
    if until > d.now() {
        d.wake_at(until);
    } else {
        resume(d, Message::PauseOver);
    }
}
