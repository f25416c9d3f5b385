//! Releases that `CanaryPolicies` hold.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::story::{SECOND, canary, expect, two_steps, with_metric};
use crate::names::BREAK_GLASS;
use crate::release::tests::holds::governance;
use crate::release::tests::world::World;
use crate::release::{Governance, conditions};
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

const START: [bool; 4] = [true, false, false, false];
const GOING_ON: [bool; 4] = [false, true, true, false];
const APPROVAL: [bool; 4] = [false, false, false, true];

/// As a freeze that ends so many seconds from now.
fn until(world: &World, holds: [bool; 4], seconds: i64) -> Governance {
    let mut governance = governance(holds);
    let end = world.now + SignedDuration::from_secs(seconds);
    let holds = &mut governance.holds;
    for objection in [&mut holds.start, &mut holds.advance, &mut holds.promote]
        .into_iter()
        .flatten()
    {
        objection.until = Some(end);
    }
    holds.edge = Some(end);
    governance
}

fn govern(world: &mut World, policy: Governance) {
    world.policy = policy;
    world.stirred = true;
}

fn held(world: &World) -> Option<String> {
    let status = world.status();
    conditions::get(&status, conditions::HELD).map(|held| held.message.clone())
}

#[test]
fn a_release_in_a_freeze_waits_without_pods_and_starts_when_it_ends() {
    let mut world = World::at_rest(&two_steps());
    let freeze = until(&world, START, 100);
    govern(&mut world, freeze);
    world.set_revision(SECOND);
    world.settle();
    expect(
        &mut world,
        "0 Halt podinfo.test advancement: CanaryPolicy prod: spec.start: not now",
    );
    assert_eq!((world.phase(), world.target.replicas), (Phase::Waiting, 0));
    let release = world.status().release.unwrap();
    assert_eq!(release.waiting_for.as_deref(), Some("CanaryPolicy prod"));
    assert_eq!(
        held(&world).as_deref(),
        Some("CanaryPolicy prod: spec.start: not now")
    );
    let end: Timestamp = world.now + SignedDuration::from_secs(100);
    assert_eq!(world.wake, Some(end), "by a timer, not by polls");

    world.now = end;
    govern(&mut world, Governance::default());
    world.settle();
    assert_eq!(world.phase(), Phase::Progressing);
    assert_eq!(held(&world), None);
}

#[test]
fn a_release_that_waits_is_aborted_when_its_target_is_set_back() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, governance(START));
    world.set_revision(SECOND);
    world.settle();
    let promoted = world.status().last_promoted_spec.unwrap();
    world.set_revision(&promoted);
    world.settle();
    assert_eq!(world.phase(), Phase::Initialized);
    let outcome = world.status().release.unwrap().outcome;
    assert_eq!((outcome, held(&world)), (Some(Outcome::Aborted), None));
}

#[test]
fn a_running_release_is_held_at_its_weight_and_goes_on_at_the_freezes_end() {
    let mut world = World::at_weight(&two_steps(), 20);
    let freeze = until(&world, GOING_ON, 25);
    govern(&mut world, freeze);
    world.run(12);
    let due = world.status().release.unwrap().next_check_at.unwrap();
    let left = due.duration_since(world.now).as_secs();
    assert_eq!(left, 8, "checks go on meanwhile");
    world.run(12);
    expect(
        &mut world,
        "0 Halt podinfo.test advancement: CanaryPolicy prod: spec.advance: not now",
    );
    assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
    let end = world.now + SignedDuration::from_secs(1);
    assert_eq!(
        world.status().release.unwrap().next_check_at,
        Some(end),
        "the check that would go on is not later than the freeze"
    );
    world.now = end;
    govern(&mut world, Governance::default());
    world.settle();
    assert_eq!((world.weight(), held(&world)), (40, None));
}

#[test]
fn a_policy_that_is_deleted_lets_its_release_go_on_at_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    govern(&mut world, governance(GOING_ON));
    world.run(23);
    assert_eq!(world.weight(), 20);
    govern(&mut world, Governance::default());
    world.settle();
    assert_eq!(world.weight(), 40);
}

#[test]
fn what_holds_a_promotion_no_more_lets_it_begin_before_its_check_is_due() {
    let mut world = World::at_weight(&two_steps(), 40);
    govern(&mut world, governance([false, false, true, false]));
    world.run(13);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    let status = world.status();
    let reason = conditions::get(&status, conditions::HELD).map(|held| held.reason.as_str());
    assert_eq!(reason, Some("CanaryPolicy"), "nobody's approval is missing");
    govern(&mut world, Governance::default());
    world.settle();
    assert_eq!(world.phase(), Phase::Finalising);
}

#[test]
fn a_held_release_whose_checks_fail_rolls_back() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    govern(&mut world, governance(GOING_ON));
    world.run(10);
    world.measure(1.0);
    world.run(40);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
    assert_eq!(held(&world), None);
}

#[test]
fn a_promotion_that_needs_a_persons_leave_waits_for_it() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, governance(APPROVAL));
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(
        (world.phase(), world.weight()),
        (Phase::WaitingPromotion, 40)
    );
    let said = world.said();
    assert_eq!(
        said.iter()
            .filter(|text| text.ends_with("waiting for promotion approval CanaryPolicy prod"))
            .count(),
        1,
        "{said:?}"
    );
    world.ask(Verb::Promote, "r1");
    world.settle();
    assert_eq!(
        world.status().last_request.unwrap().outcome,
        RequestOutcome::Done
    );
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_canary_without_analysis_is_not_promoted_without_leave_either() {
    let mut canary = canary(&json!({ "interval": "10s", "threshold": 3 }));
    canary.spec.skip_analysis = Some(true);
    let mut world = World::at_rest_behind("apisix", canary);
    govern(&mut world, governance(APPROVAL));
    world.set_revision(SECOND);
    world.run(300);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    world.ask(Verb::Promote, "r1");
    world.run(30);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_request_that_a_policy_forbids_is_refused_in_its_words() {
    let mut world = World::at_weight(&two_steps(), 20);
    let policy = Governance {
        request: governance(GOING_ON).holds.advance,
        ..Governance::default()
    };
    govern(&mut world, policy);
    world.ask(Verb::Promote, "r1");
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(record.outcome, RequestOutcome::Refused);
    assert_eq!(record.message, "CanaryPolicy prod: spec.advance: not now");
    assert_eq!(world.weight(), 20);
}

#[test]
fn a_break_glass_that_comes_with_a_template_lets_its_release_through_and_no_other() {
    let all = [true, true, true, false];
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, governance(all));
    world.target.break_glass = Some("INC-7".to_owned());
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
    world.set_revision("v1-000000000003");
    world.run(60);
    assert_eq!(world.phase(), Phase::Waiting, "it is stale by now");
    world.target.break_glass = None;
    world.set_revision("v1-000000000004");
    world.run(60);
    assert_eq!(world.phase(), Phase::Waiting, "it is not there any more");
}

#[test]
fn a_break_glass_that_comes_alone_opens_nothing() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, governance(START));
    world.set_revision(SECOND);
    world.settle();
    world.target.break_glass = Some("INC-7".to_owned());
    world.stirred = true;
    world.run(60);
    assert_eq!(world.phase(), Phase::Waiting);
}

#[test]
fn a_break_glass_that_comes_with_a_request_lets_the_release_through() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, governance([true, true, true, false]));
    world.set_revision(SECOND);
    world.settle();
    let annotations = world.canary.metadata.annotations.get_or_insert_default();
    annotations.insert(BREAK_GLASS.to_owned(), "INC-7".to_owned());
    world.ask(Verb::Promote, "r1");
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
    world.set_revision("v1-000000000003");
    world.settle();
    world.ask(Verb::Promote, "r2");
    world.run(60);
    assert_eq!(
        world.phase(),
        Phase::Waiting,
        "it came with another request"
    );
}

fn unreadable() -> Governance {
    Governance {
        unreadable: Some("CanaryPolicies cannot be read: forbidden".to_owned()),
        ..Governance::default()
    }
}

#[test]
fn a_release_starts_and_advances_under_policies_that_cannot_be_read_and_is_not_promoted() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, unreadable());
    world.set_revision(SECOND);
    world.run(120);
    let mut said = world.said();
    said.retain(|line| line.starts_with("Halt"));
    let halt = "Halt podinfo.test advancement: CanaryPolicies cannot be read: forbidden";
    assert_eq!(said, [halt], "once, and nothing else");
    assert_eq!(
        (world.phase(), world.weight()),
        (Phase::WaitingPromotion, 40)
    );
    let status = world.status();
    let condition = conditions::get(&status, conditions::HELD).unwrap();
    assert_eq!(condition.reason, "PoliciesUnreadable");
    assert_eq!(
        condition.message,
        "CanaryPolicies cannot be read: forbidden"
    );
    let waits = status.release.unwrap().waiting_for;
    assert_eq!(waits.as_deref(), Some(crate::policy::UNREADABLE));

    govern(&mut world, Governance::default());
    world.run(60);
    assert_eq!((world.phase(), held(&world)), (Phase::Succeeded, None));
}

#[test]
fn no_leave_of_a_person_and_no_break_glass_promotes_under_policies_that_cannot_be_read() {
    let mut world = World::at_rest(&two_steps());
    govern(&mut world, unreadable());
    world.target.break_glass = Some("INC-7".to_owned());
    world.set_revision(SECOND);
    world.run(120);
    for (verb, id) in [(Verb::Promote, "r1"), (Verb::PromoteFull, "r2")] {
        world.ask(verb, id);
        world.run(60);
        assert_eq!(world.phase(), Phase::WaitingPromotion, "{verb:?}");
    }
}

#[test]
fn a_release_without_analysis_is_held_by_policies_that_cannot_be_read_as_well() {
    let mut world = World::at_rest(&two_steps());
    world.canary.spec.skip_analysis = Some(true);
    govern(&mut world, unreadable());
    world.set_revision(SECOND);
    world.run(120);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
}

#[test]
fn policies_that_cannot_be_read_hold_no_rollback() {
    let mut world = World::at_weight(&two_steps(), 20);
    govern(&mut world, unreadable());
    world.run(120);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    world.ask(Verb::Rollback, "r1");
    world.run(30);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn what_nobody_wants_analysed_and_a_policy_holds_goes_on_step_by_step_and_is_said_once() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.policy.unreadable = Some("no policy can be read".to_owned());
    world.ask(Verb::PromoteFull, "r1");
    world.settle();
    world.log.clear();
    world.run(9);
    assert_eq!((world.weight(), world.told().as_str()), (20, ""));
    world.run(60);
    expect(
        &mut world,
        "
        0 [route 60/40]
        0 Advance podinfo.test canary weight 40
        ",
    );
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    world.policy.unreadable = None;
    world.stirred = true;
    world.run(10);
    assert_eq!(world.phase(), Phase::Succeeded);
}
