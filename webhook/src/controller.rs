//! One task for each Canary: it looks whenever something that it rests on changes, and when the
//! time comes that it asked for. Canaries never wait for one another.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::cache::Key;
use crate::telemetry::Workload;
use crate::tick::{Context, Next};

/// Looks in a row that all wrote something: more is a fight with somebody, and gets a pause. Whose writes of what
/// must exist are undone is told long before: see `Rounds`.
const SETTLE: u32 = 30;
const FIGHT_PAUSE: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// However often it is woken.
const BETWEEN_FAILURES: Duration = Duration::from_secs(1);
/// Ticks at a time: what a small API server takes without queueing.
const CONCURRENCY: usize = 64;
/// One that takes longer waits for the API server, where another team's admission webhook may hang: its place is
/// for others.
const KEEPS_PLACE: Duration = Duration::from_secs(1);

pub struct Controller {
    context: Arc<Context>,
    permits: Arc<Semaphore>,
    workers: HashMap<Key, JoinHandle<()>>,
}

// === impl Controller ===

impl Controller {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            permits: Arc::new(Semaphore::new(CONCURRENCY)),
            workers: HashMap::new(),
        }
    }

    /// Starts and ends tasks as Canaries come and go.
    pub async fn run(mut self) {
        info!(
            canaries = self.context.caches.canaries.len(),
            "controller started"
        );
        for namespace in self.context.perhaps_departed() {
            self.tidy_up(namespace);
        }
        loop {
            self.reap();
            self.start_missing();
            self.count();
            self.context.caches.membership.notified().await;
        }
    }

    fn start_missing(&mut self) {
        for key in self.context.caches.canaries.keys() {
            if self.workers.contains_key(&key) {
                continue;
            }
            let notify = Arc::new(Notify::new());
            self.context.caches.attach(&key, notify.clone());
            let work = work(
                self.context.clone(),
                self.permits.clone(),
                key.clone(),
                notify,
            );
            self.workers.insert(key, tokio::spawn(work));
        }
    }

    fn reap(&mut self) {
        let caches = &self.context.caches;
        let mut left = BTreeSet::new();
        self.workers.retain(|key, worker| {
            let stays = caches.canaries.get_key(key).is_some();
            if !stays {
                worker.abort();
                forget(&self.context, key);
                caches.detach(key);
                left.insert(key.namespace.clone());
            }
            stays && !worker.is_finished()
        });
        for namespace in left {
            self.tidy_up(namespace);
        }
    }

    /// Nothing waits for it.
    fn tidy_up(&self, namespace: Arc<str>) {
        let context = self.context.clone();
        tokio::spawn(async move { context.tidy_up(&namespace).await });
    }

    fn count(&self) {
        let mut totals = std::collections::BTreeMap::new();
        for key in self.workers.keys() {
            *totals.entry(key.namespace.to_string()).or_insert(0_i64) += 1;
        }
        self.context.metrics.totals(&totals);
    }
}

/// Looks at one Canary for as long as it exists.
async fn work(context: Arc<Context>, permits: Arc<Semaphore>, key: Key, changed: Arc<Notify>) {
    let mut retry = FIRST_RETRY;
    let mut in_a_row = 0;
    loop {
        let outcome = {
            let Ok(place) = permits.acquire().await else {
                return;
            };
            // A look takes many kilobytes, and most of the time nobody looks.
            let mut look = Box::pin(context.tick(&key));
            if let Ok(outcome) = tokio::time::timeout(KEEPS_PLACE, &mut look).await {
                outcome
            } else {
                drop(place);
                look.await
            }
        };
        let wait = match outcome {
            Ok(Next::Gone) => return forget(&context, &key),
            Ok(Next::Again) if in_a_row < SETTLE => {
                // What failed before may fail again behind a write that works: its pauses go on growing.
                in_a_row += 1;
                continue;
            }
            Ok(Next::Again) => {
                error!(canary = %key, "does not settle: somebody keeps changing what is written");
                Some(FIGHT_PAUSE)
            }
            Ok(Next::Wait(at)) => {
                retry = FIRST_RETRY;
                at.map(|at| context.clock.until(at))
            }
            Err(failure) => {
                if !failure.is_stale() {
                    error!(canary = %key, "{failure}");
                }
                let pause = retry;
                retry = (retry * 2).min(LONGEST_RETRY);
                // What we did on the way to it wakes us, too: that must not be a loop.
                tokio::time::sleep(pause.min(BETWEEN_FAILURES)).await;
                Some(pause)
            }
        };
        in_a_row = 0;
        match wait {
            Some(wait) => {
                let _ = tokio::time::timeout(wait, changed.notified()).await;
            }
            None => changed.notified().await,
        }
    }
}

fn forget(context: &Context, key: &Key) {
    context.contest.forget(key);
    context.repairs.forget(key);
    context.own_apexes.forget(key);
    context.rounds.forget(key);
    context.reroutes.forget(key);
    context.unsaved.forget(key);
    context.questions.forget(key);
    context.farewells.forget(key);
    context.waits.forget(key);
    context.refused.forget(key);
    context.lost.forget(key);
    context.generating.over(key);
    context.deciding.over(key);
    context.saving.over(key);
    context.sweeps.forget(key);
    context.metrics.forget(&Workload {
        name: key.name.to_string(),
        namespace: key.namespace.to_string(),
    });
}
