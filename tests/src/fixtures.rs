//! Small programs with real sockets that play the parts of the scenario which are not ours:
//!
//! ```text
//!  load ──HTTP──► gateway ──HTTP──► app (or podinfo in pods)
//!                  │  ▲ routes, Services, EndpointSlices (as they were `lag` ago)
//!     prometheus ◄─┘  └──────────── API server
//!         ▲
//!         └─ queries ── controller ── webhooks ──► loadtester, hooks
//! ```
//!
//! What belongs here: programs that a test, the demo or a pod runs. What does not: anything that
//! knows the rules of a release.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub mod app;
pub mod balancer;
pub mod failure;
pub mod gateway;
pub mod hooks;
pub mod load;
pub mod loadtester;
pub mod prometheus;
pub mod relay;
pub mod serve;
pub mod webhook;

/// A fixture's state stays readable after a panic in one of its handlers: the test that caused it
/// fails by its own assertion, not by a poisoned lock.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Parses `1s`, `500ms` or `0s` for command lines.
pub fn duration(text: &str) -> Result<std::time::Duration, jiff::Error> {
    text.parse::<jiff::SignedDuration>()?.try_into()
}

/// Runs a program until it ends or is told to stop. In a pod it is process 1, which ignores every
/// signal that it does not handle.
pub async fn until_stopped(program: impl Future<Output = ()>) {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = program => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
