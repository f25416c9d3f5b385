//! Canaries that are deleted.

use super::story::{expect, two_steps};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::release::{Leaving, Routes, conditions};
use crate::status::Phase;

fn leave(world: &mut World, leaving: Leaving) {
    world.leaving = Some(leaving);
    world.stirred = true;
}

#[test]
fn without_reverting_the_canary_goes_at_once() {
    let mut world = World::at_rest(&two_steps());
    leave(&mut world, Leaving::Go);
    world.run(10);
    expect(&mut world, "0 [release]");
    assert!(world.gone);
}

#[test]
fn reverting_gives_the_target_its_pods_and_traffic_before_the_canary_goes() {
    let mut world = World::at_rest(&two_steps());
    world.primary.as_mut().unwrap().replicas = 3;
    world.fresh = Health::Rolling;
    leave(&mut world, Leaving::Revert);
    world.run(10);
    assert_eq!(
        (world.phase(), world.target.replicas, world.weight()),
        (Phase::Terminating, 3, 0)
    );
    world.set_target_health(Health::Ready);
    world.run(10);
    expect(
        &mut world,
        "
        0 Terminating canary podinfo.test
        0 [scale 3]
        10 [route 0/100]
        10 [unpoint]
        12 Terminated canary podinfo.test
        12 [release]
        ",
    );
    assert!(world.gone);
    assert_eq!((world.target.replicas, world.routes), (3, None));
}

#[test]
fn without_a_primary_one_pod_is_enough_to_go() {
    let mut world = World::at_rest(&two_steps());
    world.primary = None;
    leave(&mut world, Leaving::Revert);
    world.tick(None);
    assert_eq!(world.target.replicas, 1);
}

#[test]
fn a_running_release_is_ended_where_it_is() {
    let mut world = World::at_weight(&two_steps(), 20);
    leave(&mut world, Leaving::Revert);
    world.run(10);
    assert!(world.gone);
    expect(
        &mut world,
        "
        0 Terminating canary podinfo.test
        0 [route 0/100]
        0 [unpoint]
        2 Terminated canary podinfo.test
        2 [release]
        ",
    );
}

#[test]
fn a_crash_while_leaving_does_not_cut_the_drain_short() {
    let mut world = World::at_weight(&two_steps(), 20);
    leave(&mut world, Leaving::Revert);
    world.tick(Some(3));
    assert_eq!((world.pointed, world.gone), (false, false));
    world.settle();
    assert!(!world.gone);
    world.run(3);
    assert!(world.gone);
}

#[test]
fn pods_that_are_not_ready_get_nobody() {
    let mut world = World::at_rest(&two_steps());
    world.fresh = Health::Unavailable { ready: 0 };
    leave(&mut world, Leaving::Revert);
    world.run(100);
    assert_eq!(
        (world.gone, world.routes),
        (false, Some(Routes::ALL_PRIMARY))
    );
}

#[test]
fn a_deletion_says_what_it_waits_for() {
    let mut world = World::at_rest(&two_steps());
    world.primary.as_mut().unwrap().replicas = 3;
    world.fresh = Health::Rolling;
    leave(&mut world, Leaving::Revert);
    world.run(10);
    let message = |world: &World| {
        let status = world.canary.status.as_ref().unwrap();
        let ready = conditions::get(status, conditions::READY).unwrap();
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("False", "Reverting")
        );
        ready.message.clone()
    };
    assert!(
        message(&world).starts_with(
            "the deletion waits until deployment podinfo can serve: 0 of 3 pods are ready"
        ),
        "{}",
        message(&world)
    );
    world.set_target_health(Health::Ready);
    world.tick(None);
    assert!(
        message(&world).starts_with("deployment podinfo serves"),
        "{}",
        message(&world)
    );
}

#[test]
fn a_deletion_in_mid_release_leaves_nobody_on_a_target_without_ready_pods() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_target_health(Health::Unavailable { ready: 0 });
    leave(&mut world, Leaving::Revert);
    world.run(5);
    assert_eq!(world.routes, Some(Routes::ALL_PRIMARY));
    assert!(!world.gone);
}
