//! The user's scenario, with their own YAML.

use super::story::{SECOND, THIRD};
use crate::canary::Canary;
use crate::release::Measured;
use crate::release::conditions::{self, PROMOTED};
use crate::release::tests::sim::Health;
use crate::release::tests::world::World;
use crate::status::{Outcome, Phase, Verdict};

const CANARY: &str = include_str!("../../../../../tests/seed/podinfo-canary.yaml");

fn seed() -> World {
    let mut canary: Canary = serde_yaml::from_str(CANARY).unwrap();
    canary.metadata.uid = Some("uid-1".to_owned());
    canary.metadata.generation = Some(1);
    World::new(canary, "apisix")
}

fn promoted_condition(world: &World) -> (String, String, String) {
    let status = world.status();
    assert_eq!(status.conditions[0].type_, PROMOTED);
    let condition = conditions::get(&status, PROMOTED).unwrap().clone();
    (condition.status, condition.reason, condition.message)
}

fn condition(status: &str, reason: &str, message: &str) -> (String, String, String) {
    (status.to_owned(), reason.to_owned(), message.to_owned())
}

/// A new image whose pod takes three seconds.
fn release(world: &mut World, revision: &str) {
    world.release_slowly(revision);
    world.pass(jiff::SignedDuration::from_secs(1));
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    world.pass(jiff::SignedDuration::from_secs(2));
    world.set_target_health(Health::Ready);
    world.fresh = Health::Ready;
    world.settle();
}

#[test]
fn the_first_release_is_promoted_with_the_events_in_order() {
    let mut world = seed();
    world.run(30);
    release(&mut world, SECOND);
    world.run(5);
    world
        .metrics
        .insert(0, Measured::NoValues("no values found".to_owned()));
    world.run(10);
    world.metrics.clear();
    world.run(120);
    let said = world.said();
    assert_eq!(
        said,
        [
            "all the metrics providers are available!",
            "Initialization done! podinfo.test",
            "New revision detected! Scaling up podinfo.test",
            "canary deployment podinfo.test not ready: waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available",
            "Starting canary analysis for podinfo.test",
            "Advance podinfo.test canary weight 10",
            "Halt advancement no values found for apisix metric request-success-rate probably podinfo.test is not receiving traffic: running query failed: no values found",
            "Advance podinfo.test canary weight 20",
            "Advance podinfo.test canary weight 30",
            "Advance podinfo.test canary weight 40",
            "Advance podinfo.test canary weight 50",
            "Copying podinfo.test template spec to podinfo-primary.test",
            "Routing all traffic to primary",
            "Promotion completed! Scaling down podinfo.test",
        ]
    );
    assert_eq!(
        promoted_condition(&world),
        condition(
            "True",
            "Succeeded",
            "Canary analysis completed successfully, promotion finished."
        )
    );
    assert_eq!(
        (
            world.primary_revision(),
            world.target.replicas,
            world.weight()
        ),
        (SECOND, 0, 0)
    );
    let status = world.status();
    assert_eq!(
        (
            status.failed_checks,
            status.canary_weight,
            status.iterations
        ),
        (1, 0, 0)
    );
    assert_eq!(status.last_promoted_spec.as_deref(), Some(SECOND));
}

#[test]
fn the_weights_move_by_ten_every_ten_seconds() {
    let mut world = seed();
    world.run(30);
    world.log.clear();
    world.set_revision(SECOND);
    world.run(120);
    super::story::expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 [route 90/10]
        0 Advance podinfo.test canary weight 10
        10 [route 80/20]
        10 Advance podinfo.test canary weight 20
        20 [route 70/30]
        20 Advance podinfo.test canary weight 30
        30 [route 60/40]
        30 Advance podinfo.test canary weight 40
        40 [route 50/50]
        40 Advance podinfo.test canary weight 50
        50 Copying podinfo.test template spec to podinfo-primary.test
        50 [promote v1-000000000002]
        50 [route 100/0]
        50 Routing all traffic to primary
        52 [scale 0]
        52 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn a_release_that_answers_errors_is_rolled_back_by_the_tenth_failed_check() {
    let mut world = seed();
    world.run(30);
    world.set_revision(SECOND);
    world.run(120);
    world.log.clear();
    world.metrics.insert(0, Measured::Value(0.0));
    world.set_revision(THIRD);
    world.run(120);
    let mut wanted = vec![
        "New revision detected! Scaling up podinfo.test",
        "Starting canary analysis for podinfo.test",
        "Advance podinfo.test canary weight 10",
    ];
    wanted.extend(["Halt podinfo.test advancement success rate 0.00% < 99%"; 10]);
    wanted.extend([
        "Rolling back podinfo.test failed checks threshold reached 10",
        "Canary failed! Scaling down podinfo.test",
    ]);
    assert_eq!(world.said(), wanted);
    assert_eq!(
        promoted_condition(&world),
        condition(
            "False",
            "Failed",
            "Canary analysis failed, Deployment scaled to zero."
        )
    );
    assert_eq!(
        (
            world.primary_revision(),
            world.target.replicas,
            world.weight()
        ),
        (SECOND, 0, 0)
    );
    let status = world.status();
    assert_eq!((status.phase, status.failed_checks), (Phase::Failed, 10));
    let outcomes: Vec<Outcome> = status.history.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::RolledBack, Outcome::Promoted]);
    let checks: Vec<_> = status
        .release
        .unwrap()
        .checks
        .into_iter()
        .map(|check| (check.name, check.verdict))
        .collect();
    assert_eq!(
        checks,
        [("request-success-rate".to_owned(), Verdict::Failed)]
    );
}

#[test]
fn a_slow_release_is_halted_by_its_duration() {
    let mut world = seed();
    world.run(30);
    world.set_revision(SECOND);
    world.run(5);
    world.log.clear();
    world.metrics.insert(1, Measured::Value(1250.7));
    world.run(10);
    assert_eq!(
        world.said(),
        ["Halt podinfo.test advancement request duration 1.25s > 500ms"]
    );
}

#[test]
fn changing_the_deployment_again_runs_the_analysis_again() {
    let mut world = seed();
    world.run(30);
    world.set_revision(SECOND);
    world.run(25);
    world.log.clear();
    world.set_revision(THIRD);
    world.run(100);
    let said = world.said();
    assert_eq!(
        said[..3],
        [
            "New revision detected! Restarting analysis for podinfo.test",
            "Starting canary analysis for podinfo.test",
            "Advance podinfo.test canary weight 10",
        ]
    );
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}
