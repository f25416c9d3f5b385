//! Objects that are asked for only while something happens, kept as text.
//!
//! A [`Value`] takes several times the room of its text: a tree node of half a kilobyte for each map, and an
//! allocation for each string. A Canary has three Services and two routes, and most of the time nobody asks
//! for them; who does has one back in some microseconds.

use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names::{self, FOLLOW_IGNORE, FOLLOW_PRIMARY};
use serde_json::Value;

use super::policies::Labels;
use super::selecting::known_by;
use super::{Caches, ConfigMeta};
use crate::api::Kind;
use crate::cache::Key;
use crate::target::view::strings;
use crate::target::{applied, autoscaler, generated, taken};

#[derive(Debug)]
pub struct Packed(Box<[u8]>);

/// What a Service selects is asked of all of a namespace, and which Canary generated it.
#[derive(Debug)]
pub struct Service {
    pub selector: Labels,
    mark: Option<Box<str>>,
    /// What it says is to become of it when the target it leads to is scaled away.
    pub follow: Option<Box<str>>,
    /// It leads to a primary, and remembers what it was before.
    pub adopted: bool,
    /// Made for a Canary, or Flagger's.
    pub generated: bool,
    applied_server_side: bool,
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

/// What a `PodDisruptionBudget` covers is asked of all of a namespace.
#[derive(Debug)]
pub struct Disruption {
    labels: Labels,
    /// Canaries that it was made for, or that it names as owners.
    canaries: Box<[Box<str>]>,
    /// Without its version, of which there is a new one for each pod that comes or goes.
    rest: Packed,
    version: Box<str>,
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
            follow: object
                .pointer("/metadata/annotations")
                .and_then(|all| all.get(names::FOLLOW)?.as_str())
                .filter(|it| [FOLLOW_PRIMARY, FOLLOW_IGNORE].contains(it))
                .map(Into::into),
            adopted: taken::is_taken_over(object),
            generated: generated::is_marked(object) || generated::has_canary(object),
            applied_server_side: applied::is_applied_server_side(object),
            object: Packed::of(&without_managers(object)),
        }
    }

    /// Whether it selects pods with these labels; one without a selector selects none.
    pub fn selects(&self, labels: &Labels) -> bool {
        let has = |(key, value)| labels.get(key) == Some(value);
        !self.selector.is_empty() && self.selector.iter().all(has)
    }
}

/// Nobody asks for them again, and they are half of an object.
fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
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

// === impl Disruption ===

impl Disruption {
    pub fn of(mut object: Value) -> Self {
        let mut version = Value::Null;
        if let Some(root) = object.as_object_mut() {
            root.remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            version = metadata.remove("resourceVersion").unwrap_or_default();
        }
        Self {
            labels: Self::labels(&object),
            canaries: generated::canaries(&object).map(Into::into).collect(),
            rest: Packed::of(&object),
            version: version.as_str().unwrap_or_default().into(),
        }
    }

    fn labels(object: &Value) -> Labels {
        strings(object.pointer("/spec/selector/matchLabels"))
    }

    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.rest.0 == other.rest.0
    }

    /// Those whose pods have the first label that it selects by are told of it; if it selects by none, all.
    pub(super) fn known_by(namespace: &str, object: &Value) -> Key {
        let known = known_by(namespace, &Self::labels(object));
        known.unwrap_or_else(|| Key::new(namespace, ""))
    }

    pub(super) fn key(&self, namespace: &str) -> Key {
        known_by(namespace, &self.labels).unwrap_or_else(|| Key::new(namespace, ""))
    }

    fn object(&self) -> Arc<Value> {
        let mut object = Arc::unwrap_or_clone(self.rest.object());
        object["metadata"]["resourceVersion"] = Value::from(&*self.version);
        Arc::new(object)
    }

    /// Whether it may cover pods with these labels.
    fn may_cover(&self, pods: &Labels) -> bool {
        let mut labels = self.labels.iter();
        labels.all(|(key, value)| pods.get(key) == Some(value))
    }
}

// === impl Caches ===

impl Caches {
    pub fn service(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let service = self.services.get(namespace, name)?;
        Some(service.object.object())
    }

    /// Whether somebody else has said by a server-side apply what a Service selects.
    pub fn is_applied_server_side(&self, namespace: &str, name: &str) -> bool {
        let service = self.services.get(namespace, name);
        service.is_some_and(|it| it.applied_server_side)
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

    /// Services of the users' own that were taken over.
    pub fn adopted_services(&self) -> Vec<Key> {
        let keys = self.services.keys().into_iter();
        keys.filter(|key| {
            let found = self.services.get_key(key);
            found.is_some_and(|it| it.adopted && !it.generated)
        })
        .collect()
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

    pub fn disruption(&self, namespace: &str, name: &str) -> Option<Arc<Value>> {
        Some(self.disruptions.get(namespace, name)?.object())
    }

    /// Budgets that may cover pods with some of these labels, or were made for the Canary.
    pub fn disruptions_of(&self, canary: &Canary, pods: &[&Labels]) -> Vec<Arc<Value>> {
        let uid = canary.metadata.uid.as_deref();
        let wanted = |_: &str, budget: &Disruption| {
            let ours = budget.canaries.iter().any(|one| Some(&**one) == uid);
            let may = ours || pods.iter().any(|pods| budget.may_cover(pods));
            may.then(|| budget.object())
        };
        self.disruptions.pick(canary.namespace_name(), wanted)
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
    fn a_budget_comes_back_with_its_newest_version_and_its_status_is_no_news() {
        let budget = |version: &str, min: i64, healthy: i64| {
            Disruption::of(json!({
                "metadata": { "name": "a", "resourceVersion": version },
                "spec": { "minAvailable": min, "selector": { "matchLabels": { "app": "a" } } },
                "status": { "currentHealthy": healthy },
            }))
        };
        let before = budget("7", 1, 1);
        assert!(before.says_the_same(&budget("8", 1, 2)));
        assert!(!before.says_the_same(&budget("8", 2, 1)));
        let object = budget("8", 1, 2).object();
        assert_eq!(object["metadata"]["resourceVersion"], "8");
        assert_eq!(object["spec"]["minAvailable"], 1);
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
