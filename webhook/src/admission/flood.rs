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

    /// A thread worked so long on a review. `before` is what the process had worked by then.
    pub(super) fn worked(&self, before: Duration, took: Duration) {
        if self.worked.fetch_add(micros(took), Ordering::Relaxed) == 0 {
            self.since.store(micros(before), Ordering::Relaxed);
        }
    }

    /// Whether what comes is to be turned away, now that the process has worked so long.
    pub(super) fn floods(&self, process: Duration) -> bool {
        let worked = self.worked.load(Ordering::Relaxed);
        let busy = micros(process).saturating_sub(self.since.load(Ordering::Relaxed));
        worked >= self.limit && worked.saturating_mul(SHARE) >= busy
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Reviews of a millisecond each, one after the other from the first millisecond on.
    fn worked(reviews: u32) -> Flood {
        let flood = Flood::after(20 * MS);
        for number in 1..=reviews {
            flood.worked(number * MS, MS);
        }
        flood
    }

    #[test]
    fn a_burst_is_worked_off_as_far_as_is_in_time_and_the_rest_is_turned_away() {
        assert!(!worked(19).floods(20 * MS));
        assert!(worked(20).floods(21 * MS));
    }

    #[test]
    fn a_runtime_that_was_idle_has_nobody_waiting() {
        let flood = worked(30);
        flood.idle();
        assert!(!flood.floods(31 * MS));
        flood.worked(40 * MS, MS);
        assert!(!flood.floods(41 * MS));
    }

    #[test]
    fn a_runtime_that_is_busy_with_something_else_is_not_flooded() {
        let flood = worked(20);
        assert!(flood.floods(81 * MS));
        assert!(!flood.floods(82 * MS));
    }

    #[test]
    fn the_count_starts_with_the_first_review_after_an_idle_moment() {
        let flood = Flood::after(20 * MS);
        flood.worked(1000 * MS, 25 * MS);
        assert!(flood.floods(1030 * MS));
    }

    #[test]
    fn what_other_threads_do_meanwhile_is_no_work_on_a_review() {
        let flood = Flood::after(20 * MS);
        flood.worked(2 * MS, 19 * MS);
        assert!(!flood.floods(40 * MS));
        flood.worked(40 * MS, MS);
        assert!(flood.floods(42 * MS));
    }
}
