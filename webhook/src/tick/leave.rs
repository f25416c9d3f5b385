//! A Canary that is being deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::{self, Leaving};
use canary_core::status::CanaryStatus;

use crate::tick::{Context, Next, TickError};
use crate::world::{World, problem};

// === impl Context ===

impl Context {
    pub(super) async fn leave(
        &self,
        canary: &Arc<Canary>,
        world: World,
    ) -> Result<Next, TickError> {
        let finalizers = canary.metadata.finalizers.as_deref().unwrap_or_default();
        if !finalizers.iter().any(|name| names::is_finalizer(name)) {
            return self.linger(canary, world).await;
        }
        let stays = !world.target_gone && !world.target.deleting && !world.unsure;
        if !stays || !canary.revert_on_deletion() {
            self.release_finalizers(canary).await?;
            return Ok(Next::Wait(None));
        }
        let facts = world.facts(
            &self.caches,
            &self.options,
            BTreeMap::new(),
            self.clock.now(),
        );
        let plan = release::terminate(canary, &facts, Leaving::Revert);
        let none = BTreeMap::new();
        self.carry_out(&world.key(), &world, &none, plan).await
    }

    /// Others hold a Canary that is being deleted. What it generated is there until they let go: people must not
    /// be left on a canary that nobody watches.
    async fn linger(&self, canary: &Canary, mut world: World) -> Result<Next, TickError> {
        let others = canary.metadata.finalizers.iter().flatten();
        let others = others.filter(|name| names::is_foreign_finalizer(name));
        let others: Vec<&str> = others.map(String::as_str).collect();
        let status = canary.status.as_ref();
        if others.is_empty() || !status.is_some_and(CanaryStatus::is_under_way) {
            return Ok(Next::Wait(None));
        }
        let text = format!(
            "Canary {} is being deleted and waits for {}: its release goes no further",
            canary.id(),
            others.join(", ")
        );
        world.configs_unknown = true;
        world.problems.push(problem("Deleting", text));
        let none = BTreeMap::new();
        let now = self.clock.now();
        let mut facts = world.facts(&self.caches, &self.options, none.clone(), now);
        let plan = self.decided(&world, &mut facts);
        self.carry_out(&world.key(), &world, &none, plan).await
    }
}
