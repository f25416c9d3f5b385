//! What `CanaryPolicies` have against what a tick may decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use canary_core::canary::Canary;
use canary_core::policy::review::{Asked, request};
use canary_core::policy::{Enforcement, Moment, Objection, Policy, holds, is_releasing};
use canary_core::release::{Facts, Governance};
use tokio::sync::OwnedMutexGuard;

use crate::tick::Context;
use crate::world::World;

/// One start at a time in a namespace whose releases are counted: two that saw the same free place
/// would both take it.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

// === impl Places ===

impl Places {
    fn of(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(namespace.to_owned()).or_default().clone()
    }
}

// === impl Context ===

impl Context {
    /// To be held from the decision until it is stored.
    pub(super) async fn place(&self, world: &World) -> Option<OwnedMutexGuard<()>> {
        let policies = self.caches.policies_of(&world.namespace);
        let counted = policies.iter().any(|policy| policy.rules.counts_releases());
        if !counted || is_releasing(&world.canary) {
            return None;
        }
        Some(self.places.of(&world.namespace).lock_owned().await)
    }

    pub(super) fn governance(&self, canary: &Canary, facts: &Facts) -> Governance {
        let namespace = canary.namespace_name();
        let policies = self.caches.policies_of(namespace);
        let rules: Vec<&Policy> = policies.iter().map(|policy| &policy.rules).collect();
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let moment = Moment {
            canary: Some(canary),
            others_releasing: self.caches.others_releasing(namespace, Some(name)),
            now: facts.now,
        };
        Governance {
            holds: holds(rules.iter().copied(), &moment, false),
            request: against_request(canary, facts, &rules),
            unreadable: self.caches.unreadable_policies(self.clock.elapsed()),
        }
    }
}

/// What admission refuses is refused here too: it may not have been asked.
fn against_request(canary: &Canary, facts: &Facts, policies: &[&Policy]) -> Vec<Objection> {
    let Some(wish) = &facts.request else {
        return Vec::new();
    };
    let Ok(wanted) = &wish.parsed else {
        return Vec::new();
    };
    let asked = Asked {
        canary,
        request: wanted,
        by: wish.by.as_deref(),
        reason: wish.reason.as_deref(),
        now: facts.now,
    };
    let denying = policies
        .iter()
        .filter(|policy| policy.spec.enforcement == Enforcement::Deny);
    denying.flat_map(|policy| request(policy, &asked)).collect()
}
