//! Who is woken by what.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use tokio::sync::Notify;

use crate::api::Kind;
use crate::cache::Key;
use crate::caches::Caches;

#[derive(Debug, Default)]
pub(super) struct Interests {
    by_object: HashMap<(Kind, Key), HashSet<Key>>,
    by_canary: HashMap<Key, HashSet<(Kind, Key)>>,
    workers: HashMap<Key, Arc<Notify>>,
}

// === impl Caches ===

impl Caches {
    /// The worker of a Canary, to be woken from now on.
    pub fn attach(&self, canary: &Key, worker: Arc<Notify>) {
        self.interests().workers.insert(canary.clone(), worker);
    }

    /// Who looks at a Canary.
    pub fn worker(&self, canary: &Key) -> Arc<Notify> {
        let interests = self.interests();
        interests.workers.get(canary).cloned().unwrap_or_default()
    }

    pub fn detach(&self, canary: &Key) {
        let mut interests = self.interests();
        interests.workers.remove(canary);
        for object in interests.by_canary.remove(canary).unwrap_or_default() {
            if let Some(canaries) = interests.by_object.get_mut(&object) {
                canaries.remove(canary);
            }
        }
        interests
            .by_object
            .retain(|_, canaries| !canaries.is_empty());
    }

    /// What the last look at a Canary rested on.
    pub fn interest(&self, canary: &Key, objects: HashSet<(Kind, Key)>) {
        let mut interests = self.interests();
        let old = interests
            .by_canary
            .insert(canary.clone(), objects.clone())
            .unwrap_or_default();
        for gone in old.difference(&objects) {
            if let Some(canaries) = interests.by_object.get_mut(gone) {
                canaries.remove(canary);
                if canaries.is_empty() {
                    interests.by_object.remove(gone);
                }
            }
        }
        for new in objects {
            if !old.contains(&new) {
                interests
                    .by_object
                    .entry(new)
                    .or_default()
                    .insert(canary.clone());
            }
        }
    }

    pub(super) fn wake(&self, kind: Kind, key: &Key) {
        let interests = self.interests();
        let canaries = interests.by_object.get(&(kind, key.clone()));
        for canary in canaries.into_iter().flatten() {
            if let Some(worker) = interests.workers.get(canary) {
                worker.notify_one();
            }
        }
    }

    pub(super) fn wake_all(&self) {
        for worker in self.interests().workers.values() {
            worker.notify_one();
        }
    }

    pub(super) fn wake_namespace(&self, namespace: &str) {
        let interests = self.interests();
        let workers = interests.workers.iter();
        for (_, worker) in workers.filter(|(canary, _)| *canary.namespace == *namespace) {
            worker.notify_one();
        }
    }

    /// Nobody looks at it yet.
    pub(super) fn is_unattended(&self, canary: &Key) -> bool {
        !self.interests().workers.contains_key(canary)
    }

    fn interests(&self) -> std::sync::MutexGuard<'_, Interests> {
        self.interests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
