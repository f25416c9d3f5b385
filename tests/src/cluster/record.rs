//! Every stored version of one object, as a watch delivers them.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt;
use kube::api::{DynamicObject, WatchEvent};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::fixtures::locked;

/// What a watch has seen since it began: the object as it was first, then each change.
#[derive(Debug)]
pub struct Recorder {
    seen: Arc<Versions>,
    gone: Arc<Mutex<Vec<(Instant, String)>>>,
    task: JoinHandle<()>,
}

/// Versions of an object, each with the moment when it arrived.
type Versions = Mutex<Vec<(Instant, Value)>>;

/// How far a recorder has come, for as long as there is one.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Weak<Versions>);

// === impl Progress ===

impl Progress {
    /// Whether there still is a recorder.
    pub(crate) fn is_followed(&self) -> bool {
        self.0.strong_count() > 0
    }

    /// Whether the recorder has the version of `object`, or a later one; a recorder that is gone misses
    /// nothing.
    pub(crate) fn has(&self, object: &Value) -> bool {
        let version = |object: &Value| {
            let text = object["metadata"]["resourceVersion"].as_str()?;
            text.parse::<u64>().ok()
        };
        let Some(seen) = self.0.upgrade() else {
            return true;
        };
        locked(&seen)
            .last()
            .is_some_and(|(_, last)| version(last) >= version(object))
    }
}

// === impl Recorder ===

impl Recorder {
    /// Watches the list at `path` (with its field selector), and records from now on.
    pub async fn start(client: &kube::Client, path: &str) -> Result<Self> {
        let request = http::Request::get(path).body(Vec::new())?;
        let events = client.request_events::<DynamicObject>(request).await?;
        let seen = Arc::new(Versions::default());
        // Weak, so that a recorder that is dropped is gone at once: see `Progress`.
        let kept = Arc::downgrade(&seen);
        let gone = Arc::new(Mutex::new(Vec::new()));
        let removed = gone.clone();
        let task = tokio::spawn(async move {
            let mut events = events.boxed();
            while let Some(Ok(event)) = events.next().await {
                let Some(kept) = kept.upgrade() else { return };
                match event {
                    WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                        let value = serde_json::to_value(object).unwrap_or_default();
                        locked(&kept).push((now(), value));
                    }
                    WatchEvent::Deleted(object) => {
                        let name = object.metadata.name.unwrap_or_default();
                        locked(&removed).push((now(), name));
                    }
                    _ => {}
                }
            }
        });
        Ok(Self { seen, gone, task })
    }

    /// All versions so far, each with the moment when it arrived.
    pub fn versions(&self) -> Vec<(Instant, Value)> {
        locked(&self.seen).clone()
    }

    /// Names of what was deleted, each with the moment when that arrived.
    pub fn removals(&self) -> Vec<(Instant, String)> {
        locked(&self.gone).clone()
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress(Arc::downgrade(&self.seen))
    }

    /// What `read` takes from each version, without repetitions in a row.
    pub fn changes<T: PartialEq>(&self, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let mut changes = Vec::new();
        for (_, version) in locked(&self.seen).iter() {
            if let Some(value) = read(version)
                && changes.last() != Some(&value)
            {
                changes.push(value);
            }
        }
        changes
    }

    /// Weights of primary and canary as a generated ApisixRoute was given them one after the other.
    pub fn weights(&self) -> Vec<(i64, i64)> {
        self.changes(|route| {
            let backends = &route["spec"]["http"][0]["backends"];
            Some((
                backends[0]["weight"].as_i64()?,
                backends[1]["weight"].as_i64()?,
            ))
        })
    }

    /// The phases of a Canary, one after the other.
    pub fn phases(&self) -> Vec<String> {
        self.changes(|canary| canary["status"]["phase"].as_str().map(str::to_owned))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}
