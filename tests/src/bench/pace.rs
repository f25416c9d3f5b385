//! Load in an open loop: each call has its moment, whether or not those before it have ended. What a slow
//! answer delays is counted as late, not left out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::clock::now;

/// So many calls a second, for so long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub per_second: f64,
    pub length: Duration,
}

/// What a call came to, and how long after its moment.
#[derive(Clone, Debug)]
pub struct Timed<T> {
    pub took: Duration,
    pub value: T,
}

/// What a load came to.
#[derive(Debug)]
pub struct Load<T> {
    pub calls: Vec<Timed<T>>,
    /// From the first moment to the last end.
    pub took: Duration,
    /// By how much the last call was begun after its moment: what the client itself could not keep up with.
    pub late: Duration,
}

/// Calls at that pace, and waits for every end.
pub async fn open_loop<T, F, C>(pace: Pace, call: C) -> Result<Load<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
    C: Fn(usize) -> F + Send + Sync + 'static,
{
    let (ended, mut ends) = mpsc::unbounded_channel();
    let (handle, call) = (Handle::current(), Arc::new(call));
    // A thread of its own: a runtime's timers are only exact to a millisecond.
    let start = now();
    let pacer = tokio::task::spawn_blocking(move || {
        for number in 0..pace.calls() {
            let moment = start + pace.moment(number);
            std::thread::sleep(moment.saturating_duration_since(now()));
            let (call, ended) = (call.clone(), ended.clone());
            handle.spawn(async move {
                let value = call(number).await;
                let took = moment.elapsed();
                // Nobody waits for it any more.
                let _ = ended.send(Timed { took, value });
            });
        }
        pace.late(start)
    });
    let mut calls = Vec::with_capacity(pace.calls());
    while let Some(timed) = ends.recv().await {
        calls.push(timed);
    }
    Ok(Load {
        calls,
        took: start.elapsed(),
        late: pacer.await?,
    })
}

// === impl Pace ===

impl Pace {
    fn calls(self) -> usize {
        (self.per_second * self.length.as_secs_f64()) as usize
    }

    fn moment(self, number: usize) -> Duration {
        Duration::from_secs_f64(number as f64 / self.per_second)
    }

    fn late(self, start: Instant) -> Duration {
        let last = start + self.moment(self.calls().saturating_sub(1));
        now().saturating_duration_since(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_waits_for_another_is_counted_from_its_own_moment() {
        let gate = Arc::new(tokio::sync::Mutex::new(()));
        let pace = Pace {
            per_second: 100.0,
            length: Duration::from_millis(50),
        };
        let load = open_loop(pace, move |number| {
            let gate = gate.clone();
            async move {
                let _alone = gate.lock().await;
                if number == 0 {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
        let load = load.await.unwrap();
        assert_eq!(load.calls.len(), 5);
        let late = |call: &Timed<()>| call.took >= Duration::from_millis(150);
        assert!(load.calls.iter().all(late), "{:?}", load.calls);
    }
}
