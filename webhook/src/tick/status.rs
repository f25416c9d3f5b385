//! Status is written as the difference to what was read, fenced by its resourceVersion.

use canary_core::canary::Canary;
use canary_core::status::CanaryStatus;
use serde_json::{Map, Value, json};

use crate::api::Kind;
use crate::cache::Key;
use crate::tick::{Context, TickError};

// === impl Context ===

impl Context {
    /// True if there was something to write. What could not be written counts from now on all the same.
    pub(super) async fn store_status(
        &self,
        canary: &Canary,
        status: &CanaryStatus,
    ) -> Result<bool, TickError> {
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let key = Key::new(canary.namespace_name(), name);
        let before = self.unsaved.stored(&key, canary.status.as_ref());
        if before.as_ref() == Some(status) {
            self.unsaved.forget(&key);
            return Ok(false);
        }
        let written = self.write_status(canary, before.as_ref(), status).await;
        match &written {
            Ok(()) => self.unsaved.forget(&key),
            Err(TickError::Api(error)) if !error.is_stale() && !error.is_fenced() => {
                self.unsaved.keep(&key, canary, before, status);
            }
            Err(_) => {}
        }
        written.map(|()| true)
    }

    async fn write_status(
        &self,
        canary: &Canary,
        before: Option<&CanaryStatus>,
        status: &CanaryStatus,
    ) -> Result<(), TickError> {
        let as_json = |status: &CanaryStatus| {
            serde_json::to_value(status)
                .map_err(|error| TickError::Stale(format!("status cannot be written: {error}")))
        };
        let old = before.map_or_else(|| Ok(json!({})), as_json)?;
        let patch = json!({
            "metadata": { "resourceVersion": canary.metadata.resource_version },
            "status": difference(&old, &as_json(status)?),
        });
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let stored = self
            .cluster
            .merge_status(Kind::Canary, canary.namespace_name(), name, &patch)
            .await?;
        self.caches.written(Kind::Canary, stored);
        let key = Key::new(canary.namespace_name(), name);
        if let Some(stored) = self.caches.canaries.get_key(&key) {
            self.contest.wrote(&key, &stored);
        }
        Ok(())
    }
}

/// The merge patch from one object to another: what is gone is named as null.
pub(crate) fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return new.clone();
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(before) if before == value => {}
            Some(before) if before.is_object() && value.is_object() => {
                patch.insert(key.clone(), difference(before, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_what_changed_and_what_is_gone() {
        let old = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "e": [1] });
        let new = json!({ "a": 1, "b": { "c": 3 }, "e": [1, 2] });
        let patch = difference(&old, &new);
        assert_eq!(patch, json!({ "b": { "c": 3, "d": null }, "e": [1, 2] }));
        let mut applied = old;
        json_patch::merge(&mut applied, &patch);
        assert_eq!(applied, new);
    }

    #[test]
    fn equal_objects_differ_in_nothing() {
        let status = json!({ "phase": "Failed", "release": { "number": 1 } });
        assert_eq!(difference(&status, &status), json!({}));
    }
}
