//! The watches.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tracing::warn;

use crate::api::{Cluster, Kind};
use crate::cache::Key;
use crate::caches::Caches;
use crate::caches::policies::is_done_without;

const WATCHED: [Kind; 9] = [
    Kind::Canary,
    Kind::Deployment,
    Kind::Service,
    Kind::EndpointSlice,
    Kind::Autoscaler,
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

/// Fills the caches for as long as it is polled. With a namespace only that one is watched.
pub async fn watch(caches: Arc<Caches>, cluster: Cluster, namespace: Option<String>) {
    let api = |kind: Kind| -> Api<DynamicObject> {
        let resource = kind.resource();
        match &namespace {
            Some(namespace) if !of_the_cluster(kind) => {
                Api::namespaced_with(cluster.client().clone(), namespace, &resource)
            }
            _ => Api::all_with(cluster.client().clone(), &resource),
        }
    };
    let mut watches = tokio::task::JoinSet::new();
    for kind in WATCHED {
        let config = match kind {
            Kind::Definition => {
                watcher::Config::default().fields("metadata.name=canaries.flagger.app")
            }
            _ => watcher::Config::default(),
        };
        watches.spawn(follow(caches.clone(), kind, watcher(api(kind), config)));
    }
    for kind in GLANCED_AT {
        let resource = kind.resource();
        let metadata: Api<PartialObjectMeta<DynamicObject>> = match &namespace {
            Some(namespace) if !of_the_cluster(kind) => {
                Api::namespaced_with(cluster.client().clone(), namespace, &resource)
            }
            _ => Api::all_with(cluster.client().clone(), &resource),
        };
        let objects = watcher(metadata, watcher::Config::default());
        let objects = objects.map_ok(|event| {
            map_event(event, |partial| DynamicObject {
                types: partial.types,
                metadata: partial.metadata,
                data: Value::Object(serde_json::Map::new()),
            })
        });
        watches.spawn(follow(caches.clone(), kind, objects));
    }
    while watches.join_next().await.is_some() {}
}

const fn of_the_cluster(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Definition | Kind::Policy | Kind::Namespace | Kind::Enforcer
    )
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

async fn follow(
    caches: Arc<Caches>,
    kind: Kind,
    events: impl Stream<Item = watcher::Result<Event<DynamicObject>>> + Send,
) {
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
                if is_done_without(kind, &error.to_string()) {
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
