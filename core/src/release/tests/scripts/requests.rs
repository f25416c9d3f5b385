//! What people ask for.

use serde_json::json;

use super::story::{SECOND, THIRD, expect, two_steps, with_hooks, with_metric};
use crate::hook::HookKind;
use crate::release::GOING_BACK;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

/// Outcome and message of a request that was just made.
pub(super) fn outcome(world: &mut World, verb: Verb) -> (RequestOutcome, String) {
    let id = format!("r{}", world.status_writes);
    world.ask(verb, &id);
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!((record.id, record.verb), (id, verb.to_string()));
    assert_eq!(record.by.as_deref(), Some("alice"));
    (record.outcome, record.message)
}

pub(super) fn done(message: &str) -> (RequestOutcome, String) {
    (RequestOutcome::Done, message.to_owned())
}

pub(super) fn refused(message: &str) -> (RequestOutcome, String) {
    (RequestOutcome::Refused, message.to_owned())
}

#[test]
fn nothing_that_runs_is_needed_for_any_request_but_retry() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
    for verb in [
        Verb::Promote,
        Verb::PromoteFull,
        Verb::Rollback,
        Verb::Pause,
        Verb::Resume,
    ] {
        assert_eq!(
            outcome(&mut world, verb),
            refused("no release is running (phase Succeeded)")
        );
    }
    assert_eq!(
        outcome(&mut world, Verb::Retry),
        refused("only a failed release is retried (phase Succeeded)")
    );
}

#[test]
fn before_the_first_release_every_request_speaks_of_none() {
    let mut world = World::at_rest(&two_steps());
    for verb in Verb::ALL {
        let (outcome, message) = outcome(&mut world, verb);
        assert_eq!(outcome, RequestOutcome::Superseded);
        assert_eq!(
            message,
            format!("{FIRST} is not the current revision: there was no release yet")
        );
    }
}

#[test]
fn promote_takes_the_next_step_at_once_and_the_dwell_begins_anew() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(0.0);
    world.run(4);
    assert_eq!(outcome(&mut world, Verb::Promote), done("weight 20 → 40"));
    world.log.clear();
    world.run(9);
    assert_eq!(world.told(), "");
    world.run(1);
    assert_eq!(
        world.said(),
        ["Halt podinfo.test advancement success rate 0.00% < 99%"]
    );
}

#[test]
fn promote_at_the_maximum_starts_the_promotion() {
    let mut world = World::at_weight(&two_steps(), 40);
    let wanted = done("promotion started: the primary gets the new revision");
    assert_eq!(outcome(&mut world, Verb::Promote), wanted);
    assert_eq!(world.primary_revision(), SECOND);
}

#[test]
fn promote_is_refused_while_the_canary_is_not_ready() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    let why = "the canary is not ready: waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available";
    assert_eq!(outcome(&mut world, Verb::Promote), refused(why));
}

#[test]
fn promote_counts_iterations_where_weights_do_not_move() {
    let analysis = json!({ "interval": "10s", "threshold": 3, "iterations": 4 });
    let mut world = World::at_rest(&analysis);
    world.set_revision(SECOND);
    world.settle();
    assert_eq!(outcome(&mut world, Verb::Promote), done("iteration 2"));
}

#[test]
fn an_approval_does_not_outlive_its_step() {
    let analysis = json!({ "interval": "10s", "threshold": 3, "iterations": 1 });
    let hooks = [(HookKind::ConfirmTrafficIncrease, "gate")];
    let mut world = World::at_rest(&with_hooks(analysis, &hooks));
    world.fresh = Health::Rolling;
    world.set_revision(SECOND);
    world.settle();
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.target.health = Health::Ready;
    // Before the first check: the step that it takes is the one iteration, which moves no traffic.
    assert_eq!(outcome(&mut world, Verb::Promote), done("iteration 1"));
    world.run(60);
    assert_eq!(world.weight(), 0);
}

#[test]
fn promote_full_needs_no_more_checks() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(0.0);
    world.run(10);
    let wanted = done("promotion started: the primary gets the new revision");
    assert_eq!(outcome(&mut world, Verb::PromoteFull), wanted);
    world.run(10);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn promote_full_waits_for_ready_pods() {
    let mut world = World::at_rest(&two_steps());
    world.release_slowly(SECOND);
    assert_eq!(
        outcome(&mut world, Verb::PromoteFull),
        done("promotion starts when the canary is ready")
    );
    assert_eq!(world.phase(), Phase::Progressing);
    world.fresh = Health::Ready;
    world.set_target_health(Health::Ready);
    world.run(5);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn promote_full_does_not_open_the_rollout_gate() {
    let mut world = World::at_rest(&with_hooks(
        two_steps(),
        &[(HookKind::ConfirmRollout, "gate")],
    ));
    world.hooks_answer(HookKind::ConfirmRollout, Err("closed"));
    world.set_revision(SECOND);
    world.settle();
    let why = "the release waits for approval and has no pods yet: promote it first";
    assert_eq!(outcome(&mut world, Verb::PromoteFull), refused(why));
}

#[test]
fn rollback_routes_at_once_and_drains_before_pods_go() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.run(10);
    expect(
        &mut world,
        "
        0 Rolling back podinfo.test on request of alice
        0 [route 100/0]
        2 Canary failed! Scaling down podinfo.test
        2 [scale 0]
        ",
    );
    assert_eq!(world.status().history[0].outcome, Outcome::RolledBack);
}

#[test]
fn nothing_is_asked_of_a_release_that_goes_back_already() {
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Rollback);
    for verb in [
        Verb::Promote,
        Verb::PromoteFull,
        Verb::Rollback,
        Verb::Pause,
        Verb::Resume,
    ] {
        assert_eq!(
            outcome(&mut world, verb),
            refused("the release is being rolled back")
        );
    }
}

#[test]
fn a_promotion_that_a_person_rolls_back_sends_nobody_to_the_canary() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.log.clear();
    assert_eq!(
        outcome(&mut world, Verb::Rollback),
        done("rolling back: all traffic goes to the primary")
    );
    world.run(5);
    world.set_primary_health(Health::Ready);
    world.run(5);
    expect(
        &mut world,
        "
        0 Rolling back podinfo.test on request of alice
        0 [route 100/0]
        0 [promote v1-000000000001]
        5 Primary of podinfo.test is ready with the promoted revision again, routing all traffic to it
        7 [scale 0]
        ",
    );
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Failed, FIRST)
    );
}

#[test]
fn a_rollback_says_that_a_newer_template_is_released_next() {
    let next = format!("{GOING_BACK}; then the newer template of the target is released");
    for (newer, answer) in [(THIRD, next.as_str()), (FIRST, GOING_BACK)] {
        let mut world = World::at_weight(&two_steps(), 40);
        world.fresh = Health::Rolling;
        world.run(10);
        assert_eq!(world.phase(), Phase::Promoting);
        world.set_revision(newer);
        world.ask(Verb::Rollback, "r1");
        world.settle();
        assert_eq!(world.status().last_request.unwrap().message, answer);
    }
}

#[test]
fn a_promotion_cannot_be_paused() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    for verb in [Verb::Promote, Verb::PromoteFull, Verb::Pause, Verb::Resume] {
        assert_eq!(
            outcome(&mut world, verb),
            refused("the release is being promoted already")
        );
    }
}

#[test]
fn only_the_revision_that_its_author_saw_is_acted_on() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask_for(Verb::Rollback, THIRD, "r1");
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(record.outcome, RequestOutcome::Superseded);
    assert_eq!(
        record.message,
        format!("{THIRD} is not the current revision: the release is {SECOND} now")
    );
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_request_that_meets_a_newer_revision_is_superseded() {
    for verb in [Verb::Promote, Verb::PromoteFull] {
        let mut world = World::at_weight(&two_steps(), 20);
        world.target.set_template(THIRD, Health::Ready);
        let wanted = (
            RequestOutcome::Superseded,
            "the target has a newer revision".to_owned(),
        );
        assert_eq!(outcome(&mut world, verb), wanted);
        assert_eq!(world.primary_revision(), FIRST);
    }
    let mut world = World::at_weight(&two_steps(), 20);
    outcome(&mut world, Verb::Rollback);
    world.run(5);
    world.target.set_template(THIRD, Health::Ready);
    let wanted = (
        RequestOutcome::Superseded,
        "the target has another revision now".to_owned(),
    );
    assert_eq!(outcome(&mut world, Verb::Retry), wanted);
}

#[test]
fn a_request_to_the_canary_of_the_same_name_that_was_deleted_is_superseded() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.canary.metadata.uid = Some("uid-2".to_owned());
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(record.outcome, RequestOutcome::Superseded);
    assert_eq!(
        record.message,
        "the Canary was deleted and created again since"
    );
}

#[test]
fn a_request_is_never_acted_on_twice() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Promote, "r1");
    world.settle();
    assert_eq!(world.weight(), 40);
    world.stirred = true;
    world.settle();
    assert_eq!((world.weight(), world.phase()), (40, Phase::Progressing));
}

#[test]
fn a_request_that_cannot_be_read_is_answered_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask_for(Verb::Rollback, "not a revision", "r1");
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(
        (record.outcome, record.verb.as_str()),
        (RequestOutcome::Malformed, "unknown")
    );
    assert_eq!(world.said().len(), 1);
    world.stirred = true;
    world.settle();
    assert_eq!(world.said().len(), 0);
}

#[test]
fn who_asked_is_unknown_where_admission_did_not_see_it() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.request.as_mut().unwrap().by = None;
    world.request.as_mut().unwrap().reason = Some("it hurts".to_owned());
    world.settle();
    assert_eq!(
        world.said()[0],
        "Rolling back podinfo.test on request of unknown: it hurts"
    );
    let record = world.status().last_request.unwrap();
    assert_eq!(
        (record.by, record.reason.as_deref()),
        (None, Some("it hurts"))
    );
}

#[test]
fn a_check_that_is_due_is_made_although_a_request_came_with_it() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.pass(jiff::SignedDuration::from_secs(10));
    assert_eq!(
        outcome(&mut world, Verb::Resume),
        refused("the release is not paused")
    );
    assert_eq!(world.weight(), 40);
}
