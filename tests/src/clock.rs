//! The one home of the clock in the harness, and waiting for what real programs do in their own time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness measures real programs; this is the one place that reads the clock"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Asks `probe` every 50 ms until it answers, and returns the answer. An error of the probe is an
/// answer not yet given: the last one is told when the time is up.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = now();
    loop {
        let last = match probe().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() >= limit {
            let what = format!("waited {limit:?} in vain for {what}");
            match last {
                Some(error) => return Err(error).context(what),
                None => bail!(what),
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
