//! Lists a kind and watches it: the one way to do so, item by item.
//!
//! ```text
//!   ┌─► list, page by page ─► watch ─┬─ ends: opened again where it was
//!   │                                ├─ fails: opened again after a pause
//!   └──────────── expired, or failed three times in a row
//! ```
//! What becomes of an error is decided by its type, never by its text. Nothing is gone because of an error:
//! only a list, an event, or discovery says that something is gone.

mod error;

use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicResourceScope};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

pub use error::WatchError;

/// As client-go's pager asks.
const PAGE: u32 = 500;
/// The API server ends a watch after so long.
const WATCH_SECONDS: u32 = 290;
/// A connection that is silent for longer than the watch may last is dead.
const IDLE: Duration = Duration::from_secs(295);
const LIST_TIMEOUT: Duration = Duration::from_secs(60);
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// A watch that cannot be opened as often is listed anew: its version may be one that the API server does not
/// have any more, or, after a restored backup, not yet.
const TRIES: u32 = 3;
/// A watch that lasted so long has worked.
const LASTED: Duration = Duration::from_secs(10);

/// What is seen of a kind, in order.
#[derive(Debug)]
pub enum Seen<K> {
    /// A list begins.
    Listing,
    Listed(K),
    /// The list is complete: what it did not have is gone.
    Complete,
    /// The API server sends changes from here on.
    Watching,
    Applied(K),
    Deleted(K),
    /// The API server does not know the kind, and discovery says so too: there are none.
    Absent,
    Failed(WatchError),
}

/// A kind, in a namespace or in all.
pub struct Source<K> {
    api: Api<K>,
    client: Client,
    resource: ApiResource,
    fields: Option<String>,
    /// The first pause after an error, and the longest.
    pauses: (Duration, Duration),
}

struct Pause {
    first: Duration,
    longest: Duration,
    next: Duration,
}

/// What an object must be like, so that it can be listed and watched.
pub trait Watched:
    Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
    + DeserializeOwned
    + Clone
    + Debug
    + Send
    + 'static
{
}

impl<K> Watched for K where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + 'static
{
}

// === impl Source ===

impl<K: Watched> Source<K> {
    /// Without a namespace: of all of them, or of the cluster.
    pub fn new(client: Client, resource: ApiResource, namespace: Option<&str>) -> Self {
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        Self {
            api,
            client,
            resource,
            fields: None,
            pauses: (Duration::from_millis(800), Duration::from_secs(30)),
        }
    }

    /// Only objects with these fields.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        self.fields = Some(selector.to_owned());
        self
    }

    #[cfg(test)]
    pub(crate) fn pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.pauses = (first, longest);
        self
    }

    /// Tells what is seen, for as long as it is polled.
    pub async fn follow(self, mut see: impl FnMut(Seen<K>) + Send) {
        let mut pause = Pause::new(self.pauses);
        loop {
            match self.list(&mut see).await {
                Ok(version) => self.watch(version, &mut see, &mut pause).await,
                Err(error) => see(self.judged(error).await),
            }
            pause.wait().await;
        }
    }

    /// Everything; the version from which changes are to be watched.
    async fn list(&self, see: &mut (impl FnMut(Seen<K>) + Send)) -> Result<String, WatchError> {
        see(Seen::Listing);
        let mut params = ListParams {
            field_selector: self.fields.clone(),
            limit: Some(PAGE),
            ..ListParams::default()
        };
        loop {
            let page = timeout(LIST_TIMEOUT, self.api.list(&params)).await;
            let page = page.map_err(|_| WatchError::NoAnswer(LIST_TIMEOUT))??;
            for item in page.items {
                see(Seen::Listed(item));
            }
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            if next.is_none() {
                let version = page.metadata.resource_version;
                let version = version.filter(|version| !version.is_empty());
                let version = version.ok_or(WatchError::NoVersion)?;
                see(Seen::Complete);
                return Ok(version);
            }
            params.continue_token = next;
        }
    }

    /// Watches until there has to be a new list.
    async fn watch(
        &self,
        mut version: String,
        see: &mut (impl FnMut(Seen<K>) + Send),
        pause: &mut Pause,
    ) {
        let mut failures = 0;
        while failures < TRIES {
            let opened = Instant::now();
            let ended = self.watch_once(&mut version, see).await;
            if opened.elapsed() >= LASTED {
                pause.reset();
                failures = 0;
            }
            match ended {
                Ok(()) if opened.elapsed() >= LASTED => continue,
                Ok(()) => {}
                Err(error) => {
                    let anew = error.needs_a_list();
                    see(self.judged(error).await);
                    if anew {
                        return;
                    }
                    failures += 1;
                }
            }
            if failures < TRIES {
                pause.wait().await;
            }
        }
    }

    async fn watch_once(
        &self,
        version: &mut String,
        see: &mut (impl FnMut(Seen<K>) + Send),
    ) -> Result<(), WatchError> {
        let params = WatchParams {
            field_selector: self.fields.clone(),
            timeout: Some(WATCH_SECONDS),
            bookmarks: true,
            ..WatchParams::default()
        };
        let events = timeout(OPEN_TIMEOUT, self.api.watch(&params, version)).await;
        let events = events.map_err(|_| WatchError::NoAnswer(OPEN_TIMEOUT))??;
        see(Seen::Watching);
        let mut events = std::pin::pin!(events.into_stream());
        while let Ok(Some(event)) = timeout(IDLE, events.next()).await {
            match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    *version = version_of(&object)?;
                    see(Seen::Applied(object));
                }
                WatchEvent::Deleted(object) => {
                    *version = version_of(&object)?;
                    see(Seen::Deleted(object));
                }
                WatchEvent::Bookmark(mark) => *version = mark.metadata.resource_version,
                WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
            }
        }
        Ok(())
    }

    /// "Not found" is believed when discovery says the same.
    async fn judged(&self, error: WatchError) -> Seen<K> {
        if !error.is_not_found() {
            return Seen::Failed(error);
        }
        match timeout(OPEN_TIMEOUT, self.is_known()).await {
            Ok(Ok(false)) => Seen::Absent,
            _ => Seen::Failed(error),
        }
    }

    /// Whether the API server says that it has the kind.
    async fn is_known(&self) -> kube::Result<bool> {
        let ApiResource {
            group,
            version,
            api_version,
            plural,
            ..
        } = &self.resource;
        let resources = if group.is_empty() {
            self.client.list_core_api_resources(version).await?
        } else {
            let groups = self.client.list_api_groups().await?.groups;
            let found = groups.iter().find(|found| found.name == *group);
            let mut versions = found.into_iter().flat_map(|group| &group.versions);
            if !versions.any(|found| found.version == *version) {
                return Ok(false);
            }
            self.client.list_api_group_resources(api_version).await?
        };
        let mut names = resources.resources.iter().map(|resource| &resource.name);
        Ok(names.any(|name| name == plural))
    }
}

fn version_of<K: Resource>(object: &K) -> Result<String, WatchError> {
    let version = object.meta().resource_version.clone();
    version
        .filter(|version| !version.is_empty())
        .ok_or(WatchError::NoVersion)
}

// === impl Pause ===

impl Pause {
    const fn new((first, longest): (Duration, Duration)) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    const fn reset(&mut self) {
        self.next = self.first;
    }

    /// Longer each time.
    async fn wait(&mut self) {
        let wait = self.next;
        self.next = (self.next * 2).min(self.longest);
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
