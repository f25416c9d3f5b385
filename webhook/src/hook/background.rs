//! Hooks whose answer decides nothing are called beside the release, never in its way.

use std::hash::{DefaultHasher, Hash, Hasher};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Backoff, Outgoing, call};
use crate::transport::Transport;

/// So many servers can hang before others wait.
const LANES: usize = 8;
/// Calls that wait in a lane; a server that is this far behind loses events.
const DEPTH: usize = 128;

/// Calls to one URL keep their order; one that hangs holds only its own lane.
#[derive(Debug)]
pub struct Background {
    lanes: Vec<mpsc::Sender<Job>>,
    workers: JoinSet<()>,
}

#[derive(Debug)]
struct Job {
    outgoing: Outgoing,
    /// `<name>.<namespace>`, for the log.
    canary: String,
}

// === impl Background ===

impl Background {
    /// Starts the workers on the current runtime. They end with this value.
    pub fn start(transport: &Transport, backoff: Backoff) -> Self {
        let mut workers = JoinSet::new();
        let lanes = (0..LANES)
            .map(|_| {
                let (sender, receiver) = mpsc::channel(DEPTH);
                workers.spawn(work(receiver, transport.clone(), backoff));
                sender
            })
            .collect();
        Self { lanes, workers }
    }

    /// Never waits. A call that finds its lane full is dropped, and the log says so.
    pub fn send(&self, canary: &str, outgoing: Outgoing) -> bool {
        let url = outgoing.shown();
        let job = Job {
            outgoing,
            canary: canary.to_owned(),
        };
        let sent = self.lanes[lane(&url)].try_send(job).is_ok();
        if !sent {
            tracing::error!(canary, "event not sent: too many wait for webhook {url}");
        }
        sent
    }

    /// Waits for what was sent so far.
    pub async fn finish(mut self) {
        self.lanes.clear();
        while self.workers.join_next().await.is_some() {}
    }
}

pub(super) fn lane(url: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    url.hash(&mut hasher);
    (hasher.finish() % LANES as u64) as usize
}

async fn work(mut jobs: mpsc::Receiver<Job>, transport: Transport, backoff: Backoff) {
    while let Some(job) = jobs.recv().await {
        if let Err(error) = call(&transport, &job.outgoing, backoff).await {
            tracing::error!(
                canary = job.canary,
                "error sending event to webhook: {error}"
            );
        }
    }
}
