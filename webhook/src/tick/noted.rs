//! Conditions that say what was found, and hinder nothing.

use canary_core::release::{Plan, conditions};

use super::Context;
use crate::world::World;

// === impl Context ===

impl Context {
    /// A choice that would be a guess is said, and hinders nothing.
    pub(super) fn note_autoscalers(&self, world: &World, plan: &mut Plan) {
        const TYPE: &str = "AutoscalerAmbiguous";
        if world.ambiguous_autoscalers.is_empty() {
            return conditions::clear(&mut plan.status, TYPE);
        }
        let names = world.ambiguous_autoscalers.join(", ");
        let text = format!(
            "{names} all scale {}: name one in spec.autoscalerRef; none is used",
            world.canary.target_name()
        );
        conditions::set(&mut plan.status, TYPE, "Several", &text, self.clock.now());
    }

    /// Names that are followed later, and a route that is followed already.
    pub(super) fn note_names(&self, world: &World, plan: &mut Plan) {
        let status = &mut plan.status;
        if world.problems.is_empty()
            && let Some(names) = &mut status.in_force
        {
            names.route = world.canary.route().map(|route| route.name.clone());
        }
        let runs = status.release.as_ref();
        if world.pending.is_empty() || runs.is_none_or(|release| release.ended_at.is_some()) {
            return conditions::clear(status, conditions::SPEC_PENDING);
        }
        let text = format!(
            "followed once the release in progress has ended: {}",
            world.pending.join(", ")
        );
        let type_ = conditions::SPEC_PENDING;
        conditions::set(status, type_, "ReleaseRunning", &text, self.clock.now());
    }
}
