//! The one place where the server reads a clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Wall time read once at the start, and monotonic time from there: a step of the wall clock
/// neither stretches a dwell nor skips one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    wall: Timestamp,
}

/// CPU time so far. Each is asked for by itself: it costs a system call.
#[derive(Clone)]
pub struct Cpu {
    /// Of the thread that asks.
    pub thread: Arc<dyn Fn() -> Duration + Send + Sync>,
    /// Of all threads.
    pub process: Arc<dyn Fn() -> Duration + Send + Sync>,
}

/// Wall time for log lines.
#[expect(clippy::disallowed_methods, reason = "the server's clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

// === impl Cpu ===

impl Cpu {
    pub fn of_this_process() -> Self {
        let spent = |clock| {
            let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
            Duration::new(tv_sec as u64, tv_nsec as u32)
        };
        Self {
            thread: Arc::new(move || spent(ClockId::ThreadCPUTime)),
            process: Arc::new(move || spent(ClockId::ProcessCPUTime)),
        }
    }
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

    /// The time that it will be then.
    pub fn after(&self, wait: Duration) -> Timestamp {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        self.now().saturating_add(wait).unwrap_or(Timestamp::MAX)
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
