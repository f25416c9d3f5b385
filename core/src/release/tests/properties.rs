//! What holds for all histories.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

use super::coverage::Coverage;
use super::history::{History, Step, history};
use super::invariants::{Decision, INVARIANTS};
use super::sim::Health;
use super::world::{Replies, World};
use crate::hook::HookKind;
use crate::release::{Governance, Leaving, Measured};
use crate::request::Verb;
use crate::status::{CanaryStatus, Phase};

/// `PROPTEST_CASES` asks for another number.
pub fn config() -> Config {
    let asked = Config::default();
    let cases = if asked.cases == 256 {
        10_000
    } else {
        asked.cases
    };
    Config {
        cases,
        failure_persistence: None,
        ..asked
    }
}

/// Plays histories; each decision is held against the invariants.
pub struct Player<'a> {
    pub world: World,
    crash: Option<usize>,
    /// Tries a crash after each action of every so manieth decision.
    forks: Option<usize>,
    decisions: usize,
    coverage: Option<&'a mut Coverage>,
}

// === impl Player ===

impl<'a> Player<'a> {
    pub fn new(history: &History) -> Self {
        Self {
            world: history.setting.world(),
            crash: None,
            forks: None,
            decisions: 0,
            coverage: None,
        }
    }

    fn watched(history: &History, coverage: &'a mut Coverage) -> Self {
        Self {
            coverage: Some(coverage),
            ..Self::new(history)
        }
    }

    pub fn play(&mut self, history: &History) -> TestCaseResult {
        for (number, step) in history.prologue.iter().enumerate() {
            self.world.suffer(step, 1000 + number);
        }
        for (number, step) in history.steps.iter().enumerate() {
            self.world.suffer(step, number);
            match step {
                Step::Crash(actions) => self.crash = Some(*actions),
                Step::Pass(seconds) => self.pass(*seconds)?,
                Step::Wake => {
                    self.world.now = self
                        .world
                        .wake
                        .map_or(self.world.now, |wake| wake.max(self.world.now));
                    self.tick()?;
                }
                _ if self.world.is_called() => self.tick()?,
                _ => {}
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> TestCaseResult {
        let before = self.world.status();
        let canary = self.world.canary.clone();
        let (facts, plan) = self.world.plan();
        let decision = Decision {
            canary: &canary,
            before: &before,
            facts: &facts,
            plan: &plan,
            world: &self.world,
        };
        for (name, holds) in INVARIANTS {
            prop_assert!(
                holds(&decision),
                "broken: {name}\nso far: {:?}\nplanned: {:?}\nbefore: {before:?}\nafter: {:?}\ntarget: {:?}\nprimary: {:?}\nrouted: {:?}",
                self.world.log,
                plan.actions,
                plan.status,
                facts.target,
                facts.primary,
                facts.routes,
            );
        }
        self.decisions += 1;
        // What somebody else routed is seen or not, as the crash has it.
        let ours = self.world.weight() == before.canary_weight;
        if ours
            && self
                .forks
                .is_some_and(|every| self.decisions.is_multiple_of(every))
        {
            crash_anywhere(&self.world, plan.actions.len())?;
        }
        let crash = self.crash.take().filter(|_| !plan.actions.is_empty());
        if let Some(coverage) = &mut self.coverage {
            coverage.count(&before, &facts, &self.world, crash.is_some());
        }
        self.world.stirred = false;
        self.world.wake = plan.wake;
        self.world
            .apply(&plan, crash.map(|actions| actions.min(plan.actions.len())));
        Ok(())
    }

    /// Until nothing more is to be done at this moment.
    fn settle(&mut self) -> TestCaseResult {
        for _ in 0..20 {
            if !self.world.is_called() {
                return Ok(());
            }
            self.tick()?;
        }
        Err(TestCaseError::fail(format!(
            "never comes to rest: {:?}",
            self.world.log
        )))
    }

    fn pass(&mut self, seconds: i64) -> TestCaseResult {
        let end = self.world.now + jiff::SignedDuration::from_secs(seconds);
        self.settle()?;
        while let Some(at) = self.world.next().filter(|at| *at <= end) {
            self.world.now = at.max(self.world.now);
            self.settle()?;
        }
        self.world.now = end;
        Ok(())
    }

    /// Everybody outside comes to rest: pods are ready, gates open, people want nothing more.
    fn calm_down(&mut self, metrics_pass: bool) -> TestCaseResult {
        let world = &mut self.world;
        self.crash = None;
        world.canary.spec.suspend = None;
        world.policy = Governance::default();
        world.fresh = Health::Ready;
        world.set_target_health(Health::Ready);
        world.set_primary_health(Health::Ready);
        for kind in HookKind::ALL {
            let quiet = kind == HookKind::Rollback;
            world
                .hooks
                .insert(kind, if quiet { Err("no".to_owned()) } else { Ok(()) });
        }
        let value = if metrics_pass { 99.5 } else { 1.0 };
        world.metrics = [(0, Measured::Value(value)), (1, Measured::Value(value))].into();
        world.stirred = true;
        self.settle()?;
        if self
            .world
            .status()
            .release
            .is_some_and(|release| release.paused.is_some())
        {
            self.world.ask(Verb::Resume, "calm");
        }
        Ok(())
    }
}

/// However far the next decision gets before a crash, the end is the same, and each Event is there
/// once.
fn crash_anywhere(world: &World, actions: usize) -> TestCaseResult {
    // A crash while adopting may cost a drain: all that follows is as much later.
    let adopting = world.phase() == Phase::Initializing;
    let mut wanted = world.clone();
    wanted.tick(None);
    wanted.run(END_OF_DRAIN);
    // Whoever finds the primary without a ready pod once it was routed to sends people back to where some are.
    let carries = wanted.primary.as_ref().is_some_and(|it| it.ready() > 0);
    for done in 0..=actions {
        let mut world = world.clone();
        world.tick(Some(done));
        world.run(END_OF_DRAIN);
        prop_assert_eq!(&world.events, &wanted.events, "after {} actions", done);
        if !adopting && carries {
            prop_assert_eq!(settled(&world), settled(&wanted), "after {} actions", done);
        }
        prop_assert_eq!(
            (&world.target, &world.primary),
            (&wanted.target, &wanted.primary),
            "after {} actions",
            done
        );
        if !carries {
            continue;
        }
        prop_assert_eq!(
            (world.routes, world.pointed),
            (wanted.routes, wanted.pointed),
            "after {} actions",
            done
        );
    }
    Ok(())
}

/// The longest drain of a history.
const END_OF_DRAIN: i64 = 3;

/// The generation may have been looked at before or after the target was scaled, and the primary's pods
/// before or after a lost primary was made anew.
fn settled(world: &World) -> CanaryStatus {
    let mut status = world.status();
    // A look more or less moves it.
    status.last_transition_time = None;
    if let Some(release) = &mut status.release {
        release.primary_pods = None;
        release.primary_size = None;
        // The clock of a rollout that is over: nobody reads it any more.
        if release.step_since.is_some() || release.ended_at.is_some() {
            release.rolling_since = None;
            release.unobserved_since = None;
        }
    }
    if let Some(target) = &mut status.target {
        target.generation = 0;
    }
    status
}

pub fn runner() -> TestRunner {
    TestRunner::new(config())
}

fn run(property: impl Fn(&History) -> TestCaseResult) {
    run_with(runner(), property);
}

fn run_with(mut runner: TestRunner, property: impl Fn(&History) -> TestCaseResult) {
    let result = runner.run(&history(), |history| property(&history));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn every_plan_keeps_the_invariants() {
    run(|history| {
        let mut player = Player::new(history);
        player.play(history)?;
        let status = player.world.status();
        let json = serde_json::to_value(&status).unwrap();
        prop_assert_eq!(
            serde_json::from_value::<CanaryStatus>(json).unwrap(),
            status
        );
        Ok(())
    });
}

#[test]
fn every_run_ends_once_its_inputs_settle() {
    run(|history| {
        let mut player = Player::new(history);
        player.play(history)?;
        player.calm_down(history.steps.len() % 2 == 0)?;
        // Two hours: all steps of the longest release, and the window of a drift.
        player.pass(7200)?;
        let (world, status) = (&player.world, player.world.status());
        let rests = matches!(
            status.phase,
            Phase::Initialized | Phase::Succeeded | Phase::Failed
        );
        let recovering = status
            .release
            .as_ref()
            .is_some_and(|release| release.recovering);
        prop_assert!(rests && !recovering, "{status:#?}");
        prop_assert_eq!(
            (world.target.replicas, world.weight(), status.canary_weight),
            (0, 0, 0)
        );
        prop_assert_eq!(
            status.last_applied_spec.as_ref(),
            Some(&world.target.revision),
            "a revision was lost"
        );
        let promoted = status.last_promoted_spec.as_deref();
        prop_assert_eq!(
            promoted,
            Some(world.primary_revision()),
            "the primary has another revision"
        );
        if status.phase == Phase::Succeeded && !world.inherited {
            prop_assert_eq!(&status.last_applied_spec, &status.last_promoted_spec);
        }
        prop_assert!(world.wake.is_none(), "{:?}", world.wake);
        Ok(())
    });
}

#[test]
fn a_crash_at_any_point_leads_to_the_same_end() {
    run(|history| {
        let mut player = Player::new(history);
        player.forks = Some(1 + history.steps.len() % 5);
        // How far the same decision gets is compared.
        player.world.replies = Replies::AtOnce;
        player.play(history)
    });
}

#[test]
fn every_fact_is_met_in_every_phase() {
    let coverage = std::cell::RefCell::new(Coverage::default());
    // Always the same histories: shares near the limit must not fail by chance.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let runner = TestRunner::new_with_rng(config(), rng);
    run_with(runner, |history| {
        Player::watched(history, &mut coverage.borrow_mut()).play(history)
    });
    let coverage = coverage.into_inner();
    println!("{coverage}");
    assert_eq!(
        coverage.gaps(),
        [""; 0],
        "met in less than 1 % of the decisions of a phase"
    );
}

#[test]
fn a_canary_that_is_deleted_lets_go_once_its_target_serves() {
    run(|history| {
        let mut player = Player::new(history);
        player.play(history)?;
        let world = &mut player.world;
        world.leaving = Some(Leaving::Revert);
        world.stirred = true;
        world.run(30);
        // Whatever the pods do until then: nobody is sent where there are none.
        prop_assert!(!world.gone || world.target.ready() > 0);
        world.set_target_health(Health::Ready);
        world.fresh = Health::Ready;
        world.run(30);
        prop_assert!(world.gone, "{:?}", world.log);
        prop_assert!(world.target.ready() > 0);
        prop_assert_eq!((world.pointed, world.routes), (false, None));
        Ok(())
    });
}
