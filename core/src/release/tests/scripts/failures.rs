//! Canaries that are not what they should be.

use serde_json::json;

use super::story::{SECOND, THIRD, expect, two_steps, with_metric};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::status::{Outcome, Phase};

#[test]
fn a_canary_that_is_not_ready_by_its_deadline_is_rolled_back() {
    let mut world = World::at_rest(&two_steps());
    world.release_slowly(SECOND);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(100);
    let unavailable = "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available";
    expect(
        &mut world,
        &format!(
            "
            0 [record v1-000000000002]
            0 New revision detected! Scaling up podinfo.test
            0 [scale 1]
            0 canary deployment podinfo.test not ready: {unavailable}
            60 Rolling back podinfo.test progress deadline exceeded {unavailable}
            60 Canary failed! Scaling down podinfo.test
            60 [scale 0]
            "
        ),
    );
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn a_canary_whose_own_deadline_passed_is_rolled_back_at_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_target_health(Health::Stuck);
    world.run(5);
    let said = world.said();
    assert_eq!(
        said[0],
        "Rolling back podinfo.test progress deadline exceeded deployment \"podinfo\" exceeded its progress deadline"
    );
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_canary_that_loses_all_pods_gets_no_traffic_and_returns_to_its_step() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.run(4);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(18);
    world.set_target_health(Health::Ready);
    world.run(25);
    let unavailable = "waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available";
    expect(
        &mut world,
        &format!(
            "
            0 [route 100/0]
            0 Canary podinfo.test has no ready pods, routing all traffic to primary
            6 canary deployment podinfo.test not ready: {unavailable}
            16 canary deployment podinfo.test not ready: {unavailable}
            18 [route 60/40]
            18 Canary podinfo.test is ready again, routing weight 40
            28 Copying podinfo.test template spec to podinfo-primary.test
            28 [promote v1-000000000002]
            28 [route 100/0]
            28 Routing all traffic to primary
            30 [scale 0]
            30 Promotion completed! Scaling down podinfo.test
            "
        ),
    );
    assert_eq!(world.status().failed_checks, 2);
}

#[test]
fn a_canary_without_pods_fails_by_its_threshold() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(60);
    assert_eq!(
        (world.phase(), world.status().failed_checks),
        (Phase::Failed, 3)
    );
}

#[test]
fn a_canary_with_some_ready_pods_keeps_its_weight_and_fails_its_check() {
    let mut world = World::at_rest(&two_steps());
    world.scale_up_to = 4;
    world.set_revision(SECOND);
    world.settle();
    world.log.clear();
    world.set_target_health(Health::Unavailable { ready: 3 });
    world.run(10);
    assert_eq!((world.weight(), world.status().failed_checks), (20, 1));
    world.set_target_health(Health::Ready);
    world.run(10);
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_canary_that_is_ready_enough_goes_on() {
    let mut world = World::at_rest(&two_steps());
    world.scale_up_to = 4;
    world.fresh = Health::Enough { ready: 1 };
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_threshold_of_nothing_does_not_make_pods_ready_that_are_not() {
    let mut world = World::at_rest(&two_steps());
    world.fresh = Health::Enough { ready: 0 };
    world.set_revision(SECOND);
    world.run(30);
    assert_eq!(world.weight(), 0);
    world.set_target_health(Health::Ready);
    world.run(1);
    world.log.clear();
    world.set_target_health(Health::Enough { ready: 0 });
    world.run(10);
    assert_eq!(
        world.said()[1],
        "canary deployment podinfo.test not ready: no pod is ready"
    );
}

#[test]
fn a_rollback_waits_for_a_primary_that_can_serve() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.set_primary_health(Health::Unavailable { ready: 0 });
    world.measure(0.0);
    world.run(60);
    assert_eq!(
        (world.weight(), world.phase(), world.target.replicas),
        (20, Phase::Progressing, 1)
    );
    world.set_primary_health(Health::Ready);
    world.run(5);
    assert_eq!(
        (world.weight(), world.phase(), world.target.replicas),
        (0, Phase::Failed, 0)
    );
    let said = world.said();
    let rollbacks = said
        .iter()
        .filter(|line| line.starts_with("Rolling back"))
        .count();
    assert_eq!(rollbacks, 1, "{said:?}");
}

#[test]
fn nobody_is_moved_while_neither_side_has_pods_and_checks_go_on_failing() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_primary_health(Health::Unavailable { ready: 0 });
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(15);
    assert_eq!((world.weight(), world.status().failed_checks), (20, 1));
}

#[test]
fn the_first_failed_check_is_enough_where_the_threshold_is_zero() {
    let analysis = with_metric(json!({ "interval": "10s", "threshold": 0, "stepWeight": 20 }));
    let mut world = World::at_weight(&analysis, 20);
    world.measure(0.0);
    world.run(10);
    assert_eq!(
        world.said()[..2],
        [
            "Halt podinfo.test advancement success rate 0.00% < 99%",
            "Rolling back podinfo.test failed checks threshold reached 1",
        ]
    );
}

#[test]
fn failed_checks_of_one_release_do_not_count_in_the_next() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(0.0);
    world.run(25);
    world.set_revision(THIRD);
    world.run(25);
    assert_eq!(
        (world.phase(), world.status().failed_checks),
        (Phase::Progressing, 2)
    );
    world.run(10);
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn the_last_ten_releases_are_remembered() {
    let mut world = World::at_rest(&two_steps());
    for n in 2..14 {
        world.set_revision(&format!("v1-{n:012x}"));
        world.run(60);
    }
    let status = world.status();
    let numbers: Vec<i64> = status.history.iter().map(|record| record.number).collect();
    assert_eq!(numbers, [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]);
    assert!(
        status
            .history
            .iter()
            .all(|record| record.outcome == Outcome::Promoted && record.weight == 40)
    );
}

#[test]
fn addresses_of_the_canary_are_remembered_while_the_release_runs() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.scale_up_to = 3;
    world.target.scale(3, "autoscaler", Health::Ready);
    world.stirred = true;
    world.settle();
    world.target.scale(1, "autoscaler", Health::Ready);
    world.stirred = true;
    world.settle();
    let seen: Vec<String> = world
        .status()
        .release
        .unwrap()
        .addresses
        .into_iter()
        .map(|seen| seen.ip)
        .collect();
    assert_eq!(seen, ["10.0.0.0", "10.0.0.1", "10.0.0.2"]);
}

#[test]
fn at_most_64_addresses_are_remembered_and_the_gone_are_forgotten_first() {
    let mut world = World::at_weight(&two_steps(), 20);
    for replicas in [200, 1, 64] {
        world.target.scale(replicas, "autoscaler", Health::Ready);
        world.stirred = true;
        world.settle();
        let seen = world.status().release.unwrap().addresses;
        assert_eq!(seen.len(), 64);
        assert_eq!(seen[0].ip, "10.0.0.0");
    }
    // Three new ones take the place of the three that are gone for longest.
    world.first_address = 62;
    world.target.scale(5, "autoscaler", Health::Ready);
    world.stirred = true;
    world.settle();
    let seen = world.status().release.unwrap().addresses;
    let ips: Vec<&str> = seen.iter().map(|seen| seen.ip.as_str()).collect();
    assert_eq!((ips.len(), ips[0], ips[63]), (64, "10.0.0.3", "10.0.0.66"));
}

#[test]
fn an_address_that_is_still_there_is_dated_anew_after_a_minute() {
    let analysis = json!({ "interval": "5m", "threshold": 3, "stepWeight": 20 });
    let mut world = World::at_weight(&analysis, 20);
    let seen = |world: &World| world.status().release.unwrap().addresses[0].last_seen;
    let first = seen(&world);
    for seconds in [60, 1] {
        assert_eq!(seen(&world), first);
        world.run(seconds);
        world.stirred = true;
        world.settle();
    }
    assert_eq!(seen(&world), world.now);
}
