//! What two watches show, with the time of arrival here.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::now;
use crate::fixtures::locked;

/// Canaries' phases and routes' weights as they came.
pub struct Sights {
    pub phases: Log<String>,
    pub weights: Log<i64>,
    watches: [JoinHandle<()>; 2],
}

/// Values of objects, oldest first; a value that did not change is not repeated.
pub struct Log<T>(Arc<Shared<T>>);

struct Shared<T> {
    sights: Mutex<Vec<Sight<T>>>,
    count: watch::Sender<usize>,
}

#[derive(Clone, Debug)]
pub struct Sight<T> {
    pub at: Instant,
    pub name: String,
    pub value: T,
}

// === impl Sights ===

impl Sights {
    pub async fn start(client: &kube::Client, namespace: &str) -> Result<Self> {
        let (phases, weights) = (Log::new(), Log::new());
        let watches = [
            follow(
                api(client, namespace, "flagger.app", "v1beta1", "Canary"),
                &phases,
                phase,
            ),
            follow(
                api(client, namespace, "apisix.apache.org", "v2", "ApisixRoute"),
                &weights,
                canary_weight,
            ),
        ];
        // Both lists are short here, and nothing is measured before they are there.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(Self {
            phases,
            weights,
            watches,
        })
    }
}

impl Drop for Sights {
    fn drop(&mut self) {
        for watch in &self.watches {
            watch.abort();
        }
    }
}

// === impl Log ===

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone + PartialEq> Log<T> {
    fn new() -> Self {
        Self(Arc::new(Shared {
            sights: Mutex::default(),
            count: watch::Sender::new(0),
        }))
    }

    fn push(&self, at: Instant, name: String, value: T) {
        let mut sights = locked(&self.0.sights);
        let last = sights.iter().rev().find(|sight| sight.name == name);
        if last.is_some_and(|last| last.value == value) {
            return;
        }
        sights.push(Sight { at, name, value });
        self.0.count.send_replace(sights.len());
    }

    /// How many there are: where a later look begins.
    pub fn len(&self) -> usize {
        locked(&self.0.sights).len()
    }

    /// Those of one object from `from` on.
    pub fn of(&self, name: &str, from: usize) -> Vec<Sight<T>> {
        let sights = locked(&self.0.sights);
        let of_it = sights.iter().skip(from).filter(|sight| sight.name == name);
        of_it.cloned().collect()
    }

    /// Waits for the first of an object, from `from` on, that is as wanted.
    pub async fn wait(
        &self,
        name: &str,
        mut from: usize,
        limit: Duration,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Sight<T>> {
        let mut count = self.0.count.subscribe();
        let found = async {
            loop {
                {
                    let sights = locked(&self.0.sights);
                    let new = sights.iter().skip(from);
                    let is_it = |sight: &&Sight<T>| sight.name == name && wanted(&sight.value);
                    if let Some(sight) = new.clone().find(is_it) {
                        return Ok(sight.clone());
                    }
                    from = sights.len();
                }
                count.changed().await?;
            }
        };
        tokio::time::timeout(limit, found)
            .await
            .with_context(|| format!("{name}: not seen within {limit:?}"))?
    }
}

fn api(
    client: &kube::Client,
    namespace: &str,
    group: &str,
    version: &str,
    kind: &str,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client.clone(), namespace, &resource)
}

fn follow<T: Clone + PartialEq + Send + 'static>(
    api: Api<DynamicObject>,
    log: &Log<T>,
    read: fn(&DynamicObject) -> Option<T>,
) -> JoinHandle<()> {
    let log = log.clone();
    tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(api, Config::default()));
        while let Some(event) = events.next().await {
            let at = now();
            if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
                && let Some(value) = read(&object)
            {
                log.push(at, object.metadata.name.unwrap_or_default(), value);
            }
        }
    })
}

fn phase(canary: &DynamicObject) -> Option<String> {
    Some(canary.data.pointer("/status/phase")?.as_str()?.to_owned())
}

/// Of a generated route: the second backend's weight.
fn canary_weight(route: &DynamicObject) -> Option<i64> {
    route
        .data
        .pointer("/spec/http/0/backends/1/weight")?
        .as_i64()
}
