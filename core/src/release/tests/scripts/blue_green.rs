//! Releases that switch all traffic at once, and those by the requests' own properties.

use serde_json::{Value, json};

use super::story::{SECOND, canary, expect, with_hooks};
use crate::hook::HookKind;
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::status::Phase;

fn iterations(count: i64) -> Value {
    json!({ "interval": "10s", "threshold": 3, "iterations": count })
}

fn matching(count: i64) -> Value {
    let mut analysis = iterations(count);
    analysis["match"] = json!([{ "headers": { "x-canary": { "exact": "insider" } } }]);
    analysis
}

#[test]
fn blue_green_behind_a_router_checks_first_and_then_switches_for_one_interval() {
    let mut world = World::at_rest(&iterations(2));
    world.set_revision(SECOND);
    world.run(60);
    expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 Advance podinfo.test canary iteration 1/2
        10 Advance podinfo.test canary iteration 2/2
        20 [route 0/100]
        20 Routing all traffic to canary
        30 Copying podinfo.test template spec to podinfo-primary.test
        30 [promote v1-000000000002]
        30 [route 100/0]
        30 Routing all traffic to primary
        32 [scale 0]
        32 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn blue_green_without_a_router_switches_nothing() {
    let mut world = World::at_rest_behind("kubernetes", canary(&iterations(2)));
    world.set_revision(SECOND);
    world.run(60);
    expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 Advance podinfo.test canary iteration 1/2
        10 Advance podinfo.test canary iteration 2/2
        20 Copying podinfo.test template spec to podinfo-primary.test
        20 [promote v1-000000000002]
        20 [scale 0]
        20 Promotion completed! Scaling down podinfo.test
        ",
    );
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn blue_green_without_pods_is_never_promoted() {
    let mut world = World::at_rest_behind("kubernetes", canary(&iterations(5)));
    world.set_revision(SECOND);
    world.run(5);
    world.fresh = Health::Unavailable { ready: 0 };
    world.target.scale(0, "kubectl", Health::Ready);
    world.stirred = true;
    world.run(100);
    assert_eq!(world.phase(), Phase::Failed);
    let said = world.said();
    assert!(
        said.contains(&"Rolling back podinfo.test failed checks threshold reached 3".to_owned()),
        "{said:?}"
    );
}

#[test]
fn pods_that_somebody_scales_away_in_mid_release_are_brought_back() {
    let mut world = World::at_rest_behind("kubernetes", canary(&iterations(3)));
    world.set_revision(SECOND);
    world.run(5);
    world.log.clear();
    world.target.scale(0, "kubectl", Health::Ready);
    world.stirred = true;
    world.settle();
    expect(&mut world, "0 [scale 1]");
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_traffic_gate_holds_blue_green_before_the_switch_and_not_before() {
    let hooks = [(HookKind::ConfirmTrafficIncrease, "gate")];
    let mut world = World::at_rest(&with_hooks(iterations(2), &hooks));
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.set_revision(SECOND);
    world.run(45);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Progressing));
    assert_eq!(
        world.said().last().unwrap(),
        "Halt podinfo.test advancement waiting for traffic increase approval gate"
    );
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Ok(()));
    world.run(10);
    assert_eq!(world.weight(), 100);
}

#[test]
fn an_ab_test_sends_what_matches_to_the_canary_from_the_first_iteration_on() {
    let mut world = World::at_rest_behind("contour", canary(&matching(2)));
    world.set_revision(SECOND);
    world.run(60);
    expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 [route 0/100]
        0 Advance podinfo.test canary iteration 1/2
        10 Advance podinfo.test canary iteration 2/2
        20 Copying podinfo.test template spec to podinfo-primary.test
        20 [promote v1-000000000002]
        20 [route 100/0]
        20 Routing all traffic to primary
        22 [scale 0]
        22 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn an_ab_test_routes_nothing_while_its_gate_is_closed() {
    let hooks = [(HookKind::ConfirmTrafficIncrease, "gate")];
    let mut world = World::at_rest_behind("contour", canary(&with_hooks(matching(2), &hooks)));
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.set_revision(SECOND);
    world.run(30);
    assert_eq!((world.weight(), world.status().iterations), (0, 0));
}

#[test]
fn an_ab_test_that_lost_its_pods_goes_on_with_its_iterations() {
    let mut world = World::at_rest_behind("contour", canary(&matching(3)));
    world.set_revision(SECOND);
    world.run(15);
    world.log.clear();
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    world.set_target_health(Health::Ready);
    world.settle();
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 Canary podinfo.test has no ready pods, routing all traffic to primary
        0 [route 0/100]
        0 Canary podinfo.test is ready again, routing weight 100
        ",
    );
    assert_eq!(world.status().iterations, 2);
    world.run(10);
    assert_eq!(world.said(), ["Advance podinfo.test canary iteration 3/3"]);
}
