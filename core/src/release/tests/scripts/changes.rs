//! What comes in between: revisions, configuration, suspension, a new default.

use super::story::{SECOND, THIRD, expect, two_steps, with_metric};
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{ImageChange, Outcome, Phase, RequestOutcome};

fn change_config(world: &mut World, checksum: &str) {
    world
        .configs
        .insert("configmap/podinfo".to_owned(), checksum.to_owned());
    world.stirred = true;
}

/// At rest, with a config that is tracked.
fn with_config(mut world: World) -> World {
    let mut status = world.status();
    status.tracked_configs = Some(std::collections::BTreeMap::new());
    world.canary.status = Some(status);
    change_config(&mut world, "one");
    world.run(100);
    world.log.clear();
    world
}

#[test]
fn a_release_knows_what_changes_and_who_changed_it() {
    let mut world = World::at_rest(&two_steps());
    world.target.changed_by = Some("alice".to_owned());
    world.set_revision(SECOND);
    world.settle();
    let release = world.status().release.unwrap();
    assert_eq!(
        (release.number, release.by.as_deref(), release.from.as_str()),
        (1, Some("alice"), FIRST)
    );
    let change = ImageChange {
        container: "podinfod".to_owned(),
        from: Some(format!("podinfo:{FIRST}")),
        to: Some(format!("podinfo:{SECOND}")),
    };
    assert_eq!(release.images, [change]);
}

#[test]
fn a_newer_revision_starts_again_from_the_primary() {
    let mut world = World::at_weight(&with_metric(two_steps()), 40);
    world.measure(0.0);
    world.run(10);
    world.measure(100.0);
    world.log.clear();
    world.set_revision(THIRD);
    world.run(5);
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 [record v1-000000000003]
        0 New revision detected! Restarting analysis for podinfo.test
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Advance podinfo.test canary weight 20
        ",
    );
    let status = world.status();
    assert_eq!(
        (
            status.failed_checks,
            status.release.as_ref().unwrap().number
        ),
        (0, 2)
    );
    assert_eq!(status.history[0].outcome, Outcome::Superseded);
    assert_eq!(status.history[0].weight, 40);
}

#[test]
fn a_release_that_status_has_lost_begins_anew() {
    let mut world = World::at_weight(&two_steps(), 40);
    let mut status = world.status();
    status.release = None;
    world.canary.status = Some(status);
    world.stirred = true;
    world.settle();
    let status = world.status();
    assert_eq!(
        (status.phase, status.canary_weight),
        (Phase::Progressing, 20)
    );
    assert_eq!(status.release.unwrap().revision, SECOND);
}

#[test]
fn a_target_set_back_aborts_the_release() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_revision(FIRST);
    world.run(10);
    expect(
        &mut world,
        "
        0 Rolling back podinfo.test target was set back to the promoted revision
        0 [route 100/0]
        2 Canary failed! Scaling down podinfo.test
        2 [scale 0]
        ",
    );
    assert_eq!(
        (world.phase(), world.status().history[0].outcome),
        (Phase::Failed, Outcome::Aborted)
    );
}

#[test]
fn a_target_set_back_after_it_failed_is_no_release() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.run(10);
    world.log.clear();
    world.set_revision(FIRST);
    world.run(30);
    assert_eq!((world.phase(), world.told().as_str()), (Phase::Failed, ""));
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn a_fix_after_a_failure_is_a_release_of_its_own() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(0.0);
    world.run(60);
    assert_eq!(world.phase(), Phase::Failed);
    world.measure(100.0);
    world.set_revision(THIRD);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}

#[test]
fn a_revision_that_arrives_while_traffic_drains_is_not_lost() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.settle();
    world.set_revision(THIRD);
    world.log.clear();
    world.run(60);
    let told = world.told();
    assert!(!told.lines().next().unwrap().contains("scale 0"), "{told}");
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}

#[test]
fn a_revision_that_arrives_during_a_promotion_gets_no_traffic_and_is_released_next() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    world.fresh = Health::Ready;
    world.log.clear();
    world.set_revision(THIRD);
    world.settle();
    assert_eq!(
        world.said(),
        [
            "podinfo.test changed while being promoted, routing all traffic to primary; the new revision follows as a release of its own"
        ]
    );
    assert_eq!((world.weight(), world.primary_revision()), (0, SECOND));
    world.set_primary_health(Health::Ready);
    world.run(60);
    let outcomes: Vec<_> = world
        .status()
        .history
        .iter()
        .map(|r| (r.revision.clone(), r.outcome))
        .collect();
    assert_eq!(
        outcomes,
        [
            (THIRD.to_owned(), Outcome::Promoted),
            (SECOND.to_owned(), Outcome::Promoted)
        ]
    );
    assert_eq!(world.primary_revision(), THIRD);
}

#[test]
fn a_changed_config_is_released_like_a_revision() {
    let mut world = with_config(World::at_rest(&two_steps()));
    change_config(&mut world, "two");
    world.run(60);
    expect(
        &mut world,
        "
        0 [record v1-000000000001]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Advance podinfo.test canary weight 20
        10 [route 60/40]
        10 Advance podinfo.test canary weight 40
        20 Copying podinfo.test template spec to podinfo-primary.test
        20 [promote v1-000000000001]
        20 [route 100/0]
        20 Routing all traffic to primary
        22 [scale 0]
        22 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn a_config_that_changes_in_mid_release_starts_it_again_under_its_number() {
    let mut world = with_config(World::at_rest(&two_steps()));
    world.set_revision(SECOND);
    world.run(15);
    let number = world.status().release.unwrap().number;
    world.log.clear();
    change_config(&mut world, "two");
    world.run(3);
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 [record v1-000000000002]
        0 New revision detected! Restarting analysis for podinfo.test
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Advance podinfo.test canary weight 20
        ",
    );
    assert_eq!(world.status().release.unwrap().number, number);
}

#[test]
fn a_new_default_of_the_api_server_is_no_release() {
    let mut world = World::at_rest(&two_steps());
    world.target.revision = SECOND.to_owned();
    world.stirred = true;
    world.run(30);
    expect(
        &mut world,
        "0 [rebaseline \"v1-000000000001\" to v1-000000000002]",
    );
    let status = world.status();
    assert_eq!(
        (status.phase, status.last_promoted_spec.as_deref()),
        (Phase::Initialized, Some(SECOND))
    );
    assert_eq!(world.primary_revision(), SECOND);
}

#[test]
fn a_new_default_is_told_from_a_release_after_releases_too() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.run(60);
    world.log.clear();
    world.target.revision = THIRD.to_owned();
    world.stirred = true;
    world.run(30);
    expect(
        &mut world,
        "0 [rebaseline \"v1-000000000002\" to v1-000000000003]",
    );
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_new_default_in_mid_release_does_not_start_it_again() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.target.revision = THIRD.to_owned();
    world.stirred = true;
    world.run(30);
    let status = world.status();
    assert_eq!((status.phase, status.history.len()), (Phase::Succeeded, 1));
    assert_eq!(world.primary_revision(), THIRD);
}

#[test]
fn a_target_that_was_created_again_unchanged_is_no_release() {
    let mut world = World::at_rest(&two_steps());
    world.target.uid = "another".to_owned();
    world.target.generation = 1;
    world.stirred = true;
    world.run(30);
    assert_eq!(world.told(), "");
    assert_eq!(world.status().target.unwrap().uid, "another");
}

#[test]
fn a_request_for_a_release_whose_revision_got_another_name_is_for_it_all_the_same() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.target.revision = "v1-d00000000002".to_owned();
    world.run(5);
    let request = world.status().last_request.unwrap();
    assert_eq!(request.outcome, RequestOutcome::Done, "{}", request.message);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}
