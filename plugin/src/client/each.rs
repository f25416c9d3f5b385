//! Lists and watches, object by object: one that cannot be read is told, and the others are shown.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use canary_core::guard::{Guard, Unreadable};
use futures::{Stream, StreamExt as _, future};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;

use super::{Access, Cluster};
use crate::exit::{Error, one_line};

/// Versions of objects of which it was said that they cannot be read.
pub(super) type Told = Arc<Mutex<HashSet<(String, String, String)>>>;

// === impl Cluster ===

impl Cluster {
    /// The objects of a list, each read by itself.
    pub(super) async fn each<K>(
        &self,
        api: Api<Guard<K>>,
        params: &ListParams,
    ) -> Result<Vec<Guard<K>>, Error>
    where
        K: Resource + DeserializeOwned + Clone + Debug,
    {
        Ok(self.call(Access::Read, api.list(params)).await?.items)
    }

    /// Those that can be read. Each other one is told.
    pub(super) fn readable<K>(&self, kind: &str, objects: Vec<Guard<K>>) -> Vec<K> {
        let told = |bad: &Unreadable| {
            self.tell_unreadable(kind, bad);
        };
        let read = objects.into_iter();
        read.filter_map(|object| object.0.inspect_err(told).ok())
            .collect()
    }

    /// Says that an object cannot be read, once for each of its versions.
    fn tell_unreadable(&self, kind: &str, bad: &Unreadable) {
        if let Some(warning) = self.unread(kind, bad) {
            anstream::eprintln!("{warning}");
        }
    }

    /// What is to be said of an object that cannot be read; nothing if it was said of that version.
    pub fn unread(&self, kind: &str, bad: &Unreadable) -> Option<String> {
        let version = bad.metadata.resource_version.clone().unwrap_or_default();
        let new = self
            .told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert((kind.to_owned(), bad.id(), version));
        new.then(|| warning(kind, bad))
    }
}

/// `warning: canary shop/web cannot be read and is left out: …`
fn warning(kind: &str, bad: &Unreadable) -> String {
    one_line(&format!(
        "warning: {kind} {} cannot be read and is left out: {}",
        bad.id(),
        bad.error
    ))
}

/// Events of objects that can be read. Of another one what was seen last stays.
pub(super) fn readable_events<K>(
    events: impl Stream<Item = watcher::Result<Event<Guard<K>>>>,
) -> impl Stream<Item = watcher::Result<Event<K>>> {
    events.filter_map(|event| {
        let read = |object: Guard<K>, event: fn(K) -> Event<K>| object.0.ok().map(event);
        future::ready(match event {
            Ok(Event::Apply(object)) => read(object, Event::Apply).map(Ok),
            Ok(Event::InitApply(object)) => read(object, Event::InitApply).map(Ok),
            Ok(Event::Delete(object)) => read(object, Event::Delete).map(Ok),
            Ok(Event::Init) => Some(Ok(Event::Init)),
            Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
            Err(error) => Some(Err(error)),
        })
    })
}

#[cfg(test)]
mod tests {
    use kube::core::DynamicObject;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_that_cannot_be_read_is_named_in_one_line() {
        let deep = (0..200).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
        let text = format!(r#"{{"metadata":{{"name":"web","namespace":"shop"}},"spec":{deep}}}"#);
        let bad: Guard<DynamicObject> = serde_json::from_str(&text).unwrap();
        let said = warning("canary", &bad.0.unwrap_err());
        let start =
            "warning: canary shop/web cannot be read and is left out: recursion limit exceeded";
        assert!(said.starts_with(start), "{said}");
    }

    #[test]
    fn what_a_stranger_wrote_cannot_move_the_cursor() {
        let value = json!({ "metadata": { "name": "\u{1b}[2J", "labels": 1 } });
        let bad: Guard<DynamicObject> = serde_json::from_value(value).unwrap();
        let said = warning("canary", &bad.0.unwrap_err());
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}
