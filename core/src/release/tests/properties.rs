//! What holds for all histories.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use super::coverage::Coverage;
use super::history::{History, Step, history};
use super::invariants::{Decision, INVARIANTS};
use super::sim::Health;
use super::world::World;
use crate::hook::HookKind;
use crate::release::Measured;
use crate::request::Verb;
use crate::status::Phase;

/// `PROPTEST_CASES` asks for another number.
fn config() -> Config {
    let asked = Config::default();
    let cases = if asked.cases == 256 { 10_000 } else { asked.cases };
    Config { cases, failure_persistence: None, ..asked }
}

/// Plays histories; each decision is held against the invariants.
struct Player<'a> {
    world: World,
    crash: Option<usize>,
    coverage: Option<&'a mut Coverage>,
}

// === impl Player ===

impl<'a> Player<'a> {
    fn new(history: &History) -> Self {
        Self { world: history.setting.world(), crash: None, coverage: None }
    }

    fn watched(history: &History, coverage: &'a mut Coverage) -> Self {
        Self { coverage: Some(coverage), ..Self::new(history) }
    }

    fn play(&mut self, history: &History) -> TestCaseResult {
        for (number, step) in history.steps.iter().enumerate() {
            self.world.suffer(step, number);
            match step {
                Step::Crash(actions) => self.crash = Some(*actions),
                Step::Pass(seconds) => self.pass(*seconds)?,
                Step::Wake => {
                    self.world.now = self.world.wake.map_or(self.world.now, |wake| wake.max(self.world.now));
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
        let decision =
            Decision { canary: &canary, before: &before, facts: &facts, plan: &plan, world: &self.world };
        for (name, holds) in INVARIANTS {
            prop_assert!(
                holds(&decision),
                "broken: {name}\nso far: {:#?}\nplanned: {:#?}\nbefore: {before:?}\nafter: {:?}\ntarget: {:?}\nprimary: {:?}\nrouted: {:?}",
                self.world.log, plan.actions, plan.status, facts.target, facts.primary, facts.routes,
            );
        }
        let crash = self.crash.take().filter(|_| !plan.actions.is_empty());
        if let Some(coverage) = &mut self.coverage {
            coverage.count(&before, &facts, &self.world, crash.is_some());
        }
        self.world.stirred = false;
        self.world.wake = plan.wake;
        self.world.apply(&plan, crash.map(|actions| actions.min(plan.actions.len())));
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
        Err(TestCaseError::fail(format!("never comes to rest: {:?}", self.world.log)))
    }

    fn pass(&mut self, seconds: i64) -> TestCaseResult {
        let end = self.world.now + jiff::SignedDuration::from_secs(seconds);
        self.settle()?;
        while let Some(wake) = self.world.wake.filter(|wake| *wake <= end) {
            self.world.now = wake;
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
        world.fresh = Health::Ready;
        world.set_target_health(Health::Ready);
        world.set_primary_health(Health::Ready);
        for kind in HookKind::ALL {
            let quiet = kind == HookKind::Rollback;
            world.hooks.insert(kind, if quiet { Err("no".to_owned()) } else { Ok(()) });
        }
        let value = if metrics_pass { 99.5 } else { 1.0 };
        world.metrics = [(0, Measured::Value(value)), (1, Measured::Value(value))].into();
        world.stirred = true;
        self.settle()?;
        if self.world.status().release.is_some_and(|release| release.paused.is_some()) {
            self.world.ask(Verb::Resume, "calm");
        }
        Ok(())
    }
}

fn run(property: impl Fn(&History) -> TestCaseResult) {
    let result = TestRunner::new(config()).run(&history(), |history| property(&history));
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn every_plan_keeps_the_invariants() {
    run(|history| Player::new(history).play(history));
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
        let rests = matches!(status.phase, Phase::Initialized | Phase::Succeeded | Phase::Failed);
        let recovering = status.release.as_ref().is_some_and(|release| release.recovering);
        prop_assert!(rests && !recovering, "{status:#?}");
        prop_assert_eq!((world.target.replicas, world.weight(), status.canary_weight), (0, 0, 0));
        prop_assert_eq!(status.last_applied_spec.as_ref(), Some(&world.target.revision), "a revision was lost");
        let promoted = status.last_promoted_spec.as_deref();
        prop_assert_eq!(promoted, Some(world.primary_revision()), "the primary has another revision");
        if status.phase == Phase::Succeeded {
            prop_assert_eq!(&status.last_applied_spec, &status.last_promoted_spec);
        }
        prop_assert!(world.wake.is_none(), "{:?}", world.wake);
        Ok(())
    });
}
