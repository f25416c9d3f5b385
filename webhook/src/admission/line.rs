//! The line in front of decisions: how many reviews may wait for one.
//!
//! ```text
//!  waiting   0 ──────── SHORT ───────────────── LONG
//!  at rest   joins      joins                   turned away: somebody floods us
//!  flooded   joins      turned away, and so for the next second
//! ```
//!
//! A machine that stood still for a moment finds many reviews at once, and can answer them all. A flood goes
//! on: there a long line makes everybody late, and what is turned away soon costs least.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// For each CPU. The last in line waits for some ten milliseconds, of the second or two of an API server.
const LONG: usize = 128;
/// For each CPU. The last in line waits for some milliseconds.
const SHORT: usize = 32;
/// How long a flood is taken to go on after the last review that was turned away.
const FLOODED_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Line {
    free: Semaphore,
    /// Of `free`, those that a flood leaves empty.
    spare: usize,
    /// Time since the start of the process, in milliseconds.
    flooded_until: AtomicU64,
}

// === impl Line ===

impl Line {
    /// As long as this process's CPUs can work off in time.
    pub fn new() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self::of(SHORT * cpus, LONG * cpus)
    }

    fn of(short: usize, long: usize) -> Self {
        Self {
            free: Semaphore::new(long),
            spare: long - short,
            flooded_until: AtomicU64::new(0),
        }
    }

    /// A place at `now`, for as long as it is kept; none if the line is full.
    pub fn join(&self, now: Duration) -> Option<SemaphorePermit<'_>> {
        let now = now.as_millis() as u64;
        let flooded = now < self.flooded_until.load(Ordering::Relaxed);
        let left = if flooded { self.spare } else { 0 };
        let place = (self.free.available_permits() > left)
            .then(|| self.free.try_acquire().ok())
            .flatten();
        if place.is_none() {
            let until = now + FLOODED_FOR.as_millis() as u64;
            self.flooded_until.store(until, Ordering::Relaxed);
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn join(line: &Line, many: usize, now: Duration) -> Vec<SemaphorePermit<'_>> {
        (0..many).filter_map(|_| line.join(now)).collect()
    }

    #[test]
    fn a_burst_fills_the_line_and_the_next_is_turned_away() {
        let line = Line::of(2, 5);
        let burst = join(&line, 7, NOW);
        assert_eq!(burst.len(), 5);
    }

    #[test]
    fn in_a_flood_the_line_is_short_until_a_second_after_the_last_that_was_turned_away() {
        let line = Line::of(2, 5);
        drop(join(&line, 6, NOW));
        let later = NOW + Duration::from_millis(900);
        assert_eq!(join(&line, 3, later).len(), 2);
        let flooded = later + Duration::from_millis(999);
        assert_eq!(join(&line, 2, flooded).len(), 2);
        let over = later + Duration::from_secs(1);
        assert_eq!(join(&line, 5, over).len(), 5);
    }
}
