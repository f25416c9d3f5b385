//! Webhooks and metric servers that were asked and have not answered yet. What needs their answer is as if it
//! had not been tried. Lost pods, people's wishes and deadlines are looked at before anybody is asked, and never
//! wait.
//!
//! A webhook that is [`late`] is no reason to look away either: a gate is closed so long,
//! and a check goes on without it. Metrics that are bad count; what passes does so with its answer only.

use jiff::{SignedDuration, Timestamp};

use crate::hook::{Hook, HookKind};
use crate::message::Message;
use crate::release::conditions::{self, UNANSWERED};
use crate::release::draft::Draft;
use crate::release::facts::{Awaited, Question};
use crate::release::requests;

/// A release that has not begun shows as one that waits after it, and a person's request is answered.
const SOON: SignedDuration = SignedDuration::from_secs(2);
/// People are told after it.
const TOLD_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What comes of `act`; none while it needs an answer that is awaited.
pub fn answered<'a, T>(
    d: &mut Draft<'a>,
    act: impl FnOnce(&mut Draft<'a>) -> Result<T, Question>,
) -> Result<Option<T>, Question> {
    let awaited = &d.facts.answers.awaited;
    if awaited.is_empty() {
        return act(d).map(Some);
    }
    let before = d.clone();
    match act(d) {
        Err(question) if awaited.contains_key(&question) => {
            *d = before;
            if let Question::Hook(index) = question {
                let late = late(d, index);
                d.wake_at(late);
            }
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// What a webhook said; none if it is late.
pub fn hook<'a>(
    d: &mut Draft<'a>,
    index: usize,
) -> Result<Option<&'a Result<(), String>>, Question> {
    match d.facts.answers.hook(index) {
        Ok(said) => {
            d.used.insert(Question::Hook(index));
            Ok(Some(said))
        }
        Err(question) => {
            let awaited = d.facts.answers.awaited.contains_key(&question);
            let late = awaited && late(d, index) <= d.now();
            late.then_some(None).ok_or(question)
        }
    }
}

/// When a webhook that is awaited is late.
fn late(d: &Draft<'_>, index: usize) -> Timestamp {
    let awaited = d.facts.answers.awaited.get(&Question::Hook(index));
    let asked = awaited.map_or(d.now(), |awaited| awaited.asked);
    let hook = d.canary.analysis().webhooks.get(index);
    let kind = hook.and_then(Hook::kind);
    let patience = match kind {
        Some(HookKind::ConfirmRollout) => SOON,
        Some(HookKind::ConfirmTrafficIncrease | HookKind::ConfirmPromotion)
            if requests::new_wish(d).is_some() =>
        {
            SOON
        }
        _ => SignedDuration::try_from(d.interval()).unwrap_or(SignedDuration::MAX),
    };
    asked.saturating_add(patience).unwrap_or(Timestamp::MAX)
}

/// A release that stands still without a word looks like one that is broken.
pub fn note(d: &mut Draft<'_>) {
    let told = |awaited: &Awaited| awaited.asked.saturating_add(TOLD_AFTER);
    let mut late = Vec::new();
    for (question, awaited) in &d.facts.answers.awaited {
        // Metric servers have seconds.
        let Question::Hook(index) = question else {
            continue;
        };
        match told(awaited) {
            Ok(at) if at > d.now() => d.wake_at(at),
            _ => late.push((*index, *awaited)),
        }
    }
    let hook = |(index, awaited)| Some((d.canary.analysis().webhooks.get(index)?, awaited));
    let Some((hook, awaited)) = late.into_iter().find_map(hook) else {
        return d.clear_condition(UNANSWERED);
    };
    let message = Message::Unanswered {
        hook: hook.name.clone(),
        asked: awaited.asked,
        called: awaited.called,
    };
    let text = message.text(d.canary);
    if conditions::get(&d.status, UNANSWERED).is_none_or(|told| told.message != text) {
        d.say(message);
    }
    d.condition(UNANSWERED, "Webhook", &text);
}
