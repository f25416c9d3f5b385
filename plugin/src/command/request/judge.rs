//! Whether a wish makes sense now, and whether it has come true. Pure.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::GOING_BACK;
use canary_core::request::{Request, Verb, Waiting};
use canary_core::status::{Phase, RequestOutcome};

use super::Ask;
use crate::exit::{Error, seconds};
use crate::follow::{Fate, fate};
use crate::render::detail::command;
use crate::render::{bracketed, outcome};
use crate::report::{CanaryReport, Meta, Observed, Unanswered};

/// What there is to do about a wish.
#[derive(Debug)]
pub enum Considered {
    /// Ask for this revision.
    Revision(String),
    /// It is so already.
    Already(String),
    /// It makes no sense now.
    Nothing(Error),
}

/// How far a request has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Unanswered,
    /// The controller acts on it.
    Accepted(String),
    /// It is decided, and cannot be carried out: why, and what helps.
    Pending {
        said: String,
        remedy: Option<String>,
    },
    Happened(String),
}

/// Looks at the release before anything is written.
pub fn consider(verb: Verb, report: &CanaryReport) -> Considered {
    let id = report.id();
    if let Some(gone) = being_deleted(verb, report) {
        return Considered::Nothing(gone);
    }
    if report.phase == Phase::New {
        let hint = "is canary-webhook running?".to_owned();
        return nothing(format!("no controller has looked at {id} yet"), Some(hint));
    }
    if report.suspended && !(verb == Verb::Rollback && report.running) {
        return nothing(
            format!("{id} is suspended"),
            Some("set spec.suspend to false first".to_owned()),
        );
    }
    if let Some(unanswered) = &report.unanswered
        && !unanswered.waiting.request.verb.gives_way_to(verb)
    {
        return promised(unanswered, report);
    }
    of_release(verb, report)
}

/// What goes back or holds is not replaced before it is answered.
fn promised(unanswered: &Unanswered, report: &CanaryReport) -> Considered {
    let Meta { namespace, name } = &report.metadata;
    let hint = format!(
        "why nobody answers: {}. To take that request back: {}",
        command("doctor", report),
        Waiting::taken_back(name, namespace)
    );
    nothing(
        format!(
            "nothing was asked of {}: {}",
            report.id(),
            unanswered.told()
        ),
        Some(hint),
    )
}

/// By the release that runs, or the last one.
fn of_release(verb: Verb, report: &CanaryReport) -> Considered {
    let id = report.id();
    match (&report.release, verb) {
        (None, _) if report.running => nothing(
            format!(
                "the release of {id} is not recorded in status: it is run by another controller"
            ),
            Some("`kubectl canary version` shows what is installed".to_owned()),
        ),
        (Some(release), Verb::Retry) if report.phase == Phase::Failed => {
            Considered::Revision(release.revision.clone())
        }
        (_, Verb::Retry) if report.running => nothing(
            format!("nothing to retry: a release of {id} is in progress"),
            Some(follow(report)),
        ),
        (_, Verb::Retry) => nothing(
            format!("nothing to retry: the last release of {id} did not fail"),
            None,
        ),
        // What is on its way back goes nowhere else.
        (Some(release), _) if is_rolled_back_now(report) => nothing(
            format!(
                "nothing to {}: release {} of {id} is being rolled back already",
                verb.in_words(),
                release.number
            ),
            Some(follow(report)),
        ),
        (Some(release), _) if report.running => match (verb, &release.paused) {
            (Verb::Pause, Some(_)) => Considered::Already(format!("{id}: paused already")),
            (Verb::Resume, None) => Considered::Already(format!("{id}: not paused")),
            (Verb::Promote | Verb::PromoteFull, _)
                if matches!(report.phase, Phase::Promoting | Phase::Finalising) =>
            {
                nothing(
                    format!(
                        "nothing to promote: release {} of {id} is being promoted already",
                        release.number
                    ),
                    Some(follow(report)),
                )
            }
            (Verb::Promote, Some(_)) => nothing(
                format!(
                    "release {} of {id} is paused: resume it first",
                    release.number
                ),
                Some(command("resume", report)),
            ),
            _ => Considered::Revision(release.revision.clone()),
        },
        _ => nothing(at_rest(verb, report), hint_at_rest(verb, report)),
    }
}

/// Decided, and people may still be on the canary.
fn is_rolled_back_now(report: &CanaryReport) -> bool {
    let release = report.release.as_ref().filter(|_| report.running);
    release.is_some_and(|release| release.outcome.is_some())
}

/// A release of a Canary that is being deleted goes back at most, and without a release nobody hears a wish.
fn being_deleted(verb: Verb, report: &CanaryReport) -> Option<Error> {
    let deleting = report.deleting()?;
    let (what, why) = (verb.in_words(), &deleting.message);
    if deleting.closes_the_way_back() {
        return Some(Error::NothingToDo {
            message: format!("nothing to {what}: {why}. No request is acted on any more"),
            hint: deleting.hint.clone(),
        });
    }
    (verb != Verb::Rollback).then(|| Error::NothingToDo {
        message: format!("nothing to {what}: {why}. Its release goes no further"),
        hint: Some(format!(
            "it can still be rolled back: {}",
            command("rollback", report)
        )),
    })
}

/// Whether the release is the one that somebody looked at.
pub fn expected(number: i64, report: &CanaryReport) -> Result<(), Error> {
    let id = report.id();
    let message = match &report.release {
        Some(release) if release.number == number => return Ok(()),
        Some(release) if report.running => {
            format!(
                "release {} of {id} runs, not release {number}",
                release.number
            )
        }
        Some(release) => format!(
            "the last release of {id} is release {}, not release {number}",
            release.number
        ),
        None => format!("{id} has no release yet, so none is release {number}"),
    };
    Err(Error::Superseded {
        message: format!("{message}: nothing was asked"),
        command: command("status", report),
    })
}

fn nothing(message: String, hint: Option<String>) -> Considered {
    Considered::Nothing(Error::NothingToDo { message, hint })
}

fn follow(report: &CanaryReport) -> String {
    format!("follow it: {} --watch", command("status", report))
}

/// What a dry run has to say.
pub fn would(ask: Ask, report: &CanaryReport) -> String {
    let (id, what) = (report.id(), ask.verb.in_words());
    let Some(release) = &report.release else {
        return format!("{id}: would {what}");
    };
    let how = match ask {
        Ask {
            verb: Verb::PromoteFull,
            ..
        } => ", without further analysis".to_owned(),
        Ask {
            length: Some(length),
            ..
        } => format!(" for {}", seconds(length)),
        _ => String::new(),
    };
    let images = bracketed(&release.images);
    let (number, weight) = (release.number, report.traffic.canary);
    format!("{id}: would {what} release {number}{images} at weight {weight}{how}")
}

fn at_rest(verb: Verb, report: &CanaryReport) -> String {
    let what = verb.in_words();
    let why = match report.phase {
        Phase::Failed => "its last release failed",
        Phase::Initializing => "it is being initialized",
        Phase::Terminating | Phase::Terminated => "it is being deleted",
        _ => "no release is in progress",
    };
    format!("nothing to {what}: {} is at rest, {why}", report.id())
}

fn hint_at_rest(verb: Verb, report: &CanaryReport) -> Option<String> {
    match report.phase {
        Phase::Succeeded if verb == Verb::Rollback => Some(format!(
            "to release what was there before: {} --to 0",
            command("rollback", report)
        )),
        Phase::Failed => Some(format!("start it once more: {}", command("retry", report))),
        Phase::Initialized | Phase::Succeeded => {
            Some(format!("a release starts when {} changes", report.target))
        }
        _ => None,
    }
}

/// Looks at the Canary after the request was written. `before` is the number of the release that
/// it was about.
pub fn judge(request: &Request, before: Option<i64>, observed: &Observed) -> Result<Step, Error> {
    let report = observed.report();
    let step = judged(request, before, &observed.canary, &report)?;
    match being_deleted(request.verb, &report) {
        // What has not happened by now does not happen any more.
        Some(gone) if !matches!(step, Step::Happened(_)) => Err(gone),
        _ => Ok(step),
    }
}

fn judged(
    request: &Request,
    before: Option<i64>,
    canary: &Canary,
    report: &CanaryReport,
) -> Result<Step, Error> {
    let Some(record) = report
        .last_request
        .as_ref()
        .filter(|record| record.id == request.id)
    else {
        return unanswered(request, report, canary);
    };
    let back = request.verb == Verb::Rollback && report.running && report.pending().is_some();
    match record.outcome {
        // Never said to be done: a write is tried again, or the primary has no ready pod.
        RequestOutcome::Done if record.pending || back => Ok(Step::Pending {
            said: not_yet(report, &record.message),
            remedy: report.remedy(),
        }),
        RequestOutcome::Done => happened(request.verb, before, report, canary, &record.message),
        // It was paused while the request was on its way.
        RequestOutcome::Refused if request.verb == Verb::Promote && report.paused().is_some() => {
            Err(Error::NothingToDo {
                message: format!("the controller refused: {}", record.message),
                hint: Some(command("resume", report)),
            })
        }
        RequestOutcome::Refused | RequestOutcome::Malformed => {
            Err(Error::Refused(record.message.clone()))
        }
        RequestOutcome::Superseded => Err(Error::Superseded {
            message: format!(
                "{} of {} came too late: {}",
                request.verb,
                report.id(),
                record.message
            ),
            command: command("status", report),
        }),
    }
}

/// What is decided and not carried out, and why.
fn not_yet(report: &CanaryReport, said: &str) -> String {
    let decided = report.pending().map_or(said, |pending| &pending.message);
    match report.hindrance() {
        Some(hindrance) => format!("{decided}: {}", hindrance.message),
        None => decided.to_owned(),
    }
}

/// Why a Canary does not answer, as far as its status tells.
pub fn silence(canary: &Canary) -> String {
    let report = Observed::alone(canary.clone()).report();
    // Of a Canary that is not ready a wish is answered all the same, unless nothing of it may be touched.
    let doctor = command("doctor", &report);
    match report.obstacle() {
        Some(it) if it.closes_the_way_back() => {
            let hint = it.hint.as_ref();
            let hint = hint.map_or(String::new(), |hint| format!(". To mend it: {hint}"));
            format!("it is not acted on, {}{hint}", it.message)
        }
        Some(it) => format!(
            "it is not ready, {}. Whether that is why: {doctor}",
            it.message
        ),
        None => format!("is canary-webhook running? To find out: {doctor}"),
    }
}

/// Another person's request may have been written over ours before anybody heard it.
fn unanswered(request: &Request, report: &CanaryReport, canary: &Canary) -> Result<Step, Error> {
    let written = canary
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(names::REQUEST));
    match written {
        Some(other) if *other != request.to_string() => Err(Error::Superseded {
            message: format!(
                "another request for {} took the place of this one",
                report.id()
            ),
            command: command("status", report),
        }),
        _ => Ok(Step::Unanswered),
    }
}

fn happened(
    verb: Verb,
    before: Option<i64>,
    report: &CanaryReport,
    canary: &Canary,
    said: &str,
) -> Result<Step, Error> {
    let end = fate(report, before);
    // A primary that is being put back does not have everybody yet.
    let drained = canary.status.as_ref().is_none_or(|status| {
        let recovers = status.release.as_ref().is_some_and(|it| it.recovering);
        status.drain.is_none() && !recovers
    });
    match (verb, end) {
        (Verb::Promote | Verb::Pause | Verb::Resume | Verb::Retry, _) => {
            Ok(Step::Happened(said.to_owned()))
        }
        (Verb::PromoteFull, Fate::Promoted) if drained => {
            Ok(Step::Happened(outcome::promoted(report, before)))
        }
        (Verb::Rollback, Fate::Failed(_)) if drained => Ok(Step::Happened(format!(
            "{}rolled back, all traffic goes to the primary{}",
            release(before),
            said.strip_prefix(GOING_BACK).unwrap_or_default()
        ))),
        (Verb::PromoteFull, Fate::Failed(why)) => Err(Error::ReleaseFailed {
            message: format!("{}of {} {why}", release(before), report.id()),
            hint: Some(format!("see `{}`", command("status", report))),
        }),
        (Verb::Rollback, Fate::Promoted) => Err(Error::Refused(format!(
            "{}was promoted before it could be rolled back",
            release(before)
        ))),
        (_, Fate::Superseded(_)) => Err(Error::Superseded {
            message: format!(
                "{}of {} was superseded by a newer one",
                release(before),
                report.id()
            ),
            command: command("status", report),
        }),
        (Verb::PromoteFull | Verb::Rollback, _) => Ok(Step::Accepted(said.to_owned())),
    }
}

fn release(number: Option<i64>) -> String {
    number.map_or(String::new(), |number| format!("release {number} "))
}

#[cfg(test)]
mod tests;
