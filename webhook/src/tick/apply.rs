//! Actions of a plan, carried out in order; the first that fails ends the tick.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::release::{Action, Plan, Routes};
use canary_core::status::Phase;
use canary_core::{names, revision};
use kube::api::ListParams;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::target::config::{self, ConfigRef};
use crate::target::primary::{self, Parts};
use crate::target::service::{self, Side};
use crate::target::view::Deployment;
use crate::target::{is_owned, recorded};
use crate::tick::ensure::EnsureError;
use crate::tick::{Context, TickError};
use crate::world::World;

// === impl Context ===

impl Context {
    pub(super) async fn apply(&self, world: &World, configs: &BTreeMap<ConfigRef, String>, plan: &mut Plan) -> Result<(), TickError> {
        let actions = plan.actions.clone();
        for action in &actions {
            match action {
                Action::Say(message) => self.say(&world.canary, message, &mut plan.status).await?,
                Action::Record(revision) => self.record(world, revision).await?,
                Action::Point => self.point(world).await?,
                Action::Route(to) => self.route(world, *to).await?,
                Action::Promote(revision) => self.promote(world, configs, plan, revision).await?,
                Action::Rebaseline { from, to } => self.rebaseline(world, from, to).await?,
                Action::Scale(replicas) => self.scale(world, *replicas).await?,
                Action::Unpoint => self.unpoint(world).await?,
                Action::ReleaseFinalizers => self.release_finalizers(&world.canary).await?,
            }
        }
        Ok(())
    }

    async fn route(&self, world: &World, to: Routes) -> Result<(), TickError> {
        match self.write_route(world, to).await {
            Ok(_) => Ok(()),
            Err(EnsureError::Taken(problem)) => Err(TickError::Stale(problem.message)),
            Err(EnsureError::Tick(error)) => Err(error),
        }
    }

    async fn point(&self, world: &World) -> Result<(), TickError> {
        match self.ensure_service(world, Side::Apex).await {
            Ok(_) => self.route(world, Routes::ALL_PRIMARY).await,
            Err(EnsureError::Taken(problem)) => Err(TickError::Stale(problem.message)),
            Err(EnsureError::Tick(error)) => Err(error),
        }
    }

    async fn scale(&self, world: &World, replicas: i32) -> Result<(), TickError> {
        let name = world.canary.target_name();
        let newest = self.caches.deployments.get(&world.namespace, name);
        // Its status may have moved on since; what was decided on may not.
        let same = |newest: &Deployment| newest.uid == world.target.uid && newest.generation == world.target.generation;
        let Some(target) = newest.filter(|newest| same(newest)) else {
            return Err(TickError::Stale(format!("deployment {name} changed meanwhile")));
        };
        let version = self.cluster.scale(&world.namespace, name, replicas, &target.resource_version).await?;
        let mut scaled = Deployment::clone(&target);
        scaled.replicas = replicas;
        scaled.counts.desired = replicas;
        scaled.generation += 1;
        scaled.counts.generation += 1;
        scaled.resource_version.clone_from(&version);
        self.caches.deployments.put_written(Key::new(&world.namespace, name), &version, scaled);
        Ok(())
    }

    /// Keeps the target's template: it must be the one that was decided on.
    async fn record(&self, world: &World, wanted: &str) -> Result<(), TickError> {
        let target = self.cluster.get(Kind::Deployment, &world.namespace, world.canary.target_name()).await?;
        let template = &target["spec"]["template"];
        if revision::revision(template) != wanted {
            return Err(TickError::Stale(format!("deployment {} changed meanwhile", world.canary.target_name())));
        }
        self.keep(world, wanted, template).await?;
        self.caches.written(Kind::Deployment, target);
        Ok(())
    }

    pub(super) async fn keep(&self, world: &World, revision: &str, template: &Value) -> Result<(), TickError> {
        let canary = &world.canary;
        let kept = self.kept(canary).await?;
        let name = recorded::object_name(canary, revision);
        if !kept.iter().any(|object| object["metadata"]["name"] == name.as_str()) {
            let number = kept.iter().filter_map(|object| object["revision"].as_i64()).max().unwrap_or(0) + 1;
            let object = recorded::to_object(canary, revision, template, number);
            match self.cluster.create(Kind::Revision, &object).await {
                Ok(_) | Err(ApiError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let status = canary.status.as_ref();
        let needed: Vec<String> = [Some(revision), status.and_then(|status| status.last_promoted_spec.as_deref())]
            .into_iter()
            .flatten()
            .map(|revision| recorded::object_name(canary, revision))
            .collect();
        for object in recorded::surplus(&kept, &needed) {
            let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
            match self.cluster.delete(Kind::Revision, &world.namespace, name, uid).await {
                Ok(()) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn kept(&self, canary: &Canary) -> Result<Vec<Value>, TickError> {
        let label = format!("{}={}", recorded::CANARY_LABEL, canary.metadata.name.as_deref().unwrap_or_default());
        let objects = self.cluster.list(Kind::Revision, canary.namespace_name(), &ListParams::default().labels(&label)).await?;
        Ok(objects.into_iter().filter(|object| is_owned(object, canary)).collect())
    }

    /// Gives the primary a recorded template. Its configuration is copied with a promotion; putting
    /// the primary back leaves the copies, which the promoted template was written for.
    async fn promote(&self, world: &World, configs: &BTreeMap<ConfigRef, String>, plan: &Plan, revision: &str) -> Result<(), TickError> {
        let back = plan.status.phase == Phase::Failed;
        if !back {
            self.copy_configs(world, configs).await?;
        }
        let Some(primary) = &world.primary else {
            return self.make_primary(world, configs, revision).await;
        };
        let live = self.cluster.get(Kind::Deployment, &world.namespace, &world.canary.primary_name()).await?;
        if live["metadata"]["generation"].as_i64() != Some(primary.generation) {
            return Err(TickError::Stale(format!("deployment {} changed meanwhile", world.canary.primary_name())));
        }
        let number = plan.status.release.as_ref().map_or(0, |release| release.number);
        let id = flagger_id(&[
            world.canary.metadata.uid.as_deref().unwrap_or_default(),
            revision,
            &number.to_string(),
            if back { "back" } else { "on" },
        ]);
        let replicas = if world.autoscaler.is_some() || back { None } else { Some(world.target.replicas.max(1)) };
        let object = self.built(world, configs, revision, &id, |parts| primary::promote(&live, parts, replicas)).await?;
        let stored = self.cluster.replace(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// Creates the primary that is missing, from what was promoted last.
    pub(super) async fn create_primary(&self, world: &World, configs: &BTreeMap<ConfigRef, String>) -> Result<bool, EnsureError> {
        let status = world.canary.status.as_ref();
        let Some(revision) = status.and_then(|status| status.last_promoted_spec.clone()) else { return Ok(false) };
        if !revision::is_ours(&revision) {
            return Ok(false);
        }
        self.copy_configs(world, configs).await?;
        self.make_primary(world, configs, &revision).await?;
        Ok(true)
    }

    async fn make_primary(&self, world: &World, configs: &BTreeMap<ConfigRef, String>, revision: &str) -> Result<(), TickError> {
        let replicas = world.scale_primary_to();
        let id = flagger_id(&[world.canary.metadata.uid.as_deref().unwrap_or_default(), revision]);
        let object = self.built(world, configs, revision, &id, |parts| primary::create(parts, replicas)).await?;
        let stored = self.cluster.create(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    async fn built(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        revision: &str,
        flagger_id: &str,
        build: impl FnOnce(&Parts<'_>) -> Value + Send,
    ) -> Result<Value, TickError> {
        let canary = &world.canary;
        let target = self.cluster.get(Kind::Deployment, &world.namespace, canary.target_name()).await?;
        let kept = self.cluster.get(Kind::Revision, &world.namespace, &recorded::object_name(canary, revision)).await?;
        let template = recorded::template(&kept)
            .ok_or_else(|| TickError::Stale(format!("the recorded template of {revision} is empty")))?;
        let copied = self.copied(world, template, configs);
        Ok(build(&Parts {
            canary,
            target: &target,
            template,
            revision,
            selector: world.selector(),
            selector_labels: &self.options.selector_labels,
            configs: &copied,
            flagger_id,
            label_prefixes: &self.options.label_prefixes,
        }))
    }

    /// What a template refers to and has a `-primary` copy of.
    fn copied(&self, world: &World, template: &Value, configs: &BTreeMap<ConfigRef, String>) -> BTreeSet<ConfigRef> {
        let has_copy = |reference: &ConfigRef| {
            let name = names::primary_of(&reference.name);
            self.caches.configs(reference.kind()).get(&world.namespace, &name).is_some()
        };
        let references = config::references(template).into_iter();
        references.filter(|reference| configs.contains_key(reference) || has_copy(reference)).collect()
    }

    /// Copies what was analysed: data that changed since is a new revision.
    async fn copy_configs(&self, world: &World, configs: &BTreeMap<ConfigRef, String>) -> Result<(), TickError> {
        for (reference, checksum) in configs {
            let kind = reference.kind();
            let source = self.cluster.get(kind, &world.namespace, &reference.name).await?;
            if config::checksum(&source) != *checksum {
                return Err(TickError::Stale(format!("{} changed meanwhile", reference.id())));
            }
            let name = names::primary_of(&reference.name);
            let live = match self.cluster.get(kind, &world.namespace, &name).await {
                Ok(live) => Some(live),
                Err(ApiError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            self.copy_config(world, kind, &source, live.as_ref()).await?;
        }
        Ok(())
    }

    async fn copy_config(&self, world: &World, kind: Kind, source: &Value, live: Option<&Value>) -> Result<(), TickError> {
        let copy = config::copy(source, live, &world.canary, &self.options.label_prefixes);
        let Some(live) = live else {
            let created = self.cluster.apply(kind, &copy).await?;
            self.caches.written(kind, created);
            return Ok(());
        };
        let name = copy["metadata"]["name"].as_str().unwrap_or_default();
        if !config::may_write_copy(live, &world.canary) {
            let resource = format!("{name} (it exists and belongs to somebody else; annotate it {}=true)", names::ADOPT);
            return Err(ApiError::Forbidden { verb: "write", resource, message: "not ours".to_owned() }.into());
        }
        if config::checksum(live) == config::checksum(source) && is_owned(live, &world.canary) {
            return Ok(());
        }
        // An immutable copy cannot be changed, only made anew.
        if live["immutable"] == json!(true) {
            let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
            self.cluster.delete(kind, &world.namespace, name, uid).await?;
        }
        let applied = self.cluster.apply(kind, &copy).await?;
        self.caches.written(kind, applied);
        Ok(())
    }

    async fn rebaseline(&self, world: &World, from: &str, to: &str) -> Result<(), TickError> {
        if world.target.revision == to {
            self.record(world, to).await?;
        }
        let Some(primary) = &world.primary else { return Ok(()) };
        if primary.promoted.as_deref() != Some(from) {
            return Ok(());
        }
        self.annotate_primary(world, primary, to).await
    }

    pub(super) async fn annotate_primary(&self, world: &World, primary: &Deployment, revision: &str) -> Result<(), TickError> {
        let patch = json!({ "metadata": {
            "resourceVersion": primary.resource_version,
            "annotations": { names::REVISION: revision },
        } });
        let name = world.canary.primary_name();
        let stored = self.cluster.merge(Kind::Deployment, &world.namespace, &name, &patch).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// The apex Service goes back to the target, the generated route goes, the label goes.
    async fn unpoint(&self, world: &World) -> Result<(), TickError> {
        let canary = &world.canary;
        if let Some(apex) = &world.apex {
            let patch = service::release_patch(apex, canary, world.selector());
            let stored = self.cluster.merge(Kind::Service, &world.namespace, canary.apex(), &patch).await?;
            self.caches.written(Kind::Service, stored);
        }
        if let (Some(router), Some(route)) = (world.router, &world.route_generated)
            && is_owned(route, canary)
        {
            let text = |pointer| route.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
            match self.cluster.delete(router.kind(), &world.namespace, name, uid).await {
                Ok(()) | Err(ApiError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            self.caches.removed(router.kind(), &Key::new(&world.namespace, name));
        }
        let patch = json!({ "metadata": { "labels": { names::MANAGED_LABEL: null } } });
        let stored = self.cluster.merge(Kind::Deployment, &world.namespace, canary.target_name(), &patch).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    pub(super) async fn release_finalizers(&self, canary: &Canary) -> Result<(), TickError> {
        let others: Vec<&String> = canary
            .metadata
            .finalizers
            .iter()
            .flatten()
            .filter(|name| *name != names::FINALIZER && *name != names::FLAGGER_FINALIZER)
            .collect();
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({ "metadata": { "finalizers": others } });
        match self.cluster.merge(Kind::Canary, canary.namespace_name(), name, &patch).await {
            Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Shaped like the UUID that Flagger writes, but the same for the same promotion: a tick that is
/// run again must not roll the primary again.
fn flagger_id(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("/"));
    let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
}
