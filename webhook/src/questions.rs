//! Questions that are under way. A look reads answers, and never waits for one.
//!
//! ```text
//!  look ─ question ─► Questions::answer ─► Some(answer): it decides with it
//!                          │    └────────► None: it decides without what needs it
//!                          └─ not asked yet ─► task ─ a lane of the namespace ─ exchange ─► answer
//!                                                                      the Canary is woken ◄─┘
//! ```
//! An answer counts for what was asked: another release, step or spec asks anew. It is used once.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::release::{Answers, Measured, Question};
use canary_core::status::Phase;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use crate::cache::Key;

/// Whoever did not look for so long has decided something else meanwhile, or nothing: what was answered
/// then is old.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Providers(Result<(), String>),
    Hook(Result<(), String>),
    Metric(Measured),
}

/// A call that is ready to go, and the part of the spec that it is made for.
pub struct Exchange {
    pub spec: Value,
    pub call: BoxFuture<'static, Answer>,
}

/// What of a Canary its questions are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    uid: Option<String>,
    phase: Phase,
    release: Option<(i64, String)>,
    weight: i64,
    iterations: i64,
    failed_checks: i64,
}

/// Who asks, and when.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// Told of the answer.
    pub wakes: &'a Arc<Notify>,
    /// Since the server started.
    pub at: Duration,
    pub wall: Timestamp,
}

/// Questions of all Canaries.
#[derive(Debug)]
pub struct Questions {
    rounds: Mutex<HashMap<Key, Round>>,
    lanes: Mutex<HashMap<(Arc<str>, Lane), Weak<Semaphore>>>,
    /// So many are under way in a namespace, of each lane.
    at_a_time: usize,
}

/// What one decision has to know.
#[derive(Debug)]
struct Round {
    subject: Subject,
    /// When somebody last looked.
    seen: Duration,
    asked: BTreeMap<Question, Asked>,
}

#[derive(Debug)]
struct Asked {
    spec: Value,
    since: Timestamp,
    answer: Arc<OnceLock<Answer>>,
    task: JoinHandle<()>,
}

/// Webhooks may take as long as their authors let them; metric servers do not wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Hooks,
    Metrics,
}

// === impl Subject ===

impl Subject {
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.clone().unwrap_or_default();
        let release = status.release;
        Self {
            uid: canary.metadata.uid.clone(),
            phase: status.phase,
            release: release.map(|release| (release.number, release.revision)),
            weight: status.canary_weight,
            iterations: status.iterations,
            failed_checks: status.failed_checks,
        }
    }
}

// === impl Asked ===

impl Asked {
    fn start(exchange: Exchange, lane: Arc<Semaphore>, look: Look<'_>) -> Self {
        let answer = Arc::new(OnceLock::new());
        let (spec, call, place) = (exchange.spec, exchange.call, answer.clone());
        let wakes = look.wakes.clone();
        let task = tokio::spawn(async move {
            // It ends with the questions themselves.
            let _turn = lane.acquire_owned().await;
            let _ = place.set(call.await);
            wakes.notify_one();
        });
        Self {
            spec,
            since: look.wall,
            answer,
            task,
        }
    }

    /// Its task ended, and left nothing.
    fn is_lost(&self) -> bool {
        self.task.is_finished() && self.answer.get().is_none()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Questions ===

impl Questions {
    pub fn new(at_a_time: usize) -> Self {
        Self {
            rounds: Mutex::default(),
            lanes: Mutex::default(),
            at_a_time,
        }
    }

    /// The answer, or since when it is awaited. What was not asked yet is asked.
    pub fn answer(
        &self,
        key: &Key,
        subject: &Subject,
        question: Question,
        exchange: Exchange,
        look: Look<'_>,
    ) -> Result<Answer, Timestamp> {
        let lane = self.lane(key, question);
        let mut rounds = self.rounds();
        let round = rounds
            .entry(key.clone())
            .or_insert_with(|| Round::new(subject, look.at));
        if round.subject != *subject || look.at.saturating_sub(round.seen) > FORGOTTEN_AFTER {
            *round = Round::new(subject, look.at);
        }
        round.seen = look.at;
        match round.asked.get(&question) {
            Some(asked) if asked.spec == exchange.spec && !asked.is_lost() => {
                asked.answer.get().cloned().ok_or(asked.since)
            }
            _ => {
                let asked = Asked::start(exchange, lane, look);
                round.asked.insert(question, asked);
                Err(look.wall)
            }
        }
    }

    /// A look has decided: what is under way and not awaited by it has no use any more.
    pub fn decided(&self, key: &Key, awaited: &BTreeMap<Question, Timestamp>) {
        if let Some(round) = self.rounds().get_mut(key) {
            let used = |asked: &Asked| asked.answer.get().is_some();
            round
                .asked
                .retain(|question, asked| used(asked) || awaited.contains_key(question));
        }
    }

    /// What was decided is done, or the Canary is gone.
    pub fn forget(&self, key: &Key) {
        self.rounds().remove(key);
    }

    fn lane(&self, key: &Key, question: Question) -> Arc<Semaphore> {
        let lane = match question {
            Question::Hook(_) => Lane::Hooks,
            Question::Providers | Question::Metric(_) => Lane::Metrics,
        };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, semaphore| semaphore.strong_count() > 0);
        let place = lanes.entry((key.namespace.clone(), lane)).or_default();
        place.upgrade().unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(self.at_a_time));
            *place = Arc::downgrade(&fresh);
            fresh
        })
    }

    fn rounds(&self) -> MutexGuard<'_, HashMap<Key, Round>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Round ===

impl Round {
    fn new(subject: &Subject, now: Duration) -> Self {
        Self {
            subject: subject.clone(),
            seen: now,
            asked: BTreeMap::new(),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub fn put(self, question: Question, answers: &mut Answers) {
        match (question, self) {
            (Question::Hook(index), Self::Hook(said)) => {
                answers.hooks.insert(index, said);
            }
            (Question::Metric(index), Self::Metric(measured)) => {
                answers.metrics.insert(index, measured);
            }
            (_, Self::Providers(said)) => answers.providers = Some(said),
            (_, Self::Hook(_) | Self::Metric(_)) => {}
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// One that is over before it began.
    pub fn over(spec: Value, answer: Answer) -> Self {
        Self {
            spec,
            call: std::future::ready(answer).boxed(),
        }
    }
}
