//! A request that nobody has answered in time is taken back, unless it is a rollback.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::request::Verb;
use serde_json::json;

use super::{ATTEMPTS, Asked, SILENCE, pause};
use crate::client::{Cluster, PatchError};
use crate::exit::Error;

/// A wish that nobody has heard must not come true hours later, except for the one that is always safe: it is
/// for this release alone, and the server may have routed it already and not been able to say so.
pub(super) fn is_withdrawn(verb: Verb) -> bool {
    verb != Verb::Rollback
}

/// True if the request is not there any more.
pub(super) async fn withdraw(asked: &Asked, cluster: &Cluster) -> bool {
    let withdrawal = async {
        let name = asked.canary.metadata.name.as_deref().unwrap_or_default();
        for attempt in 0..ATTEMPTS {
            pause(attempt).await;
            let canary = cluster
                .canary(asked.canary.namespace_name(), name)
                .await
                .ok()?;
            let written = canary
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(names::REQUEST));
            if written != Some(&asked.request.to_string()) {
                return Some(());
            }
            let none = json!({ (names::REQUEST): null, (names::REQUEST_REASON): null, (names::REQUESTED_BY): null });
            match cluster.annotate(&canary, none).await {
                Ok(_) => return Some(()),
                Err(PatchError::Conflict) => {}
                Err(PatchError::Other(_)) => return None,
            }
        }
        None
    };
    tokio::time::timeout(SILENCE, withdrawal)
        .await
        .ok()
        .flatten()
        .is_some()
}

/// A rollback is waited for, whatever keeps the server from it.
pub(super) fn stays() -> String {
    "the request stays, and is carried out as soon as the server can".to_owned()
}

/// What became of a request that was to be taken back.
pub(super) fn withdrawn(canary: &Canary, gone: bool) -> String {
    if gone {
        return "the request was withdrawn".to_owned();
    }
    format!(
        "the request could not be withdrawn, and may still be carried out. To take it back: kubectl annotate canary {} {}- -n {}",
        canary.metadata.name.as_deref().unwrap_or_default(),
        names::REQUEST,
        canary.namespace_name()
    )
}

/// Beside the error, which says why it was given up.
pub(super) fn told(error: Error, said: &str) -> Error {
    match error {
        Error::Timeout { message, hint } => Error::Timeout {
            message: format!("{message}; {said}"),
            hint,
        },
        other => {
            anstream::eprintln!("{said}");
            other
        }
    }
}
