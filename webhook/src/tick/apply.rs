//! Actions of a plan, carried out in order; the first that fails ends the tick.

use std::collections::BTreeMap;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::message::Message;
use canary_core::names;
use canary_core::release::{Action, Plan, Problem, Routes};
use canary_core::status::CanaryStatus;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::router::Weights;
use crate::target::config::ConfigRef;
use crate::target::generated::{self, is_of};
use crate::target::service::{self, Side};
use crate::target::view::Deployment;
use crate::tick::ensure::EnsureError;
use crate::tick::{Context, TickError, marks, phase};
use crate::world::{World, problem};

// === impl Context ===

impl Context {
    pub(super) async fn apply(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        plan: &mut Plan,
    ) -> Result<(), TickError> {
        let actions = plan.actions.clone();
        for action in &actions {
            match action {
                Action::Say(message) => self.say_once(world, message, &mut plan.status).await?,
                Action::Record(revision) => self.record(world, &plan.status, revision).await?,
                Action::Point => self.point(world).await?,
                Action::Route(to) => self.route(world, *to).await?,
                Action::Promote(revision) => self.promote(world, configs, plan, revision).await?,
                Action::Rebaseline { from, to } => {
                    self.rebaseline(world, &plan.status, from, to).await?;
                }
                Action::Scale(replicas) => self.scale(world, &plan.status, *replicas).await?,
                Action::Unpoint => self.unpoint(world).await?,
                Action::ReleaseFinalizers => self.release_finalizers(&world.canary).await?,
            }
        }
        Ok(())
    }

    /// A plan whose writes fail is tried again and again; what it says is news once.
    async fn say_once(
        &self,
        world: &World,
        message: &Message,
        status: &mut CanaryStatus,
    ) -> Result<(), TickError> {
        if self
            .deciding
            .said(&world.key(), &message.text(&world.canary))
        {
            return Ok(());
        }
        self.say(&world.canary, message, status).await
    }

    async fn route(&self, world: &World, to: Routes) -> Result<(), TickError> {
        let stored = match self.write_route(world, to).await {
            Ok(Some(put)) => Some(Arc::new(put.stored)),
            Ok(None) => world.route_generated.clone(),
            Err(EnsureError::Taken(problem)) => self.reweigh(world, to, &problem).await?,
            Err(EnsureError::Tick(error)) if goes_back(world, to, &error) => {
                // Only what the user's route has become may be refused: weights alone are enough to go back.
                let why = problem("RouteRefused", error.to_string());
                self.reweigh(world, to, &why).await.map_err(|_| error)?
            }
            Err(EnsureError::Tick(error)) => return Err(error),
        };
        stored.map_or(Ok(()), |stored| self.check_routed(world, to, &stored))
    }

    /// What the gateway gets is what was stored, and not what was sent: another admission webhook may have made
    /// something else of it.
    fn check_routed(&self, world: &World, to: Routes, stored: &Value) -> Result<(), TickError> {
        let Some(router) = world.router else {
            return Ok(());
        };
        let sent = [Some(to.primary), Some(to.canary)];
        let weights = router.weights(&world.canary, stored);
        let Some(other) = weights.into_iter().find(|weights| *weights != sent) else {
            return Ok(());
        };
        // Else it would be taken for what the API server makes of it, and not be sent again.
        self.answered.forget(router.kind(), stored);
        let shown = |weights: Weights| {
            let [primary, canary] =
                weights.map(|weight| weight.map_or("none".to_owned(), |weight| weight.to_string()));
            format!("{primary}/{canary}")
        };
        let name = stored["metadata"]["name"].as_str().unwrap_or_default();
        Err(TickError::Api(ApiError::Rewritten {
            what: format!("{name}.{}", world.namespace),
            message: format!(
                "its weights are {} instead of {}",
                shown(other),
                shown(sent)
            ),
        }))
    }

    /// The user's route is gone, or cannot be followed any more: the generated one is there, and weights are
    /// all that is changed of it.
    async fn reweigh(
        &self,
        world: &World,
        to: Routes,
        why: &Problem,
    ) -> Result<Option<Arc<Value>>, TickError> {
        let nothing = || TickError::Stale(why.message.clone());
        let live = world.route_generated.as_ref();
        let Some(live) = live.filter(|live| is_of(live, &world.canary)) else {
            // Nobody is sent to the canary where there is no route of ours, unless somebody else's does it in
            // a release of ours.
            let split = world.routes().is_some_and(|routes| routes.canary > 0);
            let released = phase(&world.canary).is_of_release();
            let done = to == Routes::ALL_PRIMARY && !(released && split);
            return if done { Ok(None) } else { Err(nothing()) };
        };
        let router = world.router.ok_or_else(nothing)?;
        let object = router
            .reweigh(&world.canary, live, to)
            .ok_or_else(nothing)?;
        let stored = self.cluster.replace(router.kind(), &object).await?;
        self.caches.written(router.kind(), stored.clone());
        Ok(Some(Arc::new(stored)))
    }

    async fn point(&self, world: &World) -> Result<(), TickError> {
        let pointed = match self.ensure_service(world, Side::Apex).await {
            Ok(_) => self.ensure_followers(world).await,
            Err(error) => Err(error),
        };
        match pointed {
            Ok(_) => self.route(world, Routes::ALL_PRIMARY).await,
            Err(EnsureError::Taken(problem)) => Err(TickError::Stale(problem.message)),
            Err(EnsureError::Tick(error)) => Err(error),
        }
    }

    async fn scale(
        &self,
        world: &World,
        status: &CanaryStatus,
        replicas: i32,
    ) -> Result<(), TickError> {
        let name = world.canary.target_name();
        let newest = self.caches.deployments.get(&world.namespace, name);
        // Its status may have moved on since; what was decided on may not.
        let same = |newest: &Deployment| {
            newest.uid == world.target.uid && newest.generation == world.target.generation
        };
        let Some(target) = newest.filter(|newest| same(newest)) else {
            return Err(TickError::Stale(format!(
                "deployment {name} changed meanwhile"
            )));
        };
        if replicas == 0 {
            match self.scale_away(world, status, &target).await {
                // A Scale is better than a canary that stays where somebody refuses or rewrites that.
                Err(TickError::Api(error)) if !error.is_stale() => {}
                done => return done,
            }
        }
        let written = self.caches.deployments.get(&world.namespace, name);
        let same = |written: &Arc<Deployment>| written.revision == target.revision;
        let target = written.filter(same).unwrap_or(target);
        let version = self
            .cluster
            .scale(&world.namespace, name, replicas, &target.resource_version)
            .await?;
        let mut scaled = Deployment::clone(&target);
        scaled.replicas = replicas;
        scaled.counts.desired = replicas;
        scaled.generation += 1;
        scaled.counts.generation += 1;
        scaled.resource_version.clone_from(&version);
        self.caches
            .deployments
            .put_written(Key::new(&world.namespace, name), &version, scaled);
        Ok(())
    }

    /// The apex Service goes back to the target, the generated route goes, the label goes.
    async fn unpoint(&self, world: &World) -> Result<(), TickError> {
        let canary = &world.canary;
        let pods = &world.target.pod_labels;
        if world.apex.as_deref().is_some_and(is_collected) {
            let name = canary.apex();
            return Err(TickError::Stale(format!(
                "Service {name} is on its way out"
            )));
        }
        if let Some(apex) = &world.apex
            && let Some(patch) = service::release_patch(apex, canary, &world.selector, pods)
        {
            let stored = self
                .cluster
                .merge(Kind::Service, &world.namespace, canary.apex(), &patch)
                .await?;
            self.caches.written(Kind::Service, stored);
        }
        if was_collected(world) {
            self.restore_apex(world).await?;
        }
        self.give_back_followers(world).await?;
        if let (Some(router), Some(route)) = (world.router, &world.route_generated) {
            // Read anew: the gateway writes a route's status, and only what was read last is deleted.
            let name = route["metadata"]["name"].as_str().unwrap_or_default();
            let route = self.cluster.get(router.kind(), &world.namespace, name);
            match route.await {
                Ok(route) => {
                    self.delete_generated(canary, router.kind(), &route).await?;
                }
                Err(ApiError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let patch = marks::none(None);
        let stored = self
            .cluster
            .merge(
                Kind::Deployment,
                &world.namespace,
                canary.target_name(),
                &patch,
            )
            .await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// A deletion in the foreground took it away with all else that was generated, before the target was ready.
    /// It was to outlive the Canary.
    async fn restore_apex(&self, world: &World) -> Result<(), TickError> {
        let canary = &world.canary;
        let mut apex = world.service(Side::Apex);
        apex["spec"]["selector"] = json!(world.selector.target());
        // With an owner that is being deleted it would go again at once.
        if let Some(metadata) = apex["metadata"].as_object_mut() {
            metadata.remove("ownerReferences");
        }
        let created = self.cluster.create(Kind::Service, &apex).await?;
        let free = json!({ "metadata": generated::freed(&created, canary) });
        let (namespace, name) = (&world.namespace, canary.apex());
        let stored = self.cluster.merge(Kind::Service, namespace, name, &free);
        self.caches.written(Kind::Service, stored.await?);
        Ok(())
    }

    pub(super) async fn release_finalizers(&self, canary: &Canary) -> Result<(), TickError> {
        let others: Vec<&String> = canary
            .metadata
            .finalizers
            .iter()
            .flatten()
            .filter(|name| !names::is_finalizer(name))
            .collect();
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let patch = json!({ "metadata": { "finalizers": others } });
        match self
            .cluster
            .merge(Kind::Canary, canary.namespace_name(), name, &patch)
            .await
        {
            Ok(_) | Err(ApiError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The garbage collector took away what was generated, and did not wait for the target. The finalizer of such a
/// deletion may be gone by then, and the primary, which it takes away too, may be there yet.
fn was_collected(world: &World) -> bool {
    let status = world.canary.status.as_ref();
    let adopted = status.is_some_and(|status| status.last_promoted_spec.is_some());
    let primary_goes = world
        .primary
        .as_ref()
        .is_none_or(|primary| primary.deleting);
    adopted && world.apex.is_none() && primary_goes
}

/// A refused write that would take traffic from the canary.
fn goes_back(world: &World, to: Routes, error: &TickError) -> bool {
    let less = world.routes().is_some_and(|now| to.canary < now.canary);
    less && error.is_refusal()
}

/// The garbage collector is at it, and waits for nobody but itself.
fn is_collected(object: &Value) -> bool {
    let metadata = &object["metadata"];
    let held = metadata["finalizers"].as_array().into_iter().flatten();
    let mut held = held.filter_map(Value::as_str);
    !metadata["deletionTimestamp"].is_null() && held.all(|name| names::COLLECTED.contains(&name))
}
