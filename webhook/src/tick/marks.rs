//! What is written on the target beside its spec: marks that admission reads while we are down.

use canary_core::names;
use canary_core::status::{CanaryStatus, Phase};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, Kind};
use crate::tick::Context;
use crate::world::World;

/// A patch that takes them off.
pub(super) fn none(version: Option<&str>) -> Value {
    let mut metadata = json!({
        "labels": { names::MANAGED_LABEL: null },
        "annotations": { names::PROMOTED_IMAGES: null, names::LOCKED_BY: null },
    });
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({ "metadata": metadata })
}

// === impl Context ===

impl Context {
    /// The label that webhooks select by, the images that are a rollback, and the lock of a promotion.
    /// One write, and none if all is so already.
    pub(super) async fn ensure_marks(&self, world: &World) -> Result<bool, ApiError> {
        let mut annotations = Map::new();
        if let Some(images) = promoted_images(world)
            && world.target.promoted_images.as_ref() != Some(&images)
        {
            annotations.insert(names::PROMOTED_IMAGES.to_owned(), Value::from(images));
        }
        let lock = self.lock(world);
        if world.target.locked_by != lock {
            annotations.insert(names::LOCKED_BY.to_owned(), Value::from(lock));
        }
        if world.target.managed && annotations.is_empty() {
            return Ok(false);
        }
        let patch = json!({ "metadata": {
            "resourceVersion": world.target.resource_version,
            "labels": { names::MANAGED_LABEL: names::MANAGED_VALUE },
            "annotations": annotations,
        } });
        let name = world.canary.target_name();
        let stored = self
            .cluster
            .merge(Kind::Deployment, &world.namespace, name, &patch)
            .await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(true)
    }

    /// Status says Promoting before the primary is given anything, so the lock is there by then.
    fn lock(&self, world: &World) -> Option<String> {
        let status = world.canary.status.as_ref()?;
        let asked = || {
            let policies = self.caches.policies_of(&world.namespace);
            let mut protected = policies.iter().filter_map(|it| it.rules.spec.protect);
            protected.any(|protect| protect.lock_during_promotion)
        };
        if !matches!(status.phase, Phase::Promoting | Phase::Finalising) || !asked() {
            return None;
        }
        let name = world.canary.metadata.name.as_deref().unwrap_or_default();
        Some(format!("{name} {}", status.release.as_ref()?.revision))
    }
}

/// What the primary runs; none while it is given something else.
fn promoted_images(world: &World) -> Option<String> {
    let status: &CanaryStatus = world.canary.status.as_ref()?;
    let promoted = status.last_promoted_spec.as_ref()?;
    let primary = world.primary.as_ref();
    let images = match primary.filter(|primary| primary.promoted.as_ref() == Some(promoted)) {
        Some(primary) => &primary.images,
        None if world.target.revision == *promoted => &world.target.images,
        None => return None,
    };
    serde_json::to_string(images).ok()
}
