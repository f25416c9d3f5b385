//! One look at a Canary: the only file that knows the order.
//!
//! ```text
//!  world (caches) ─► ensure what must exist ─► decide ⇄ ask ─► apply ─► status ─► after
//! ```
//! Every step is idempotent. Whatever fails, the next tick starts from what is so then.

mod apex;
mod apply;
mod ask;
mod carry_out;
mod configs;
mod contest;
mod copies;
mod departed;
mod disruption;
mod ensure;
mod farewell;
mod foreign;
mod generated;
mod inherited;
mod kept;
mod leave;
mod marks;
mod measure;
mod noted;
mod others;
mod owned;
mod policy;
mod ports;
mod prepare;
mod promote;
mod record;
mod refuse;
mod repairs;
mod rounds;
mod say;
mod status;
mod sweep;
mod takeover;
mod trouble;
mod unsaved;
mod untrack;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::release::{self, Problem};
use canary_core::status::Phase;
use jiff::Timestamp;

use crate::alerts::Alerts;
use crate::api::{ApiError, Cluster, Kind};
use crate::cache::Key;
use crate::caches::Caches;
use crate::clock::Clock;
use crate::hook::Background;
use crate::notify::{EventWriter, Reporter};
use crate::questions::Questions;
use crate::telemetry::Metrics;
use crate::transport::Transport;
use crate::world::{Options, World, interests, problem};

pub use apex::OwnApexes;
pub use configs::Checksums;
pub use contest::Contest;
pub use disruption::Refused;
pub use farewell::Farewells;
pub use owned::Answered;
pub use policy::Places;
pub use ports::Waits;
pub use repairs::Repairs;
pub use rounds::Rounds;
pub(crate) use status::difference;
pub use sweep::Sweeps;
pub use trouble::Troubles;
pub use unsaved::Unsaved;

/// What is missing is looked for again after it, where no watch tells.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

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
    /// Of the apex Service.
    pub repairs: Repairs,
    pub own_apexes: OwnApexes,
    /// Of weights.
    pub reroutes: Repairs,
    pub answered: Answered,
    pub waits: Waits,
    pub refused: Refused,
    /// Copies of configuration that cannot be had again, said of each Canary.
    pub lost: Refused,
    pub places: Places,
    pub sweeps: Sweeps,
    pub unsaved: Unsaved,
    pub questions: Questions,
    pub farewells: Farewells,
    /// A webhook may ask for less time.
    pub longest_hook: Duration,
    /// Writes of what must exist that do not last.
    pub rounds: Rounds,
    /// Writes of what must exist that fail.
    pub generating: Troubles,
    /// Writes of what was decided that fail.
    pub deciding: Troubles,
    /// Writes of a status that fail.
    pub saving: Troubles,
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
    /// It is we who do not write it.
    #[error("{0}")]
    NotOurs(String),
    /// What a template needs is not there.
    #[error("{0}")]
    Missing(String),
}

// === impl TickError ===

impl TickError {
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Api(error) => error.is_refusal(),
            Self::Stale(_) => false,
            Self::NotOurs(_) | Self::Missing(_) => true,
        }
    }

    /// Deciding again is all that is needed.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Api(error) => error.is_stale(),
            Self::Stale(_) => true,
            Self::NotOurs(_) | Self::Missing(_) => false,
        }
    }
}

// === impl Context ===

impl Context {
    pub async fn tick(&self, key: &Key) -> Result<Next, TickError> {
        let Some(stored) = self.caches.canaries.get_key(key) else {
            return Ok(Next::Gone);
        };
        // Who does not lead asks nobody either: another one does.
        if !self.cluster.may_write() {
            return Err(ApiError::Fenced.into());
        }
        let (canary, problem) = self.save(key, stored.clone()).await?;
        if self.say_farewells(key, &canary).await? {
            return Ok(Next::Again);
        }
        let mut world = World::look(&canary, &self.caches, &self.options);
        world.problems.extend(problem);
        self.caches.interest(key, Self::interests(&canary, &world));
        if canary.metadata.deletion_timestamp.is_none() {
            self.waits.begin(key);
            if let Some(next) = self.not_ours(key, &stored).await? {
                return Ok(next);
            }
            let next = self.act(key, &canary, world).await?;
            let again = self.waits.again(key);
            return Ok(match next {
                Next::Wait(at) => Next::Wait(at.into_iter().chain(again).min()),
                next => next,
            });
        }
        match self.leave(&canary, world).await {
            Err(error) if error.is_refusal() => {
                self.untouched(&canary, &trouble::problem_of(&error)).await
            }
            result => result,
        }
    }

    /// The Canary with what was decided of it last, written or not.
    fn as_decided(&self, key: &Key) -> Option<Arc<Canary>> {
        let stored = self.caches.canaries.get_key(key)?;
        Some(self.unsaved.over(key, &stored).unwrap_or(stored))
    }

    /// The Canary as it was decided last, and why that is not written yet.
    async fn save(
        &self,
        key: &Key,
        stored: Arc<Canary>,
    ) -> Result<(Arc<Canary>, Option<Problem>), TickError> {
        let Some(decided) = self.unsaved.over(key, &stored) else {
            return Ok((stored, None));
        };
        let status = decided.status.clone().unwrap_or_default();
        match self.store_status(&decided, &status).await {
            Ok(_) => Ok((self.caches.canaries.get_key(key).unwrap_or(stored), None)),
            Err(error @ TickError::Api(_)) if self.unsaved.has(key) => {
                Ok((decided, Some(trouble::problem_of(&error))))
            }
            Err(error) => Err(error),
        }
    }

    /// What wakes it: the names that are in force, and those of the spec.
    fn interests(canary: &Canary, world: &World) -> HashSet<(Kind, Key)> {
        let mut all = interests(&world.canary, Some(&world.target));
        all.extend(copies::interests(world));
        if !world.pending.is_empty() {
            all.extend(interests(canary, None));
        }
        all
    }

    async fn act(
        &self,
        key: &Key,
        canary: &Arc<Canary>,
        mut world: World,
    ) -> Result<Next, TickError> {
        self.refuse(canary, &mut world);
        let prepared = self.prepare(key, &mut world).await?;
        if prepared.wrote {
            return Ok(Next::Again);
        }
        let configs = prepared.configs;
        let failed = self.deciding.told(key);
        let paused = self.deciding.waits(key, self.clock.elapsed());
        // Nothing goes forward in the pause after a write that failed: nobody is asked for it, either.
        world
            .problems
            .extend(paused.iter().map(|(problem, _)| problem.clone()));
        let mut facts = world.facts(
            &self.caches,
            &self.options,
            configs.clone(),
            self.clock.now(),
        );
        let _place = self.place(&world).await;
        facts.failed = failed;
        facts.policy = self.governance(&world.canary, &facts);
        facts.serving.contested = self.repairs.contested(key, self.clock.now());
        let mut plan = self.decided(&world, &mut facts);
        self.note_selector(&world, prepared.warnings, &mut plan);
        self.note_others(&world, &mut plan);
        self.note_disruption(&world, &mut plan);
        self.note_copies(&world, &mut plan);
        self.note_autoscalers(&world, &mut plan);
        self.note_names(&world, &mut plan);
        self.note_reroutes(&world, &mut plan);
        let next = self.carry_out(key, &world, &configs, plan).await?;
        // Most of what is missing is watched; what is not (rights, a metric server) is tried again.
        let missing = !world.problems.is_empty();
        // An answer wakes us. Should it be lost, it is asked for again.
        let awaits = !facts.answers.awaited.is_empty();
        let paused = paused.map_or(Duration::MAX, |(_, left)| left);
        let again = prepared.again.min(paused);
        let again = if missing || awaits {
            Some(LOOK_AGAIN.min(again))
        } else {
            Some(again).filter(|again| *again < Duration::MAX)
        };
        Ok(match (next, again) {
            (Next::Wait(at), Some(again)) => {
                let again = self.clock.after(again);
                Next::Wait(Some(at.map_or(again, |at| at.min(again))))
            }
            (next, _) => next,
        })
    }

    /// What must not be acted on at all, also not to go back: whatever we did would be undone, or forgotten.
    async fn not_ours(&self, key: &Key, canary: &Arc<Canary>) -> Result<Option<Next>, TickError> {
        match self.contest.judge(key, canary, self.clock.now()) {
            contest::Verdict::Ours => {}
            contest::Verdict::Silent => {
                let again = Contest::looks_again(self.clock.now());
                return Ok(Some(Next::Wait(Some(again))));
            }
            contest::Verdict::Contested => {
                let manager = self.caches.status_manager(key);
                let text = format!(
                    "{manager} keeps writing the status of Canary {}: stop it; nothing is acted on meanwhile",
                    canary.id()
                );
                let next = self.untouched(canary, &problem("Contested", text)).await?;
                return Ok(Some(next));
            }
        }
        if self.caches.schema_is_ours() {
            return Ok(None);
        }
        let text = "the installed definition of canaries.flagger.app is not ours and drops status fields: apply manifests/crds.yaml";
        let outdated = problem("DefinitionOutdated", text);
        Ok(Some(self.untouched(canary, &outdated).await?))
    }

    async fn untouched(&self, canary: &Canary, problem: &Problem) -> Result<Next, TickError> {
        let mut plan = release::untouched(canary, problem, self.clock.now());
        self.say_all(canary, &mut plan).await?;
        self.store_status(canary, &plan.status).await?;
        Ok(Next::Wait(Some(self.clock.after(LOOK_AGAIN))))
    }
}

fn phase(canary: &Canary) -> Phase {
    canary
        .status
        .as_ref()
        .map_or(Phase::New, |status| status.phase)
}
