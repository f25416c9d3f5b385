//! What is written on the target beside its spec: marks that admission reads while we are down.

use canary_core::names;
use canary_core::status::{CanaryStatus, Phase};
use serde_json::{Map, Value, json};

use crate::api::{ApiError, Kind};
use crate::tick::{Context, phase};
use crate::world::World;

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
        if let Some(size) = self.size(world, !annotations.is_empty()) {
            annotations.insert(names::SIZE.to_owned(), Value::from(size.to_string()));
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

    /// How many pods the primary has, if that is news. In mid-release it waits for another reason to write:
    /// the target's controller would have to look at it again.
    fn size(&self, world: &World, writes: bool) -> Option<i32> {
        if !world.sizes_itself() {
            return None;
        }
        let resting = matches!(
            phase(&world.canary),
            Phase::Initializing | Phase::Initialized | Phase::Succeeded | Phase::Failed
        );
        let size = match &world.primary {
            Some(primary) => primary.replicas,
            None => world.scale_primary_to(),
        };
        let news = size > 0 && world.target.remembered != Some(size);
        (news && (resting || writes || !world.target.managed)).then_some(size)
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
