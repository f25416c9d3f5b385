//! Whether more reviews come than can be decided.
//!
//! ```text
//!  the runtime   idle │ busy ──────────────────────────────── │ idle
//!  reviews            │ decided … LIMIT of work │ turned away │
//! ```
//!
//! A runtime that has nothing to do has nobody waiting. One that has been busy since, with reviews for the
//! most part, has had somebody wait all the time: what comes now waits as long as that has lasted. Short of
//! its capacity a server is idle every other millisecond, and a burst that it can work off in time is worked
//! off in full. In a flood the queue is never empty; then the rest of it is read and turned away, which costs
//! less than an answer, until it is.
//!
//! The number of reviews that wait would tell the same, but is not to be had: most of a flood waits in the
//! sockets, unread.
//!
//! Work is CPU time. By the clock on the wall a review would take as long as its thread is kept from a CPU: a
//! container that has used up its share of one, or a machine that does much else, is not a flood.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Cpu;

/// Of work on reviews for each CPU: some hundred of them, and a tenth of what an API server waits.
const LIMIT: Duration = Duration::from_millis(20);
/// A runtime that is busy with something else is not flooded: reviews have to be one part in so many.
const SHARE: u64 = 4;

/// In microseconds, as times are compared without a lock.
#[derive(Debug)]
pub struct Flood {
    limit: u64,
    /// On reviews, since the runtime was idle.
    worked: AtomicU64,
    /// What the process had worked when that began.
    since: AtomicU64,
}

// === impl Flood ===

impl Flood {
    /// What this process's CPUs work off in time.
    pub fn of_this_process() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self::after(LIMIT * u32::try_from(cpus).unwrap_or(u32::MAX))
    }

    fn after(limit: Duration) -> Self {
        Self {
            limit: micros(limit),
            worked: AtomicU64::new(0),
            since: AtomicU64::new(0),
        }
    }

    /// The runtime has nothing to do: nobody waits.
    pub fn idle(&self) {
        self.worked.store(0, Ordering::Relaxed);
    }

    /// A review was worked on from `start` to `end`, by one thread.
    pub(super) fn worked(&self, start: Cpu, end: Cpu) {
        let took = micros(end.thread.saturating_sub(start.thread));
        if self.worked.fetch_add(took, Ordering::Relaxed) == 0 {
            self.since.store(micros(start.process), Ordering::Relaxed);
        }
    }

    /// Whether what has come at `now` is to be turned away.
    pub(super) fn floods(&self, now: Cpu) -> bool {
        let worked = self.worked.load(Ordering::Relaxed);
        let busy = micros(now.process).saturating_sub(self.since.load(Ordering::Relaxed));
        worked >= self.limit && worked.saturating_mul(SHARE) >= busy
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One thread that has worked so many milliseconds.
    fn at(millis: u64) -> Cpu {
        let spent = Duration::from_millis(millis);
        Cpu {
            thread: spent,
            process: spent,
        }
    }

    fn empty() -> Flood {
        Flood::after(Duration::from_millis(20))
    }

    /// Reviews of a millisecond each, one after the other from the first millisecond on.
    fn worked(reviews: u64) -> Flood {
        let flood = empty();
        for number in 1..=reviews {
            flood.worked(at(number), at(number + 1));
        }
        flood
    }

    #[test]
    fn a_burst_is_worked_off_as_far_as_is_in_time_and_the_rest_is_turned_away() {
        assert!(!worked(19).floods(at(20)));
        assert!(worked(20).floods(at(21)));
    }

    #[test]
    fn a_runtime_that_was_idle_has_nobody_waiting() {
        let flood = worked(30);
        flood.idle();
        assert!(!flood.floods(at(31)));
        flood.worked(at(40), at(41));
        assert!(!flood.floods(at(41)));
    }

    #[test]
    fn a_runtime_that_is_busy_with_something_else_is_not_flooded() {
        let flood = worked(20);
        assert!(flood.floods(at(81)));
        assert!(!flood.floods(at(82)));
    }

    #[test]
    fn the_count_starts_with_the_first_review_after_an_idle_moment() {
        let flood = empty();
        flood.worked(at(1000), at(1025));
        assert!(flood.floods(at(1030)));
    }

    #[test]
    fn what_other_threads_do_meanwhile_is_no_work_on_a_review() {
        let flood = empty();
        let and_another = |millis| Cpu {
            process: at(2 * millis).process,
            ..at(millis)
        };
        flood.worked(and_another(1), and_another(20));
        assert!(!flood.floods(and_another(20)));
        flood.worked(and_another(20), and_another(21));
        assert!(flood.floods(and_another(21)));
    }
}
