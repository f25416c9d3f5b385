//! Threads that decide, apart from those that drive connections: a review of megabytes holds up no other
//! connection, and a deadline is kept whatever an answer takes.
//!
//! ```text
//!  connections ──► line: so many for each thread, first come first served ──► a thread for each CPU
//!                    └ full: the caller is told at once
//! ```
//!
//! More threads than CPUs would not answer more, only all of them later. And a long line is no help to
//! anybody: the API server waits a second or two, and what waits that long is answered for nobody.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A second one even on a single CPU: a review of megabytes takes long, and others pass it by.
const FEWEST: usize = 2;
/// Before each. A usual review takes a tenth of a millisecond or two: the last in line waits for some ten
/// milliseconds, and a machine that is busy with others for as long turns nobody away.
const LINE: usize = 40;

type Job = Box<dyn FnOnce() + Send>;

/// They end when the last clone is dropped.
#[derive(Clone)]
pub struct Workers(Arc<Door>);

/// Why there is no result.
#[derive(Debug)]
pub enum NoResult {
    /// The line is full.
    Full,
    /// The job panicked, with this.
    Panicked(Box<dyn Any + Send>),
    /// There are no threads to be had.
    Gone,
}

/// Where jobs come in; closed with the last [`Workers`].
struct Door(Arc<Line>);

struct Line {
    jobs: Mutex<Jobs>,
    /// A job came, or none will.
    came: Condvar,
    limit: usize,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    closed: bool,
}

// === impl Workers ===

impl Workers {
    /// As many as there are CPUs for this process.
    pub fn start() -> Self {
        let cpus = std::thread::available_parallelism().map_or(FEWEST, usize::from);
        Self::of(cpus.max(FEWEST))
    }

    fn of(threads: usize) -> Self {
        let line = Arc::new(Line {
            jobs: Mutex::default(),
            came: Condvar::new(),
            limit: threads * LINE,
        });
        let mut started = 0;
        for _ in 0..threads {
            let line = line.clone();
            let thread = std::thread::Builder::new().name("reviews".to_owned());
            match thread.spawn(move || line.work()) {
                Ok(_) => started += 1,
                // The others do its work.
                Err(error) => tracing::error!(%error, "cannot start a thread for reviews"),
            }
        }
        line.jobs().closed = started == 0;
        Self(Arc::new(Door(line)))
    }

    /// Has `job` done by one of the threads.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NoResult> {
        let (done, result) = oneshot::channel();
        self.0.0.join(Box::new(move || {
            // What a panic leaves behind is dropped with it.
            let result = catch_unwind(AssertUnwindSafe(job));
            // Nobody waits for it any more: its time is over.
            let _ = done.send(result);
        }))?;
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(NoResult::Panicked(panic)),
            Err(_) => Err(NoResult::Gone),
        }
    }
}

// === impl Door ===

impl Drop for Door {
    fn drop(&mut self) {
        self.0.jobs().closed = true;
        self.0.came.notify_all();
    }
}

// === impl Line ===

impl Line {
    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, job: Job) -> Result<(), NoResult> {
        let mut jobs = self.jobs();
        if jobs.closed {
            return Err(NoResult::Gone);
        }
        if jobs.waiting.len() >= self.limit {
            return Err(NoResult::Full);
        }
        jobs.waiting.push_back(job);
        drop(jobs);
        self.came.notify_one();
        Ok(())
    }

    fn work(&self) {
        loop {
            let jobs = self.jobs();
            let jobs = self
                .came
                .wait_while(jobs, |jobs| jobs.waiting.is_empty() && !jobs.closed);
            let job = jobs
                .unwrap_or_else(PoisonError::into_inner)
                .waiting
                .pop_front();
            match job {
                Some(job) => job(),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_job_that_finds_the_line_full_is_turned_away_at_once() {
        let workers = Workers::of(1);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let mut jobs = Vec::new();
        let mut turned_away = 0;
        for _ in 0..LINE + 3 {
            let (workers, gate) = (workers.clone(), gate.clone());
            let job = tokio::spawn(async move {
                let wait = move || gate.lock().unwrap().recv_timeout(Duration::from_secs(20));
                workers.run(wait).await.is_ok()
            });
            tokio::time::sleep(Duration::from_millis(2)).await;
            if job.is_finished() {
                assert!(!job.await.unwrap());
                turned_away += 1;
            } else {
                jobs.push(job);
            }
        }
        // One is being done, and the line is behind it.
        assert_eq!((jobs.len(), turned_away), (LINE + 1, 2));
        for _ in &jobs {
            open.send(()).unwrap();
        }
        for job in jobs {
            assert!(job.await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_panic_is_handed_over_and_the_thread_goes_on() {
        let workers = Workers::of(1);
        let broken = workers.run(|| panic!("broken")).await;
        assert!(matches!(broken, Err::<(), _>(NoResult::Panicked(_))));
        assert_eq!(workers.run(|| 7).await.unwrap(), 7);
    }
}
