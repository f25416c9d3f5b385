//! The primary cannot serve, and a newer revision is the fix.

use super::story::{SECOND, THIRD, expect, two_steps, with_hooks, with_metric};
use crate::hook::HookKind;
use crate::release::tests::holds::governance;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase};

const GONE: Health = Health::Unavailable { ready: 0 };

fn ended(world: &World) -> (Phase, &str, i64) {
    (world.phase(), world.primary_revision(), world.weight())
}

#[test]
fn a_primary_without_pods_keeps_no_revision_from_being_promoted() {
    let mut world = World::at_rest(&two_steps());
    world.set_primary_health(GONE);
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(ended(&world), (Phase::Succeeded, SECOND, 0));
}

#[test]
fn a_newer_revision_is_analysed_where_it_is_if_the_primary_cannot_take_the_traffic_back() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_primary_health(GONE);
    world.set_revision(THIRD);
    world.run(60);
    expect(
        &mut world,
        "
        0 [record v1-000000000003]
        0 New revision detected! Restarting analysis for podinfo.test
        0 Starting canary analysis for podinfo.test
        0 Primary of podinfo.test has no ready pods to return to, analysing the new revision at weight 20
        10 [route 60/40]
        10 Advance podinfo.test canary weight 40
        20 Copying podinfo.test template spec to podinfo-primary.test
        20 [promote v1-000000000003]
        20 [route 100/0]
        20 Routing all traffic to primary
        22 [scale 0]
        22 Promotion completed! Scaling down podinfo.test
        ",
    );
}

#[test]
fn a_revision_that_is_analysed_where_it_is_must_pass_its_checks() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.set_primary_health(GONE);
    world.set_revision(THIRD);
    world.measure(1.0);
    world.run(120);
    let status = world.status();
    assert_eq!(status.release.unwrap().outcome, Some(Outcome::RolledBack));
    // Nobody else could serve.
    assert_eq!(ended(&world), (Phase::Progressing, FIRST, 20));
    world.set_primary_health(Health::Ready);
    world.run(10);
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 0));
}

#[test]
fn a_primary_that_serves_again_gets_its_traffic_back_and_the_release_begins_anew() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_primary_health(GONE);
    world.set_revision(THIRD);
    world.run(12);
    assert_eq!(world.weight(), 40);
    world.log.clear();
    world.set_primary_health(Health::Ready);
    world.settle();
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 Primary of podinfo.test has ready pods again, routing all traffic to primary
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Advance podinfo.test canary weight 20
        ",
    );
}

#[test]
fn a_release_that_begins_anew_waits_for_its_promotion_no_more() {
    let hooks = [(HookKind::ConfirmPromotion, "gate")];
    let mut world = World::at_weight(&with_hooks(two_steps(), &hooks), 20);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.set_primary_health(GONE);
    world.set_revision(THIRD);
    world.run(25);
    assert_eq!(ended(&world), (Phase::WaitingPromotion, FIRST, 40));
    world.set_primary_health(Health::Ready);
    // At once, not by the step that follows.
    world.tick(None);
    assert_eq!(ended(&world), (Phase::Progressing, FIRST, 0));
    world.settle();
    assert_eq!(ended(&world), (Phase::Progressing, FIRST, 20));
}

#[test]
fn a_rollback_that_finds_no_primary_does_not_keep_the_fix_waiting() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.set_primary_health(GONE);
    world.measure(1.0);
    world.run(60);
    assert_eq!(ended(&world), (Phase::Progressing, FIRST, 20));
    world.measure(100.0);
    world.set_revision(THIRD);
    world.run(60);
    assert_eq!(ended(&world), (Phase::Succeeded, THIRD, 0));
    let history = world.status().history;
    let outcomes: Vec<_> = history.iter().map(|ended| ended.outcome).collect();
    assert_eq!(outcomes, [Outcome::Promoted, Outcome::RolledBack]);
}

#[test]
fn a_fix_that_is_taken_back_leaves_the_rollback_to_be_finished() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.set_primary_health(GONE);
    world.measure(1.0);
    world.run(60);
    world.set_revision(THIRD);
    world.tick(None);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 20));
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!((world.weight(), world.target.replicas), (20, 1));
    world.log.clear();
    world.set_primary_health(Health::Ready);
    world.run(10);
    expect(&mut world, "0 [route 100/0]\n2 [scale 0]");
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 0));
}

/// The promotion failed, and neither does the promoted revision become ready again: its image is gone.
fn recovering(health: Health) -> World {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    world.fresh = health;
    world.set_primary_health(Health::Dead);
    world.settle();
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 100));
    world.fresh = Health::Ready;
    world.log.clear();
    world
}

#[test]
fn a_primary_that_never_comes_back_does_not_keep_the_fix_waiting() {
    let mut world = recovering(GONE);
    world.run(30);
    world.set_revision(THIRD);
    world.run(25);
    assert_eq!(world.phase(), Phase::Failed);
    assert!(world.status().release.unwrap().recovering);
    world.run(60);
    assert_eq!(ended(&world), (Phase::Succeeded, THIRD, 0));
    let said = world.said();
    assert!(said.contains(&"Primary of podinfo.test has no ready pods to return to, analysing the new revision at weight 100".to_owned()), "{said:#?}");
}

#[test]
fn a_primary_whose_own_deadline_passed_again_is_not_waited_for_at_all() {
    let mut world = recovering(Health::Dead);
    world.set_revision(THIRD);
    world.settle();
    assert_eq!(world.phase(), Phase::Progressing);
    world.run(30);
    assert_eq!(ended(&world), (Phase::Succeeded, THIRD, 0));
}

#[test]
fn a_primary_that_comes_back_in_time_makes_the_fix_begin_from_no_traffic() {
    let mut world = recovering(GONE);
    world.set_revision(THIRD);
    world.run(10);
    world.set_primary_health(Health::Ready);
    world.run(3);
    assert_eq!(world.weight(), 20);
    let told = world.told();
    let back = told.find("[route 100/0]").unwrap();
    assert!(back < told.find("[route 80/20]").unwrap(), "{told}");
}

#[test]
fn a_fix_that_waits_for_approval_gives_the_primary_its_traffic_as_soon_as_it_serves() {
    let gate = HookKind::ConfirmRollout;
    let mut world = World::at_rest(&with_hooks(with_metric(two_steps()), &[(gate, "gate")]));
    world.set_revision(SECOND);
    world.settle();
    assert_eq!(world.weight(), 20);
    world.set_primary_health(GONE);
    world.measure(1.0);
    world.run(60);
    world.hooks_answer(gate, Err("closed"));
    world.set_revision(THIRD);
    world.run(30);
    assert_eq!((world.phase(), world.weight()), (Phase::Waiting, 20));
    world.set_primary_health(Health::Ready);
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Waiting, 0));
    world.hooks_answer(gate, Ok(()));
    world.measure(100.0);
    world.run(60);
    assert_eq!(ended(&world), (Phase::Succeeded, THIRD, 0));
}

#[test]
fn a_paused_release_stays_where_it_is_when_the_primary_serves_again() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_primary_health(GONE);
    world.set_revision(THIRD);
    world.settle();
    world.ask(Verb::Pause, "r1");
    world.settle();
    world.set_primary_health(Health::Ready);
    world.run(30);
    assert_eq!(world.weight(), 20);
    world.ask(Verb::Resume, "r2");
    world.settle();
    world.run(60);
    assert_eq!(ended(&world), (Phase::Succeeded, THIRD, 0));
}

/// The promotion failed, the canary serves everybody, and the primary comes back with a newer revision
/// already waiting.
fn waiting_with_everybody_on_the_canary() -> World {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Dead;
    world.run(10);
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 100));
    world.policy = governance([true, false, false, false]);
    world.set_primary_health(GONE);
    world.fresh = Health::Ready;
    world.set_revision(THIRD);
    // Until the primary has had its time to come back.
    world.run(60);
    assert_eq!(ended(&world), (Phase::Waiting, FIRST, 100));
    world.log.clear();
    world
}

#[test]
fn what_waits_and_is_taken_back_keeps_its_pods_until_connections_have_drained() {
    let mut world = waiting_with_everybody_on_the_canary();
    world.set_primary_health(Health::Ready);
    world.set_revision(FIRST);
    world.run(10);
    expect(
        &mut world,
        "
        0 [route 100/0]
        0 Primary of podinfo.test has ready pods again, routing all traffic to primary
        2 [scale 0]
        ",
    );
    assert_eq!(world.phase(), Phase::Initialized);
}

#[test]
fn a_release_that_has_to_wait_leaves_nobody_on_the_canary_that_it_replaces() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Dead;
    world.run(10);
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 100));
    world.policy = governance([true, false, false, false]);
    world.fresh = Health::Ready;
    // Its old pods came back; those of its own revision do not.
    world.set_primary_health(Health::Stuck);
    world.set_revision(THIRD);
    world.tick(None);
    assert_eq!(ended(&world), (Phase::Failed, FIRST, 0), "at once");
    world.tick(None);
    assert_eq!(ended(&world), (Phase::Waiting, FIRST, 0));
    // They have connections that must drain.
    assert_eq!(world.status().release.unwrap().peak_weight, 100);
}
