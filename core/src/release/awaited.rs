//! Webhooks and metric servers that were asked and have not answered yet. What needs their answer is as if it
//! had not been tried. Lost pods, people's wishes and deadlines are looked at before anybody is asked, and never
//! wait.

use jiff::{SignedDuration, Timestamp};

use crate::message::Message;
use crate::release::conditions::{self, HALTED};
use crate::release::draft::Draft;
use crate::release::facts::Question;

/// In the condition `Halted`.
const REASON: &str = "Unanswered";
/// People are told after it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// What comes of `act`; none while it needs an answer that is awaited.
pub fn answered<'a, T>(
    d: &mut Draft<'a>,
    act: impl FnOnce(&mut Draft<'a>) -> Result<T, Question>,
) -> Result<Option<T>, Question> {
    let awaited = &d.facts.answers.awaited;
    if awaited.is_empty() {
        d.clear_condition_of(HALTED, REASON, false);
        return act(d).map(Some);
    }
    let before = d.clone();
    match act(d) {
        Err(question) => {
            let since = *awaited.get(&question).ok_or(question)?;
            *d = before;
            tell(d, question, since);
            Ok(None)
        }
        Ok(done) => Ok(Some(done)),
    }
}

/// A release that stands still without a word looks like one that is broken.
fn tell(d: &mut Draft<'_>, question: Question, since: Timestamp) {
    // Metric servers have seconds.
    let Question::Hook(index) = question else {
        return;
    };
    let told_at = since.saturating_add(PATIENCE).unwrap_or(since);
    if told_at > d.now() {
        return d.wake_at(told_at);
    }
    let Some(hook) = d.canary.analysis().webhooks.get(index) else {
        return;
    };
    let message = Message::Unanswered {
        hook: hook.name.clone(),
        since,
    };
    let text = message.text(d.canary);
    if conditions::get(&d.status, HALTED).is_none_or(|halted| halted.message != text) {
        d.say(message);
    }
    d.condition(HALTED, REASON, &text);
}
