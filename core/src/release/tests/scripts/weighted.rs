//! Releases by weight.

use serde_json::json;

use super::story::{SECOND, canary, expect, two_steps, with_metric};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::status::Phase;

/// The weights that a release goes through, with the seconds at which it does.
fn weights(analysis: &serde_json::Value) -> Vec<(i64, i64)> {
    let mut world = World::at_rest(analysis);
    world.set_revision(SECOND);
    let start = world.second();
    let mut seen = Vec::new();
    for _ in 0..400 {
        world.settle();
        if seen
            .last()
            .is_none_or(|(_, weight)| *weight != world.weight())
        {
            seen.push((world.second() - start, world.weight()));
        }
        world.run(1);
    }
    assert_eq!(world.phase(), Phase::Succeeded);
    seen
}

#[test]
fn a_step_weight_climbs_to_the_maximum_and_no_further() {
    let analysis = json!({ "interval": "10s", "threshold": 3, "stepWeight": 30, "maxWeight": 50 });
    assert_eq!(weights(&analysis), [(0, 30), (10, 50), (20, 0)]);
}

#[test]
fn listed_weights_are_taken_one_by_one() {
    let analysis = json!({ "interval": "10s", "threshold": 3, "stepWeights": [1, 10, 80] });
    assert_eq!(weights(&analysis), [(0, 1), (10, 10), (20, 80), (30, 0)]);
}

#[test]
fn without_a_maximum_the_canary_gets_everything() {
    let analysis = json!({ "interval": "10s", "threshold": 3, "stepWeight": 50 });
    assert_eq!(weights(&analysis), [(0, 50), (10, 100), (20, 0)]);
}

#[test]
fn a_promotion_in_steps_gives_traffic_back_one_interval_at_a_time() {
    let analysis = json!({
        "interval": "10s", "threshold": 3, "stepWeight": 60, "maxWeight": 60, "stepWeightPromotion": 25,
    });
    assert_eq!(weights(&analysis), [(0, 60), (10, 35), (20, 10), (30, 0)]);
    let mut world = World::at_weight(&analysis, 60);
    world.run(60);
    expect(
        &mut world,
        "
        0 Copying podinfo.test template spec to podinfo-primary.test
        0 [promote v1-000000000002]
        0 [route 65/35]
        0 Advance podinfo.test primary weight 65
        10 [route 90/10]
        10 Advance podinfo.test primary weight 90
        20 [route 100/0]
        20 Advance podinfo.test primary weight 100
        22 [scale 0]
        22 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn an_interval_below_the_least_is_raised_to_it() {
    let analysis = json!({ "interval": "1s", "threshold": 3, "stepWeight": 50 });
    assert_eq!(weights(&analysis), [(0, 50), (10, 100), (20, 0)]);
}

#[test]
fn a_longer_interval_is_kept() {
    let analysis = json!({ "interval": "1m", "threshold": 3, "stepWeight": 50 });
    assert_eq!(weights(&analysis), [(0, 50), (60, 100), (120, 0)]);
}

#[test]
fn a_failed_check_holds_the_weight_for_another_interval() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(42.0);
    world.run(15);
    world.measure(99.0);
    world.run(30);
    expect(
        &mut world,
        "
        0 Halt podinfo.test advancement success rate 42.00% < 99%
        10 [route 60/40]
        10 Advance podinfo.test canary weight 40
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
fn a_late_tick_does_not_shift_the_checks_that_follow() {
    let mut world = World::at_weight(&two_steps(), 20);
    let start = world.second();
    world.pass(jiff::SignedDuration::from_secs(13));
    world.settle();
    assert_eq!(world.weight(), 40);
    world.advance_to(0);
    assert_eq!(world.second() - start, 20);
}

#[test]
fn a_check_that_was_missed_is_not_made_up_for() {
    let mut world = World::at_weight(&two_steps(), 20);
    let start = world.second();
    world.pass(jiff::SignedDuration::from_secs(35));
    world.settle();
    assert_eq!(world.weight(), 40);
    world.advance_to(0);
    assert_eq!(world.second() - start, 45);
}

#[test]
fn a_check_that_was_missed_by_an_interval_is_made_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.pass(jiff::SignedDuration::from_secs(20));
    world.settle();
    assert_eq!((world.weight(), world.phase()), (40, Phase::Progressing));
}

#[test]
fn the_analysis_may_be_skipped() {
    let mut canary = canary(&two_steps());
    canary.spec.skip_analysis = Some(true);
    let mut world = World::at_rest_behind("apisix", canary);
    world.set_revision(SECOND);
    world.run(30);
    expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Copying podinfo.test template spec to podinfo-primary.test
        0 [promote v1-000000000002]
        0 [scale 0]
        0 Promotion completed! Canary analysis was skipped for podinfo.test
        ",
    );
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn skipping_the_rest_of_an_analysis_promotes_at_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.canary.spec.skip_analysis = Some(true);
    world.stirred = true;
    world.settle();
    assert_eq!(world.phase(), Phase::Finalising);
    assert_eq!(world.primary_revision(), SECOND);
}

#[test]
fn a_skipped_analysis_still_waits_for_ready_pods() {
    let mut canary = canary(&two_steps());
    canary.spec.skip_analysis = Some(true);
    let mut world = World::at_rest_behind("apisix", canary);
    world.release_slowly(SECOND);
    world.run(30);
    assert_eq!(world.phase(), Phase::Progressing);
    world.set_target_health(Health::Ready);
    world.settle();
    assert_eq!(world.phase(), Phase::Promoting);
    world.set_primary_health(Health::Ready);
    world.run(5);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_weight_that_somebody_edits_in_the_route_is_put_back() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.routes = Some(crate::release::Routes::to_canary(90));
    world.stirred = true;
    world.settle();
    expect(&mut world, "0 [route 80/20]");
    assert_eq!(world.phase(), Phase::Progressing);
}

#[test]
fn a_weight_that_somebody_edits_at_rest_is_put_back() {
    let mut world = World::at_rest(&two_steps());
    world.routes = Some(crate::release::Routes::to_canary(50));
    world.stirred = true;
    world.settle();
    expect(&mut world, "0 [route 100/0]");
}
