//! One look at a Canary: the only file that knows the order.
//!
//! ```text
//!  world (caches) ─► ensure what must exist ─► decide ⇄ ask ─► apply ─► status ─► after
//! ```
//! Every step is idempotent. Whatever fails, the next tick starts from what is so then.

mod apply;
mod ask;
mod configs;
mod contest;
mod disruption;
mod ensure;
mod foreign;
mod generated;
mod kept;
mod marks;
mod others;
mod policy;
mod promote;
mod record;
mod repairs;
mod say;
mod status;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::{self, Action, Facts, Leaving, Plan, Problem, conditions};
use canary_core::status::Phase;
use canary_core::validate::validate;
use jiff::Timestamp;

use crate::alerts::Alerts;
use crate::api::{ApiError, Cluster};
use crate::cache::Key;
use crate::caches::Caches;
use crate::clock::Clock;
use crate::hook::Background;
use crate::notify::{EventWriter, Reporter};
use crate::target::config::ConfigRef;
use crate::telemetry::Metrics;
use crate::transport::Transport;
use crate::world::{Options, World, interests, problem};

pub use configs::Checksums;
pub use contest::Contest;
pub use disruption::Refused;
pub use policy::Places;
pub use repairs::Repairs;
pub(crate) use status::difference;

/// All that a tick works with.
pub struct Context {
    pub options: Options,
    pub metrics_server: String,
    pub mixed_metrics: bool,
    pub event_webhook: Option<String>,
    pub clock: Clock,
    pub caches: Arc<Caches>,
    pub cluster: Cluster,
    pub transport: Transport,
    pub background: Background,
    pub alerts: Alerts,
    pub events: EventWriter,
    pub reporter: Reporter,
    pub metrics: Arc<Metrics>,
    pub checksums: Checksums,
    pub contest: Contest,
    pub repairs: Repairs,
    pub refused: Refused,
    pub places: Places,
}

/// What a tick leaves to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Something was written: look again at once.
    Again,
    /// Until an event, or until then.
    Wait(Option<Timestamp>),
    /// The Canary is gone.
    Gone,
}

#[derive(Debug, thiserror::Error)]
pub enum TickError {
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What was decided on is not so any more.
    #[error("{0}")]
    Stale(String),
}

// === impl TickError ===

impl TickError {
    /// Deciding again is all that is needed.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Api(error) => error.is_stale(),
            Self::Stale(_) => true,
        }
    }
}

// === impl Context ===

impl Context {
    pub async fn tick(&self, key: &Key) -> Result<Next, TickError> {
        let Some(canary) = self.caches.canaries.get_key(key) else {
            return Ok(Next::Gone);
        };
        let target = self
            .caches
            .deployments
            .get(&key.namespace, canary.target_name());
        self.caches
            .interest(key, interests(&canary, target.as_deref()));
        let result = if canary.metadata.deletion_timestamp.is_some() {
            self.leave(&canary).await
        } else {
            self.act(key, &canary).await
        };
        match result {
            Err(TickError::Api(error @ ApiError::Forbidden { .. })) => {
                self.hindered(&canary, &problem("Forbidden", error.to_string()))
                    .await
            }
            Err(TickError::Api(error @ ApiError::Rejected { .. })) => {
                self.hindered(&canary, &problem("Rejected", error.to_string()))
                    .await
            }
            result => result,
        }
    }

    async fn act(&self, key: &Key, canary: &Arc<Canary>) -> Result<Next, TickError> {
        match self.contest.judge(key, canary, self.clock.now()) {
            contest::Verdict::Ours => {}
            contest::Verdict::Silent => {
                return Ok(Next::Wait(Some(Contest::looks_again(self.clock.now()))));
            }
            contest::Verdict::Contested => {
                let manager = self.caches.status_manager(key);
                let text = format!(
                    "{manager} keeps writing the status of Canary {}: stop it, or delete the Canary; nothing is acted on meanwhile",
                    canary.id()
                );
                return self.hindered(canary, &problem("Contested", text)).await;
            }
        }
        if self.mark_generated(canary).await? {
            return Ok(Next::Again);
        }
        if let Some(problem) = self.refusal(canary) {
            return self.hindered(canary, &problem).await;
        }
        let world = match World::look(canary, &self.caches, &self.options) {
            Ok(world) => world,
            Err(problem) => return self.hindered(canary, &problem).await,
        };
        if let Some(problem) = unsafe_target(&world) {
            return self.hindered(canary, &problem).await;
        }
        let foreign = self.foreign(&world).await?;
        if let Some(problem) = &foreign.held {
            return self.hindered(canary, problem).await;
        }
        if let Some(problem) = self.others_hold(&world) {
            return self.hindered(canary, &problem).await;
        }
        let configs = self.checksums.of(self, &world).await?;
        if phase(canary) != Phase::New {
            match self.ensure(&world, &configs).await {
                Ok(ensure::Done::Nothing) => {}
                Ok(ensure::Done::Wrote) => return Ok(Next::Again),
                Err(ensure::EnsureError::Taken(problem)) => {
                    return self.hindered(canary, &problem).await;
                }
                Err(ensure::EnsureError::Tick(error)) => return Err(error),
            }
        }
        let mut facts = world.facts(
            &self.caches,
            &self.options,
            configs.clone(),
            self.clock.now(),
        );
        let _place = self.place(&world).await;
        facts.policy = self.governance(canary, &facts);
        facts.serving.contested = self.repairs.contested(key, self.clock.now());
        let mut plan = self.decided(&world, &mut facts).await;
        self.note_selector(&world, foreign.warnings, &mut plan);
        self.note_others(&world, &mut plan);
        self.note_disruption(&world, &mut plan);
        self.carry_out(&world, &configs, plan).await
    }

    /// What `/validate` refuses is refused here too: admission may not have been asked.
    fn refusal(&self, canary: &Canary) -> Option<Problem> {
        if !self.caches.schema_is_ours() {
            let text = "the installed definition of canaries.flagger.app is not ours and drops status fields: apply manifests/crds.yaml";
            return Some(problem("DefinitionOutdated", text));
        }
        let violations = validate(canary, &self.options.provider);
        if !violations.is_empty() {
            let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
            return Some(problem("Invalid", texts.join("; ")));
        }
        let older = self.older_canary(canary)?;
        let text = format!(
            "Canary {older} releases {} already: delete one of the two",
            canary.target_name()
        );
        Some(problem("TargetTaken", text))
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

    async fn decided(&self, world: &World, facts: &mut Facts) -> Plan {
        loop {
            match release::decide(&world.canary, facts) {
                Ok(plan) => return plan,
                Err(question) => self.answer(world, facts, question).await,
            }
        }
    }

    async fn carry_out(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        mut plan: Plan,
    ) -> Result<Next, TickError> {
        self.note_autoscalers(world, &mut plan);
        let began = self.clock.elapsed();
        self.apply(world, configs, &mut plan).await?;
        let wrote =
            self.store_status(&world.canary, &plan.status).await? || !plan.actions.is_empty();
        let recorded = |action: &Action| matches!(action, Action::Record(_));
        if plan.actions.iter().any(recorded) {
            self.prune(&world.canary, &plan.status).await?;
        }
        self.observe(world, &plan, self.clock.elapsed().saturating_sub(began));
        if let Some(ended) = plan.ended {
            self.told_the_end(world, ended).await?;
            if ended.phase == Phase::Succeeded {
                self.forget_configs(world, &plan.status).await;
            }
        }
        Ok(if wrote {
            Next::Again
        } else {
            Next::Wait(plan.wake)
        })
    }

    /// A choice that would be a guess is said, and hinders nothing.
    fn note_autoscalers(&self, world: &World, plan: &mut Plan) {
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

    async fn hindered(&self, canary: &Canary, problem: &Problem) -> Result<Next, TickError> {
        let mut plan = release::untouched(canary, problem, self.clock.now());
        self.say_all(canary, &mut plan).await?;
        self.store_status(canary, &plan.status).await?;
        // Most of what hinders is watched; what is not (rights, a metric server) is tried again.
        let again = self
            .clock
            .now()
            .saturating_add(jiff::SignedDuration::from_secs(30));
        Ok(Next::Wait(again.ok()))
    }

    /// A Canary that is being deleted.
    async fn leave(&self, canary: &Arc<Canary>) -> Result<Next, TickError> {
        let finalizers = canary.metadata.finalizers.as_deref().unwrap_or_default();
        if !finalizers.iter().any(|name| names::is_finalizer(name)) {
            return Ok(Next::Wait(None));
        }
        let world = World::look(canary, &self.caches, &self.options).ok();
        let target_stays = world.as_ref().is_some_and(|world| !world.target.deleting);
        let Some(world) = world.filter(|_| target_stays && canary.revert_on_deletion()) else {
            self.release_finalizers(canary).await?;
            return Ok(Next::Wait(None));
        };
        let facts = world.facts(
            &self.caches,
            &self.options,
            BTreeMap::new(),
            self.clock.now(),
        );
        let plan = release::terminate(canary, &facts, Leaving::Revert);
        self.carry_out(&world, &BTreeMap::new(), plan).await
    }

    fn observe(&self, world: &World, plan: &Plan, took: Duration) {
        say::measure(self, world, plan, took);
    }
}

fn phase(canary: &Canary) -> Phase {
    canary
        .status
        .as_ref()
        .map_or(Phase::New, |status| status.phase)
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
