//! Pauses, and what comes after a failure.

use super::requests::{done, outcome, refused};
use super::story::{SECOND, THIRD, two_steps, with_hooks};
use crate::hook::HookKind;
use crate::release::conditions::{self, PAUSED};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::request::Verb;
use crate::status::{Phase, RequestOutcome};

#[test]
fn promote_full_ends_a_pause() {
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Pause);
    outcome(&mut world, Verb::PromoteFull);
    world.run(10);
    assert_eq!(world.phase(), Phase::Succeeded);
    assert_eq!(conditions::get(&world.status(), PAUSED), None);
}

#[test]
fn a_paused_release_keeps_the_dwell_that_remained() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.run(7);
    assert_eq!(
        outcome(&mut world, Verb::Pause),
        done("paused at weight 20")
    );
    let paused = world.status();
    assert_eq!(
        conditions::get(&paused, PAUSED).unwrap().message,
        "Paused podinfo.test on request of alice"
    );
    assert_eq!(paused.release.unwrap().next_check_at, None);
    world.run(3600);
    assert_eq!(world.weight(), 20);
    assert_eq!(
        outcome(&mut world, Verb::Resume),
        done("resumed at weight 20")
    );
    assert_eq!(conditions::get(&world.status(), PAUSED), None);
    world.run(2);
    assert_eq!(world.weight(), 20);
    world.run(1);
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_pause_between_two_tries_of_a_pre_rollout_hook_keeps_their_distance() {
    let mut world = World::at_rest(&with_hooks(two_steps(), &[(HookKind::PreRollout, "smoke")]));
    world.hooks_answer(HookKind::PreRollout, Err("no"));
    world.set_revision(SECOND);
    world.run(4);
    outcome(&mut world, Verb::Pause);
    world.run(100);
    outcome(&mut world, Verb::Resume);
    world.log.clear();
    world.run(5);
    assert_eq!(world.told(), "");
    world.run(1);
    assert_eq!(
        world.said(),
        ["Halt podinfo.test advancement pre-rollout check smoke failed no"]
    );
}

#[test]
fn a_paused_release_that_waits_for_approval_goes_on_waiting() {
    let mut world = World::at_rest(&with_hooks(
        two_steps(),
        &[(HookKind::ConfirmRollout, "gate")],
    ));
    world.hooks_answer(HookKind::ConfirmRollout, Err("closed"));
    world.set_revision(SECOND);
    world.run(4);
    outcome(&mut world, Verb::Pause);
    world.hooks_answer(HookKind::ConfirmRollout, Ok(()));
    world.run(100);
    assert_eq!(world.phase(), Phase::Waiting);
    outcome(&mut world, Verb::Resume);
    world.run(6);
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_paused_release_is_not_stepped_paused_or_resumed_twice() {
    let mut world = World::at_weight(&two_steps(), 20);
    assert_eq!(
        outcome(&mut world, Verb::Resume),
        refused("the release is not paused")
    );
    outcome(&mut world, Verb::Pause);
    assert_eq!(
        outcome(&mut world, Verb::Pause),
        refused("the release is paused already")
    );
    assert_eq!(
        outcome(&mut world, Verb::Promote),
        refused("the release is paused: resume it first")
    );
    outcome(&mut world, Verb::Resume);
    assert_eq!(
        outcome(&mut world, Verb::Resume),
        refused("the release is not paused")
    );
}

#[test]
fn a_paused_canary_that_loses_its_pods_gets_no_traffic_until_they_are_back() {
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Pause);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(100);
    assert_eq!((world.weight(), world.status().failed_checks), (0, 0));
    world.set_target_health(Health::Ready);
    world.run(100);
    assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
}

#[test]
fn a_newer_revision_ends_a_pause() {
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Pause);
    world.set_revision(THIRD);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}

#[test]
fn retry_tries_the_failed_revision_once_more() {
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Rollback);
    world.run(5);
    assert_eq!(
        outcome(&mut world, Verb::Retry),
        done("the release starts again")
    );
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
    assert_eq!(world.status().release.unwrap().number, 2);
}

#[test]
fn a_retry_waits_for_its_gates_and_is_not_taken_for_nothing() {
    let mut world = World::at_weight(
        &with_hooks(two_steps(), &[(HookKind::ConfirmRollout, "gate")]),
        20,
    );
    outcome(&mut world, Verb::Rollback);
    world.run(5);
    world.hooks_answer(HookKind::ConfirmRollout, Err("closed"));
    outcome(&mut world, Verb::Retry);
    world.run(30);
    assert_eq!(world.phase(), Phase::Waiting);
    world.hooks_answer(HookKind::ConfirmRollout, Ok(()));
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

fn paused_for(world: &mut World, length: &str) -> (RequestOutcome, String) {
    let id = format!("p{}", world.status_writes);
    world.ask_with(Verb::Pause, &id, &format!("for={length}"));
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(record.id, id);
    (record.outcome, record.message)
}

#[test]
fn a_pause_with_an_end_is_over_then_and_the_dwell_that_was_left_follows() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.run(7);
    let (outcome, message) = paused_for(&mut world, "1m30s");
    let until = world
        .status()
        .release
        .unwrap()
        .paused
        .unwrap()
        .until
        .unwrap();
    assert_eq!(outcome, RequestOutcome::Done);
    assert_eq!(message, format!("paused at weight 20 until {until}"));
    world.log.clear();
    world.run(89);
    assert_eq!(world.told(), "");
    assert!(world.status().release.unwrap().paused.is_some());
    world.run(1);
    assert_eq!(world.said(), ["Resumed podinfo.test, its pause is over"]);
    assert_eq!(conditions::get(&world.status(), PAUSED), None);
    assert_eq!(world.status().release.unwrap().paused, None);
    world.run(2);
    assert_eq!(world.weight(), 20);
    world.run(1);
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_pause_with_an_end_can_be_ended_before() {
    let mut world = World::at_weight(&two_steps(), 20);
    paused_for(&mut world, "2h");
    world.run(60);
    assert_eq!(
        outcome(&mut world, Verb::Resume),
        done("resumed at weight 20")
    );
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_pause_for_no_time_at_all_is_none() {
    let mut world = World::at_weight(&two_steps(), 20);
    for odd in ["0s", "soon", "-5m", "5"] {
        let (outcome, message) = paused_for(&mut world, odd);
        assert_eq!(outcome, RequestOutcome::Malformed, "{odd}");
        assert_eq!(
            message,
            format!("option for: {odd} is no duration: write it as 90s, 30m or 1h30m")
        );
        assert_eq!(world.status().release.unwrap().paused, None);
    }
}

/// As after `kubectl edit --subresource=status`.
#[test]
fn nothing_is_said_to_be_paused_that_is_not() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Pause, "p1");
    world.settle();
    assert!(conditions::get(&world.status(), conditions::PAUSED).is_some());
    let release = world.canary.status.as_mut().unwrap().release.as_mut();
    release.unwrap().paused = None;
    world.stirred = true;
    world.settle();
    assert_eq!(conditions::get(&world.status(), conditions::PAUSED), None);
}
