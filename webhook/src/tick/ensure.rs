//! What must exist whatever the phase. Nothing is written that is so already, and nothing is taken
//! that belongs to somebody else.

use std::collections::BTreeMap;
use std::fmt;

use canary_core::release::{Problem, Routes};
use canary_core::status::Phase;
use canary_core::{names, selector};
use serde_json::json;

use crate::api::{ApiError, Kind};
use crate::target::autoscaler;
use crate::target::config::ConfigRef;
use crate::target::generated::{is_of, may_take};
use crate::target::service::{self, Side};
use crate::target::view::Deployment;
use crate::tick::owned::Put;
use crate::tick::{Context, TickError, apex, phase, ports};
use crate::world::{World, problem};

/// What was written, for people. If it is anything, look again: what was decided on has changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written(Vec<String>);

#[derive(Debug, thiserror::Error)]
pub(super) enum EnsureError {
    #[error("{}", .0.message)]
    Taken(Problem),
    #[error(transparent)]
    Tick(#[from] TickError),
}

impl From<ApiError> for EnsureError {
    fn from(error: ApiError) -> Self {
        Self::Tick(error.into())
    }
}

// === impl Written ===

impl Written {
    fn note(&mut self, written: bool, what: impl FnOnce() -> String) {
        if written {
            self.0.push(what());
        }
    }

    pub(super) fn is_anything(&self) -> bool {
        !self.0.is_empty()
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

// === impl Context ===

impl Context {
    pub(super) async fn ensure(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> Result<Written, EnsureError> {
        self.check_names(world)?;
        let canary = &world.canary;
        let mut all = Written::default();
        let written = self.ensure_finalizer(world).await?;
        all.note(written, || "the Canary's finalizer".to_owned());
        let written = self.ensure_marks(world).await?;
        all.note(written, || {
            let target = canary.target_name();
            format!("label and annotations of Deployment {target}")
        });
        for side in [Side::Canary, Side::Primary] {
            if !self.would_strand(world, side) {
                let written = self.ensure_service(world, side).await?;
                all.note(written, || format!("Service {}", side.name(canary)));
            }
        }
        let written = match &world.primary {
            None => self.create_primary(world, configs).await?,
            Some(primary) => self.take_over(world, primary, configs).await?,
        };
        all.note(written, || format!("Deployment {}", canary.primary_name()));
        let written = self.untrack(world).await?;
        all.note(written, || {
            "labels by which other tools find what was generated".to_owned()
        });
        let written = self.restore_copies(world).await?;
        all.note(written, || {
            "the primary's copies of configuration".to_owned()
        });
        let written = self.ensure_autoscaler(world).await?;
        all.note(written, || {
            "the primary's HorizontalPodAutoscaler".to_owned()
        });
        let written = self.ensure_disruption(world).await?;
        all.note(written, || "the primary's PodDisruptionBudget".to_owned());
        if serving(phase(canary)) {
            self.ensure_serving(world, &mut all).await?;
        }
        Ok(all)
    }

    /// What leads people to the primary.
    async fn ensure_serving(&self, world: &World, all: &mut Written) -> Result<(), EnsureError> {
        let canary = &world.canary;
        let written = self.ensure_service(world, Side::Apex).await?;
        if written && apex::was_pointed_elsewhere(world) {
            self.repairs.repaired(&world.key(), self.clock.now());
        }
        all.note(written, || format!("Service {}", canary.apex()));
        let written = self.ensure_followers(world).await?;
        all.note(written, || "Services that follow the primary".to_owned());
        // A route that cannot be written is a problem already.
        let routable = world.problems.iter().all(|it| it.reason != "RouteInvalid");
        if routable {
            let written = self.ensure_route(world).await?;
            all.note(written, || "the generated route".to_owned());
        }
        Ok(())
    }

    /// Generated names that somebody else uses.
    fn check_names(&self, world: &World) -> Result<(), EnsureError> {
        let canary = &world.canary;
        for side in [Side::Primary, Side::Canary] {
            let name = side.name(canary);
            if let Some(live) = self.caches.service(&world.namespace, &name)
                && !may_take(&live, canary)
            {
                return Err(taken("Service", &name, world));
            }
        }
        if let Some(apex) = &world.apex
            && !is_of(apex, canary)
        {
            self.check_apex(apex, world)?;
        }
        if let Some(primary) = &world.primary
            && !may_take(&primary.ownership, canary)
        {
            return Err(taken("Deployment", &canary.primary_name(), world));
        }
        if let Some(primary) = &world.primary
            && !is_of(&primary.ownership, canary)
            && !could_be_primary(primary, world)
        {
            return Err(other_selector(world));
        }
        if let Some(problem) = ports::port_problem_of_adoption(world) {
            return Err(EnsureError::Taken(problem));
        }
        if let Some(route) = &world.route_generated
            && !may_take(route, canary)
        {
            return Err(route_taken(world));
        }
        Ok(())
    }

    /// A Service of the primary with ready pods is never pointed at one that has none: another target was
    /// named, and its primary is still to come.
    fn would_strand(&self, world: &World, side: Side) -> bool {
        let service = side.name(&world.canary);
        let ready = |primary: &Deployment| primary.counts.ready > 0;
        let live = self.caches.service(&world.namespace, &service);
        side == Side::Primary
            && !world.primary.as_deref().is_some_and(ready)
            && live.is_some_and(|live| !service::leads_to_primary(&live, &world.selector))
            && !self.caches.addresses(&world.namespace, &service).is_empty()
    }

    async fn ensure_finalizer(&self, world: &World) -> Result<bool, EnsureError> {
        let canary = &world.canary;
        let mut finalizers = canary.metadata.finalizers.clone().unwrap_or_default();
        let before = finalizers.len();
        if !canary.revert_on_deletion() {
            finalizers.retain(|name| !names::is_finalizer(name));
        } else if !finalizers.iter().any(|name| name == names::FINALIZER) {
            finalizers.push(names::FINALIZER.to_owned());
        }
        if finalizers.len() == before {
            return Ok(false);
        }
        self.patch_finalizers(world, &finalizers).await?;
        Ok(true)
    }

    async fn patch_finalizers(&self, world: &World, finalizers: &[String]) -> Result<(), ApiError> {
        let metadata = &world.canary.metadata;
        let patch = json!({ "metadata": { "resourceVersion": metadata.resource_version, "finalizers": finalizers } });
        let name = metadata.name.as_deref().unwrap_or_default();
        let stored = self
            .cluster
            .merge(Kind::Canary, &world.namespace, name, &patch)
            .await?;
        self.caches.written(Kind::Canary, stored);
        Ok(())
    }

    pub(super) async fn ensure_service(
        &self,
        world: &World,
        side: Side,
    ) -> Result<bool, EnsureError> {
        let live = self
            .caches
            .service(&world.namespace, &side.name(&world.canary));
        if side == Side::Apex
            && let Some(written) = self.ensure_own_apex(world, live.as_deref()).await?
        {
            return Ok(written);
        }
        // Of one that was handed over nothing is in use.
        let ours = live.as_deref().filter(|live| is_of(live, &world.canary));
        let desired = world.service_by_now(side, ours);
        let desired = self.with_ports_in_use(world, ours, desired);
        let written = self.own(Kind::Service, live.as_deref(), &desired).await?;
        Ok(written)
    }

    async fn ensure_autoscaler(&self, world: &World) -> Result<bool, EnsureError> {
        let Some(source) = &world.autoscaler else {
            return Ok(false);
        };
        if world.primary.is_none() {
            return Ok(false);
        }
        let desired = autoscaler::desired(&world.canary, source);
        let name = desired["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let live = self.caches.autoscaler(&world.namespace, &name);
        if let Some(live) = &live
            && !may_take(live, &world.canary)
        {
            return Err(taken("HorizontalPodAutoscaler", &name, world));
        }
        let written = self
            .own(Kind::Autoscaler, live.as_deref(), &desired)
            .await?;
        Ok(written)
    }

    /// The generated route follows the user's, and keeps the weights that it has.
    async fn ensure_route(&self, world: &World) -> Result<bool, EnsureError> {
        let Some(router) = world.router else {
            return Ok(false);
        };
        let in_status = world
            .canary
            .status
            .as_ref()
            .map_or(0, |status| status.canary_weight);
        let weights = world
            .routes()
            .unwrap_or_else(|| Routes::to_canary(in_status));
        let put = self.write_route(world, weights).await?;
        let written = put.is_some_and(|put| put.changed);
        match ports::port_problem(world) {
            Some(problem) => Err(EnsureError::Taken(problem)),
            None => Ok(written && router.kind() == Kind::Route),
        }
    }

    /// Writes the generated route unless it is so already.
    /// None if nothing had to be written.
    pub(super) async fn write_route(
        &self,
        world: &World,
        to: Routes,
    ) -> Result<Option<Put>, EnsureError> {
        let Some(router) = world.router else {
            return Ok(None);
        };
        let live = world.route_generated.as_deref();
        if live.is_some_and(|live| !may_take(live, &world.canary)) {
            return Err(route_taken(world));
        }
        let mut desired = router
            .write(&world.canary, world.live(), to)
            .map_err(|error| EnsureError::Taken(problem("RouteInvalid", error.to_string())))?;
        if let Some(port) = self.port_of_route(world, router) {
            router.set_port(&mut desired, &port);
        }
        Ok(self.put(router.kind(), live, &desired).await?)
    }
}

/// Its selector cannot be changed: a Deployment that was handed over must select by the label that tells the
/// primary's pods, and else by labels that the target's pods have.
fn could_be_primary(handed_over: &Deployment, world: &World) -> bool {
    let mut selector = handed_over.match_labels.clone();
    let key = world.selector.key();
    selector.remove(key).as_ref() == world.selector.primary().get(key)
        && selector
            .iter()
            .all(|(key, value)| world.target.pod_labels.get(key) == Some(value))
}

fn other_selector(world: &World) -> EnsureError {
    let text = format!(
        "Deployment {}.{} cannot become the primary, because its selector is not {} and cannot be changed: once it serves nobody, delete it, and it is created anew",
        world.canary.primary_name(),
        world.namespace,
        selector::shown(world.selector.primary()),
    );
    EnsureError::Taken(problem("SelectorDiffers", text))
}

fn route_taken(world: &World) -> EnsureError {
    let name = world.canary.canary_route().unwrap_or_default();
    taken("ApisixRoute", &name, world)
}

fn taken(kind: &str, name: &str, world: &World) -> EnsureError {
    let text = format!(
        "{kind} {name}.{} exists and belongs to somebody else: hand it over with the annotation {}=true, or let its owner rename it",
        world.namespace,
        names::ADOPT,
    );
    EnsureError::Taken(problem("NameTaken", text))
}

/// Phases in which users are served through what is generated.
pub(super) const fn serving(phase: Phase) -> bool {
    !matches!(
        phase,
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated
    )
}
