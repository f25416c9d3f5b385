//! The one place where the server reads a clock.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Wall time read once at the start, and monotonic time from there: a step of the wall clock
/// neither stretches a dwell nor skips one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    wall: Timestamp,
}

/// Wall time for log lines.
#[expect(clippy::disallowed_methods, reason = "the server's clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

// === impl Clock ===

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "the server's clock")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            wall: Timestamp::now(),
        }
    }

    pub fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed()).unwrap_or(SignedDuration::MAX);
        self.wall.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// Time that a timer has to run until `at`.
    pub fn until(&self, at: Timestamp) -> Duration {
        Duration::try_from(at.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }

    /// Monotonic time since the start; goes on while the process is stopped.
    #[expect(clippy::disallowed_methods, reason = "the server's clock")]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(self.started)
    }
}
