//! Other Services of the target's pods: an adoption that would take their pods away is held, those that are to
//! follow the primary do, and of the rest a condition tells.

use canary_core::release::conditions::OTHERS;
use canary_core::release::{Plan, Problem};
use canary_core::status::Phase;
use serde_json::Value;

use crate::api::{ApiError, Kind};
use crate::others::{self, OtherServices, Sides};
use crate::target::taken;
use crate::tick::ensure::EnsureError;
use crate::tick::{Context, noted};
use crate::world::{World, problem};

// === impl Context ===

impl Context {
    pub(super) fn others_hold(&self, world: &World) -> Option<Problem> {
        let holds = self.options.other_services == OtherServices::Hold;
        let adopts = others::is_adoption(&world.canary) && !world.canary.suspended();
        if !(holds && adopts) {
            return None;
        }
        let text = sides(world).held(&self.caches)?;
        Some(problem(OTHERS, format!("adoption waits: {text}")))
    }

    /// Says what has no pods, once it is so, and keeps the condition.
    pub(super) fn note_others(&self, world: &World, plan: &mut Plan) {
        if world.unsure {
            return;
        }
        let adopted = plan.status.phase != Phase::New;
        let told = sides(world).told(&self.caches).filter(|_| adopted);
        let condition = (OTHERS, "WithoutPods");
        noted::keep(plan, condition, told.as_deref(), self.clock.now());
    }

    /// Points at the primary what is to follow it.
    pub(super) async fn ensure_followers(&self, world: &World) -> Result<bool, EnsureError> {
        let mut wrote = false;
        for live in sides(world).followers(&self.caches) {
            let selector = world.selector.serving();
            let Some(patch) = taken::follow_patch(&live, selector) else {
                continue;
            };
            self.patch_service(world, &live, &patch).await?;
            wrote = true;
        }
        Ok(wrote)
    }

    /// Gives back what followed the primary.
    pub(super) async fn give_back_followers(&self, world: &World) -> Result<(), ApiError> {
        let pods = &world.target.pod_labels;
        for live in sides(world).followed(&self.caches) {
            let patch = taken::give_back_patch(&live, &world.selector, pods);
            if let Some(patch) = patch {
                self.patch_service(world, &live, &patch).await?;
            }
        }
        Ok(())
    }

    async fn patch_service(
        &self,
        world: &World,
        live: &Value,
        patch: &Value,
    ) -> Result<(), ApiError> {
        let name = live["metadata"]["name"].as_str().unwrap_or_default();
        let stored = self
            .cluster
            .merge(Kind::Service, &world.namespace, name, patch)
            .await?;
        self.caches.written(Kind::Service, stored);
        Ok(())
    }
}

pub(super) fn sides(world: &World) -> Sides<'_> {
    Sides {
        canary: &world.canary,
        target: &world.target,
        primary: world.primary.as_deref(),
        selector: &world.selector,
    }
}
