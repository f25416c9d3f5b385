//! Before anything is decided: what must exist is brought about as far as it can be. What fails is one more
//! problem, and no end of the look: going back does not wait for it.

use std::collections::BTreeMap;
use std::time::Duration;

use canary_core::status::Phase;

use crate::api::ApiError;
use crate::cache::Key;
use crate::target::config::ConfigRef;
use crate::tick::ensure::{EnsureError, serving};
use crate::tick::sweep::Swept;
use crate::tick::trouble::{self, Failure};
use crate::tick::{Context, TickError, phase, rounds};
use crate::world::World;

/// What was found and done.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Look again: what would be decided on has changed.
    pub wrote: bool,
    pub configs: BTreeMap<ConfigRef, String>,
    /// To be said of workloads that share pods.
    pub warnings: Vec<String>,
    /// When what failed is tried again.
    pub again: Duration,
}

impl Default for Prepared {
    fn default() -> Self {
        Self {
            wrote: false,
            configs: BTreeMap::new(),
            warnings: Vec::new(),
            again: Duration::MAX,
        }
    }
}

/// Another team's admission webhook may hang on what is written: a look at what goes back does not wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

// === impl Context ===

impl Context {
    pub(super) async fn prepare(
        &self,
        key: &Key,
        world: &mut World,
    ) -> Result<Prepared, TickError> {
        let mut prepared = Prepared::default();
        if let Some((problem, left)) = self.generating.waits(key, self.clock.elapsed()) {
            world.configs_unknown = true;
            world.problems.push(problem);
            prepared.again = left;
            return Ok(prepared);
        }
        let brought = self.bring_about(world, &mut prepared);
        let brought = tokio::time::timeout(PATIENCE, brought).await;
        match brought.unwrap_or_else(|_| Err(late())) {
            Ok(()) => {
                // What is written may yet be undone.
                if !prepared.wrote {
                    self.generating.over(key);
                }
                Ok(prepared)
            }
            Err(error @ TickError::Api(ApiError::Fenced)) => Err(error),
            Err(error) => {
                let failure = self.generating.failed(key, &error, self.clock.elapsed());
                let late = matches!(error, TickError::Api(ApiError::Late { .. }));
                if failure == Failure::Passing && !late {
                    self.generating.try_at_once(key);
                    return Err(error);
                }
                tracing::error!(canary = %key, "{error}");
                world.configs_unknown = true;
                world.problems.push(trouble::problem_of(&error));
                prepared.again = self
                    .generating
                    .waits(key, self.clock.elapsed())
                    .map_or(Duration::MAX, |(_, left)| left);
                Ok(prepared)
            }
        }
    }

    async fn bring_about(
        &self,
        world: &mut World,
        prepared: &mut Prepared,
    ) -> Result<(), TickError> {
        if self.mark_generated(&world.canary).await? {
            prepared.wrote = true;
            return Ok(());
        }
        if world.unsure {
            world.configs_unknown = true;
            return Ok(());
        }
        let foreign = self.foreign(world).await?;
        prepared.warnings = foreign.warnings;
        world.problems.extend(foreign.held);
        world.problems.extend(self.others_hold(world));
        prepared.configs = self.checksums.of(self, world).await?;
        if self.inherit_primary(world).await? {
            prepared.wrote = true;
            return Ok(());
        }
        let adopts = !serving(phase(&world.canary));
        let held = adopts && !world.problems.is_empty();
        if phase(&world.canary) == Phase::New || held || world.is_retargeted() {
            return Ok(());
        }
        if adopts && self.inherit_rest(world).await? {
            prepared.wrote = true;
            return Ok(());
        }
        if adopts && self.clear_what_an_earlier_one_left(&world.canary).await? {
            prepared.wrote = true;
            return Ok(());
        }
        match self.ensure(world, &prepared.configs).await {
            Ok(written) => {
                prepared.wrote = written.is_anything();
                if self.rounds.is_undone(&world.key(), prepared.wrote) {
                    return Err(rounds::undone(&written));
                }
            }
            Err(EnsureError::Taken(problem)) => world.problems.push(problem),
            Err(EnsureError::Tick(error)) => return Err(error),
        }
        if prepared.wrote || adopts || !world.problems.is_empty() {
            return Ok(());
        }
        match self.sweep(world).await? {
            Swept::Nothing => {}
            Swept::Wrote => prepared.wrote = true,
            Swept::Wait(left) => prepared.again = left,
        }
        Ok(())
    }
}

fn late() -> TickError {
    TickError::Api(ApiError::Late {
        what: "what is generated was written".to_owned(),
        after: PATIENCE,
    })
}
