//! Configuration of the primary that a promotion replaces: kept before, put back if it fails, forgotten
//! once it has succeeded. Only what changed is kept, and nothing is asked for where nothing was.

use canary_core::names;
use canary_core::status::CanaryStatus;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::target::config::{self, ConfigRef};
use crate::target::{generated, kept};
use crate::tick::{Context, TickError};
use crate::world::World;

// === impl Context ===

impl Context {
    /// Keeps a copy that is about to be replaced. What an attempt before a crash kept is the older,
    /// and stays.
    pub(super) async fn keep_config(
        &self,
        world: &World,
        reference: &ConfigRef,
        live: &Value,
        release: i64,
    ) -> Result<(), TickError> {
        let (canary, kind) = (&world.canary, reference.kind());
        let object = kept::keep(live, canary, reference, release);
        match self.cluster.create(kind, &object).await {
            Err(ApiError::Exists { .. }) => {}
            created => {
                self.caches.written(kind, created?);
                return Ok(());
            }
        }
        let name = kept::name(canary, reference);
        let old = self.cluster.get(kind, &world.namespace, &name).await?;
        if !generated::is_generated(&old, canary) {
            return Err(not_ours(world, kind, &name));
        }
        if kept::mark_of(&old) == kept::mark(canary, release) {
            return Ok(());
        }
        // An earlier release was interrupted before it could be forgotten.
        self.delete_generated(canary, kind, &old).await?;
        let created = self.cluster.create(kind, &object).await?;
        self.caches.written(kind, created);
        Ok(())
    }

    /// Puts back what the promotion of this release replaced.
    pub(super) async fn put_back_configs(
        &self,
        world: &World,
        status: &CanaryStatus,
    ) -> Result<(), TickError> {
        let canary = &world.canary;
        let release = status.release.as_ref().map_or(0, |release| release.number);
        for reference in self.kept_configs(world, status) {
            let kind = reference.kind();
            let name = kept::name(canary, &reference);
            let Some(kept) = self.find_config(world, kind, &name).await? else {
                continue;
            };
            let ours = generated::is_generated(&kept, canary);
            if !ours || kept::mark_of(&kept) != kept::mark(canary, release) {
                continue;
            }
            let name = self.copy_name(world, &reference);
            let live = self.find_config(world, kind, &name).await?;
            let mut copy = kept::put_back(&kept, live.as_ref(), canary, &reference);
            copy["metadata"]["name"] = json!(name);
            self.write_copy(world, kind, &copy, live.as_ref()).await?;
            self.delete_generated(canary, kind, &kept).await?;
        }
        Ok(())
    }

    /// Nobody waits for it: what could not be deleted now is at the end of the next release.
    pub(super) async fn forget_configs(&self, world: &World, status: &CanaryStatus) {
        for reference in self.kept_configs(world, status) {
            let kind = reference.kind();
            let name = kept::name(&world.canary, &reference);
            let deleted = match self.cluster.get(kind, &world.namespace, &name).await {
                Ok(kept) => self.delete_generated(&world.canary, kind, &kept).await,
                Err(ApiError::NotFound { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = deleted {
                tracing::warn!(canary = world.canary.id(), "{name} stays for now: {error}");
            }
        }
    }

    /// Of what the release is tracked by, that of which something is kept.
    fn kept_configs(&self, world: &World, status: &CanaryStatus) -> Vec<ConfigRef> {
        let tracked = status.tracked_configs.iter().flat_map(|all| all.keys());
        let is_kept = |reference: &ConfigRef| {
            let name = kept::name(&world.canary, reference);
            let meta = self.caches.configs(reference.kind());
            let meta = meta.get(&world.namespace, &name);
            meta.is_some_and(|meta| {
                let mark = meta.annotations.get(names::KEPT);
                mark.is_some_and(|mark| kept::is_of_canary(mark, &world.canary))
            })
        };
        tracked
            .filter_map(|id| ConfigRef::parse(id))
            .filter(is_kept)
            .collect()
    }

    /// Writes a `-primary` copy, or makes it anew where it cannot be changed. Pods that run keep what they have
    /// mounted; one that starts in between waits for it. True if that changed anything.
    pub(super) async fn write_copy(
        &self,
        world: &World,
        kind: Kind,
        copy: &Value,
        live: Option<&Value>,
    ) -> Result<bool, TickError> {
        let Some(fixed) = live.filter(|live| config::is_fixed(live, copy)) else {
            return Ok(self.own(kind, live, copy).await?);
        };
        let taken = self.taken_copy(world, kind, copy, fixed).await?;
        let gone = taken.as_ref().unwrap_or(fixed);
        self.delete_generated(&world.canary, kind, gone).await?;
        match self.own(kind, None, copy).await {
            Ok(_) => Ok(true),
            // It is deleted, and held by somebody: that is no coincidence which another try mends.
            Err(ApiError::Exists { what }) => {
                let message =
                    "the old one is being deleted and waits for its finalizers".to_owned();
                let verb = "create";
                Err(ApiError::Rejected {
                    verb,
                    what,
                    message,
                }
                .into())
            }
            Err(error) => {
                // The new one is refused: the primary's pods need one all the same.
                if let Err(lost) = self.own(kind, None, &kept::as_it_was(gone)).await {
                    tracing::error!(canary = world.canary.id(), "a copy is lost: {lost}");
                }
                Err(error.into())
            }
        }
    }

    /// One that is shared, or was handed over, becomes this Canary's before it goes: nothing else is deleted.
    async fn taken_copy(
        &self,
        world: &World,
        kind: Kind,
        copy: &Value,
        live: &Value,
    ) -> Result<Option<Value>, TickError> {
        if generated::is_generated(live, &world.canary) {
            return Ok(None);
        }
        let of = |field: &str| copy["metadata"][field].clone();
        let patch = json!({ "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "labels": of("labels"), "ownerReferences": of("ownerReferences"),
        } });
        let name = live["metadata"]["name"].as_str().unwrap_or_default();
        let merged = self.cluster.merge(kind, &world.namespace, name, &patch);
        Ok(Some(merged.await?))
    }
}

/// Of a generated name that somebody else uses.
pub(super) fn not_ours(world: &World, kind: Kind, name: &str) -> TickError {
    TickError::NotOurs(format!(
        "{} {name}.{} exists and belongs to somebody else: hand it over with the annotation {}=true, or let its owner rename it",
        kind.resource().kind,
        world.namespace,
        names::ADOPT,
    ))
}
