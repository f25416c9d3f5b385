//! Whether what somebody waits for has come, or cannot come any more. Pure.

use canary_core::canary::Canary;
use canary_core::revision::revision;
use kube::api::DynamicObject;

use crate::args::verbs::Goal;
use crate::command::status::verdict;
use crate::exit::Error;
use crate::follow::{Fate, fate};
use crate::render::outcome;
use crate::report::CanaryReport;

/// Which release is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The release in progress, or else the last one.
    Current,
    /// The one that begins when the controller has seen the target in this generation.
    Next { generation: i64 },
    /// Nobody could look at the target: perhaps one is about to begin.
    Unsure,
    /// It was named.
    Number(i64),
    /// It was seen, so that what takes its place supersedes it.
    Seen(i64),
}

/// What a look at the Canary comes to.
#[derive(Debug)]
pub enum Look {
    Pending,
    Reached(String),
    /// It cannot come any more.
    Over(Error),
}

// === impl Awaited ===

impl Awaited {
    pub fn of_target(canary: &Canary, target: &DynamicObject) -> Self {
        let seen = canary
            .status
            .as_ref()
            .and_then(|status| status.target.as_ref());
        let generation = target.metadata.generation.unwrap_or_default();
        let newer = seen.is_some_and(|seen| {
            let template = target.data.pointer("/spec/template");
            seen.generation < generation
                && template.is_some_and(|template| revision(template) != seen.revision)
        });
        if newer && !canary.suspended() {
            Self::Next { generation }
        } else {
            Self::Current
        }
    }

    pub fn is_unsure(self) -> bool {
        self == Self::Unsure
    }

    /// None has begun: the last one it is.
    pub fn settle(&mut self) {
        *self = Self::Current;
    }

    /// The release that is meant, as far as it is known.
    pub fn number(self, report: &CanaryReport) -> Option<i64> {
        match self {
            Self::Number(number) | Self::Seen(number) => Some(number),
            Self::Current => report.release.as_ref().map(|release| release.number),
            Self::Next { .. } | Self::Unsure => None,
        }
    }

    /// A release in progress is the one that is meant; at rest the last one is, unless one is about to
    /// begin. True if there is one to look at.
    fn pin(&mut self, canary: &Canary, report: &CanaryReport) -> bool {
        let current = report.release.as_ref().map_or(0, |release| release.number);
        match *self {
            Self::Seen(_) => true,
            Self::Number(number) => {
                if number == current {
                    *self = Self::Seen(number);
                }
                number <= current
            }
            _ if report.running && current > 0 => {
                *self = Self::Seen(current);
                true
            }
            Self::Next { generation } if seen(canary) < generation => false,
            Self::Unsure => false,
            Self::Current | Self::Next { .. } => {
                *self = if current > 0 {
                    Self::Seen(current)
                } else {
                    Self::Current
                };
                true
            }
        }
    }
}

/// Generation of the target that the controller has looked at.
fn seen(canary: &Canary) -> i64 {
    let target = canary
        .status
        .as_ref()
        .and_then(|status| status.target.as_ref());
    target.map_or(0, |target| target.generation)
}

pub fn look(goal: Goal, canary: &Canary, report: &CanaryReport, awaited: &mut Awaited) -> Look {
    if !awaited.pin(canary, report) {
        return Look::Pending;
    }
    let number = awaited.number(report);
    if let Awaited::Number(number) = *awaited
        && !report.history.iter().any(|past| past.number == number)
    {
        return Look::Over(Error::NothingToDo {
            message: format!(
                "release {number} of {} is not in its history any more: the last ten are kept",
                report.id()
            ),
            hint: None,
        });
    }
    let fate = fate(report, number);
    match (goal, fate) {
        (Goal::Promoted | Goal::Any, Fate::Promoted) => {
            Look::Reached(outcome::promoted(report, number))
        }
        (Goal::Failed, Fate::Failed(why)) => Look::Reached(match number {
            Some(number) => format!("release {number} {why}"),
            None => why,
        }),
        (Goal::Paused, Fate::Running) if report.paused().is_some() => {
            Look::Reached(outcome::paused(report))
        }
        (Goal::Held, Fate::Running) => match held(report) {
            Some(held) => Look::Reached(held),
            None => Look::Pending,
        },
        (_, Fate::Running) => Look::Pending,
        (Goal::Paused | Goal::Held | Goal::Failed, Fate::Promoted) => {
            Look::Over(too_late(goal, report, number))
        }
        (_, Fate::Failed(_) | Fate::Superseded(_)) => match verdict(report, number) {
            Err(error) => Look::Over(error),
            Ok(_) => Look::Pending,
        },
    }
}

/// What it waits for, where that is somebody's leave.
fn held(report: &CanaryReport) -> Option<String> {
    use canary_core::status::Phase;
    let release = report.release.as_ref()?;
    match &release.waiting_for {
        Some(gate) => Some(format!("release {} waits for {gate}", release.number)),
        None if matches!(report.phase, Phase::Waiting | Phase::WaitingPromotion) => {
            Some(format!("release {} waits for approval", release.number))
        }
        None => None,
    }
}

fn too_late(goal: Goal, report: &CanaryReport, number: Option<i64>) -> Error {
    let what = match goal {
        Goal::Paused => "paused",
        Goal::Held => "held",
        _ => "failed",
    };
    Error::NothingToDo {
        message: format!(
            "{}: {}, so it will not be {what} any more",
            report.id(),
            outcome::promoted(report, number)
        ),
        hint: None,
    }
}

/// What has not come about.
pub fn wanted(goal: Goal) -> &'static str {
    match goal {
        Goal::Promoted => "been promoted",
        Goal::Paused => "been paused",
        Goal::Held => "come to a gate",
        Goal::Failed => "failed",
        Goal::Any => "ended",
    }
}

#[cfg(test)]
mod tests;
