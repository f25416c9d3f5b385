//! The one place where the server reads a clock.

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

/// CPU time so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// Of the thread that asks.
    pub thread: Duration,
    /// Of all threads.
    pub process: Duration,
}

/// Wall time for log lines.
#[expect(clippy::disallowed_methods, reason = "the server's clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// What this thread and this process have worked.
pub fn cpu() -> Cpu {
    let spent = |clock| {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
        Duration::new(tv_sec as u64, tv_nsec as u32)
    };
    Cpu {
        thread: spent(ClockId::ThreadCPUTime),
        process: spent(ClockId::ProcessCPUTime),
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
