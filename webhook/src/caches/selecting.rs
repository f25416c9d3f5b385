//! Services by what they select, so that those that may select certain pods are found without a look at all the
//! others.
//!
//! A Service is kept under the first label that it selects by: pods that it selects have that label too.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use crate::cache::Key;
use crate::caches::{Caches, Labels, Service};

#[derive(Debug, Default)]
pub(super) struct Selecting(RwLock<Index>);

#[derive(Debug, Default)]
struct Index {
    /// By namespace and label.
    by_label: HashMap<Key, BTreeSet<Key>>,
    label_of: HashMap<Key, Key>,
}

/// What Services that may select pods with this label are known by. No object has such a name.
pub fn label_key(namespace: &str, label: (&String, &String)) -> Key {
    Key::new(namespace, format!("{}={}", label.0, label.1))
}

/// What a Service with this selector is known by.
pub(super) fn known_by(namespace: &str, selector: &Labels) -> Option<Key> {
    let first = selector.iter().next()?;
    Some(label_key(namespace, first))
}

// === impl Caches ===

impl Caches {
    /// What is wanted of the Services that may select pods with these labels.
    pub fn services_of<R>(
        &self,
        namespace: &str,
        pods: &Labels,
        wanted: impl Fn(&str, &Service) -> Option<R>,
    ) -> Vec<R> {
        let mut found = Vec::new();
        for label in pods {
            for key in self.selecting.of(&label_key(namespace, label)) {
                let service = self.services.get_key(&key);
                found.extend(service.and_then(|service| wanted(&key.name, &service)));
            }
        }
        found
    }
}

// === impl Selecting ===

impl Selecting {
    /// After a Service came, changed or went.
    pub(super) fn update(&self, key: &Key, caches: &Caches) {
        let mut index = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that of two updates at once the later sees what the earlier left.
        let service = caches.services.get_key(key);
        let label = service.and_then(|service| known_by(&key.namespace, &service.selector));
        index.set(key, label);
    }

    fn of(&self, label: &Key) -> BTreeSet<Key> {
        let index = self.0.read().unwrap_or_else(PoisonError::into_inner);
        index.by_label.get(label).cloned().unwrap_or_default()
    }
}

// === impl Index ===

impl Index {
    fn set(&mut self, key: &Key, label: Option<Key>) {
        if self.label_of.get(key) == label.as_ref() {
            return;
        }
        if let Some(old) = self.label_of.remove(key)
            && let Some(services) = self.by_label.get_mut(&old)
        {
            services.remove(key);
            if services.is_empty() {
                self.by_label.remove(&old);
            }
        }
        if let Some(label) = label {
            self.label_of.insert(key.clone(), label.clone());
            self.by_label.entry(label).or_default().insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Kind;
    use crate::target::view::strings;

    fn found(caches: &Caches, pods: &Value) -> Vec<String> {
        let pods = strings(Some(pods));
        caches.services_of("test", &pods, |name, service| {
            service.selects(&pods).then(|| name.to_owned())
        })
    }

    fn put(caches: &Caches, name: &str, version: &str, selector: &Value) {
        let service = json!({
            "metadata": { "name": name, "namespace": "test", "resourceVersion": version },
            "spec": { "selector": selector },
        });
        caches.written(Kind::Service, service);
    }

    #[test]
    fn a_service_is_found_by_the_labels_that_it_selects_now() {
        let caches = Caches::default();
        let (web, api) = (
            json!({ "app": "web", "tier": "front" }),
            json!({ "app": "api" }),
        );
        put(&caches, "a", "1", &json!({ "app": "web" }));
        put(&caches, "b", "2", &json!({ "tier": "front" }));
        put(&caches, "c", "3", &json!({ "app": "web", "tier": "back" }));
        put(&caches, "d", "4", &Value::Null);
        assert_eq!(found(&caches, &web), ["a", "b"]);
        put(&caches, "a", "5", &json!({ "app": "api" }));
        assert_eq!(found(&caches, &web), ["b"]);
        assert_eq!(found(&caches, &api), ["a"]);
        caches.removed(Kind::Service, &Key::new("test", "a"));
        assert!(found(&caches, &api).is_empty());
    }
}
