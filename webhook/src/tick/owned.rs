//! The one path by which every object that is ours whole is written: generated Services, the copy of an
//! autoscaler, the generated route, copies of configuration. The comparison is in `target/whole.rs`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::target::{generated, whole};
use crate::tick::Context;

/// Writes that the API server answered with something else than was asked for: it dropped a field that it does
/// not know, or another webhook changed one. The same is not asked for again until something has changed.
#[derive(Debug, Default)]
pub struct Answered(Mutex<HashMap<(Kind, Key), String>>);

/// What came of a write.
pub(super) struct Put {
    /// As the API server answered. What others made of it since is another matter.
    pub stored: Value,
    pub changed: bool,
}

// === impl Context ===

impl Context {
    /// Makes an object as it should be: a POST if it is not there, a PUT if it is not so, and nothing else. True
    /// if it changed anything.
    pub(super) async fn own(
        &self,
        kind: Kind,
        live: Option<&Value>,
        desired: &Value,
    ) -> Result<bool, ApiError> {
        let put = self.put(kind, live, desired).await?;
        Ok(put.is_some_and(|put| put.changed))
    }

    /// The same. None if nothing had to be written.
    pub(super) async fn put(
        &self,
        kind: Kind,
        live: Option<&Value>,
        desired: &Value,
    ) -> Result<Option<Put>, ApiError> {
        let namespace = key_of(desired).namespace;
        self.check_stays(&namespace, live, desired).await?;
        let stored = match live {
            Some(live) if whole::is_so(live, desired) => return Ok(None),
            Some(live) if self.answered.knows(kind, live, desired) => return Ok(None),
            Some(live) => {
                let object = whole::replacement(live, desired);
                self.cluster.replace(kind, &object).await?
            }
            None => {
                let object = whole::noted(desired.clone());
                self.cluster.create(kind, &object).await?
            }
        };
        self.answered.note(kind, &stored, desired);
        let changed = self.took(kind, live, stored.clone());
        Ok(Some(Put { stored, changed }))
    }

    /// Keeps what a write was answered with. True if it changed anything: what the API server drops or fills in by
    /// itself must not be written for ever.
    pub(super) fn took(&self, kind: Kind, before: Option<&Value>, after: Value) -> bool {
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let changed = before.is_none_or(|before| version(before) != version(&after));
        self.caches.written(kind, after);
        changed
    }

    /// Nothing is given back to a Canary that is about to leave it behind: its deletion may not be known here yet,
    /// and the API server is asked.
    pub(super) async fn check_stays(
        &self,
        namespace: &str,
        live: Option<&Value>,
        desired: &Value,
    ) -> Result<(), ApiError> {
        if !live.is_some_and(|live| generated::gains_owner(live, desired)) {
            return Ok(());
        }
        let owners = desired["metadata"]["ownerReferences"].as_array();
        let canaries = owners.into_iter().flatten();
        for owner in canaries.filter(|owner| owner["kind"] == "Canary") {
            let name = owner["name"].as_str().unwrap_or_default();
            let canary = self.cluster.get(Kind::Canary, namespace, name).await?;
            let metadata = &canary["metadata"];
            if metadata["uid"] != owner["uid"] || !metadata["deletionTimestamp"].is_null() {
                let what = format!("Canary {name}.{namespace}");
                return Err(ApiError::Conflict { what });
            }
        }
        Ok(())
    }
}

// === impl Answered ===

impl Answered {
    fn note(&self, kind: Kind, stored: &Value, desired: &Value) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kind, key_of(stored));
        if whole::is_so(stored, desired) {
            answered.remove(&key);
        } else {
            answered.insert(key, whole::fingerprint(stored, desired));
        }
    }

    /// Remembers, of a patch, what was to go and stayed.
    pub(super) fn note_left(&self, kind: Kind, key: &Key, left: Option<String>) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match left {
            Some(left) => answered.insert((kind, key.clone()), left),
            None => answered.remove(&(kind, key.clone())),
        };
    }

    pub(super) fn left(&self, kind: Kind, key: &Key) -> Option<String> {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.get(&(kind, key.clone())).cloned()
    }

    /// What was answered is no good: it is written again.
    pub(super) fn forget(&self, kind: Kind, stored: &Value) {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answered.remove(&(kind, key_of(stored)));
    }

    fn knows(&self, kind: Kind, live: &Value, desired: &Value) -> bool {
        let answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = answered.get(&(kind, key_of(live)));
        known.is_some_and(|known| *known == whole::fingerprint(live, desired))
    }
}

fn key_of(object: &Value) -> Key {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    Key::new(text("namespace"), text("name"))
}
