//! Another controller that keeps writing our status. Two that act on one Canary undo each other's
//! work, so ours stops, and says whose it is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use canary_core::canary::Canary;
use canary_core::status::CanaryStatus;
use jiff::{SignedDuration, Timestamp};

use crate::cache::Key;

/// So many foreign writes within the window are no accident.
const LIMIT: usize = 3;
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// The status of each Canary as we know it, and when somebody else changed it.
#[derive(Debug, Default)]
pub struct Contest {
    known: Mutex<HashMap<Key, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    status: Option<CanaryStatus>,
    foreign: Vec<Timestamp>,
    said: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ours,
    /// To be said now.
    Contested,
    /// Said already: nothing is written any more.
    Silent,
}

// === impl Contest ===

impl Contest {
    pub fn judge(&self, key: &Key, canary: &Canary, now: Timestamp) -> Verdict {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(key.clone()).or_default();
        if known.status.is_some() && known.status != canary.status {
            known.foreign.push(now);
        }
        known.status.clone_from(&canary.status);
        known.foreign.retain(|at| now.duration_since(*at) < WINDOW);
        if known.foreign.len() < LIMIT {
            known.said = false;
            return Verdict::Ours;
        }
        if std::mem::replace(&mut known.said, true) {
            Verdict::Silent
        } else {
            Verdict::Contested
        }
    }

    /// When the foreign writes of now will be forgotten.
    pub fn looks_again(now: Timestamp) -> Timestamp {
        now.saturating_add(WINDOW).unwrap_or(Timestamp::MAX)
    }

    /// A write of ours.
    pub fn wrote(&self, key: &Key, status: Option<&CanaryStatus>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(key.clone()).or_default().status = status.cloned();
    }

    pub fn forget(&self, key: &Key) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use canary_core::status::Phase;

    use super::*;

    fn canary(failed_checks: i64) -> Canary {
        let status = CanaryStatus {
            phase: Phase::Progressing,
            failed_checks,
            ..CanaryStatus::default()
        };
        Canary {
            status: Some(status),
            ..Canary::default()
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_status_that_only_we_write_is_ours() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        for n in 0..10 {
            assert_eq!(contest.judge(&key, &canary(n), at(0)), Verdict::Ours);
            contest.wrote(&key, canary(n + 1).status.as_ref());
        }
    }

    #[test]
    fn a_status_that_another_keeps_writing_is_given_up_and_said_once() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        let verdicts: Vec<_> = (0..5)
            .map(|n| contest.judge(&key, &canary(n), at(n)))
            .collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Ours,
                Verdict::Ours,
                Verdict::Ours,
                Verdict::Contested,
                Verdict::Silent
            ]
        );
    }

    #[test]
    fn a_status_that_was_changed_by_hand_now_and_then_stays_ours() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        for n in 0..10 {
            assert_eq!(contest.judge(&key, &canary(n), at(n * 6)), Verdict::Ours);
        }
    }
}
