//! All caches together, the watches that fill them, and who is woken by what.
//!
//! ```text
//!  watch per kind ─► ingest ─► Cache<projection> ─► wake: Canaries that showed interest in it
//! ```

mod condition;
mod interest;
mod packed;
mod policies;
mod selecting;
mod store;
mod targets;
mod wakes;
mod watch;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use canary_core::canary::Canary;
use canary_core::template::MetricTemplate;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::Notify;
use tracing::warn;

use crate::api::Kind;
use crate::cache::{Cache, Key};
use crate::target::tracking::Tracked;
use crate::target::view::Deployment;

use condition::Conditions;
use interest::Interests;
pub use packed::{Autoscaler, Disruption, Packed, Route, Service};
pub use policies::{Labels, Stated};
use selecting::Selecting;
pub use selecting::label_key;
use targets::Targets;
pub use watch::watch;

/// A ConfigMap or Secret as a metadata watch shows it.
#[derive(Clone, Debug, Default)]
pub struct ConfigMeta {
    pub uid: String,
    pub resource_version: String,
    pub annotations: std::collections::BTreeMap<String, String>,
    /// The mark of a generated object.
    pub mark: Option<String>,
    /// Uids of the Canaries that it names as owners.
    pub canaries: Vec<String>,
    pub tracked: Tracked,
}

#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub service: String,
    pub ready: Vec<String>,
    /// Names of the ports that these addresses have.
    pub ports: Vec<String>,
    /// Whose pods they are, by [`owner_of`](crate::target::pods::owner_of).
    pub owners: BTreeSet<Box<str>>,
}

#[derive(Debug, Default)]
pub struct Caches {
    pub canaries: Cache<Canary>,
    pub deployments: Cache<Deployment>,
    services: Cache<Service>,
    pub slices: Cache<Slice>,
    autoscalers: Cache<Autoscaler>,
    disruptions: Cache<Disruption>,
    routes: Cache<Route>,
    pub config_maps: Cache<ConfigMeta>,
    pub secrets: Cache<ConfigMeta>,
    pub templates: Cache<MetricTemplate>,
    pub policies: Cache<Stated>,
    pub namespaces: Cache<Labels>,
    /// What enforces policies while we are down, by name.
    pub enforcers: Cache<()>,
    /// A policy came, changed or went.
    pub policies_changed: Notify,
    /// Our fields are in the schema of the installed Canary definition.
    schema: AtomicBool,
    schema_seen: AtomicBool,
    interests: Mutex<Interests>,
    conditions: Conditions,
    targets: Targets,
    selecting: Selecting,
    /// Who wrote the status of a Canary last.
    status_managers: Mutex<HashMap<Key, String>>,
    /// A Canary came or went.
    pub membership: Notify,
}

// === impl Caches ===

impl Caches {
    pub fn synced(&self) -> bool {
        self.canaries.synced()
            && self.deployments.synced()
            && self.services.synced()
            && self.slices.synced()
            && self.autoscalers.synced()
            && (self.disruptions.synced() || self.is_given_up(Kind::Disruption))
            && self.routes.synced()
            && self.config_maps.synced()
            && self.secrets.synced()
            && self.templates.synced()
            && (self.policies.synced() || self.is_given_up(Kind::Policy))
            && (self.namespaces.synced() || self.is_given_up(Kind::Namespace))
            && (self.enforcers.synced() || self.is_given_up(Kind::Enforcer))
            && self.schema_seen.load(Ordering::Acquire)
    }

    /// The definition of Canary that is installed keeps our status fields.
    pub fn schema_is_ours(&self) -> bool {
        self.schema.load(Ordering::Acquire)
    }

    pub fn configs(&self, kind: Kind) -> &Cache<ConfigMeta> {
        if kind == Kind::Secret {
            &self.secrets
        } else {
            &self.config_maps
        }
    }

    /// Ready addresses behind a Service.
    pub fn addresses(&self, namespace: &str, service: &str) -> Vec<String> {
        self.addresses_in(namespace, service, |_| true)
    }

    /// Those of them that have a port of it: a pod without the named port gets no request.
    pub fn reachable(&self, namespace: &str, service: &str) -> Vec<String> {
        self.addresses_in(namespace, service, |slice| !slice.ports.is_empty())
    }

    /// Whose pods are behind a Service, ready or not.
    pub fn owners_behind(&self, namespace: &str, service: &str) -> BTreeSet<Box<str>> {
        let slices = self.slices.in_namespace(namespace);
        let of_service = slices.iter().filter(|slice| slice.service == service);
        of_service
            .flat_map(|slice| slice.owners.iter().cloned())
            .collect()
    }

    fn addresses_in(
        &self,
        namespace: &str,
        service: &str,
        counts: impl Fn(&Slice) -> bool,
    ) -> Vec<String> {
        let slices = self.slices.in_namespace(namespace);
        let of_service = slices
            .iter()
            .filter(|slice| slice.service == service && counts(slice));
        let mut ready: Vec<String> = of_service
            .flat_map(|slice| slice.ready.iter().cloned())
            .collect();
        ready.sort_unstable();
        ready.dedup();
        ready
    }

    /// Whether every ready address behind a Service is known to have the port of that name.
    pub fn has_port(&self, namespace: &str, service: &str, name: &str) -> bool {
        let slices = self.slices.in_namespace(namespace);
        let mut of_service = slices
            .iter()
            .filter(|slice| slice.service == service && !slice.ready.is_empty());
        of_service.all(|slice| slice.ports.iter().any(|port| port == name))
    }

    /// What a write of ours was answered with.
    pub fn written(&self, kind: Kind, object: Value) {
        self.take_in(kind, object, true);
    }

    /// What a watch has seen.
    fn ingest(&self, kind: Kind, object: DynamicObject) {
        let object = serde_json::to_value(object).unwrap_or(Value::Null);
        let woken = wakes::now(kind, &object);
        let key = key_of(&object);
        let before = self.wakes_before(kind, &key);
        let news = self.take_in(kind, object, false);
        // After it is stored: whoever is told looks at once.
        if kind == Kind::Canary && self.is_unattended(&key) {
            self.membership.notify_one();
        }
        if news {
            for key in woken.into_iter().chain(before) {
                self.wake(kind, &key);
            }
        }
    }

    fn forget(&self, kind: Kind, key: &Key) {
        self.note_readable(kind, key);
        let before = self.wakes_before(kind, key);
        match kind {
            Kind::Canary => {
                let before = self.canaries.get_key(key);
                self.canaries.remove(key);
                self.targets.update(key, &self.canaries);
                self.pass_on_place(key, before.as_deref());
            }
            Kind::Policy => {
                self.policies.remove(key);
                self.policies_changed.notify_one();
                self.wake_all();
            }
            Kind::Namespace => self.namespaces.remove(key),
            Kind::Enforcer => {
                self.enforcers.remove(key);
                self.policies_changed.notify_one();
            }
            Kind::MetricTemplate => self.templates.remove(key),
            Kind::Deployment => self.deployments.remove(key),
            Kind::EndpointSlice => self.slices.remove(key),
            Kind::Service => {
                self.services.remove(key);
                self.selecting.update(key, self);
            }
            Kind::Autoscaler => self.autoscalers.remove(key),
            Kind::Disruption => self.disruptions.remove(key),
            Kind::Route => self.routes.remove(key),
            Kind::ConfigMap | Kind::Secret => self.configs(kind).remove(key),
            Kind::Definition => self.schema.store(false, Ordering::Release),
            Kind::Revision
            | Kind::Event
            | Kind::AlertProvider
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job => {}
        }
        for key in before.into_iter().chain([key.clone()]) {
            self.wake(kind, &key);
        }
        if kind == Kind::Canary {
            self.membership.notify_one();
        }
    }

    /// A write of ours removed it.
    pub fn removed(&self, kind: Kind, key: &Key) {
        self.forget(kind, key);
    }

    fn retain(&self, kind: Kind, listed: &HashSet<Key>) {
        self.note_filled(kind);
        self.keep_unreadable(kind, |key| listed.contains(key));
        let gone = match kind {
            Kind::Canary => self.canaries.retain_listed(listed),
            Kind::Policy => self.policies.retain_listed(listed),
            Kind::Namespace => self.namespaces.retain_listed(listed),
            Kind::Enforcer => self.enforcers.retain_listed(listed),
            Kind::MetricTemplate => self.templates.retain_listed(listed),
            Kind::Deployment => self.deployments.retain_listed(listed),
            Kind::EndpointSlice => self.slices.retain_listed(listed),
            Kind::Service => self.services.retain_listed(listed),
            Kind::Autoscaler => self.autoscalers.retain_listed(listed),
            Kind::Disruption => self.disruptions.retain_listed(listed),
            Kind::Route => self.routes.retain_listed(listed),
            Kind::ConfigMap | Kind::Secret => self.configs(kind).retain_listed(listed),
            Kind::Definition => {
                if listed.is_empty() {
                    self.schema.store(false, Ordering::Release);
                }
                self.schema_seen.store(true, Ordering::Release);
                Vec::new()
            }
            Kind::Revision
            | Kind::Event
            | Kind::AlertProvider
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job => Vec::new(),
        };
        for key in gone.iter().filter(|_| kind == Kind::Service) {
            self.selecting.update(key, self);
        }
        if kind == Kind::Canary {
            for key in &gone {
                self.targets.update(key, &self.canaries);
            }
            self.membership.notify_one();
        }
        if matches!(kind, Kind::Policy | Kind::Enforcer) {
            self.policies_changed.notify_one();
        }
        if kind == Kind::Policy && !gone.is_empty() {
            self.wake_all();
        }
        for key in gone {
            self.wake(kind, &key);
        }
    }

    /// The API server has no such kind (any more), and so there are none.
    fn leave(&self, kind: Kind) {
        self.note_working(kind);
        warn!(kind = %kind.resource().kind, "the API server does not know this kind: there are none");
        // Before its definition is there no Canary can be released: we are not ready.
        if kind != Kind::Canary || self.canaries.synced() {
            self.retain(kind, &HashSet::new());
        }
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn key_of(object: &Value) -> Key {
    Key::new(
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    )
}
