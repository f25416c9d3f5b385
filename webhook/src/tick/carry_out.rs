//! What was decided is done, and kept. What cannot be done is told, and tried again.

use std::collections::BTreeMap;

use canary_core::release::{self, Action, Plan};
use canary_core::status::Phase;

use crate::api::ApiError;
use crate::cache::Key;
use crate::target::config::ConfigRef;
use crate::tick::trouble::{self, Failure};
use crate::tick::{Context, Next, TickError, noted, say};
use crate::world::World;

// === impl Context ===

impl Context {
    /// Does what was decided. Answers are for one decision: where only a write came too late, nobody is asked
    /// twice.
    pub(super) async fn carry_out(
        &self,
        key: &Key,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        plan: Plan,
    ) -> Result<Next, TickError> {
        let used = plan.used.clone();
        let done = self.do_all(key, world, configs, plan).await;
        let stale = done.as_ref().is_err_and(TickError::is_stale);
        if !stale {
            self.questions.used(key, &used);
        }
        done
    }

    async fn do_all(
        &self,
        key: &Key,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        mut plan: Plan,
    ) -> Result<Next, TickError> {
        let began = self.clock.elapsed();
        match self.apply(world, configs, &mut plan).await {
            Ok(()) => {}
            Err(error) => return Err(self.not_done(key, world, &plan, error).await),
        }
        self.went_well(key, &plan);
        if noted::is_repair(world, &plan) {
            self.reroutes.repaired(key, self.clock.now());
        }
        let stored = self.store_status(&world.canary, &plan.status).await;
        let unsaved = self.unsaved.has(key);
        let wrote = match stored {
            Err(error) if unsaved => {
                tracing::error!(canary = %key, "{error}: what was decided counts, and is written later");
                self.saving.failed(key, &error, self.clock.elapsed());
                !plan.actions.is_empty()
            }
            stored => stored? || !plan.actions.is_empty(),
        };
        if !unsaved {
            self.saving.over(key);
        }
        let recorded = |action: &Action| matches!(action, Action::Record(_));
        if plan.actions.iter().any(recorded) {
            self.prune(&world.canary, &plan.status).await?;
        }
        say::measure(
            self,
            world,
            &plan,
            self.clock.elapsed().saturating_sub(began),
        );
        if let Some(ended) = plan.ended {
            self.tell_the_end(key, ended);
            if ended.phase == Phase::Succeeded {
                self.forget_configs(world, &plan.status).await;
            }
        }
        Ok(if wrote {
            Next::Again
        } else {
            let again = self.saving.waits(key, self.clock.elapsed());
            let again = again.map(|(_, left)| self.clock.after(left));
            Next::Wait(plan.wake.into_iter().chain(again).min())
        })
    }

    /// What failed is over once a write succeeds; or when there is nothing to write, in no release, and also not
    /// once the pause is over.
    fn went_well(&self, key: &Key, plan: &Plan) {
        self.deciding.all_said(key);
        let writes = |action: &Action| !matches!(action, Action::Say(_));
        let waits = self.deciding.waits(key, self.clock.elapsed()).is_some();
        let rests = !plan.status.is_under_way() && plan.actions.is_empty() && !waits;
        if rests || plan.actions.iter().any(writes) {
            self.deciding.over(key);
        }
    }

    /// A write of a plan failed: what was decided is kept, and people are told once it is no passing trouble.
    async fn not_done(&self, key: &Key, world: &World, plan: &Plan, error: TickError) -> TickError {
        if matches!(error, TickError::Api(ApiError::Fenced)) {
            return error;
        }
        let failure = self.deciding.failed(key, &error, self.clock.elapsed());
        if failure == Failure::Passing {
            self.deciding.try_at_once(key);
        }
        if error.is_stale() && failure == Failure::Passing {
            return error;
        }
        let told = (failure == Failure::Lasting).then(|| trouble::problem_of(&error));
        let mut rest = release::undone(&world.canary, plan, told.as_ref(), self.clock.now());
        let stored = match self.say_all(&world.canary, &mut rest).await {
            Ok(()) => self.store_status(&world.canary, &rest.status).await,
            Err(error) => Err(error),
        };
        match (stored, rest.ended) {
            (Ok(_), Some(ended)) => self.tell_the_end(key, ended),
            (Ok(_), None) => {}
            (Err(unstored), _) => tracing::error!(canary = %key, "{unstored}"),
        }
        error
    }
}
