//! The watches, and what becomes of what they see.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use canary_core::guard::Guard;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::{Resource, ResourceExt as _};
use serde_json::Value;

use crate::api::{Cluster, Kind};
use crate::cache::Key;
use crate::caches::Caches;
use crate::caches::condition::of_policies;
use crate::clock::Clock;
use crate::watch::{Seen, Source, Watched};

const WATCHED: [Kind; 10] = [
    Kind::Canary,
    Kind::Deployment,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Autoscaler,
    Kind::Disruption,
    Kind::Route,
    Kind::MetricTemplate,
    Kind::Definition,
    Kind::Policy,
];
/// Only their metadata.
const GLANCED_AT: [Kind; 4] = [
    Kind::ConfigMap,
    Kind::Secret,
    Kind::Namespace,
    Kind::Enforcer,
];

type Whole = Guard<DynamicObject>;
type Glance = Guard<PartialObjectMeta<DynamicObject>>;

/// An object of any kind, whole or its metadata alone.
pub(super) trait Seeable {
    fn into_object(self) -> DynamicObject;
}

/// What one kind is seen to be.
pub(super) struct View {
    caches: Arc<Caches>,
    kind: Kind,
    /// What the list that goes on has so far.
    listed: HashSet<Key>,
    /// That there are none of it is known.
    absent: bool,
}

/// Fills the caches for as long as it is polled. With a namespace only that one is watched.
pub async fn watch(caches: Arc<Caches>, cluster: Cluster, clock: Clock, namespace: Option<String>) {
    let mut watches = tokio::task::JoinSet::new();
    let wanted = |kind: &Kind| !(of_policies(*kind) && caches.without_policies());
    for kind in WATCHED.into_iter().filter(wanted) {
        let source = source::<Whole>(&cluster, kind, namespace.as_deref());
        watches.spawn(follow(caches.clone(), kind, source, clock));
    }
    for kind in GLANCED_AT.into_iter().filter(wanted) {
        let source = source::<Glance>(&cluster, kind, namespace.as_deref());
        watches.spawn(follow(caches.clone(), kind, source, clock));
    }
    while watches.join_next().await.is_some() {}
}

fn source<K: Watched>(cluster: &Cluster, kind: Kind, namespace: Option<&str>) -> Source<K> {
    let namespace = namespace.filter(|_| !of_the_cluster(kind));
    let source = Source::new(cluster.client().clone(), kind.resource(), namespace);
    match kind {
        Kind::Definition => source.fields("metadata.name=canaries.flagger.app"),
        _ => source,
    }
}

const fn of_the_cluster(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Definition | Kind::Policy | Kind::Namespace | Kind::Enforcer
    )
}

pub(super) async fn follow<K: Watched + Seeable>(
    caches: Arc<Caches>,
    kind: Kind,
    source: Source<Guard<K>>,
    clock: Clock,
) {
    let mut view = View::new(caches, kind);
    source.follow(|seen| view.see(seen, clock.elapsed())).await;
}

// === impl View ===

impl View {
    pub(super) fn new(caches: Arc<Caches>, kind: Kind) -> Self {
        Self {
            caches,
            kind,
            listed: HashSet::new(),
            absent: false,
        }
    }

    /// Only a complete list, an event and the absence of the kind take something away.
    pub(super) fn see<K: Resource + Seeable>(&mut self, seen: Seen<Guard<K>>, now: Duration) {
        let kind = self.kind;
        let known = self.absent;
        self.absent = matches!(seen, Seen::Absent) || known && matches!(seen, Seen::Listing);
        match seen {
            Seen::Listing => self.listed.clear(),
            Seen::Listed(object) => {
                self.listed.insert(key(&object));
                self.take_in(object);
            }
            Seen::Complete => self.caches.retain(kind, &std::mem::take(&mut self.listed)),
            Seen::Watching => self.caches.note_working(kind),
            Seen::Applied(object) => self.take_in(object),
            Seen::Deleted(object) => self.caches.forget(kind, &key(&object)),
            Seen::Absent if known => {}
            Seen::Absent => self.caches.leave(kind),
            Seen::Failed(error) => self.caches.note_failed(kind, &error, now),
        }
    }

    /// One that cannot be read is there all the same.
    fn take_in<K: Resource + Seeable>(&self, object: Guard<K>) {
        let key = key(&object);
        let version = object.resource_version().unwrap_or_default();
        match object.0 {
            Ok(object) => self.caches.ingest(self.kind, object.into_object()),
            Err(unreadable) => {
                let error = unreadable.error;
                self.caches
                    .note_unreadable(self.kind, &key, &version, &error);
            }
        }
    }
}

fn key<K: Resource>(object: &Guard<K>) -> Key {
    let meta = object.meta();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Key::new(text(&meta.namespace), text(&meta.name))
}

// === impl Seeable ===

impl Seeable for DynamicObject {
    fn into_object(self) -> DynamicObject {
        self
    }
}

impl Seeable for PartialObjectMeta<DynamicObject> {
    fn into_object(self) -> DynamicObject {
        DynamicObject {
            types: self.types,
            metadata: self.metadata,
            data: Value::Object(serde_json::Map::new()),
        }
    }
}

#[cfg(test)]
mod tests;
