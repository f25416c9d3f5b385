//! What stands below a Deployment: read by its selector, once or for as long as somebody looks.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt as _, future};
use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, ListParams};
use kube::core::Selector;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::Cluster;
use super::each::readable_events;
use crate::exit::{Error, one_line};
use crate::report::{Listed, Unread};

/// A kind of object that is owned by another.
pub trait Owned:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its plural as people write it.
    const PLURAL: &'static str;
}

impl Owned for k8s_openapi::api::apps::v1::ReplicaSet {
    const PLURAL: &'static str = "ReplicaSets";
}

impl Owned for k8s_openapi::api::core::v1::Pod {
    const PLURAL: &'static str = "Pods";
}

// === impl Cluster ===

impl Cluster {
    /// The objects that a selector finds. They only add to the picture: what goes wrong is part of it.
    pub async fn owned<K: Owned>(&self, namespace: &str, selector: &Selector) -> Listed<K> {
        let api = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels_from(selector);
        match self.each(api, &params).await {
            Ok(list) => {
                let mut found = self.readable(K::PLURAL, list);
                found.iter_mut().for_each(lean);
                Listed::Found(found.into_iter().map(Arc::new).collect())
            }
            Err(error) => Listed::Unknown(unread::<K>(&error)),
        }
    }

    /// The same, and anew with each change.
    pub fn watch_owned<K: Owned>(
        &self,
        namespace: &str,
        selector: &Selector,
    ) -> impl Stream<Item = Listed<K>> + use<K> {
        let api = Api::namespaced(self.client.clone(), namespace);
        let config = watcher::Config::default().labels_from(selector);
        let (reader, writer) = reflector::store();
        let cluster = self.clone();
        readable_events(watcher(api, config).default_backoff())
            .modify(lean)
            .reflect(writer)
            .filter_map(move |event| {
                let listed = match event {
                    Ok(
                        watcher::Event::Apply(_)
                        | watcher::Event::Delete(_)
                        | watcher::Event::InitDone,
                    ) => Some(Listed::Found(reader.state())),
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => None,
                    // Whoever may list and not watch sees it as it was. Any other error may pass, and what was
                    // seen last is better than nothing.
                    Err(error) => {
                        let listing = matches!(error, watcher::Error::InitialListFailed(_));
                        match cluster.watch_error(&error) {
                            error @ (Error::ReadForbidden(_) | Error::Unauthorized { .. })
                                if listing =>
                            {
                                Some(Listed::Unknown(unread::<K>(&error)))
                            }
                            _ => None,
                        }
                    }
                };
                future::ready(listed)
            })
    }
}

/// Who wrote which field is most of what a pod is on the wire, and nothing that is shown.
fn lean<K: Resource>(object: &mut K) {
    object.managed_fields_mut().clear();
}

fn unread<K: Owned>(error: &Error) -> Unread {
    Unread {
        resource: K::PLURAL.to_owned(),
        forbidden: matches!(error, Error::ReadForbidden(_)),
        message: one_line(&error.to_string()),
    }
}
