//! The canary's pods are ready, and its Service leads to none of them.

use super::story::{SECOND, expect, two_steps};
use crate::release::tests::world::World;
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

fn lose_service(world: &mut World) {
    world.unreachable = true;
    world.stirred = true;
    world.settle();
}

#[test]
fn a_canary_that_its_service_does_not_lead_to_gets_nothing_until_it_does() {
    let mut world = World::at_weight(&two_steps(), 20);
    lose_service(&mut world);
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 Service podinfo-canary.test leads to no ready pod of Canary podinfo.test, routing all traffic to primary",
    );
    world.unreachable = false;
    world.stirred = true;
    world.settle();
    expect(
        &mut world,
        "
        0 [route 80/20]
        0 Canary podinfo.test is ready again, routing weight 20",
    );
}

#[test]
fn a_canary_that_stays_unreachable_fails_its_checks_and_goes_back() {
    let mut world = World::at_weight(&two_steps(), 20);
    lose_service(&mut world);
    world.run(60);
    let status = world.status();
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    assert_eq!(status.history[0].outcome, Outcome::RolledBack);
    assert!(
        world
            .said()
            .iter()
            .any(|it| it.contains("Service podinfo-canary leads to none of its pods"))
    );
}

#[test]
fn a_release_whose_canary_is_never_reachable_sends_nobody_there_and_ends_at_its_deadline() {
    let mut world = World::at_rest(&two_steps());
    lose_service(&mut world);
    world.set_revision(SECOND);
    world.run(59);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Progressing));
    world.ask(Verb::Promote, "r1");
    world.settle();
    let answer = world.status().last_request.unwrap();
    assert_eq!(
        (answer.outcome, answer.message.as_str()),
        (
            RequestOutcome::Refused,
            "the canary is not ready: Service podinfo-canary leads to none of its pods"
        )
    );
    world.run(10);
    assert_eq!(world.phase(), Phase::Failed);
    assert!(!world.log.iter().any(|(_, line)| line.starts_with("[route")));
}

#[test]
fn a_canary_without_its_service_while_it_is_promoted_leaves_everybody_to_the_primary() {
    let mut world = World::at_weight(&two_steps(), 40);
    for _ in 0..20 {
        world.now = world.wake.unwrap().max(world.now);
        world.tick(None);
        if world.phase() == Phase::Promoting {
            break;
        }
    }
    world.unreachable = true;
    world.tick(None);
    assert_eq!(world.weight(), 0);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn without_a_router_nobody_asks_where_the_service_leads() {
    let mut world = World::at_rest_behind(
        "kubernetes",
        super::story::canary(&serde_json::json!({
            "interval": "10s", "threshold": 3, "iterations": 2,
        })),
    );
    lose_service(&mut world);
    world.set_revision(SECOND);
    world.run(100);
    assert_eq!(world.phase(), Phase::Succeeded);
}
