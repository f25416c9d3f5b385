//! What was said about one Canary.

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};

use super::Cluster;
use super::each::readable_events;
use crate::exit::Error;

// === impl Cluster ===

impl Cluster {
    /// Events about the object with that uid. They only add to the picture: an error that may pass is
    /// not told.
    pub fn watch_events(
        &self,
        namespace: &str,
        uid: &str,
    ) -> impl Stream<Item = Result<watcher::Event<Event>, Error>> + use<> {
        let api = Api::namespaced(self.client.clone(), namespace);
        let about = format!("involvedObject.kind=Canary,involvedObject.uid={uid}");
        let config = watcher::Config::default().fields(&about);
        self.persistent(readable_events(watcher(api, config).default_backoff()))
            .boxed()
    }
}
