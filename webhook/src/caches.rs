//! All caches together, the watches that fill them, and who is woken by what.
//!
//! ```text
//!  watch per kind ─► ingest ─► Cache<projection> ─► wake: Canaries that showed interest in it
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use canary_core::canary::Canary;
use canary_core::template::MetricTemplate;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::Notify;
use tracing::warn;

use crate::api::{Cluster, Kind};
use crate::cache::{Cache, Key};
use crate::target::autoscaler;
use crate::target::view::{Deployment, strings};

/// A ConfigMap or Secret as a metadata watch shows it.
#[derive(Clone, Debug, Default)]
pub struct ConfigMeta {
    pub uid: String,
    pub resource_version: String,
    pub annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub struct Slice {
    pub service: String,
    pub ready: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Caches {
    pub canaries: Cache<Canary>,
    pub deployments: Cache<Deployment>,
    pub services: Cache<Value>,
    pub slices: Cache<Slice>,
    pub autoscalers: Cache<Value>,
    pub routes: Cache<Value>,
    pub config_maps: Cache<ConfigMeta>,
    pub secrets: Cache<ConfigMeta>,
    pub templates: Cache<MetricTemplate>,
    /// Our fields are in the schema of the installed Canary definition.
    schema: AtomicBool,
    schema_seen: AtomicBool,
    interests: Mutex<Interests>,
    /// A Canary came or went.
    pub membership: Notify,
}

#[derive(Debug, Default)]
struct Interests {
    by_object: HashMap<(Kind, Key), HashSet<Key>>,
    by_canary: HashMap<Key, HashSet<(Kind, Key)>>,
    workers: HashMap<Key, Arc<Notify>>,
}

const WATCHED: [Kind; 8] = [
    Kind::Canary,
    Kind::Deployment,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Autoscaler,
    Kind::Route,
    Kind::MetricTemplate,
    Kind::Definition,
];

// === impl Caches: interest ===

impl Caches {
    /// The worker of a Canary, to be woken from now on.
    pub fn attach(&self, canary: &Key, worker: Arc<Notify>) {
        self.interests().workers.insert(canary.clone(), worker);
    }

    pub fn detach(&self, canary: &Key) {
        let mut interests = self.interests();
        interests.workers.remove(canary);
        for object in interests.by_canary.remove(canary).unwrap_or_default() {
            if let Some(canaries) = interests.by_object.get_mut(&object) {
                canaries.remove(canary);
            }
        }
        interests.by_object.retain(|_, canaries| !canaries.is_empty());
    }

    /// What the last look at a Canary rested on.
    pub fn interest(&self, canary: &Key, objects: HashSet<(Kind, Key)>) {
        let mut interests = self.interests();
        let old = interests.by_canary.insert(canary.clone(), objects.clone()).unwrap_or_default();
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
                interests.by_object.entry(new).or_default().insert(canary.clone());
            }
        }
    }

    fn wake(&self, kind: Kind, key: &Key) {
        let interests = self.interests();
        let canaries = interests.by_object.get(&(kind, key.clone()));
        for canary in canaries.into_iter().flatten() {
            if let Some(worker) = interests.workers.get(canary) {
                worker.notify_one();
            }
        }
    }

    fn wake_all(&self) {
        for worker in self.interests().workers.values() {
            worker.notify_one();
        }
    }

    fn interests(&self) -> std::sync::MutexGuard<'_, Interests> {
        self.interests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Caches: content ===

impl Caches {
    pub fn synced(&self) -> bool {
        self.canaries.synced()
            && self.deployments.synced()
            && self.services.synced()
            && self.slices.synced()
            && self.autoscalers.synced()
            && self.routes.synced()
            && self.config_maps.synced()
            && self.secrets.synced()
            && self.templates.synced()
            && self.schema_seen.load(Ordering::Acquire)
    }

    /// The definition of Canary that is installed keeps our status fields.
    pub fn schema_is_ours(&self) -> bool {
        self.schema.load(Ordering::Acquire)
    }

    pub fn configs(&self, kind: Kind) -> &Cache<ConfigMeta> {
        if kind == Kind::Secret { &self.secrets } else { &self.config_maps }
    }

    /// Ready addresses behind a Service.
    pub fn addresses(&self, namespace: &str, service: &str) -> Vec<String> {
        let slices = self.slices.in_namespace(namespace);
        let of_service = slices.iter().filter(|slice| slice.service == service);
        let mut ready: Vec<String> = of_service.flat_map(|slice| slice.ready.iter().cloned()).collect();
        ready.sort_unstable();
        ready.dedup();
        ready
    }

    /// What a write of ours was answered with.
    pub fn written(&self, kind: Kind, object: Value) {
        self.store(kind, object, true);
    }

    /// What a watch has seen.
    fn ingest(&self, kind: Kind, object: DynamicObject) {
        let object = serde_json::to_value(object).unwrap_or(Value::Null);
        let woken = wakes(kind, &object);
        let key = key_of(&object);
        let before = self.wakes_before(kind, &key);
        let news = self.store(kind, object, false);
        // After it is stored: whoever is told looks at once.
        if kind == Kind::Canary && !self.interests().workers.contains_key(&key) {
            self.membership.notify_one();
        }
        if news {
            for key in woken.into_iter().chain(before) {
                self.wake(kind, &key);
            }
        }
    }

    fn store(&self, kind: Kind, mut object: Value, written: bool) -> bool {
        let key = key_of(&object);
        let version = text(&object, "/metadata/resourceVersion");
        if kind != Kind::Deployment
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("managedFields");
        }
        match kind {
            Kind::Canary => parsed(&self.canaries, key, &version, object, written),
            Kind::MetricTemplate => parsed(&self.templates, key, &version, object, written),
            Kind::Deployment => put(&self.deployments, key, &version, Deployment::from_raw(&object), written),
            Kind::EndpointSlice => put(&self.slices, key, &version, slice(&object), written),
            Kind::Service => put(&self.services, key, &version, object, written),
            Kind::Autoscaler => put(&self.autoscalers, key, &version, object, written),
            Kind::Route => put(&self.routes, key, &version, object, written),
            Kind::ConfigMap | Kind::Secret => {
                put(self.configs(kind), key, &version, config_meta(&object), written)
            }
            Kind::Definition => self.look_at_schema(&object),
            Kind::Revision | Kind::Event => false,
        }
    }

    fn look_at_schema(&self, definition: &Value) -> bool {
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
        let ours = versions.into_iter().flatten().any(|version| {
            version["name"] == "v1beta1"
                && version
                    .pointer("/schema/openAPIV3Schema/properties/status/properties/release/properties/revision")
                    .is_some()
        });
        let changed = self.schema.swap(ours, Ordering::AcqRel) != ours;
        if changed {
            self.wake_all();
        }
        if !ours {
            warn!("the installed definition of canaries.flagger.app drops our status fields: apply manifests/crds.yaml; nothing is acted on until then");
        }
        changed
    }

    fn forget(&self, kind: Kind, key: &Key) {
        let before = self.wakes_before(kind, key);
        match kind {
            Kind::Canary => self.canaries.remove(key),
            Kind::MetricTemplate => self.templates.remove(key),
            Kind::Deployment => self.deployments.remove(key),
            Kind::EndpointSlice => self.slices.remove(key),
            Kind::Service => self.services.remove(key),
            Kind::Autoscaler => self.autoscalers.remove(key),
            Kind::Route => self.routes.remove(key),
            Kind::ConfigMap | Kind::Secret => self.configs(kind).remove(key),
            Kind::Definition => self.schema.store(false, Ordering::Release),
            Kind::Revision | Kind::Event => {}
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
        let gone = match kind {
            Kind::Canary => self.canaries.retain_listed(listed),
            Kind::MetricTemplate => self.templates.retain_listed(listed),
            Kind::Deployment => self.deployments.retain_listed(listed),
            Kind::EndpointSlice => self.slices.retain_listed(listed),
            Kind::Service => self.services.retain_listed(listed),
            Kind::Autoscaler => self.autoscalers.retain_listed(listed),
            Kind::Route => self.routes.retain_listed(listed),
            Kind::ConfigMap | Kind::Secret => self.configs(kind).retain_listed(listed),
            Kind::Definition => {
                self.schema_seen.store(true, Ordering::Release);
                Vec::new()
            }
            Kind::Revision | Kind::Event => Vec::new(),
        };
        if kind == Kind::Canary {
            self.membership.notify_one();
        }
        for key in gone {
            self.wake(kind, &key);
        }
    }

    /// Keys under which an object is known before it changes: a slice by its Service, an
    /// autoscaler by what it scales.
    fn wakes_before(&self, kind: Kind, key: &Key) -> Vec<Key> {
        match kind {
            Kind::EndpointSlice => {
                let slice = self.slices.get_key(key);
                slice.map(|slice| Key::new(&key.namespace, &slice.service)).into_iter().collect()
            }
            Kind::Autoscaler => {
                let old = self.autoscalers.get_key(key);
                old.map(|old| Key::new(&key.namespace, autoscaler::scales(&old).1)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

fn put<T>(cache: &Cache<T>, key: Key, version: &str, value: T, written: bool) -> bool {
    if written {
        cache.put_written(key, version, value);
        return true;
    }
    cache.put(key, version, value)
}

fn parsed<T: serde::de::DeserializeOwned>(cache: &Cache<T>, key: Key, version: &str, object: Value, written: bool) -> bool {
    match serde_json::from_value(object) {
        Ok(value) => put(cache, key, version, value, written),
        Err(error) => {
            warn!(object = %key, %error, "cannot be read and is left alone");
            false
        }
    }
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn key_of(object: &Value) -> Key {
    Key::new(text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

/// Keys that somebody may be interested in, of an object as it is now.
fn wakes(kind: Kind, object: &Value) -> Vec<Key> {
    let key = key_of(object);
    match kind {
        Kind::EndpointSlice => vec![Key::new(&key.namespace, slice(object).service)],
        Kind::Autoscaler => vec![Key::new(&key.namespace, autoscaler::scales(object).1), key],
        _ => vec![key],
    }
}

fn slice(object: &Value) -> Slice {
    let endpoints = object["endpoints"].as_array();
    let ready = endpoints.into_iter().flatten().filter(|endpoint| {
        endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true)
    });
    let addresses = ready.filter_map(|endpoint| endpoint["addresses"].as_array()).flatten();
    Slice {
        service: text(object, "/metadata/labels/kubernetes.io~1service-name"),
        ready: addresses.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

fn config_meta(object: &Value) -> ConfigMeta {
    ConfigMeta {
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        annotations: strings(object.pointer("/metadata/annotations")),
    }
}

// === watches ===

/// Fills the caches for as long as it is polled. With a namespace only that one is watched.
pub async fn watch(caches: Arc<Caches>, cluster: Cluster, namespace: Option<String>) {
    let api = |kind: Kind| -> Api<DynamicObject> {
        let resource = kind.resource();
        match &namespace {
            Some(namespace) if kind != Kind::Definition => {
                Api::namespaced_with(cluster.client().clone(), namespace, &resource)
            }
            _ => Api::all_with(cluster.client().clone(), &resource),
        }
    };
    let mut watches = tokio::task::JoinSet::new();
    for kind in WATCHED {
        let config = match kind {
            Kind::Definition => watcher::Config::default().fields("metadata.name=canaries.flagger.app"),
            _ => watcher::Config::default(),
        };
        watches.spawn(follow(caches.clone(), kind, watcher(api(kind), config)));
    }
    for kind in [Kind::ConfigMap, Kind::Secret] {
        let resource = kind.resource();
        let metadata: Api<PartialObjectMeta<DynamicObject>> = match &namespace {
            Some(namespace) => Api::namespaced_with(cluster.client().clone(), namespace, &resource),
            None => Api::all_with(cluster.client().clone(), &resource),
        };
        let objects = watcher(metadata, watcher::Config::default());
        let objects = objects.map_ok(|event| map_event(event, |partial| DynamicObject {
            types: partial.types,
            metadata: partial.metadata,
            data: Value::Object(serde_json::Map::new()),
        }));
        watches.spawn(follow(caches.clone(), kind, objects));
    }
    while watches.join_next().await.is_some() {}
}

fn map_event<A, B>(event: Event<A>, map: impl Fn(A) -> B) -> Event<B> {
    match event {
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

async fn follow(caches: Arc<Caches>, kind: Kind, events: impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send) {
    let events = events.default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed = HashSet::new();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => {
                listed.insert(object_key(&object));
                caches.ingest(kind, object);
            }
            Ok(Event::InitDone) => {
                failing = false;
                caches.retain(kind, &std::mem::take(&mut listed));
            }
            Ok(Event::Apply(object)) => {
                caches.ingest(kind, object);
            }
            Ok(Event::Delete(object)) => caches.forget(kind, &object_key(&object)),
            Err(error) => {
                // Without ApisixRoutes in the cluster other providers work all the same.
                if kind == Kind::Route && error.to_string().contains("404") {
                    caches.retain(kind, &HashSet::new());
                }
                if !std::mem::replace(&mut failing, true) {
                    warn!(kind = ?kind, %error, "cannot watch");
                }
            }
        }
    }
}

fn object_key(object: &DynamicObject) -> Key {
    Key::new(
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    )
}
