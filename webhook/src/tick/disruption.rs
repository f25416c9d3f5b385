//! The primary's `PodDisruptionBudget`. Whatever becomes of it hinders nothing else: it is said.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use canary_core::release::Plan;
use canary_core::release::conditions::UNCOVERED;
use serde_json::Value;

use crate::api::Kind;
use crate::cache::Key;
use crate::target::disruption::{self, Wanted};
use crate::target::generated::{self, is_generated, may_take};
use crate::tick::others::sides;
use crate::tick::{Context, TickError, noted};
use crate::world::World;

/// What is said of a Canary from one look to the next: why the last write for it was refused.
#[derive(Debug, Default)]
pub struct Refused(Mutex<HashMap<Key, String>>);

// === impl Refused ===

impl Refused {
    pub(super) fn set(&self, key: Key, why: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match why {
            Some(why) => all.insert(key, why),
            None => all.remove(&key),
        };
    }

    pub(super) fn get(&self, key: &Key) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key).cloned()
    }

    pub fn forget(&self, key: &Key) {
        self.set(key.clone(), None);
    }
}

// === impl Context ===

impl Context {
    /// Makes, changes or takes away the copy. True if that was written.
    pub(super) async fn ensure_disruption(&self, world: &World) -> Result<bool, TickError> {
        if world.primary.is_none() {
            return Ok(false);
        }
        match self.write_disruption(world).await {
            Err(error) if error.is_refusal() => {
                let text = format!(
                    "the PodDisruptionBudget of {} cannot be kept: {error}",
                    world.canary.primary_name()
                );
                self.refused.set(world.key(), Some(text));
                Ok(false)
            }
            written => {
                self.refused.forget(&world.key());
                written
            }
        }
    }

    async fn write_disruption(&self, world: &World) -> Result<bool, TickError> {
        let (all, wanted) = self.wanted_disruption(world);
        let desired = match &wanted {
            Wanted::Copy(copy) => Some(copy.as_ref()),
            Wanted::Nothing | Wanted::Impossible(_) => None,
        };
        let name_of = |object: &Value| object["metadata"]["name"].clone();
        let mut wrote = false;
        // First what is too much: with two on a pod, none can be evicted.
        for live in &all {
            let stays = desired.is_some_and(|desired| name_of(desired) == name_of(live));
            if is_generated(live, &world.canary) && !stays {
                self.delete_generated(&world.canary, Kind::Disruption, live)
                    .await?;
                wrote = true;
            }
        }
        let Some(desired) = desired else {
            return Ok(wrote);
        };
        let live = self.of_that_name(world, desired);
        if live
            .as_ref()
            .is_some_and(|live| !may_take(live, &world.canary))
        {
            return Ok(wrote);
        }
        let written = self.own(Kind::Disruption, live.as_deref(), desired).await?;
        Ok(wrote || written)
    }

    fn wanted_disruption(&self, world: &World) -> (Vec<Arc<Value>>, Wanted) {
        let (target, primary) = (&world.target.pod_labels, sides(world).primary_pods());
        let all = self
            .caches
            .disruptions_of(&world.canary, &[target, &primary]);
        let plain: Vec<&Value> = all.iter().map(AsRef::as_ref).collect();
        let canary = &world.canary;
        let wanted = disruption::wanted(canary, &world.selector, target, &primary, &plain);
        let wanted = match wanted {
            Wanted::Copy(copy) => self.named_apart(world, copy),
            wanted => wanted,
        };
        (all, wanted)
    }

    /// One budget may cover the targets of two Canaries. Each primary has a copy then, and the second a name of its own.
    fn named_apart(&self, world: &World, copy: Box<Value>) -> Wanted {
        let apart = disruption::with_own_name(&world.canary, &copy);
        let theirs = self.of_that_name(world, &copy);
        let theirs = theirs.is_some_and(|live| {
            let mut owner = generated::canaries(&live).take(1);
            owner.any(|uid| self.is_of_another(&world.canary, uid))
        });
        let in_use = || {
            let free = self.of_that_name(world, &copy).is_none();
            let own = self.of_that_name(world, &apart);
            free && own.is_some_and(|own| is_generated(&own, &world.canary))
        };
        if theirs || in_use() {
            Wanted::Copy(Box::new(apart))
        } else {
            Wanted::Copy(copy)
        }
    }

    fn of_that_name(&self, world: &World, desired: &Value) -> Option<Arc<Value>> {
        let name = desired["metadata"]["name"].as_str()?;
        self.caches.disruption(&world.namespace, name)
    }

    /// Says why the primary's pods are not covered as the target's are.
    pub(super) fn note_disruption(&self, world: &World, plan: &mut Plan) {
        if world.unsure {
            return;
        }
        let text = self.uncovered(world);
        let condition = (UNCOVERED, "NoDisruptionBudget");
        noted::keep(plan, condition, text.as_deref(), self.clock.now());
    }

    fn uncovered(&self, world: &World) -> Option<String> {
        world.primary.as_ref()?;
        if let Some(refused) = self.refused.get(&world.key()) {
            return Some(refused);
        }
        let (_, wanted) = self.wanted_disruption(world);
        match wanted {
            Wanted::Nothing => None,
            Wanted::Impossible(why) => Some(why),
            Wanted::Copy(desired) => {
                let taken = self.of_that_name(world, &desired);
                let taken = taken.filter(|live| !may_take(live, &world.canary))?;
                Some(format!(
                    "PodDisruptionBudget {} exists and belongs to somebody else, and so the pods of {} have none: delete it, or hand it over with the annotation {}=true",
                    taken["metadata"]["name"].as_str().unwrap_or_default(),
                    world.canary.primary_name(),
                    canary_core::names::ADOPT,
                ))
            }
        }
    }
}
