//! What `decide` is told, and what it may ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::capability::Capability;
use crate::policy::{Holds, Objection};
use crate::release::weights::Routes;
use crate::request::Request;
use crate::status::CanaryStatus;

/// The world as the caches have it at one moment, and the answers that were asked for.
#[derive(Clone, Debug)]
pub struct Facts {
    pub now: Timestamp,
    pub settings: Settings,
    /// What is missing around the Canary, or refused: it closes the ways forward, and none of the
    /// ways back.
    pub problems: Vec<Problem>,
    /// A write that failed and is tried again now: told until one succeeds, and it closes nothing.
    pub failed: Option<Problem>,
    /// The target does not exist any more: what stands for it is [`Workload::remembered`].
    pub target_gone: bool,
    pub target: Workload,
    pub primary: Option<Workload>,
    /// Weights that the router has; none for a provider without traffic control, or before the
    /// generated route exists.
    pub routes: Option<Routes>,
    pub serving: Serving,
    /// `configmap/<name>` or `secret/<name>` that the target refers to → checksum of its data.
    pub configs: BTreeMap<String, String>,
    /// Replicas that a release starts its canary with, and raises a default to.
    pub scale_up_to: i32,
    pub request: Option<Wish>,
    pub policy: Governance,
    /// Ready addresses of the canary's pods now.
    pub canary_addresses: Vec<String>,
    pub answers: Answers,
}

/// Something outside keeps the Canary from going forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// One word for the condition: `TargetNotFound`, `RouteInvalid`, `Forbidden`, …
    pub reason: &'static str,
    pub message: String,
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub capability: Capability,
    /// Intervals below it are raised to it.
    pub min_interval: Duration,
    /// How long connections may take to leave a side after the routes did.
    pub drain: Duration,
}

/// A Deployment, as far as a release cares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workload {
    pub uid: String,
    pub generation: i64,
    /// Of the target: the revision of its template. Of the primary: the one it was promoted to.
    pub revision: String,
    pub replicas: i32,
    pub ready: i32,
    pub readiness: Readiness,
    pub images: BTreeMap<String, String>,
    /// What it selects its pods by.
    pub labels: BTreeMap<String, String>,
    /// Field manager that owns `spec.replicas`.
    pub replicas_manager: String,
    /// Of the target: the size that somebody wants it to have.
    pub wanted: Option<i32>,
    /// Who admission saw changing the template to `revision`.
    pub changed_by: Option<String>,
    /// Of the target: its break-glass annotation.
    pub break_glass: Option<String>,
    /// Of the target: a release of its template went back.
    pub failed: Option<WentBack>,
}

/// What is known of a release of an earlier Canary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WentBack {
    pub number: i64,
    /// What was promoted then.
    pub images: BTreeMap<String, String>,
}

/// What the `CanaryPolicies` of the namespace have against what is under way. Those that only warn say
/// so in admission, and are not in here.
#[derive(Clone, Debug, Default)]
pub struct Governance {
    pub holds: Holds,
    /// Against the request that is to be answered.
    pub request: Vec<Objection>,
    /// Why nobody can tell what they are, and what to do about it: nothing is promoted meanwhile.
    pub unreadable: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Readiness {
    #[default]
    Ready,
    Waiting(Wait),
    /// Its own progress deadline has passed.
    Stuck(String),
}

/// What a rollout waits for; the texts are Flagger's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    Unobserved,
    Updating {
        updated: i32,
        desired: i32,
    },
    Terminating {
        old: i32,
    },
    Unavailable {
        available: i32,
        updated: i32,
        threshold: i64,
    },
}

/// Where the addresses behind the Services are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// Ready addresses of the primary's Service.
    pub primary: usize,
    /// Ready addresses of the canary's Service.
    pub canary: usize,
    /// Ready addresses of the apex Service that belong to the primary.
    pub apex: usize,
    /// The apex Service existed with another selector: somebody was served through it.
    pub adopted: bool,
    /// The apex Service selects the primary, and the generated route exists.
    pub pointed: bool,
    /// Somebody keeps pointing the apex Service elsewhere: what it was repaired from came back.
    pub contested: bool,
}

/// A request annotation, with who admission says wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The annotation as it stands: identifies a request that cannot be parsed.
    pub raw: String,
    pub parsed: Result<Request, String>,
    pub by: Option<String>,
    /// Why, as [`Request::reason`] reads it.
    pub reason: Option<String>,
}

/// A fact that is asked for only when it is needed, for asking has side effects or a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Question {
    /// Do the metric servers answer?
    Providers,
    /// What does the webhook with this index in the spec say?
    Hook(usize),
    /// What is the value of the metric with this index in the spec?
    Metric(usize),
}

#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub providers: Option<Result<(), String>>,
    pub hooks: BTreeMap<usize, Result<(), String>>,
    pub metrics: BTreeMap<usize, Measured>,
    /// Asked, and not answered yet: what needs them is not decided now, and everything else is.
    pub awaited: BTreeMap<Question, Awaited>,
    /// One has come since the last look.
    pub news: bool,
}

/// A question that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    pub asked: Timestamp,
    /// When the call was made; none while it waits for its turn.
    pub called: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    Value(f64),
    NoValues(String),
    /// The provider failed; the text is its own.
    Failed(String),
    /// The template could not be used; names it.
    Template {
        template: String,
        error: String,
    },
}

// === impl Answers ===

impl Answers {
    pub fn providers(&self) -> Result<&Result<(), String>, Question> {
        self.providers.as_ref().ok_or(Question::Providers)
    }

    pub fn hook(&self, index: usize) -> Result<&Result<(), String>, Question> {
        self.hooks.get(&index).ok_or(Question::Hook(index))
    }

    pub fn metric(&self, index: usize) -> Result<&Measured, Question> {
        self.metrics.get(&index).ok_or(Question::Metric(index))
    }
}

// === impl Wait ===

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waiting for rollout to finish: ")?;
        match self {
            Self::Unobserved => write!(
                f,
                "observed deployment generation less than desired generation"
            ),
            Self::Updating { updated, desired } => {
                write!(
                    f,
                    "{updated} out of {desired} new replicas have been updated"
                )
            }
            Self::Terminating { old } => write!(f, "{old} old replicas are pending termination"),
            Self::Unavailable {
                available,
                updated,
                threshold,
            } => {
                write!(
                    f,
                    "{available} of {updated} (readyThreshold {threshold}%) updated replicas are available"
                )
            }
        }
    }
}

// === impl Workload ===

impl Workload {
    /// Stands for a target that is gone: without pods, and with the template that was decided on last,
    /// so that its absence is not taken for a change of it.
    pub fn remembered(status: &CanaryStatus) -> Self {
        let seen = status.target.clone().unwrap_or_default();
        let released = status.release.as_ref().map(|release| &release.revision);
        let revision = if status.phase.is_of_release() {
            released
        } else {
            status.last_applied_spec.as_ref()
        };
        Self {
            uid: seen.uid,
            generation: seen.generation,
            revision: revision.cloned().unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Its controller has not looked at the last change of it: nothing is known of its rollout.
    pub fn is_unobserved(&self) -> bool {
        self.readiness == Readiness::Waiting(Wait::Unobserved)
    }

    pub fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// Why it is not ready, in words; empty if it is.
    pub fn why(&self) -> String {
        match &self.readiness {
            Readiness::Ready => String::new(),
            Readiness::Waiting(wait) => wait.to_string(),
            Readiness::Stuck(why) => why.clone(),
        }
    }
}
