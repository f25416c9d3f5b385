//! Webhooks and metric servers that take their time: nothing but what needs their answer waits for it.

use super::story::{SECOND, THIRD, expect, two_steps, with_hooks, with_metric};
use crate::hook::HookKind;
use crate::release::conditions::{self, UNANSWERED};
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, Replies, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase};

/// At 20 %, with a check whose webhook has been called and does not answer.
fn hanging() -> World {
    let mut world = World::at_weight(&with_hooks(two_steps(), &[(HookKind::Rollout, "load")]), 20);
    world.replies = Replies::Never;
    world.run(60);
    assert_eq!((world.weight(), world.told().as_str()), (20, ""));
    world
}

fn unanswered(world: &World) -> Option<String> {
    conditions::get(&world.status(), UNANSWERED).map(|told| told.message.clone())
}

#[test]
fn a_webhook_that_has_not_answered_for_a_minute_is_told_once_and_until_it_answers() {
    let mut world = hanging();
    let said = "webhook load of podinfo.test was called at 2026-01-01T00:00:40Z and has not answered: the release goes no further until it answers or its timeout is over; checks go on, and going back does not wait for it";
    world.run(10);
    assert_eq!(world.said(), [said]);
    assert_eq!(unanswered(&world).as_deref(), Some(said));
    world.run(3600);
    assert_eq!(world.said(), [""; 0]);
    world.replies = Replies::After(0);
    world.stirred = true;
    world.settle();
    assert_eq!((world.weight(), unanswered(&world)), (40, None));
}

#[test]
fn a_check_that_is_awaited_neither_passes_nor_fails() {
    let mut world = hanging();
    let status = world.status();
    assert_eq!(
        (status.failed_checks, status.phase),
        (0, Phase::Progressing)
    );
    world.replies = Replies::After(0);
    world.stirred = true;
    world.settle();
    expect(
        &mut world,
        "
        0 [route 60/40]
        0 Advance podinfo.test canary weight 40
        ",
    );
}

#[test]
fn while_a_webhook_hangs_a_canary_that_loses_its_pods_loses_its_traffic() {
    let mut world = hanging();
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    assert_eq!(world.weight(), 0);
    world.set_target_health(Health::Ready);
    world.settle();
    assert_eq!(world.weight(), 20, "and gets it back with its pods");
}

#[test]
fn while_a_webhook_hangs_a_person_rolls_back_and_pauses() {
    let mut world = hanging();
    world.ask(Verb::Pause, "r1");
    world.settle();
    assert_eq!(world.status().last_request.unwrap().verb, "pause");
    world.ask(Verb::Rollback, "r2");
    world.run(5);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
    assert_eq!(world.status().history[0].outcome, Outcome::RolledBack);
}

#[test]
fn while_a_webhook_hangs_a_newer_revision_takes_the_place_of_the_release() {
    let mut world = hanging();
    world.set_revision(THIRD);
    world.settle();
    assert_eq!(world.status().release.unwrap().revision, THIRD);
    assert!(world.told().contains("[route 100/0]"));
}

#[test]
fn while_a_webhook_hangs_a_target_that_is_set_back_ends_the_release() {
    let mut world = hanging();
    world.set_revision(FIRST);
    world.run(5);
    assert_eq!(world.status().history[0].outcome, Outcome::Aborted);
}

#[test]
fn while_a_gate_hangs_a_persons_promote_is_answered_late_and_pods_are_watched() {
    let mut world = World::at_weight(
        &with_hooks(two_steps(), &[(HookKind::ConfirmTrafficIncrease, "gate")]),
        20,
    );
    world.replies = Replies::Never;
    world.run(60);
    world.ask(Verb::Retry, "r1");
    world.settle();
    assert_eq!(
        world.status().last_request.unwrap().id,
        "r1",
        "no gate is asked for it"
    );
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    assert_eq!(world.weight(), 0);
}

#[test]
fn answers_that_come_one_by_one_lead_to_the_same_release() {
    let analysis = with_hooks(
        with_metric(two_steps()),
        &[
            (HookKind::ConfirmRollout, "start"),
            (HookKind::PreRollout, "smoke"),
            (HookKind::Rollout, "load"),
            (HookKind::ConfirmTrafficIncrease, "more"),
            (HookKind::ConfirmPromotion, "end"),
            (HookKind::Rollback, "back"),
        ],
    );
    let told = |replies| {
        let mut world = World::at_rest(&analysis);
        world.replies = replies;
        world.set_revision(SECOND);
        world.run(300);
        assert_eq!(world.phase(), Phase::Succeeded);
        world.told()
    };
    assert_eq!(told(Replies::After(0)), told(Replies::AtOnce));
}

/// At 20 %, with a gate before the next step that was asked and does not answer.
fn at_a_gate_that_hangs() -> World {
    let hooks = with_hooks(
        with_metric(two_steps()),
        &[(HookKind::ConfirmTrafficIncrease, "gate")],
    );
    let mut world = World::at_weight(&hooks, 20);
    world.replies = Replies::After(25);
    world
}

#[test]
fn while_a_gate_hangs_checks_go_on_and_the_threshold_rolls_back() {
    let mut world = at_a_gate_that_hangs();
    world.replies = Replies::Never;
    world.run(10);
    world.replies = Replies::AtOnce;
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.measure(1.0);
    world.run(40);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_gate_that_takes_longer_than_an_interval_lets_nobody_past_on_old_metrics() {
    let mut world = at_a_gate_that_hangs();
    // It is asked at the check that is due in 10 s.
    world.run(12);
    assert_eq!(world.weight(), 20);
    world.measure(1.0);
    world.run(28);
    assert_eq!(world.weight(), 20, "{}", world.told());
    assert!(world.status().failed_checks > 0);
}

#[test]
fn a_check_whose_webhook_takes_longer_than_an_interval_goes_on_with_its_metrics() {
    let hooks = with_hooks(with_metric(two_steps()), &[(HookKind::Rollout, "load")]);
    let mut world = World::at_weight(&hooks, 20);
    world.replies = Replies::After(25);
    world.run(10 + 25 + 1);
    assert_eq!(world.weight(), 20, "its metrics are asked anew");
    world.replies = Replies::After(0);
    world.run(1);
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_release_whose_gate_hangs_waits_where_people_see_it_and_can_be_rolled_back() {
    let hooks = with_hooks(two_steps(), &[(HookKind::ConfirmRollout, "gate")]);
    let mut world = World::at_rest(&hooks);
    world.replies = Replies::Never;
    world.set_revision(SECOND);
    world.settle();
    assert_eq!(world.phase(), Phase::Initialized);
    world.run(3);
    assert_eq!(world.phase(), Phase::Waiting);
    assert_eq!(
        world.status().release.unwrap().waiting_for.as_deref(),
        Some("gate")
    );
    world.ask(Verb::Rollback, "r1");
    world.run(60);
    assert_eq!((world.phase(), world.target.replicas), (Phase::Failed, 0));
}
