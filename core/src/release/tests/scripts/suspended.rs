//! `spec.suspend` closes the ways forward, and none of the ways back.

use super::story::{SECOND, THIRD, expect, two_steps, with_hooks, with_metric};
use crate::hook::HookKind;
use crate::release::conditions::{self, READY};
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::release::{Action, Problem};
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

fn suspend(world: &mut World) {
    world.canary.spec.suspend = Some(true);
    world.stirred = true;
    world.settle();
    world.log.clear();
}

fn resume(world: &mut World) {
    world.canary.spec.suspend = None;
    world.stirred = true;
}

fn answer(world: &World) -> (RequestOutcome, String) {
    let record = world.status().last_request.unwrap();
    (record.outcome, record.message)
}

#[test]
fn a_suspended_canary_is_left_as_it_is_and_says_so_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.canary.spec.suspend = Some(true);
    world.stirred = true;
    world.run(100);
    world.stirred = true;
    world.run(100);
    expect(&mut world, "0 skipping canary run as object is suspended");
    assert_eq!(world.weight(), 20);
    assert_eq!(
        conditions::get(&world.status(), READY).unwrap().reason,
        "Suspended"
    );
    world.canary.spec.suspend = None;
    world.stirred = true;
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
    assert_eq!(conditions::get(&world.status(), READY), None);
}

#[test]
fn a_canary_that_is_suspended_before_its_gate_opens_starts_nothing() {
    let mut world = World::at_rest(&with_hooks(
        two_steps(),
        &[(HookKind::ConfirmRollout, "gate")],
    ));
    world.canary.spec.suspend = Some(true);
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initialized, 0)
    );
}

#[test]
fn a_suspended_release_asks_no_hook_and_no_metric_server() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    suspend(&mut world);
    world.measure(0.0);
    world.run(200);
    assert_eq!(world.told(), "");
    assert_eq!((world.weight(), world.status().failed_checks), (20, 0));
}

#[test]
fn a_person_rolls_a_suspended_release_back() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.ask(Verb::Rollback, "r1");
    world.run(10);
    assert_eq!(answer(&world).0, RequestOutcome::Done);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    assert_eq!(world.target.replicas, 0);
    let status = world.status();
    assert_eq!(status.release.unwrap().outcome, Some(Outcome::RolledBack));
}

#[test]
fn what_would_take_a_suspended_release_forward_is_refused() {
    for verb in [
        Verb::Promote,
        Verb::PromoteFull,
        Verb::Pause,
        Verb::Resume,
        Verb::Retry,
    ] {
        let mut world = World::at_weight(&two_steps(), 20);
        suspend(&mut world);
        world.ask(verb, "r1");
        world.run(100);
        let refused = (
            RequestOutcome::Refused,
            "the Canary is suspended".to_owned(),
        );
        assert_eq!(answer(&world), refused, "{verb}");
        assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
    }
}

#[test]
fn every_request_to_a_suspended_canary_at_rest_is_refused() {
    let mut world = World::at_rest(&two_steps());
    suspend(&mut world);
    world.ask(Verb::Rollback, "r1");
    world.settle();
    assert_eq!(
        answer(&world),
        (
            RequestOutcome::Refused,
            "the Canary is suspended".to_owned()
        )
    );
}

#[test]
fn a_suspended_canary_that_loses_its_pods_sends_everybody_to_the_primary_until_it_goes_on() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(1);
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 Canary podinfo.test has no ready pods, routing all traffic to primary",
    );
    world.set_target_health(Health::Ready);
    world.run(100);
    assert_eq!(world.weight(), 0, "nothing goes forward");
    resume(&mut world);
    world.settle();
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_suspended_release_ends_when_its_target_is_gone() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.target_gone = true;
    world.problems = vec![Problem {
        reason: "TargetNotFound",
        message: "deployment podinfo.test not found".to_owned(),
    }];
    world.stirred = true;
    world.run(10);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
}

#[test]
fn a_template_that_arrives_while_suspended_is_sent_nobody_and_released_afterwards() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.set_revision(THIRD);
    world.run(100);
    let text = "podinfo.test changed while Canary podinfo.test is suspended, routing all traffic to primary; \
                the new revision is released once spec.suspend is false";
    assert_eq!(world.said(), [text]);
    let release = world.status().release.unwrap();
    assert_eq!((world.weight(), release.number), (0, 1));
    assert_eq!(release.revision, SECOND);
    resume(&mut world);
    world.run(100);
    let status = world.status();
    assert_eq!(status.last_promoted_spec.as_deref(), Some(THIRD));
    assert_eq!(status.history[1].outcome, Outcome::Superseded);
}

#[test]
fn a_template_that_is_set_back_while_suspended_gets_its_traffic_again_afterwards() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.set_revision(THIRD);
    world.settle();
    world.set_revision(SECOND);
    world.settle();
    assert_eq!(world.weight(), 0);
    resume(&mut world);
    world.settle();
    assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
}

#[test]
fn a_rollback_while_suspended_leaves_the_newer_template_to_be_released() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.set_revision(THIRD);
    world.settle();
    world.ask(Verb::Rollback, "r1");
    world.run(10);
    assert_eq!(world.phase(), Phase::Failed);
    resume(&mut world);
    world.run(100);
    let promoted = world.status().last_promoted_spec;
    assert_eq!(promoted.as_deref(), Some(THIRD));
}

#[test]
fn a_target_that_is_set_back_to_what_is_promoted_ends_a_suspended_release() {
    let mut world = World::at_weight(&two_steps(), 20);
    suspend(&mut world);
    world.set_revision(FIRST);
    world.run(10);
    let status = world.status();
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    assert_eq!(status.history[0].outcome, Outcome::Aborted);
}

/// The primary is about to be given the new template.
fn about_to_be_promoted() -> World {
    let mut world = World::at_weight(&two_steps(), 40);
    for _ in 0..20 {
        world.now = world.wake.unwrap().max(world.now);
        world.tick(None);
        if world.phase() == Phase::Promoting {
            return world;
        }
    }
    panic!("never promoted");
}

#[test]
fn a_promotion_that_is_suspended_before_the_primary_changed_waits_as_long_as_that_takes() {
    let mut world = about_to_be_promoted();
    suspend(&mut world);
    world.run(1000);
    assert_eq!((world.weight(), world.phase()), (40, Phase::Promoting));
    assert_eq!(world.primary_revision(), FIRST);
    resume(&mut world);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_person_takes_a_suspended_promotion_back() {
    let mut world = about_to_be_promoted();
    world.fresh = Health::Rolling;
    world.tick(None);
    suspend(&mut world);
    assert_eq!(world.primary_revision(), SECOND);
    world.ask(Verb::Rollback, "r1");
    world.fresh = Health::Ready;
    world.run(10);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    assert_eq!(world.primary_revision(), FIRST);
    assert!(!world.status().release.unwrap().recovering);
}

#[test]
fn a_suspended_promotion_does_not_end_before_it_goes_on() {
    let mut world = about_to_be_promoted();
    world.tick(None);
    assert_eq!(world.primary_revision(), SECOND);
    suspend(&mut world);
    world.run(200);
    assert!(matches!(
        world.phase(),
        Phase::Promoting | Phase::Finalising
    ));
    assert!(world.target.replicas > 0);
    resume(&mut world);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_suspended_promotion_whose_primary_never_starts_is_put_back() {
    let mut world = about_to_be_promoted();
    world.fresh = Health::Unavailable { ready: 0 };
    world.tick(None);
    suspend(&mut world);
    world.fresh = Health::Ready;
    world.run(100);
    let status = world.status();
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    assert_eq!(status.history[0].outcome, Outcome::PromotionFailed);
    assert_eq!(world.primary_revision(), FIRST);
}

#[test]
fn a_suspended_canary_at_rest_is_neither_written_nor_scaled() {
    let mut world = World::at_rest(&two_steps());
    suspend(&mut world);
    let writes = world.status_writes;
    world.target.scale(2, "flux", Health::Ready);
    world.stirred = true;
    let (_, plan) = world.tick(None);
    assert_eq!(plan.actions, Vec::<Action>::new());
    assert_eq!(world.status_writes, writes);
}
