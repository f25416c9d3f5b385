//! What cannot be released as it is. Admission refuses the same, and may not have been asked.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::Problem;
use canary_core::validate::validate;

use super::Context;
use crate::world::{World, problem};

// === impl Context ===

impl Context {
    /// What `/validate` refuses is refused here too: admission may not have been asked. A release that runs
    /// goes no further, and may go back.
    pub(super) fn refuse(&self, canary: &Canary, world: &mut World) {
        let violations = validate(canary, &self.options.provider);
        if !violations.is_empty() {
            let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
            world.refuse(problem("Invalid", texts.join("; ")));
        }
        if let Some(older) = self.older_canary(&world.canary) {
            let text = format!(
                "Canary {older} releases {} already: name another Deployment in spec.targetRef",
                canary.target_name()
            );
            world.refuse(problem("TargetTaken", text));
        }
        if let Some(problem) = unsafe_target(world) {
            world.problems.push(problem);
        }
    }

    fn older_canary(&self, canary: &Canary) -> Option<String> {
        let age = |canary: &Canary| {
            let created = canary
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0);
            (created, canary.metadata.name.clone())
        };
        let all = self.caches.canaries.in_namespace(canary.namespace_name());
        let rivals = all.iter().filter(|other| {
            other.metadata.uid != canary.metadata.uid
                && other.spec.target_ref.kind == canary.spec.target_ref.kind
                && other.target_name() == canary.target_name()
        });
        rivals
            .filter(|other| age(other) < age(canary))
            .map(|other| other.id())
            .next()
    }
}

/// A target that cannot be released without an outage.
fn unsafe_target(world: &World) -> Option<Problem> {
    let canary = &world.canary;
    if world.target.strategy != "Recreate" || canary.accepts_recreate() {
        return None;
    }
    let text = format!(
        "deployment {}.{} has strategy Recreate, which stops all pods at each change: use RollingUpdate, or annotate the Canary {}=true",
        canary.target_name(),
        world.namespace,
        names::ALLOW_RECREATE,
    );
    Some(problem("StrategyRecreate", text))
}
