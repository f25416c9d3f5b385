//! How many pods a canary starts with, and whose wish is kept.

use super::story::{SECOND, two_steps};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::request::Verb;
use crate::status::Phase;

/// A manifest without `replicas` was put over the target, with another image.
fn reapplied(world: &mut World) {
    world
        .target
        .scale(1, "kubectl-client-side-apply", Health::Ready);
    world.default_sized = true;
    world.set_revision(SECOND);
}

#[test]
fn a_default_is_raised_to_the_size_of_the_primary_before_anybody_is_sent_to_the_canary() {
    let mut world = World::at_rest(&two_steps());
    world.scale_up_to = 6;
    reapplied(&mut world);
    world.settle();
    assert_eq!(
        (world.target.replicas, world.phase()),
        (6, Phase::Progressing)
    );
    let scaled = world.log.iter().position(|(_, line)| line == "[scale 6]");
    let routed = world
        .log
        .iter()
        .position(|(_, line)| line == "[route 80/20]");
    assert!(scaled.is_some() && scaled < routed, "{:?}", world.log);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_size_that_becomes_a_default_at_a_later_step_is_left_as_it_is() {
    let mut world = World::at_rest(&two_steps());
    world.scale_up_to = 6;
    world.set_revision(SECOND);
    world.settle();
    assert_eq!((world.weight(), world.target.replicas), (20, 6));
    reapplied(&mut world);
    world.run(5);
    assert_eq!(world.target.replicas, 1);
}

#[test]
fn what_somebody_wants_is_kept_with_the_release_and_with_another_try_of_it() {
    let mut world = World::at_rest(&two_steps());
    world.target.scale(3, "kubectl", Health::Ready);
    world.target.wanted = Some(3);
    world.set_revision(SECOND);
    world.settle();
    let wanted = |world: &World| world.status().release.and_then(|it| it.replicas);
    assert_eq!(wanted(&world), Some(3));
    world.ask(Verb::Rollback, "1");
    // What we scale is ours.
    world.target.wanted = None;
    world.run(30);
    assert_eq!((world.phase(), world.target.replicas), (Phase::Failed, 0));
    world.ask(Verb::Retry, "2");
    world.settle();
    assert_eq!(world.status().release.unwrap().number, 2);
    assert_eq!(wanted(&world), Some(3));

    world.set_revision("v1-000000000003");
    world.settle();
    assert_eq!(wanted(&world), None, "of another revision nothing is known");
}

#[test]
fn a_size_at_rest_is_no_wish() {
    let mut world = World::at_rest(&two_steps());
    world.target.scale(3, "kubectl", Health::Ready);
    world.target.wanted = Some(3);
    world.stirred = true;
    world.settle();
    assert!(world.status().release.is_none());
}
