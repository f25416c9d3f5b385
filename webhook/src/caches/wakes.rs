//! Under which keys somebody may be interested in an object.

use serde_json::Value;

use super::store::slice;
use super::{Caches, Disruption, key_of, selecting};
use crate::api::Kind;
use crate::cache::Key;
use crate::target::autoscaler;
use crate::target::view::strings;

// === impl Caches ===

impl Caches {
    /// Keys under which an object is known before it changes: a slice by its Service, an
    /// autoscaler by what it scales, a Service by a label that it selects by.
    pub(super) fn wakes_before(&self, kind: Kind, key: &Key) -> Vec<Key> {
        match kind {
            Kind::EndpointSlice => {
                let slice = self.slices.get_key(key);
                slice
                    .map(|slice| Key::new(&key.namespace, &slice.service))
                    .into_iter()
                    .collect()
            }
            Kind::Autoscaler => {
                let old = self.autoscalers.get_key(key);
                old.map(|old| Key::new(&key.namespace, &old.target))
                    .into_iter()
                    .collect()
            }
            Kind::Service => {
                let old = self.services.get_key(key);
                let known = old.and_then(|old| selecting::known_by(&key.namespace, &old.selector));
                known.into_iter().collect()
            }
            Kind::Disruption => {
                let old = self.disruptions.get_key(key);
                old.map(|old| old.key(&key.namespace)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Those of an object as it is now.
pub(super) fn now(kind: Kind, object: &Value) -> Vec<Key> {
    let key = key_of(object);
    match kind {
        Kind::EndpointSlice => vec![Key::new(&key.namespace, slice(object).service)],
        Kind::Autoscaler => vec![Key::new(&key.namespace, autoscaler::scales(object).1), key],
        Kind::Disruption => vec![Disruption::known_by(&key.namespace, object), key],
        Kind::Service => {
            let selector = strings(object.pointer("/spec/selector"));
            let known = selecting::known_by(&key.namespace, &selector);
            known.into_iter().chain([key]).collect()
        }
        _ => vec![key],
    }
}
