//! What the cluster looks like, by watching it: nothing is asked for in a tick.
//!
//! ```text
//!  watch ──► project ──► Cache ──► tick
//!                          ▲          │
//!                          └── own ◄──┘   what we wrote is seen at once, whatever the watch says later
//! ```

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Namespace and name. Each Canary rests on a dozen objects, and all of them are keys: a copy of one is none of
/// its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

#[derive(Debug)]
struct Entry<T> {
    version: u64,
    /// Written by us, and not confirmed by a watch yet.
    local: bool,
    value: Arc<T>,
}

/// Objects of one kind. The newest resourceVersion wins, so that a late watch event never hides
/// what we wrote after it.
#[derive(Debug)]
pub struct Cache<T> {
    /// In order, so that a namespace is found without a look at the others.
    entries: RwLock<BTreeMap<Key, Entry<T>>>,
    synced: AtomicBool,
}

// === impl Key ===

impl Key {
    pub fn new(namespace: impl AsRef<str>, name: impl AsRef<str>) -> Self {
        Self {
            namespace: namespace.as_ref().into(),
            name: name.as_ref().into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

// === impl Cache ===

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self {
            entries: RwLock::default(),
            synced: AtomicBool::new(false),
        }
    }
}

impl<T> Cache<T> {
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.get_key(&Key::new(namespace, name))
    }

    pub fn get_key(&self, key: &Key) -> Option<Arc<T>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(key).map(|entry| entry.value.clone())
    }

    /// Those of a namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        of(&entries, namespace)
            .map(|entry| entry.value.clone())
            .collect()
    }

    /// Whether one of a namespace is so; nothing is copied to find out.
    pub fn any_in_namespace(&self, namespace: &str, is_so: impl Fn(&T) -> bool) -> bool {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        of(&entries, namespace).any(|entry| is_so(&entry.value))
    }

    /// What is wanted of those of a namespace, by name.
    pub fn pick<R>(&self, namespace: &str, wanted: impl Fn(&str, &T) -> Option<R>) -> Vec<R> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        keyed(&entries, namespace)
            .filter_map(|(key, entry)| wanted(&key.name, &entry.value))
            .collect()
    }

    pub fn keys(&self) -> Vec<Key> {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .keys()
            .cloned()
            .collect()
    }

    pub fn len(&self) -> usize {
        self.entries
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An object as a watch or a list has it. True if it is news.
    pub fn put(&self, key: Key, resource_version: &str, value: T) -> bool {
        self.insert(key, resource_version, value, false)
    }

    /// An object as a write of ours left it.
    pub fn put_written(&self, key: Key, resource_version: &str, value: T) {
        self.insert(key, resource_version, value, true);
    }

    fn insert(&self, key: Key, resource_version: &str, value: T, local: bool) -> bool {
        let version = parse_version(resource_version);
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match entries.get_mut(&key) {
            Some(old) if old.version >= version && version != 0 => {
                old.local &= local;
                // What we wrote may be a guess (a Scale is answered, not its Deployment).
                if old.version == version && !local {
                    old.value = Arc::new(value);
                }
                false
            }
            _ => {
                entries.insert(
                    key,
                    Entry {
                        version,
                        local,
                        value: Arc::new(value),
                    },
                );
                true
            }
        }
    }

    pub fn remove(&self, key: &Key) {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }

    /// After a list: what it did not contain is gone, unless we wrote it meanwhile.
    pub fn retain_listed(&self, listed: &HashSet<Key>) -> Vec<Key> {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<Key> = entries
            .iter()
            .filter(|(key, entry)| !listed.contains(key) && !entry.local)
            .map(|(key, _)| key.clone())
            .collect();
        for key in &gone {
            entries.remove(key);
        }
        self.synced.store(true, Ordering::Release);
        gone
    }

    /// The first list is complete.
    pub fn synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }
}

fn of<'a, T>(
    entries: &'a BTreeMap<Key, Entry<T>>,
    namespace: &'a str,
) -> impl Iterator<Item = &'a Entry<T>> {
    keyed(entries, namespace).map(|(_, entry)| entry)
}

fn keyed<'a, T>(
    entries: &'a BTreeMap<Key, Entry<T>>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a Key, &'a Entry<T>)> {
    entries
        .range(Key::new(namespace, "")..)
        .take_while(move |(key, _)| *key.namespace == *namespace)
}

/// Resource versions of one API server are comparable as numbers; 0 for one that is none.
pub fn parse_version(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::new("test", "podinfo")
    }

    #[test]
    fn a_watch_event_older_than_our_own_write_is_ignored() {
        let cache = Cache::default();
        assert!(cache.put(key(), "12", "ours"));
        assert!(!cache.put(key(), "11", "late"));
        assert_eq!(cache.get("test", "podinfo").as_deref(), Some(&"ours"));
    }

    #[test]
    fn the_event_of_our_own_write_is_no_news() {
        let cache = Cache::default();
        cache.put(key(), "12", "ours");
        assert!(!cache.put(key(), "12", "ours"));
    }

    #[test]
    fn a_namespace_is_all_of_its_own_and_nothing_of_its_neighbours() {
        let cache = Cache::default();
        for namespace in ["tes", "test", "test-2", "tesu"] {
            for name in ["", "a", "z"] {
                cache.put(Key::new(namespace, name), "1", (namespace, name));
            }
        }
        let found: Vec<_> = cache.in_namespace("test").iter().map(|one| **one).collect();
        assert_eq!(found, [("test", ""), ("test", "a"), ("test", "z")]);
    }

    #[test]
    fn a_list_removes_what_it_does_not_contain() {
        let cache = Cache::default();
        cache.put(key(), "12", "old");
        assert!(!cache.synced());
        assert_eq!(cache.retain_listed(&HashSet::new()), vec![key()]);
        assert!(cache.synced() && cache.is_empty());
    }

    #[test]
    fn a_list_keeps_what_was_written_after_it() {
        let cache = Cache::default();
        cache.put_written(key(), "21", "ours");
        assert!(cache.retain_listed(&HashSet::new()).is_empty());
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn an_object_that_comes_back_after_its_deletion_is_news_again() {
        let cache = Cache::default();
        cache.put(key(), "12", "first");
        cache.remove(&key());
        assert!(cache.put(key(), "13", "second"));
    }
}
