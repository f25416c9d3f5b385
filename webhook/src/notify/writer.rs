//! Events on their way to the API server. Nothing waits long for one: where another team's admission webhook
//! hangs on Events, whatever a release does would wait for it, and its way back, too.
//!
//! ```text
//!  write ─► answered within PATIENCE
//!       └─► not: for a while nothing in that namespace waits, and Events are written beside what goes on
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use canary_core::names;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::repetition;

/// A busy API server needs less.
const PATIENCE: Duration = Duration::from_secs(1);
/// For so long nothing waits, after one that was late.
const IMPATIENT: Duration = Duration::from_secs(30);
/// So many of a namespace are under way then; more are not written.
const BESIDE: usize = 16;

/// What became of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    /// Written before, by the attempt that this one repeats.
    Existed,
    /// Another Event has the name: the sequence kept in status is behind. Use the next one.
    Taken,
    /// It may come to be written.
    Unknown,
}

#[derive(Debug, Error)]
pub enum NotifyError {
    #[error("event {name} not written: {source}")]
    Write { name: String, source: kube::Error },
    #[error("event {name} not counted: {source}")]
    Count { name: String, source: kube::Error },
    #[error("event {name} not written: too many are waiting for the API server")]
    TooMany { name: String },
}

/// Writes Events to the API server.
#[derive(Clone)]
pub struct EventWriter {
    client: Client,
    late: Arc<Mutex<HashMap<String, Late>>>,
}

/// Of a namespace where nothing waits.
#[derive(Debug)]
struct Late {
    until: Instant,
    places: Arc<Semaphore>,
}

// === impl EventWriter ===

impl EventWriter {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            late: Arc::default(),
        }
    }

    /// Creates the Event. A name that exists is no error: it may be our own, from before a crash.
    pub async fn write(&self, event: &Event) -> Result<Written, NotifyError> {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let events = self.events(&namespace);
        let (name, event) = (event.name_any(), event.clone());
        let written = self.in_time(
            &namespace,
            name,
            async move { create(&events, &event).await },
        );
        Ok(written.await?.unwrap_or(Written::Unknown))
    }

    /// Counts a repetition of an Event. `false` if it has expired: write a new one.
    pub async fn repeat(
        &self,
        namespace: &str,
        name: &str,
        count: i32,
        at: Timestamp,
    ) -> Result<bool, NotifyError> {
        let (events, event) = (self.events(namespace), name.to_owned());
        let counted = async move { counted(&events, &event, count, at).await };
        let there = self.in_time(namespace, name.to_owned(), counted).await?;
        Ok(there.unwrap_or(true))
    }

    /// None if nobody knows yet.
    async fn in_time<T: Send + 'static>(
        &self,
        namespace: &str,
        name: String,
        write: impl Future<Output = Result<T, NotifyError>> + Send + 'static,
    ) -> Result<Option<T>, NotifyError> {
        if let Some(places) = self.places(namespace) {
            let place = places.try_acquire_owned();
            let place = place.map_err(|_| NotifyError::TooMany { name })?;
            tokio::spawn(async move {
                if let Err(error) = write.await {
                    tracing::warn!("{error}");
                }
                drop(place);
            });
            return Ok(None);
        }
        match tokio::time::timeout(PATIENCE, tokio::spawn(write)).await {
            Ok(Ok(written)) => written.map(Some),
            Ok(Err(_)) => Ok(None),
            Err(_) => {
                tracing::warn!(
                    "the API server has not taken event {name} in {namespace} within {PATIENCE:?}: nothing waits for events there for {IMPATIENT:?}"
                );
                self.is_late(namespace);
                Ok(None)
            }
        }
    }

    /// For an Event that nothing waits for, if that is so in the namespace.
    fn places(&self, namespace: &str) -> Option<Arc<Semaphore>> {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        late.retain(|_, late| now < late.until);
        late.get(namespace).map(|late| late.places.clone())
    }

    fn is_late(&self, namespace: &str) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + IMPATIENT;
        let places = Arc::new(Semaphore::new(BESIDE));
        late.insert(namespace.to_owned(), Late { until, places });
    }

    fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

async fn create(events: &Api<Event>, event: &Event) -> Result<Written, NotifyError> {
    let failed = |source| NotifyError::Write {
        name: event.name_any(),
        source,
    };
    let params = PostParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match events.create(&params, event).await {
        Ok(_) => return Ok(Written::Created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(failed(error)),
    }
    let existing = events.get_opt(&event.name_any()).await.map_err(failed)?;
    Ok(match existing {
        Some(existing) if !says_the_same(&existing, event) => Written::Taken,
        _ => Written::Existed,
    })
}

async fn counted(
    events: &Api<Event>,
    name: &str,
    count: i32,
    at: Timestamp,
) -> Result<bool, NotifyError> {
    let patch = Patch::Merge(repetition(count, at));
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match events.patch(name, &params, &patch).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(source) => Err(NotifyError::Count {
            name: name.to_owned(),
            source,
        }),
    }
}

fn says_the_same(one: &Event, other: &Event) -> bool {
    one.message == other.message && one.involved_object.uid == other.involved_object.uid
}
