//! The primary: made from what was recorded, and given a recorded template.

use std::collections::BTreeMap;

use canary_core::release::Plan;
use canary_core::status::{CanaryStatus, Phase};
use canary_core::{names, revision, size};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::Kind;
use crate::target::config::{self, ConfigRef};
use crate::target::primary::{self, Id, Parts};
use crate::target::view::Deployment;
use crate::tick::configs::Copying;
use crate::tick::ensure::EnsureError;
use crate::tick::{Context, TickError};
use crate::world::World;

/// What a primary is rolled to.
struct Roll<'a> {
    revision: &'a str,
    id: &'a Id,
    /// As it stands; none if it is made.
    live: Option<&'a Value>,
}

// === impl Context ===

impl Context {
    /// Gives the primary a recorded template, and the configuration that belongs to it.
    pub(super) async fn promote(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        plan: &Plan,
        revision: &str,
    ) -> Result<(), TickError> {
        let back = plan.status.phase == Phase::Failed;
        if back {
            self.put_back_configs(world, &plan.status).await?;
        } else {
            self.copy_configs(world, configs, copying(&plan.status))
                .await?;
        }
        let Some(primary) = &world.primary else {
            return self.make_primary(world, configs, revision).await;
        };
        let live = self
            .cluster
            .get(
                Kind::Deployment,
                &world.namespace,
                &world.canary.primary_name(),
            )
            .await?;
        if live["metadata"]["generation"].as_i64() != Some(primary.generation) {
            return Err(TickError::Stale(format!(
                "deployment {} changed meanwhile",
                world.canary.primary_name()
            )));
        }
        let number = plan
            .status
            .release
            .as_ref()
            .map_or(0, |release| release.number);
        let id = flagger_id(&[
            world.canary.metadata.uid.as_deref().unwrap_or_default(),
            revision,
            &number.to_string(),
            if back { "back" } else { "on" },
            &revision::checksum(&json!(plan.status.tracked_configs)),
        ]);
        let replicas = if !world.sizes_itself() {
            None
        } else if back {
            size_put_back(&plan.status, primary.replicas)
        } else {
            Some(size_of(world, &plan.status, primary.replicas))
        };
        let id = Id::next(&live, id, back);
        let roll = Roll {
            revision,
            id: &id,
            live: Some(&live),
        };
        let object = self
            .built(world, configs, &roll, |parts| {
                primary::promote(&live, parts, replicas)
            })
            .await?;
        let stored = self.cluster.replace(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// Creates the primary that is missing, from what was promoted last.
    pub(super) async fn create_primary(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> Result<bool, EnsureError> {
        let status = world.canary.status.as_ref();
        let Some(revision) = status.and_then(|status| status.last_promoted_spec.clone()) else {
            return Ok(false);
        };
        if !revision::is_ours(&revision) {
            return Ok(false);
        }
        self.copy_configs(world, configs, Copying::Missing).await?;
        self.make_primary(world, configs, &revision).await?;
        Ok(true)
    }

    async fn make_primary(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        revision: &str,
    ) -> Result<(), TickError> {
        let replicas = world.scale_primary_to();
        let id = flagger_id(&[
            world.canary.metadata.uid.as_deref().unwrap_or_default(),
            revision,
        ]);
        let id = Id {
            now: id,
            before: None,
        };
        let roll = Roll {
            revision,
            id: &id,
            live: None,
        };
        let object = self
            .built(world, configs, &roll, |parts| {
                primary::create(parts, replicas)
            })
            .await?;
        let stored = self.cluster.create(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    async fn built(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        roll: &Roll<'_>,
        build: impl FnOnce(&Parts<'_>) -> Value + Send,
    ) -> Result<Value, TickError> {
        let (canary, revision) = (&world.canary, roll.revision);
        // A primary that is put back has from its target what it got when it was promoted.
        let target = if let Some(primary) = roll.live.filter(|_| world.target_gone) {
            primary.clone()
        } else {
            let name = canary.target_name();
            self.cluster
                .get(Kind::Deployment, &world.namespace, name)
                .await?
        };
        let template = &self.template_of(world, &target, revision).await?;
        let copied = self.copied(world, template, configs);
        Ok(build(&Parts {
            canary,
            target: &target,
            template,
            revision,
            selector: &world.selector,
            configs: &copied,
            id: roll.id,
            label_prefixes: &self.options.label_prefixes,
        }))
    }

    /// What a template refers to and has a `-primary` copy of.
    fn copied(
        &self,
        world: &World,
        template: &Value,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> BTreeMap<ConfigRef, String> {
        let copy = |reference: ConfigRef| {
            let name = self.copy_name(world, &reference);
            let copies = self.caches.configs(reference.kind());
            let has_copy = copies.get(&world.namespace, &name).is_some();
            (configs.contains_key(&reference) || has_copy).then_some((reference, name))
        };
        let references = config::references(template).into_iter();
        references.filter_map(copy).collect()
    }

    pub(super) async fn rebaseline(
        &self,
        world: &World,
        status: &CanaryStatus,
        from: &str,
        to: &str,
    ) -> Result<(), TickError> {
        if world.target.revision == to {
            self.record(world, status, to).await?;
        }
        let Some(primary) = &world.primary else {
            return Ok(());
        };
        if primary.promoted.as_deref() != Some(from) {
            return Ok(());
        }
        self.annotate_primary(world, primary, to).await
    }

    pub(super) async fn annotate_primary(
        &self,
        world: &World,
        primary: &Deployment,
        revision: &str,
    ) -> Result<(), TickError> {
        let patch = json!({ "metadata": {
            "resourceVersion": primary.resource_version,
            "annotations": { names::REVISION: revision },
        } });
        let name = world.canary.primary_name();
        let stored = self
            .cluster
            .merge(Kind::Deployment, &world.namespace, &name, &patch)
            .await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }
}

/// A promotion that failed leaves no other size behind than there was.
fn size_put_back(status: &CanaryStatus, primary: i32) -> Option<i32> {
    let release = status.release.as_ref()?;
    size::put_back(release.primary_size, release.replicas, primary)
}

/// What a primary that is given a template gets. At rest it has its size already.
fn size_of(world: &World, status: &CanaryStatus, primary: i32) -> i32 {
    let target = &world.target;
    match (status.phase, &status.release) {
        (Phase::Initializing, _) => {
            let wanted = size::wanted(target.replicas, target.wish);
            size::of_primary(wanted, primary, target.replicas)
        }
        (Phase::Promoting | Phase::Finalising, Some(release)) => {
            size::of_primary(release.replicas, primary, 0)
        }
        _ => size::of_primary(None, primary, 0),
    }
}

fn copying(status: &CanaryStatus) -> Copying {
    match (status.phase, &status.release) {
        (Phase::Promoting | Phase::Finalising, Some(release)) => Copying::Release(release.number),
        _ => Copying::Baseline,
    }
}

/// Shaped like the UUID that Flagger writes, but the same for the same promotion: a tick that is
/// run again must not roll the primary again.
fn flagger_id(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("/"));
    let hex = format!("{hash:x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32]
    )
}
