//! Questions that are under way. A look reads answers, and never waits for one.
//!
//! ```text
//!  look ─► recall: what is answered, what is awaited ─► decide ─► used: answers are for one decision
//!                                                         │ a question that nobody asked yet
//!                                                         ▼
//!          the Canary is woken ◄─ answer ◄─ exchange ◄─ a turn of the namespace ◄─ ask: a task
//! ```
//! An answer counts for what was asked: another release, step or spec asks anew.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::release::{Answers, Awaited, Measured, Question};
use canary_core::status::{CanaryStatus, Phase};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use crate::cache::Key;
use crate::clock::Clock;

/// An answer that no decision has used for so long is old; longer where checks are further apart.
const USED_WITHIN: Duration = Duration::from_secs(60);

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
    pub at: Timestamp,
    /// Between two checks.
    pub interval: Duration,
}

/// Questions of all Canaries.
#[derive(Debug)]
pub struct Questions {
    rounds: Mutex<HashMap<Key, Round>>,
    lanes: Mutex<Lanes>,
    /// So many are under way in a namespace, of each lane.
    at_a_time: usize,
    clock: Clock,
}

/// Turns, by namespace; they go with the last call that takes one.
type Lanes = HashMap<(Arc<str>, Lane), Weak<Semaphore>>;

/// What one decision has to know.
#[derive(Debug)]
struct Round {
    subject: Subject,
    asked: BTreeMap<Question, Asked>,
}

#[derive(Debug)]
struct Asked {
    spec: Value,
    at: Timestamp,
    called: Arc<OnceLock<Timestamp>>,
    answer: Arc<OnceLock<(Answer, Timestamp)>>,
    /// A look has found the answer.
    told: bool,
    task: JoinHandle<()>,
}

/// Webhooks may take as long as their authors let them; metric servers do not wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Hooks,
    Metrics,
    /// Webhooks that are only told.
    Told,
}

// === impl Subject ===

impl Subject {
    pub fn of(canary: &Canary) -> Self {
        let status = canary.status.as_ref();
        let release = status.and_then(|status| status.release.as_ref());
        let count = |of: fn(&CanaryStatus) -> i64| status.map_or(0, of);
        Self {
            uid: canary.metadata.uid.clone(),
            phase: status.map_or(Phase::New, |status| status.phase),
            release: release.map(|release| (release.number, release.revision.clone())),
            weight: count(|status| status.canary_weight),
            iterations: count(|status| status.iterations),
            failed_checks: count(|status| status.failed_checks),
        }
    }
}

// === impl Asked ===

impl Asked {
    fn start(exchange: Exchange, lane: Arc<Semaphore>, look: Look<'_>, clock: Clock) -> Self {
        let (called, answer) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (begun, place, wakes) = (called.clone(), answer.clone(), look.wakes.clone());
        let Exchange { spec, call } = exchange;
        let task = tokio::spawn(async move {
            // It ends with the questions themselves.
            let _turn = lane.acquire_owned().await;
            let _ = begun.set(clock.now());
            let answer = call.await;
            let _ = place.set((answer, clock.now()));
            wakes.notify_one();
        });
        Self {
            spec,
            at: look.at,
            called,
            answer,
            told: false,
            task,
        }
    }

    fn awaited(&self) -> Awaited {
        Awaited {
            asked: self.at,
            called: self.called.get().copied(),
        }
    }

    fn is_old(&self, look: Look<'_>) -> bool {
        let good = USED_WITHIN.max(look.interval * 2);
        let good = SignedDuration::try_from(good).unwrap_or(SignedDuration::MAX);
        let answered = self.answer.get();
        answered.is_some_and(|(_, at)| look.at.duration_since(*at) > good)
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
    pub fn new(at_a_time: usize, clock: Clock) -> Self {
        Self {
            rounds: Mutex::default(),
            lanes: Mutex::default(),
            at_a_time,
            clock,
        }
    }

    /// What earlier looks asked, if it is about the same: `spec` is what a question would be asked with today.
    pub fn recall(
        &self,
        key: &Key,
        subject: &Subject,
        look: Look<'_>,
        spec: impl Fn(Question) -> Value,
    ) -> Answers {
        let mut answers = Answers::default();
        let mut rounds = self.rounds();
        let Some(round) = rounds.get_mut(key) else {
            return answers;
        };
        if round.subject != *subject {
            rounds.remove(key);
            return answers;
        }
        round.asked.retain(|question, asked| {
            asked.spec == spec(*question) && !asked.is_lost() && !asked.is_old(look)
        });
        for (question, asked) in &mut round.asked {
            match asked.answer.get() {
                Some((answer, _)) => {
                    answer.clone().put(*question, &mut answers);
                    answers.news |= !asked.told;
                    asked.told = true;
                }
                None => {
                    answers.awaited.insert(*question, asked.awaited());
                }
            }
        }
        answers
    }

    /// Asks what was not asked yet.
    pub fn ask(
        &self,
        key: &Key,
        subject: &Subject,
        question: Question,
        exchange: Exchange,
        look: Look<'_>,
    ) -> Awaited {
        let lane = self.lane(key, question);
        let asked = Asked::start(exchange, lane, look, self.clock);
        let awaited = asked.awaited();
        let mut rounds = self.rounds();
        let round = rounds
            .entry(key.clone())
            .or_insert_with(|| Round::new(subject));
        round.asked.insert(question, asked);
        awaited
    }

    /// A decision is made and done: its answers are for it alone, and what was measured is for one moment. What
    /// is under way goes on, and a webhook that answered for a decision to come is not called again.
    pub fn used(&self, key: &Key, used: &BTreeSet<Question>) {
        if used.is_empty() {
            return;
        }
        let mut rounds = self.rounds();
        if let Some(round) = rounds.get_mut(key) {
            round.asked.retain(|question, asked| {
                let kept = matches!(question, Question::Hook(_)) && !used.contains(question);
                kept || asked.answer.get().is_none()
            });
            if round.asked.is_empty() {
                rounds.remove(key);
            }
        }
    }

    /// The Canary is gone.
    pub fn forget(&self, key: &Key) {
        self.rounds().remove(key);
    }

    /// Those that are told of the end of releases take turns, too.
    pub fn turn_of_the_told(&self, key: &Key) -> Arc<Semaphore> {
        self.turn(key, Lane::Told)
    }

    fn lane(&self, key: &Key, question: Question) -> Arc<Semaphore> {
        let lane = match question {
            Question::Hook(_) => Lane::Hooks,
            Question::Providers | Question::Metric(_) => Lane::Metrics,
        };
        self.turn(key, lane)
    }

    fn turn(&self, key: &Key, lane: Lane) -> Arc<Semaphore> {
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
    fn new(subject: &Subject) -> Self {
        Self {
            subject: subject.clone(),
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
