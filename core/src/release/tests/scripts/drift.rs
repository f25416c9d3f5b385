//! Somebody scales the target up at rest.

use super::story::{SECOND, expect, two_steps};
use crate::release::conditions::{self, DRIFT};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::status::Phase;

fn scale_up(world: &mut World) {
    world.stirred |= world.target.scale(1, "flux", Health::Ready);
    world.settle();
}

#[test]
fn a_target_that_is_scaled_up_at_rest_is_scaled_back_and_its_manager_named() {
    let mut world = World::at_rest(&two_steps());
    scale_up(&mut world);
    expect(
        &mut world,
        "
        0 podinfo.test was scaled to 1 by flux without a new revision, scaling it back to 0: leave replicas out of its manifest
        0 [scale 0]
        ",
    );
    assert_eq!(world.status().drift.unwrap().manager, "flux");
}

#[test]
fn after_three_times_the_target_is_left_and_a_condition_says_so() {
    let mut world = World::at_rest(&two_steps());
    for _ in 0..3 {
        scale_up(&mut world);
        assert_eq!(world.target.replicas, 0);
        world.run(5);
    }
    world.log.clear();
    for _ in 0..3 {
        scale_up(&mut world);
        world.run(5);
    }
    expect(
        &mut world,
        "0 flux scaled podinfo.test up 3 times without a new revision, not scaling it back any more: leave replicas out of its manifest",
    );
    assert_eq!(world.target.replicas, 1);
    let status = world.status();
    let drift = conditions::get(&status, DRIFT).unwrap();
    assert_eq!(
        (drift.status.as_str(), drift.reason.as_str()),
        ("True", "ReplicasNotZero")
    );
    assert!(
        drift
            .message
            .starts_with("flux scaled podinfo.test up 3 times")
    );
}

#[test]
fn after_ten_quiet_minutes_the_target_is_scaled_back_and_the_condition_goes() {
    let mut world = World::at_rest(&two_steps());
    for _ in 0..4 {
        scale_up(&mut world);
    }
    assert_eq!(world.target.replicas, 1);
    world.run(599);
    assert_eq!(world.target.replicas, 1);
    world.run(1);
    assert_eq!(world.target.replicas, 0);
    world.run(600);
    let status = world.status();
    assert_eq!(
        (conditions::get(&status, DRIFT), &status.drift),
        (None, &None)
    );
}

#[test]
fn each_change_beyond_the_limit_begins_the_ten_minutes_anew() {
    let mut world = World::at_rest(&two_steps());
    for _ in 0..4 {
        scale_up(&mut world);
    }
    world.run(500);
    world.stirred |= world.target.scale(2, "flux", Health::Ready);
    world.run(500);
    assert_eq!(world.target.replicas, 2);
    world.run(100);
    assert_eq!(world.target.replicas, 0);
}

#[test]
fn somebody_is_named_where_no_manager_is_known() {
    let mut world = World::at_rest(&two_steps());
    world.stirred |= world.target.scale(2, "", Health::Ready);
    world.settle();
    assert!(world.said()[0].starts_with("podinfo.test was scaled to 2 by somebody without"));
}

#[test]
fn a_crash_while_scaling_back_counts_it_once() {
    let mut world = World::at_rest(&two_steps());
    world.target.scale(1, "flux", Health::Ready);
    world.tick(Some(1));
    world.tick(None);
    world.tick(Some(1));
    world.settle();
    let status = world.status();
    assert_eq!((status.drift.unwrap().count, world.target.replicas), (1, 0));
    assert_eq!(
        world.events.keys().copied().max(),
        Some(status.events.sequence)
    );
    assert_eq!(world.status().events.sequence, 3);
}

#[test]
fn a_release_clears_what_was_said_about_drift() {
    let mut world = World::at_rest(&two_steps());
    for _ in 0..4 {
        scale_up(&mut world);
    }
    world.set_revision(SECOND);
    world.run(60);
    let status = world.status();
    assert_eq!(
        (status.phase, status.drift.is_none()),
        (Phase::Succeeded, true)
    );
    assert_eq!(conditions::get(&status, DRIFT), None);
}

#[test]
fn a_release_uses_the_pods_that_are_there() {
    let mut world = World::at_rest(&two_steps());
    world.target.scale(3, "flux", Health::Ready);
    world.set_revision(SECOND);
    world.settle();
    assert!(!world.told().contains("[scale"));
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_target_that_a_contested_service_points_at_is_kept_up_and_let_go_without_a_word() {
    let mut world = World::at_rest(&two_steps());
    world.primary.as_mut().unwrap().replicas = 2;
    world.contested = true;
    world.stirred = true;
    world.run(100);
    expect(
        &mut world,
        "
        0 the selector of Service podinfo.test was changed again after its repair, keeping podinfo.test at 2 replicas so that it serves either way: leave the selector out of its manifest
        0 [scale 2]
        ",
    );
    let status = world.status();
    assert_eq!(
        conditions::get(&status, DRIFT).unwrap().reason,
        "SelectorChanged"
    );
    world.contested = false;
    world.stirred = true;
    world.run(100);
    expect(&mut world, "0 [scale 0]");
    assert_eq!(conditions::get(&world.status(), DRIFT), None);
}

#[test]
fn a_contested_service_that_finds_pods_adds_none() {
    let mut world = World::at_rest(&two_steps());
    world.contested = true;
    world.target.replicas = 1;
    world.stirred = true;
    world.settle();
    assert!(!world.told().contains("[scale"));
}

#[test]
fn a_failed_revision_does_not_serve_by_way_of_a_contested_service() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(crate::request::Verb::Rollback, "r1");
    world.run(10);
    world.contested = true;
    world.stirred = true;
    world.run(10);
    assert_eq!(world.target.replicas, 0);
}
