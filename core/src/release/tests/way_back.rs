//! The way back is always open: from every state, whatever is missing around it.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::history::{History, health, history};
use super::properties::{Player, config};
use super::sim::Health;
use super::world::{Replies, World};
use crate::release::{Action, Measured, Problem};
use crate::request::Verb;
use crate::status::Phase;

/// What a release finds missing or refused, all at once.
#[derive(Clone, Debug)]
struct Missing {
    /// The HPA, the source route, a right, a valid spec: whatever closes the ways forward.
    hindered: bool,
    /// The target itself.
    target: bool,
    metrics: bool,
    /// Answers of webhooks and metric servers: they are awaited.
    answers: bool,
    /// Writes that the API server refuses: of the primary, of the target's scale, of a record.
    promote: bool,
    scale: bool,
    record: bool,
    /// Nothing is missing, and somebody wants it to stand still.
    suspend: bool,
    /// The canary's Service.
    service: bool,
    /// How the canary's pods are.
    health: Health,
}

// === impl Missing ===

impl Missing {
    fn befall(&self, world: &mut World) {
        if self.hindered || self.target {
            world.problems = vec![Problem {
                reason: "Missing",
                message: "something is not there".to_owned(),
            }];
        }
        world.target_gone = self.target;
        if self.metrics {
            let gone = Measured::Failed("connection refused".to_owned());
            world.metrics = [(0, gone.clone()), (1, gone)].into();
        }
        if self.answers {
            world.replies = Replies::Never;
        }
        world.canary.spec.suspend = Some(self.suspend);
        world.unreachable = self.service;
        world.set_target_health(self.health);
        world.stirred = true;
    }

    fn refuses(&self, action: &Action) -> bool {
        match action {
            Action::Promote(_) => self.promote,
            Action::Scale(_) => self.scale,
            Action::Record(_) => self.record,
            _ => false,
        }
    }

    fn told(&self) -> Option<Problem> {
        self.promote.then(|| Problem {
            reason: "WriteFailed",
            message: "the API server refuses it".to_owned(),
        })
    }
}

fn missing() -> impl Strategy<Value = Missing> {
    (any::<[bool; 9]>(), health()).prop_map(|(bits, health)| Missing {
        hindered: bits[0],
        target: bits[1],
        metrics: bits[2],
        promote: bits[3],
        scale: bits[4],
        record: bits[5],
        answers: bits[6],
        suspend: bits[7],
        service: bits[8],
        health,
    })
}

/// The world after a history, with a primary that carries the traffic and a person who may act.
fn before_the_request(history: &History) -> Result<Option<World>, TestCaseError> {
    let mut player = Player::new(history);
    player.play(history)?;
    let mut world = player.world;
    world.canary.spec.suspend = None;
    world.set_primary_health(Health::Ready);
    let carries = world.primary.as_ref().is_some_and(|it| it.ready() > 0);
    let inherited = world
        .status()
        .last_applied_spec
        .is_some_and(|it| !it.starts_with("v1-"));
    Ok((carries && !inherited).then_some(world))
}

/// Two looks, and one more for each in which only a name changed.
fn look_twice(world: &mut World, missing: &Missing) -> Result<usize, TestCaseError> {
    let mut left = 2;
    for looks in 1..=6 {
        let told = missing.told();
        let plan = world.tick_refused(|action| missing.refuses(action), told.as_ref());
        let renamed = |action: &Action| matches!(action, Action::Rebaseline { .. });
        if !plan.actions.iter().any(renamed) {
            left -= 1;
        }
        if left == 0 {
            return Ok(looks);
        }
    }
    Err(TestCaseError::fail("names change for ever"))
}

fn ends_at_100_to_0(history: &History, missing: &Missing) -> Result<bool, TestCaseError> {
    let Some(mut world) = before_the_request(history)? else {
        return Ok(false);
    };
    // A promotion that has ended its analysis cannot be taken back: the primary has everybody.
    let phase = world.phase();
    // What somebody routes at rest is theirs while it is suspended.
    let at_rest = !phase.is_of_release() && world.status().canary_weight == 0;
    if missing.suspend && at_rest {
        return Ok(false);
    }
    missing.befall(&mut world);
    world.ask(Verb::Rollback, "way-back");
    look_twice(&mut world, missing)?;
    prop_assert_eq!(
        (
            world.weight(),
            world.status().canary_weight.min(world.weight())
        ),
        (0, 0),
        "{:?} stays at {} with {:?}\n{:?}",
        phase,
        world.weight(),
        missing,
        world.log.iter().rev().take(8).collect::<Vec<_>>()
    );
    Ok(matches!(
        phase,
        Phase::Waiting | Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting
    ))
}

#[test]
fn whatever_is_missing_a_rollback_ends_at_100_to_0_within_two_looks() {
    let running = std::cell::Cell::new(0_u32);
    let mut runner = super::properties::runner();
    let result = runner.run(
        &(history(), missing()),
        |(history, missing)| -> TestCaseResult {
            if ends_at_100_to_0(&history, &missing)? {
                running.set(running.get() + 1);
            }
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
    let wanted = config().cases / 4;
    println!("{} of {} in mid-release", running.get(), config().cases);
    assert!(
        running.get() >= wanted,
        "only {} in mid-release",
        running.get()
    );
}

/// The same without a person: bad checks, whatever else is missing, roll back by themselves.
#[test]
fn whatever_is_missing_failed_checks_send_everybody_to_the_primary() {
    let mut runner = super::properties::runner();
    let result = runner.run(
        &(history(), missing()),
        |(history, missing)| -> TestCaseResult {
            let Some(mut world) = before_the_request(&history)? else {
                return Ok(());
            };
            let paused = world.status().release.is_some_and(|it| it.paused.is_some());
            let analysed = matches!(world.phase(), Phase::Progressing | Phase::WaitingPromotion);
            let measured = !world.canary.analysis().metrics.is_empty();
            if !analysed || !measured || paused || world.canary.skip_analysis() {
                return Ok(());
            }
            // Nobody asks for metrics while it is suspended.
            missing.befall(&mut world);
            // A check that is awaited has not failed.
            world.replies = Replies::AtOnce;
            world.canary.spec.suspend = None;
            world.problems.push(Problem {
                reason: "Missing",
                message: "something is not there".to_owned(),
            });
            world.metrics = [(0, Measured::Value(1.0)), (1, Measured::Value(1.0))].into();
            // As many checks as the highest threshold has, at the longest interval.
            for _ in 0..400 {
                if world.weight() == 0 {
                    return Ok(());
                }
                world.now = world.wake.map_or(world.now, |wake| wake.max(world.now));
                world.tick_refused(|action| missing.refuses(action), missing.told().as_ref());
            }
            Err(TestCaseError::fail(format!(
                "stays at {}: {:?}",
                world.weight(),
                world.status()
            )))
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Nor does it take a person: people are never left on a canary without ready pods.
#[test]
fn whatever_is_missing_a_canary_that_loses_its_pods_loses_its_traffic_within_two_looks() {
    let mut runner = super::properties::runner();
    let result = runner.run(
        &(history(), missing()),
        |(history, missing)| -> TestCaseResult {
            let Some(mut world) = before_the_request(&history)? else {
                return Ok(());
            };
            let analysed = matches!(world.phase(), Phase::Progressing | Phase::WaitingPromotion);
            if !analysed {
                return Ok(());
            }
            missing.befall(&mut world);
            world.fresh = Health::Unavailable { ready: 0 };
            world.set_target_health(world.fresh);
            look_twice(&mut world, &missing)?;
            prop_assert_eq!(world.weight(), 0, "{:?}: {:?}", missing, world.status());
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{error}");
    }
}
