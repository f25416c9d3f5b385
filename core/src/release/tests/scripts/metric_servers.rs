//! Metric servers that do not answer while nothing is released.

use super::story::{canary, two_steps};
use crate::release::conditions::{self, HALTED};
use crate::release::tests::world::World;
use crate::status::Phase;

const DOWN: &str = "Error checking metric providers: connection refused";

/// Initialized, with a metric server that was down from the start.
fn down() -> World {
    let mut world = World::new(canary(&two_steps()), "apisix");
    world.providers = Err("connection refused".to_owned());
    world.run(10);
    assert_eq!(world.phase(), Phase::Initialized);
    assert_eq!(world.said()[0], DOWN);
    world
}

fn halted(world: &World) -> Option<String> {
    conditions::get(&world.status(), HALTED).map(|halted| halted.message.clone())
}

#[test]
fn a_metric_server_that_is_down_is_a_condition_until_it_answers() {
    let mut world = down();
    assert_eq!(halted(&world).as_deref(), Some(DOWN));
    world.providers = Ok(());
    world.run(31);
    assert_eq!(halted(&world), None);
    assert_eq!(world.said(), ["all the metrics providers are available!"]);
    world.run(3600);
    assert!(world.wake.is_none() && world.log.is_empty());
}

#[test]
fn a_metric_server_that_stays_down_is_asked_less_and_less_often_and_said_once() {
    let mut world = down();
    let writes = world.status_writes;
    world.run(3600);
    // After 30 s, 1, 2, 4 minutes, and then every five.
    assert_eq!(world.status_writes - writes, 4 + 11);
    assert_eq!(world.said(), [""; 0]);
    assert_eq!(halted(&world).as_deref(), Some(DOWN));
}

#[test]
fn another_address_in_the_spec_is_tried_at_once() {
    let mut world = down();
    world.providers = Ok(());
    world.canary.metadata.generation = Some(2);
    world.stirred = true;
    world.settle();
    assert_eq!(halted(&world), None);
}

#[test]
fn an_analysis_that_is_skipped_needs_no_metric_server() {
    let mut world = down();
    world.canary.spec.skip_analysis = Some(true);
    world.stirred = true;
    world.settle();
    assert_eq!((halted(&world), world.wake), (None, None));
}
