//! How the server ends: whoever still sends reviews is answered first.
//!
//! ```text
//!  SIGTERM, or the work has ended      readiness false, connections given up one by one
//!    │ --shutdown-delay, and until     endpoints are removed meanwhile
//!    │ nobody comes any more
//!    ▼
//!  no new connections                  reviews that were begun are answered
//!    ▼
//!  the Lease is given away
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::admission::Admission;
use crate::health::Health;

/// Nobody comes any more if nobody came for so long.
const QUIET: Duration = Duration::from_secs(1);
/// With delay and grace it is less than the 30 seconds after which kubelet kills.
const LONGEST: Duration = Duration::from_secs(10);

/// Signals that tell us to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Two signals came: whatever is left undone stays so.
pub struct AtOnce;

/// Serves and works until a signal comes or the work ends, then shuts down. Answers how the work ended.
pub async fn until_told(
    work: impl Future<Output = Result<()>>,
    mut admission: Admission,
    health: &Health,
    delay: Duration,
) -> Result<Result<()>, AtOnce> {
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return Ok(Err(error)),
    };
    let result = {
        let mut work = std::pin::pin!(work);
        let mut result = tokio::select! {
            ended = admission.serve() => return Ok(ended.context("admission")),
            ended = &mut work => Some(ended),
            () = signals.next() => None,
        };
        if let Some(Err(error)) = &result {
            tracing::error!("shutting down: {error:#}");
        } else {
            info!("shutting down");
        }
        health.drain();
        let mut drained = std::pin::pin!(drained(health, delay));
        loop {
            tokio::select! {
                () = &mut drained => break result.unwrap_or(Ok(())),
                () = signals.next() => return Err(AtOnce),
                ended = admission.serve() => return Ok(ended.context("admission")),
                // Releases go on meanwhile, as long as we lead.
                ended = &mut work, if result.is_none() => result = Some(ended),
            }
        }
    };
    admission.stop();
    tokio::select! {
        ended = admission.serve() => Ok(result.and(ended.context("admission"))),
        () = signals.next() => Err(AtOnce),
    }
}

/// Endpoints may be removed later than we were promised: whoever still comes is waited for, too.
async fn drained(health: &Health, delay: Duration) {
    tokio::time::sleep(delay).await;
    let mut waited = Duration::ZERO;
    while waited < LONGEST {
        let before = health.late();
        tokio::time::sleep(QUIET).await;
        if health.late() == before {
            return;
        }
        waited += QUIET;
    }
}

// === impl Signals ===

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
