//! Writes that fail. They are tried again with growing pauses, told from the second try on, and never keep a
//! release from going back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use canary_core::release::Problem;

use crate::api::ApiError;
use crate::cache::Key;
use crate::tick::TickError;
use crate::world::problem;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Somebody else wrote first so often in a row: that is no coincidence any more.
const CONTENDED: u32 = 5;

/// What failed for each Canary, since when it last went well.
#[derive(Debug, Default)]
pub struct Troubles {
    known: Mutex<HashMap<Key, Trouble>>,
    /// What people were told on the way to a write that failed: the tries that follow do not tell it again.
    said: Mutex<HashMap<Key, Vec<String>>>,
}

#[derive(Clone, Debug)]
struct Trouble {
    tries: u32,
    again: Duration,
    problem: Problem,
    failure: Failure,
}

/// What a failed write comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Try again before anything is said.
    Passing,
    /// People are told.
    Lasting,
}

// === impl Troubles ===

impl Troubles {
    /// Notes a failure at `now`, on a clock that only goes forward.
    pub fn failed(&self, key: &Key, error: &TickError, now: Duration) -> Failure {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // What goes back is tried in the pause, too. It makes it no longer, or nothing would ever go forward.
        if let Some(trouble) = known.get(key).filter(|trouble| now < trouble.again) {
            return trouble.failure;
        }
        let tries = known.get(key).map_or(0, |trouble| trouble.tries) + 1;
        let growth = 2_u32.saturating_pow(tries.saturating_sub(1).min(16));
        let pause = FIRST_PAUSE.saturating_mul(growth).min(LONGEST_PAUSE);
        let told_from = match error {
            error if error.is_refusal() => 1,
            error if error.is_stale() => CONTENDED,
            _ => 2,
        };
        let failure = if tries < told_from {
            Failure::Passing
        } else {
            Failure::Lasting
        };
        let trouble = Trouble {
            tries,
            again: now + pause,
            problem: problem_of(error),
            failure,
        };
        known.insert(key.clone(), trouble);
        failure
    }

    /// What people were told of, for as long as it is not over.
    pub fn told(&self, key: &Key) -> Option<Problem> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = known.get(key)?;
        (trouble.failure == Failure::Lasting).then(|| trouble.problem.clone())
    }

    /// The problem, and how long it is left alone.
    pub fn waits(&self, key: &Key, now: Duration) -> Option<(Problem, Duration)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = known.get(key)?;
        let left = trouble.again.checked_sub(now)?;
        (!left.is_zero()).then(|| (trouble.problem.clone(), left))
    }

    /// A passing trouble is looked at again without a pause of its own.
    pub fn try_at_once(&self, key: &Key) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(trouble) = known.get_mut(key) {
            trouble.again = Duration::ZERO;
        }
    }

    /// Notes what people are told; true if an earlier try told them.
    pub fn said(&self, key: &Key, text: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let texts = said.entry(key.clone()).or_default();
        let before = texts.iter().any(|old| old == text);
        if !before {
            texts.push(text.to_owned());
        }
        before
    }

    /// All of a plan was done: what the next one says is news, also if it is the same.
    pub fn all_said(&self, key: &Key) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.remove(key);
    }

    /// It went well, or the Canary is gone.
    pub fn over(&self, key: &Key) {
        self.all_said(key);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(key);
    }
}

/// What people are told of an error.
pub fn problem_of(error: &TickError) -> Problem {
    let reason = match error {
        TickError::Api(ApiError::Forbidden { .. }) => "Forbidden",
        TickError::Api(ApiError::Rejected { .. } | ApiError::Rewritten { .. }) => "Rejected",
        TickError::NotOurs(_) => "NameTaken",
        TickError::Missing(_) => "ConfigNotFound",
        error if error.is_stale() => "Contended",
        TickError::Api(_) | TickError::Stale(_) => "WriteFailed",
    };
    problem(reason, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale() -> TickError {
        TickError::Stale("route web.test changed meanwhile".to_owned())
    }

    fn refused() -> TickError {
        TickError::Api(ApiError::Rejected {
            verb: "patch",
            what: "ApisixRoute web.test".to_owned(),
            message: "no".to_owned(),
        })
    }

    #[test]
    fn a_conflict_is_told_when_it_keeps_coming_back() {
        let (troubles, key) = (Troubles::default(), Key::new("test", "web"));
        let mut told = Vec::new();
        for _ in 0..6 {
            told.push(troubles.failed(&key, &stale(), Duration::ZERO));
            troubles.try_at_once(&key);
        }
        let passing = [Failure::Passing; 4];
        assert_eq!(told[..4], passing);
        assert_eq!(told[4..], [Failure::Lasting; 2]);
        troubles.over(&key);
        assert_eq!(
            troubles.failed(&key, &stale(), Duration::ZERO),
            Failure::Passing
        );
    }

    #[test]
    fn what_was_told_before_a_write_failed_is_not_told_again_until_one_succeeds() {
        let (troubles, key) = (Troubles::default(), Key::new("test", "web"));
        let text = "Rolling back web.test";
        let other = Key::new("test", "api");
        assert_eq!(
            [&key, &key, &other].map(|key| troubles.said(key, text)),
            [false, true, false]
        );
        assert!(!troubles.said(&key, "Canary failed! Scaling down web.test"));
        troubles.over(&key);
        assert!(!troubles.said(&key, text));
        assert!(troubles.said(&other, text));
    }

    #[test]
    fn a_refusal_is_told_at_once_and_tried_again_with_growing_pauses() {
        let (troubles, key) = (Troubles::default(), Key::new("test", "web"));
        let mut pauses = Vec::new();
        let mut now = Duration::ZERO;
        for _ in 0..7 {
            let failure = troubles.failed(&key, &refused(), now);
            assert_eq!(failure, Failure::Lasting);
            let (problem, left) = troubles.waits(&key, now).unwrap();
            assert_eq!(problem.reason, "Rejected");
            pauses.push(left.as_secs());
            // What is tried before it is over changes nothing.
            troubles.failed(&key, &refused(), now + left / 2);
            now += left;
            assert_eq!(troubles.waits(&key, now), None);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }
}
