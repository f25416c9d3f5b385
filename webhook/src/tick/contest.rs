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
    /// Another Canary of the name has a status of its own.
    uid: Option<String>,
    status: Option<CanaryStatus>,
    resource_version: Option<String>,
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
        if known.uid != canary.metadata.uid {
            *known = Known {
                uid: canary.metadata.uid.clone(),
                ..Known::default()
            };
        }
        let version = &canary.metadata.resource_version;
        // One version that reads otherwise was written by nobody: while the definition changes, the API server
        // serves an object by the old schema and by the new.
        let written = known.resource_version != *version;
        if known.status.is_some() && known.status != canary.status && written {
            known.foreign.push(now);
        }
        known.status.clone_from(&canary.status);
        known.resource_version.clone_from(version);
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

    /// A write of ours, as it was answered.
    pub fn wrote(&self, key: &Key, answer: &Canary) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(key.clone()).or_default();
        known.uid.clone_from(&answer.metadata.uid);
        known.status.clone_from(&answer.status);
        known
            .resource_version
            .clone_from(&answer.metadata.resource_version);
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
        canary_of_version(failed_checks, failed_checks)
    }

    fn canary_of_version(version: i64, failed_checks: i64) -> Canary {
        let status = CanaryStatus {
            phase: Phase::Progressing,
            failed_checks,
            ..CanaryStatus::default()
        };
        let mut canary = Canary {
            status: Some(status),
            ..Canary::default()
        };
        canary.metadata.resource_version = Some(version.to_string());
        canary
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    #[test]
    fn a_canary_that_is_deleted_and_created_again_and_again_is_contested_by_nobody() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        for life in 0..10 {
            let mut canary = canary(life);
            canary.metadata.uid = Some(life.to_string());
            let verdict = contest.judge(&key, &canary, Timestamp::UNIX_EPOCH);
            assert_eq!(verdict, Verdict::Ours, "{life}");
        }
    }

    #[test]
    fn a_status_that_only_we_write_is_ours() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        for n in 0..10 {
            assert_eq!(contest.judge(&key, &canary(n), at(0)), Verdict::Ours);
            contest.wrote(&key, &canary(n + 1));
        }
    }

    #[test]
    fn a_version_of_ours_that_reads_otherwise_was_written_by_nobody() {
        let (contest, key) = (Contest::default(), Key::new("test", "podinfo"));
        for n in 0..10 {
            contest.wrote(&key, &canary_of_version(n, 1));
            let pruned = canary_of_version(n, 0);
            assert_eq!(contest.judge(&key, &pruned, at(0)), Verdict::Ours);
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
