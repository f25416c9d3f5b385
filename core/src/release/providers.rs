//! Do the metric servers answer? Asked when a Canary is new, and then only while one does not: a
//! release is checked by its metrics, and finds out by itself.

use jiff::{SignedDuration, Timestamp};

use crate::message::Message;
use crate::release::conditions::{self, HALTED};
use crate::release::draft::Draft;
use crate::release::facts::Question;

/// In the condition `Halted`.
const REASON: &str = "MetricServerUnavailable";
/// It is asked again after as much time as it has been away, within these bounds.
const SOONEST: SignedDuration = SignedDuration::from_secs(30);
const LATEST: SignedDuration = SignedDuration::from_mins(5);

pub fn first(d: &mut Draft<'_>) -> Result<(), Question> {
    if d.canary.skip_analysis() {
        return Ok(());
    }
    match online(d)? {
        Ok(()) => d.say(Message::ProvidersAvailable),
        Err(error) => {
            let message = Message::ProvidersUnavailable(error.clone());
            d.condition(HALTED, REASON, &message.text(d.canary));
            d.say(message);
        }
    }
    Ok(())
}

/// At rest: a server that came back is found out before the next release needs it.
pub fn again(d: &mut Draft<'_>) -> Result<(), Question> {
    let known = conditions::get(&d.status, HALTED).filter(|halted| halted.reason == REASON);
    let Some(due) = known.map(|halted| due(halted.last_transition_time, halted.last_update_time))
    else {
        return Ok(());
    };
    if d.canary.skip_analysis() {
        d.clear_condition(HALTED);
        return Ok(());
    }
    // Another address in the spec is worth a try at once.
    let edited = d.status.observed_generation != d.canary.metadata.generation;
    if due > d.now() && !edited {
        d.wake_at(due);
        return Ok(());
    }
    match online(d)? {
        Ok(()) => {
            d.clear_condition(HALTED);
            d.say(Message::ProvidersAvailable);
        }
        Err(error) => {
            let text = Message::ProvidersUnavailable(error.clone()).text(d.canary);
            d.condition(HALTED, REASON, &text);
            conditions::confirm(&mut d.status, HALTED, d.facts.now);
        }
    }
    Ok(())
}

fn online<'a>(d: &mut Draft<'a>) -> Result<&'a Result<(), String>, Question> {
    let answer = d.facts.answers.providers()?;
    d.used.insert(Question::Providers);
    Ok(answer)
}

fn due(since: Option<Timestamp>, asked: Option<Timestamp>) -> Timestamp {
    let (Some(since), Some(asked)) = (since, asked) else {
        return Timestamp::MIN;
    };
    let wait = asked.duration_since(since).clamp(SOONEST, LATEST);
    asked.saturating_add(wait).unwrap_or(Timestamp::MAX)
}
