//! Webhooks that hold a release, and those that judge it.

use super::story::{SECOND, THIRD, expect, two_steps, with_hooks, with_metric};
use crate::hook::HookKind;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase};

fn held_by(kind: HookKind) -> World {
    let mut world = World::at_rest(&with_hooks(two_steps(), &[(kind, "gate")]));
    world.hooks_answer(kind, Err("closed"));
    world.set_revision(SECOND);
    world.settle();
    world
}

#[test]
fn a_closed_rollout_gate_holds_the_release_before_there_are_pods() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.run(60);
    expect(
        &mut world,
        "0 Halt podinfo.test advancement waiting for approval gate",
    );
    assert_eq!((world.phase(), world.target.replicas), (Phase::Waiting, 0));
    assert_eq!(
        world.status().release.unwrap().waiting_for.as_deref(),
        Some("gate")
    );
}

#[test]
fn a_rollout_gate_that_opens_is_seen_at_the_next_check() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.hooks_answer(HookKind::ConfirmRollout, Ok(()));
    world.run(9);
    assert_eq!(world.phase(), Phase::Waiting);
    world.log.clear();
    world.run(1);
    expect(
        &mut world,
        "
        0 Confirm-rollout check gate passed
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Advance podinfo.test canary weight 20
        ",
    );
}

#[test]
fn a_person_opens_the_rollout_gate() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.log.clear();
    world.ask(Verb::Promote, "r1");
    world.settle();
    assert_eq!(world.weight(), 20);
    assert_eq!(
        world.status().last_request.unwrap().message,
        "approved: the release starts"
    );
    assert_eq!(
        world.said()[0],
        "Request of alice for podinfo.test: approve the release"
    );
}

#[test]
fn setting_the_target_back_while_the_rollout_gate_is_closed_aborts_the_release() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.run(5);
    world.set_revision(FIRST);
    world.run(20);
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initialized, 0)
    );
    assert_eq!(world.status().history[0].outcome, Outcome::Aborted);
}

#[test]
fn a_newer_revision_takes_the_place_of_the_one_that_waits() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.run(5);
    world.set_revision(THIRD);
    world.run(20);
    let status = world.status();
    assert_eq!(
        (status.phase, status.release.unwrap().revision.as_str()),
        (Phase::Waiting, THIRD)
    );
    assert_eq!(status.history[0].outcome, Outcome::Superseded);
}

#[test]
fn a_release_that_waits_can_be_rolled_back_and_does_not_start_again() {
    let mut world = held_by(HookKind::ConfirmRollout);
    world.ask(Verb::Rollback, "r1");
    world.run(60);
    assert_eq!((world.phase(), world.target.replicas), (Phase::Failed, 0));
    assert_eq!(world.status().history[0].outcome, Outcome::RolledBack);
}

#[test]
fn a_closed_traffic_gate_holds_the_weight_and_is_said_once() {
    let mut world = held_by(HookKind::ConfirmTrafficIncrease);
    world.log.clear();
    world.run(60);
    assert_eq!((world.weight(), world.told().as_str()), (0, ""));
    assert_eq!(world.status().failed_checks, 0);
}

#[test]
fn a_traffic_gate_is_asked_before_each_step() {
    let mut world = held_by(HookKind::ConfirmTrafficIncrease);
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Ok(()));
    world.run(10);
    assert_eq!(world.weight(), 20);
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.run(30);
    assert_eq!(world.weight(), 20);
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Ok(()));
    world.run(10);
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_persons_promote_takes_one_step_past_the_traffic_gate_and_no_more() {
    let mut world = held_by(HookKind::ConfirmTrafficIncrease);
    world.ask(Verb::Promote, "r1");
    world.run(60);
    assert_eq!(world.weight(), 20);
}

#[test]
fn pre_rollout_hooks_are_not_called_again_while_the_first_step_waits_for_its_gate() {
    let hooks = [
        (HookKind::PreRollout, "smoke"),
        (HookKind::ConfirmTrafficIncrease, "gate"),
    ];
    let mut world = World::at_rest(&with_hooks(two_steps(), &hooks));
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.set_revision(SECOND);
    world.run(5);
    world.hooks_answer(HookKind::PreRollout, Err("the fixture is used up"));
    world.log.clear();
    world.run(30);
    assert_eq!(
        (world.told().as_str(), world.status().failed_checks),
        ("", 0)
    );
}

#[test]
fn a_closed_promotion_gate_waits_at_the_maximum_and_goes_on_checking() {
    let hooks = [(HookKind::ConfirmPromotion, "gate")];
    let mut world = World::at_weight(&with_hooks(with_metric(two_steps()), &hooks), 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(15);
    expect(
        &mut world,
        "0 Halt podinfo.test advancement waiting for promotion approval gate",
    );
    let status = world.status();
    assert_eq!(
        (status.phase, status.canary_weight),
        (Phase::WaitingPromotion, 40)
    );
    world.measure(0.0);
    world.run(40);
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn a_promotion_gate_that_opens_promotes() {
    let hooks = [(HookKind::ConfirmPromotion, "gate")];
    let mut world = World::at_weight(&with_hooks(two_steps(), &hooks), 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(15);
    world.hooks_answer(HookKind::ConfirmPromotion, Ok(()));
    world.log.clear();
    world.run(15);
    assert_eq!(world.phase(), Phase::Succeeded);
    assert_eq!(world.said()[0], "Confirm-promotion check gate passed");
}

#[test]
fn a_person_opens_the_promotion_gate() {
    let hooks = [(HookKind::ConfirmPromotion, "gate")];
    let mut world = World::at_weight(&with_hooks(two_steps(), &hooks), 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(15);
    world.ask(Verb::Promote, "r1");
    world.settle();
    assert_eq!(world.primary_revision(), SECOND);
    assert_eq!(
        world.status().last_request.unwrap().message,
        "promotion started: the primary gets the new revision"
    );
}

#[test]
fn gates_of_one_name_each_hold() {
    let hooks = [
        (HookKind::ConfirmRollout, "gate"),
        (HookKind::ConfirmPromotion, "gate"),
    ];
    let mut world = World::at_weight(&with_hooks(two_steps(), &hooks), 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(60);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
}

#[test]
fn a_failed_pre_rollout_hook_counts_and_routes_nothing() {
    let mut world = held_by(HookKind::PreRollout);
    expect(
        &mut world,
        "
        0 [record v1-000000000002]
        0 New revision detected! Scaling up podinfo.test
        0 [scale 1]
        0 Starting canary analysis for podinfo.test
        0 Halt podinfo.test advancement pre-rollout check gate failed closed
        ",
    );
    world.run(10);
    assert_eq!((world.weight(), world.status().failed_checks), (0, 2));
    world.hooks_answer(HookKind::PreRollout, Ok(()));
    world.log.clear();
    world.run(10);
    assert_eq!(
        world.said(),
        [
            "Pre-rollout check gate passed",
            "Advance podinfo.test canary weight 20"
        ]
    );
}

#[test]
fn a_failed_rollout_hook_counts_and_comes_before_the_metrics() {
    let analysis = with_hooks(with_metric(two_steps()), &[(HookKind::Rollout, "load")]);
    let mut world = World::at_weight(&analysis, 20);
    world.hooks_answer(HookKind::Rollout, Err("boom"));
    world.measure(0.0);
    world.run(10);
    assert_eq!(
        world.said(),
        ["Halt podinfo.test advancement external check load failed boom"]
    );
    assert!(world.status().release.unwrap().checks.is_empty());
}

#[test]
fn a_rollback_hook_that_answers_rolls_back_at_the_next_check() {
    let mut world = World::at_weight(
        &with_hooks(two_steps(), &[(HookKind::Rollback, "alarm")]),
        20,
    );
    world.hooks_answer(HookKind::Rollback, Ok(()));
    world.run(20);
    expect(
        &mut world,
        "
        0 Rollback check alarm passed
        0 Rolling back podinfo.test manual webhook invoked
        0 [route 100/0]
        2 Canary failed! Scaling down podinfo.test
        2 [scale 0]
        ",
    );
}

#[test]
fn a_rollback_hook_is_heard_before_the_first_step_too() {
    let mut world = World::at_rest(&with_hooks(two_steps(), &[(HookKind::Rollback, "alarm")]));
    world.hooks_answer(HookKind::Rollback, Ok(()));
    world.set_revision(SECOND);
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_canary_that_blinks_while_a_gate_is_closed_has_its_deadline_anew() {
    let mut world = held_by(HookKind::ConfirmTrafficIncrease);
    world.run(600);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.run(30);
    assert_eq!(world.phase(), Phase::Progressing);
    world.set_target_health(Health::Ready);
    world.run(30);
    assert_eq!(world.phase(), Phase::Progressing);
}

/// What a release has got past.
fn passed(world: &World) -> Vec<String> {
    world.status().release.unwrap().passed
}

#[test]
fn what_a_release_got_past_holds_no_url() {
    let mut world = held_by(HookKind::ConfirmRollout);
    let hook = &mut world.canary.spec.analysis.webhooks[0];
    hook.url = "http://alice:secret@gate/?token=secret".to_owned();
    world.hooks_answer(HookKind::ConfirmRollout, Ok(()));
    world.run(10);
    let passed = passed(&world);
    assert!(passed[0].starts_with("confirm-rollout gate "), "{passed:?}");
    assert!(!passed.concat().contains("secret"), "{passed:?}");
}

#[test]
fn urls_that_were_kept_once_are_forgotten_and_their_gates_stay_open() {
    let mut world = held_by(HookKind::ConfirmPromotion);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(25);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    let mut status = world.status();
    let release = status.release.as_mut().unwrap();
    release
        .passed
        .push("confirm-promotion gate http://gate".to_owned());
    world.canary.status = Some(status);
    world.run(60);
    assert!(
        !passed(&world).concat().contains("://"),
        "{:?}",
        passed(&world)
    );
    assert_eq!(world.phase(), Phase::Succeeded);
}
