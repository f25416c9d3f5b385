//! Objects that are asked for only while something happens, kept as text.
//!
//! A [`Value`] takes several times the room of its text: a tree node of half a kilobyte for each map, and an
//! allocation for each string. A Canary has three Services and two routes, and most of the time nobody asks
//! for them; who does has one back in some microseconds.

use std::sync::Arc;

use serde_json::Value;

use super::policies::Labels;
use super::{Caches, ConfigMeta};
use crate::api::Kind;
use crate::target::view::strings;
use crate::target::{autoscaler, generated};

#[derive(Debug)]
pub struct Packed(Box<[u8]>);

/// What a Service selects is asked of all of a namespace, and which Canary generated it.
#[derive(Debug)]
pub struct Service {
    selector: Labels,
    mark: Option<Box<str>>,
    object: Packed,
}

/// Which Canary generated a route is asked of all of a namespace.
#[derive(Debug)]
pub struct Route {
    mark: Option<Box<str>>,
    object: Packed,
}

/// What is scaled is asked of all of a namespace.
#[derive(Debug)]
pub struct Autoscaler {
    pub(super) target: String,
    object: Packed,
}

// === impl Packed ===

impl Packed {
    pub fn of(object: &Value) -> Self {
        Self(object.to_string().into_bytes().into())
    }

    pub fn object(&self) -> Arc<Value> {
        // It is a value that we wrote.
        Arc::new(serde_json::from_slice(&self.0).unwrap_or_default())
    }
}

// === impl Service ===

impl Service {
    pub fn of(object: &Value) -> Self {
        Self {
            selector: strings(object.pointer("/spec/selector")),
            mark: mark(object),
            object: Packed::of(object),
        }
    }

    /// Whether it selects pods with these labels; one without a selector selects none.
    pub fn selects(&self, labels: &Labels) -> bool {
        let has = |(key, value)| labels.get(key) == Some(value);
        !self.selector.is_empty() && self.selector.iter().all(has)
    }
}

// === impl Route ===

impl Route {
    pub fn of(object: &Value) -> Self {
        Self {
            mark: mark(object),
            object: Packed::of(object),
        }
    }
}

fn mark(object: &Value) -> Option<Box<str>> {
    generated::mark_of(object).map(Into::into)
}

// === impl Autoscaler ===

impl Autoscaler {
    pub fn of(object: &Value) -> Self {
        Self {
            target: autoscaler::scales(object).1.to_owned(),
            object: Packed::of(object),
        }
    }
}

// === impl Caches ===

impl Caches {
    pub fn service(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let service = self.services.get(namespace, name)?;
        Some(service.object.object())
    }

    pub fn route(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        Some(self.routes.get(namespace, name)?.object.object())
    }

    /// Routes with the mark of a Canary.
    pub fn generated_routes(&self, namespace: &str, uid: &str) -> Vec<Arc<Value>> {
        let marked = |_: &str, route: &Route| {
            (route.mark.as_deref() == Some(uid)).then(|| route.object.object())
        };
        self.routes.pick(namespace, marked)
    }

    /// Services with the mark of a Canary.
    pub fn generated_services(&self, namespace: &str, uid: &str) -> Vec<Arc<Value>> {
        let marked = |_: &str, service: &Service| {
            (service.mark.as_deref() == Some(uid)).then(|| service.object.object())
        };
        self.services.pick(namespace, marked)
    }

    /// Copies of configuration with the mark of a Canary, by name.
    pub fn generated_configs(
        &self,
        kind: Kind,
        namespace: &str,
        uid: &str,
    ) -> Vec<(String, ConfigMeta)> {
        let marked = |name: &str, meta: &ConfigMeta| {
            (meta.mark.as_deref() == Some(uid)).then(|| (name.to_owned(), meta.clone()))
        };
        self.configs(kind).pick(namespace, marked)
    }

    pub fn autoscaler(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let found = self.autoscalers.get(namespace, name)?;
        Some(found.object.object())
    }

    /// Autoscalers of a target.
    pub fn autoscalers_of(&self, namespace: &str, target: &str) -> Vec<Arc<Value>> {
        let mut found = self.autoscalers.in_namespace(namespace);
        found.retain(|one| one.target == target);
        found.iter().map(|one| one.object.object()).collect()
    }

    /// Whether a Service selects pods with these labels.
    pub fn is_served(&self, namespace: &str, labels: &Labels) -> bool {
        self.services
            .any_in_namespace(namespace, |service| service.selects(labels))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_packed_object_comes_back_as_it_was() {
        let object =
            json!({ "metadata": { "name": "a" }, "spec": { "n": [1, -2.5, null, "ü\n"] } });
        assert_eq!(*Packed::of(&object).object(), object);
    }

    #[test]
    fn a_service_without_a_selector_serves_nobody() {
        let labels = |text: &str| strings(serde_json::from_str(text).as_ref().ok());
        let service = |selector: Value| Service::of(&json!({ "spec": { "selector": selector } }));
        let pods = labels(r#"{"app": "a", "tier": "web"}"#);
        assert!(service(json!({ "app": "a" })).selects(&pods));
        assert!(!service(json!({ "app": "a", "tier": "db" })).selects(&pods));
        assert!(!service(json!({})).selects(&pods));
        assert!(!service(json!(null)).selects(&pods));
    }
}
