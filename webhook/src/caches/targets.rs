//! Canaries by what they release, and those whose release runs: what every review asks, found without a look
//! at all the others.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use canary_core::canary::Canary;
use canary_core::policy::is_releasing;

use crate::cache::{Cache, Key};
use crate::caches::Caches;

#[derive(Debug, Default)]
pub(super) struct Targets(RwLock<Index>);

#[derive(Debug, Default)]
struct Index {
    /// Canaries by the name of their target, whatever its kind.
    by_target: HashMap<Key, BTreeSet<Key>>,
    target_of: HashMap<Key, Key>,
    /// Per namespace.
    releasing: HashMap<Arc<str>, BTreeSet<Key>>,
}

// === impl Caches ===

impl Caches {
    /// Canaries of a namespace that name this target.
    pub fn canaries_for(&self, namespace: &str, target: &str) -> Vec<Arc<Canary>> {
        let target = Key::new(namespace, target);
        self.targets.of(&target, &self.canaries)
    }
}

// === impl Targets ===

impl Targets {
    /// After a Canary came, changed or went. It is read again, so that of two updates at once the later
    /// sees what the earlier left.
    pub(super) fn update(&self, key: &Key, canaries: &Cache<Canary>) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let canary = canaries.get_key(key);
        let target = canary
            .as_deref()
            .map(|canary| Key::new(&key.namespace, canary.target_name()));
        index.set_target(key, target);
        index.set_releasing(key, canary.as_deref().is_some_and(is_releasing));
    }

    /// Canaries that name this target.
    pub(super) fn of(&self, target: &Key, canaries: &Cache<Canary>) -> Vec<Arc<Canary>> {
        let keys = self.index().by_target.get(target).cloned();
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| canaries.get_key(&key)).collect()
    }

    /// Canaries of the namespace whose release runs, but for that one.
    pub(super) fn releasing_but(&self, namespace: &str, name: Option<&str>) -> usize {
        let index = self.index();
        let there = index.releasing.get(namespace).into_iter().flatten();
        there.filter(|key| Some(&*key.name) != name).count()
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Index ===

impl Index {
    fn set_target(&mut self, key: &Key, target: Option<Key>) {
        if self.target_of.get(key) == target.as_ref() {
            return;
        }
        let old = match &target {
            Some(target) => self.target_of.insert(key.clone(), target.clone()),
            None => self.target_of.remove(key),
        };
        if let Some(old) = old {
            leave(&mut self.by_target, &old, key);
        }
        if let Some(target) = target {
            self.by_target
                .entry(target)
                .or_default()
                .insert(key.clone());
        }
    }

    fn set_releasing(&mut self, key: &Key, releasing: bool) {
        if releasing {
            let there = self.releasing.entry(key.namespace.clone()).or_default();
            there.insert(key.clone());
        } else {
            leave(&mut self.releasing, &key.namespace, key);
        }
    }
}

fn leave<K: std::hash::Hash + Eq>(sets: &mut HashMap<K, BTreeSet<Key>>, of: &K, key: &Key) {
    if let Some(set) = sets.get_mut(of) {
        set.remove(key);
        if set.is_empty() {
            sets.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn put(canaries: &Cache<Canary>, version: &str, target: &str, phase: &str) -> Key {
        let key = Key::new("test", "podinfo");
        let canary = json!({
            "apiVersion": "flagger.app/v1beta1",
            "kind": "Canary",
            "metadata": { "name": "podinfo", "namespace": "test" },
            "spec": {
                "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": target },
                "service": { "port": 80 },
                "analysis": {},
            },
            "status": { "phase": phase },
        });
        canaries.put(
            key.clone(),
            version,
            serde_json::from_value(canary).unwrap(),
        );
        key
    }

    #[test]
    fn a_canary_is_found_by_the_target_that_it_has_now() {
        let (targets, canaries) = (Targets::default(), Cache::default());
        let found = |name: &str| targets.of(&Key::new("test", name), &canaries).len();
        let key = put(&canaries, "1", "web", "Initialized");
        targets.update(&key, &canaries);
        assert_eq!((found("web"), found("api")), (1, 0));
        put(&canaries, "2", "api", "Initialized");
        targets.update(&key, &canaries);
        assert_eq!((found("web"), found("api")), (0, 1));
        canaries.remove(&key);
        targets.update(&key, &canaries);
        assert_eq!(found("api"), 0);
    }

    #[test]
    fn a_release_is_counted_while_it_runs_and_not_by_its_own_canary() {
        let (targets, canaries) = (Targets::default(), Cache::default());
        let key = put(&canaries, "1", "web", "Progressing");
        targets.update(&key, &canaries);
        assert_eq!(targets.releasing_but("test", None), 1);
        assert_eq!(targets.releasing_but("test", Some("podinfo")), 0);
        assert_eq!(targets.releasing_but("other", None), 0);
        put(&canaries, "2", "web", "Succeeded");
        targets.update(&key, &canaries);
        assert_eq!(targets.releasing_but("test", None), 0);
    }
}
