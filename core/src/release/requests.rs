//! Wishes of people, written as an annotation on the Canary.

use crate::message::{Approval, Message, RollbackReason};
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::facts::{Question, Wish};
use crate::release::gates::approval_mark;
use crate::release::{begin, holds, pauses, promotion, put_back, strategy, suspended};
use crate::request::{Request, Verb};
use crate::status::{Outcome, Phase, RequestOutcome, RequestRecord};

/// What a rollback comes to. What follows it stands behind.
pub const GOING_BACK: &str = "rolling back: all traffic goes to the primary";

/// What a wish comes to: the sentence that `kubectl canary` prints, or why not.
type Answer = Result<String, (RequestOutcome, String)>;

/// Acts on a new request. True if the phase must not decide anything else in this tick.
pub fn serve(d: &mut Draft<'_>) -> Result<bool, Question> {
    let Some(wish) = new_wish(d) else {
        return Ok(false);
    };
    let by = author(wish);
    let answer = match &wish.parsed {
        Err(error) => Err((RequestOutcome::Malformed, error.clone())),
        Ok(request) => match is_current(d, request) {
            Ok(()) => permitted(d, request, wish, &by)?,
            refused => refused.map(|()| String::new()),
        },
    };
    answer_wish(d, wish, answer);
    Ok(true)
}

/// Refuses a new request, whatever it is.
pub fn refuse_all(d: &mut Draft<'_>, why: &str) {
    if let Some(wish) = new_wish(d) {
        answer_wish(d, wish, refuse(why));
    }
}

/// The request that was not answered yet.
pub fn new_wish<'a>(d: &Draft<'a>) -> Option<&'a Wish> {
    let wish = d.facts.request.as_ref()?;
    let answered = d
        .status
        .last_request
        .as_ref()
        .is_some_and(|last| last.id == identity(wish).0);
    (!answered).then_some(wish)
}

/// Id and verb; what cannot be parsed is its own id.
fn identity(wish: &Wish) -> (String, String) {
    match &wish.parsed {
        Ok(request) => (request.id.clone(), request.verb.to_string()),
        Err(_) => (wish.raw.clone(), "unknown".to_owned()),
    }
}

fn author(wish: &Wish) -> String {
    wish.by.clone().unwrap_or_else(|| "unknown".to_owned())
}

fn answer_wish(d: &mut Draft<'_>, wish: &Wish, answer: Answer) {
    let (outcome, message) = match answer {
        Ok(message) => (RequestOutcome::Done, message),
        Err((outcome, why)) => {
            d.say(Message::RequestRefused {
                by: author(wish),
                why: why.clone(),
            });
            (outcome, why)
        }
    };
    let (id, verb) = identity(wish);
    d.status.last_request = Some(RequestRecord {
        id,
        verb,
        by: wish.by.clone(),
        reason: wish.reason.clone(),
        at: d.now(),
        outcome,
        message,
        pending: false,
    });
}

/// The release is the one that its author saw, and its revision has another name since: see
/// `change::rebaseline`.
fn is_renamed(d: &Draft<'_>, request: &Request) -> bool {
    let release = d.status.release.as_ref();
    release.is_some_and(|release| release.former_revision.as_ref() == Some(&request.revision))
}

/// A request acts on what its author saw, or on nothing.
fn is_current(d: &Draft<'_>, request: &Request) -> Result<(), (RequestOutcome, String)> {
    let uid = d.canary.metadata.uid.as_deref().unwrap_or_default();
    if request.uid != uid {
        return Err((
            RequestOutcome::Superseded,
            "the Canary was deleted and created again since".to_owned(),
        ));
    }
    let current = d.released_revision();
    if request.revision != current && !is_renamed(d, request) {
        let what = if current.is_empty() {
            "there was no release yet".to_owned()
        } else {
            format!("the release is {current} now")
        };
        return Err((
            RequestOutcome::Superseded,
            format!("{} is not the current revision: {what}", request.revision),
        ));
    }
    Ok(())
}

fn refuse<T>(why: impl Into<String>) -> Result<T, (RequestOutcome, String)> {
    Err((RequestOutcome::Refused, why.into()))
}

/// What policies have against it, admission may not have been there to say.
fn permitted(
    d: &mut Draft<'_>,
    request: &Request,
    wish: &Wish,
    by: &str,
) -> Result<Answer, Question> {
    if let Some(why) = holds::forbids(d) {
        return Ok(refuse(why));
    }
    holds::notice_request(d, request.verb);
    act(d, request, wish, by)
}

fn act(d: &mut Draft<'_>, request: &Request, wish: &Wish, by: &str) -> Result<Answer, Question> {
    let forward = matches!(
        request.verb,
        Verb::Promote | Verb::PromoteFull | Verb::Retry
    );
    if d.is_suspended() && request.verb != Verb::Rollback {
        return Ok(refuse(suspended::REFUSED));
    }
    if let Some(problem) = d.facts.problems.first().filter(|_| forward) {
        return Ok(refuse(format!(
            "the release cannot go forward: {}",
            problem.message
        )));
    }
    let reason = wish.reason.clone().unwrap_or_default();
    Ok(match request.verb {
        Verb::Promote => return promote(d, by, &reason),
        Verb::PromoteFull => promote_full(d, by, &reason),
        Verb::Rollback => roll_back(d, by, reason),
        Verb::Pause => pause(d, request, wish, by),
        Verb::Resume => resume(d, by),
        Verb::Retry => return retry(d, by, &reason),
    })
}

fn running(d: &Draft<'_>) -> Result<(), (RequestOutcome, String)> {
    let ending = d
        .status
        .release
        .as_ref()
        .is_some_and(|release| release.outcome.is_some());
    match d.phase() {
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion if !ending => Ok(()),
        Phase::Progressing | Phase::WaitingPromotion => refuse("the release is being rolled back"),
        Phase::Promoting | Phase::Finalising => refuse("the release is being promoted already"),
        phase => refuse(format!("no release is running (phase {phase:?})")),
    }
}

fn say_request(d: &mut Draft<'_>, what: &str, by: &str, reason: &str) {
    d.say(Message::Requested {
        what: what.to_owned(),
        by: by.to_owned(),
        reason: reason.to_owned(),
    });
}

/// Opens the gate that holds the release, or takes the next step without waiting for its check.
fn promote(d: &mut Draft<'_>, by: &str, reason: &str) -> Result<Answer, Question> {
    if let Err(refused) = running(d) {
        return Ok(Err(refused));
    }
    if d.release().paused.is_some() {
        return Ok(refuse("the release is paused: resume it first"));
    }
    if d.target().revision != d.released_revision() {
        return Ok(Err((
            RequestOutcome::Superseded,
            "the target has a newer revision".to_owned(),
        )));
    }
    if d.phase() == Phase::Waiting {
        say_request(d, "approve the release", by, reason);
        d.pass(approval_mark(Approval::Rollout));
        begin::start(d)?;
        return Ok(Ok(match waits_for(d) {
            Some(gate) => format!("approved: the release waits for {gate}"),
            None => "approved: the release starts".to_owned(),
        }));
    }
    if let Some(why) = d.not_ready() {
        return Ok(refuse(format!("the canary is not ready: {why}")));
    }
    say_request(d, "take the next step", by, reason);
    let traffic = approval_mark(Approval::TrafficIncrease);
    d.pass(traffic);
    if d.phase() == Phase::WaitingPromotion {
        d.pass(approval_mark(Approval::Promotion));
    }
    let before = d.weight();
    d.release().next_check_at = None;
    strategy::step(d)?;
    // The approval holds for the one step that it was given for.
    d.release().passed.retain(|mark| mark != traffic);
    Ok(Ok(match d.phase() {
        Phase::Promoting => "promotion started: the primary gets the new revision".to_owned(),
        Phase::WaitingPromotion => "waits for approval of the promotion".to_owned(),
        _ if holds::is_waiting(&d.status) => {
            format!("waits for {}", waits_for(d).unwrap_or_default())
        }
        _ if d.status.canary_weight != before => {
            format!("weight {before} → {}", d.status.canary_weight)
        }
        _ => format!("iteration {}", d.status.iterations),
    }))
}

fn waits_for(d: &Draft<'_>) -> Option<String> {
    d.status.release.as_ref()?.waiting_for.clone()
}

fn promote_full(d: &mut Draft<'_>, by: &str, reason: &str) -> Answer {
    running(d)?;
    if d.target().revision != d.released_revision() {
        return Err((
            RequestOutcome::Superseded,
            "the target has a newer revision".to_owned(),
        ));
    }
    if d.phase() == Phase::Waiting {
        return refuse("the release waits for approval and has no pods yet: promote it first");
    }
    say_request(d, "promote without further analysis", by, reason);
    d.release().paused = None;
    d.clear_condition(conditions::PAUSED);
    d.pass(promotion::FULL);
    if d.not_ready().is_none() {
        if !strategy::agreed(d) {
            let gate = waits_for(d).unwrap_or_default();
            return Ok(format!("promotion waits for {gate}"));
        }
        promotion::promote(d);
        return Ok("promotion started: the primary gets the new revision".to_owned());
    }
    Ok("promotion starts when the canary is ready".to_owned())
}

fn roll_back(d: &mut Draft<'_>, by: &str, reason: String) -> Answer {
    let why = RollbackReason::Requested {
        by: by.to_owned(),
        reason,
    };
    let then = follows(d);
    if d.phase() == Phase::Promoting {
        promotion::withdraw(d, why);
    } else {
        running(d)?;
        // What waits for approval has no pods and no traffic, but is acted on all the same:
        // the revision must not start again by itself. One that came since is a release of its own.
        d.status.last_applied_spec = Some(d.released_revision().to_owned());
        d.status.tracked_configs = Some(d.facts.configs.clone());
        promotion::roll_back(d, why, Outcome::RolledBack);
    }
    Ok(format!("{GOING_BACK}{then}"))
}

/// What follows by itself: a template that came since is a release of its own.
fn follows(d: &Draft<'_>) -> &'static str {
    let target = &d.target().revision;
    let newer = *target != d.released_revision() && target != d.promoted();
    if newer && !d.is_hindered() {
        "; then the newer template of the target is released"
    } else {
        ""
    }
}

fn pause(d: &mut Draft<'_>, request: &Request, wish: &Wish, by: &str) -> Answer {
    running(d)?;
    if d.release().paused.is_some() {
        return refuse("the release is paused already");
    }
    pauses::begin(d, request, wish, by)
}

fn resume(d: &mut Draft<'_>, by: &str) -> Answer {
    running(d)?;
    if !pauses::resume(d, Message::Resumed { by: by.to_owned() }) {
        return refuse("the release is not paused");
    }
    Ok(format!("resumed at weight {}", d.weight()))
}

fn retry(d: &mut Draft<'_>, by: &str, reason: &str) -> Result<Answer, Question> {
    if d.phase() != Phase::Failed {
        return Ok(refuse(format!(
            "only a failed release is retried (phase {:?})",
            d.phase()
        )));
    }
    if d.release().recovering && !put_back::gave_up(d) {
        return Ok(refuse("the primary is still being put back"));
    }
    if d.target().revision != d.released_revision() {
        return Ok(Err((
            RequestOutcome::Superseded,
            "the target has another revision now".to_owned(),
        )));
    }
    say_request(d, "retry the failed revision", by, reason);
    begin::retry(d)?;
    Ok(Ok(match waits_for(d) {
        Some(gate) => format!("the release waits for {gate}"),
        None => "the release starts again".to_owned(),
    }))
}
