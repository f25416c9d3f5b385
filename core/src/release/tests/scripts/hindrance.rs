//! Something is missing around the Canary, or refused.

use jiff::SignedDuration;

use super::story::{SECOND, THIRD, canary, expect, two_steps, with_metric};
use crate::message::Message;
use crate::release::conditions::{self, HALTED, PROMOTED, READY};
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::release::{Action, Problem, untouched};
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

fn missing(name: &str) -> Problem {
    Problem {
        reason: "AutoscalerNotFound",
        message: format!("HorizontalPodAutoscaler {name}.test not found"),
    }
}

fn meet(world: &mut World, name: &str) {
    world.problems = vec![missing(name)];
    world.stirred = true;
    world.settle();
}

fn lose_target(world: &mut World) {
    world.target_gone = true;
    meet(world, "web");
}

#[test]
fn a_problem_is_said_once_and_kept_as_a_condition() {
    let mut world = World::at_rest(&two_steps());
    meet(&mut world, "web");
    assert_eq!(world.said(), ["HorizontalPodAutoscaler web.test not found"]);
    let status = world.status();
    let ready = conditions::get(&status, READY).unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "AutoscalerNotFound")
    );
    let writes = world.status_writes;
    meet(&mut world, "web");
    assert_eq!((world.said().len(), world.status_writes), (0, writes));
    meet(&mut world, "other");
    assert_eq!(world.said().len(), 1);
}

#[test]
fn several_problems_are_one_condition_that_names_them_all() {
    let mut world = World::at_rest(&two_steps());
    world.problems = vec![missing("web"), missing("api"), missing("web")];
    world.stirred = true;
    world.settle();
    let status = world.status();
    let ready = conditions::get(&status, READY).unwrap();
    assert_eq!(
        ready.message,
        "HorizontalPodAutoscaler web.test not found; HorizontalPodAutoscaler api.test not found"
    );
}

#[test]
fn a_new_canary_with_a_problem_keeps_its_baseline_for_later() {
    let mut world = World::new(canary(&two_steps()), "apisix");
    meet(&mut world, "web");
    let status = world.status();
    assert_eq!(
        (status.phase, status.last_applied_spec.is_none()),
        (Phase::New, true)
    );
    assert_eq!(status.conditions[0].type_, PROMOTED);
    assert_eq!(status.conditions[0].reason, "Initializing");
    world.problems.clear();
    world.stirred = true;
    world.run(10);
    assert_eq!(world.phase(), Phase::Initialized);
}

#[test]
fn a_release_holds_its_weight_while_something_is_missing_and_goes_on_afterwards() {
    let mut world = World::at_weight(&two_steps(), 20);
    meet(&mut world, "web");
    world.run(3600);
    assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
    world.problems.clear();
    world.stirred = true;
    world.settle();
    assert_eq!(conditions::get(&world.status(), READY), None);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn checks_go_on_while_something_is_missing_and_the_threshold_rolls_back() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    meet(&mut world, "web");
    world.log.clear();
    world.measure(10.0);
    world.run(60);
    expect(
        &mut world,
        "
        0 Halt podinfo.test advancement success rate 10.00% < 99%
        10 Halt podinfo.test advancement success rate 10.00% < 99%
        20 Halt podinfo.test advancement success rate 10.00% < 99%
        20 Rolling back podinfo.test failed checks threshold reached 3
        20 [route 100/0]
        22 Canary failed! Scaling down podinfo.test
        22 [scale 0]
        ",
    );
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn a_person_rolls_back_at_once_whatever_is_missing() {
    let mut world = World::at_weight(&two_steps(), 40);
    meet(&mut world, "web");
    world.ask(Verb::Rollback, "r1");
    world.settle();
    assert_eq!(world.weight(), 0);
    let answer = world.status().last_request.unwrap();
    assert_eq!(
        (answer.outcome, answer.pending),
        (RequestOutcome::Done, false)
    );
}

#[test]
fn nobody_promotes_while_something_is_missing_and_the_answer_names_it() {
    for verb in [Verb::Promote, Verb::PromoteFull] {
        let mut world = World::at_weight(&two_steps(), 20);
        meet(&mut world, "web");
        world.ask(verb, "r1");
        world.settle();
        let answer = world.status().last_request.unwrap();
        assert_eq!(answer.outcome, RequestOutcome::Refused);
        assert_eq!(
            answer.message,
            "the release cannot go forward: HorizontalPodAutoscaler web.test not found"
        );
        assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
    }
}

#[test]
fn people_pause_and_a_deadline_rolls_back_while_something_is_missing() {
    let mut world = World::at_weight(&two_steps(), 20);
    meet(&mut world, "web");
    world.ask(Verb::Pause, "r1");
    world.settle();
    assert!(world.status().release.unwrap().paused.is_some());
    world.ask(Verb::Resume, "r2");
    world.settle();
    world.set_target_health(Health::Stuck);
    world.run(5);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_canary_without_pods_gets_no_traffic_while_something_is_missing() {
    let mut world = World::at_weight(&two_steps(), 40);
    meet(&mut world, "web");
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    assert_eq!(world.weight(), 0);
    world.set_target_health(Health::Ready);
    world.settle();
    assert_eq!(world.weight(), 0, "raised while something was missing");
    world.problems.clear();
    world.stirred = true;
    world.settle();
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_target_that_is_deleted_in_mid_release_ends_it_with_everybody_on_the_primary() {
    for weight in [20, 40] {
        let mut world = World::at_weight(&two_steps(), weight);
        lose_target(&mut world);
        world.run(10);
        assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
        let said = world.said();
        let told = "Rolling back podinfo.test the target does not exist any more";
        assert_eq!(said.iter().filter(|line| *line == told).count(), 1);
        assert_eq!(world.status().history[0].outcome, Outcome::RolledBack);
    }
}

#[test]
fn a_paused_release_whose_target_is_deleted_ends_too() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Pause, "r1");
    world.settle();
    lose_target(&mut world);
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_target_that_is_deleted_while_it_is_promoted_gives_the_primary_back_first() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!(world.phase(), Phase::Promoting);
    assert_eq!(world.primary_revision(), SECOND);
    lose_target(&mut world);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
    assert_eq!(world.primary_revision(), FIRST);
    world.set_primary_health(Health::Ready);
    world.run(10);
    assert!(!world.status().release.unwrap().recovering);
}

#[test]
fn a_target_that_comes_back_with_another_template_is_a_release_of_its_own() {
    let mut world = World::at_weight(&two_steps(), 20);
    lose_target(&mut world);
    world.run(10);
    world.target_gone = false;
    world.problems.clear();
    world.target.uid.push('+');
    world.set_revision(THIRD);
    world.run(100);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}

#[test]
fn a_target_that_is_deleted_at_rest_changes_nothing_but_the_condition() {
    let mut world = World::at_rest(&two_steps());
    lose_target(&mut world);
    world.run(3600);
    assert_eq!(world.phase(), Phase::Initialized);
    assert_eq!(world.said(), ["HorizontalPodAutoscaler web.test not found"]);
}

#[test]
fn no_release_starts_while_something_is_missing_and_none_is_lost() {
    let mut world = World::at_rest(&two_steps());
    meet(&mut world, "web");
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!((world.phase(), world.weight()), (Phase::Initialized, 0));
    world.problems.clear();
    world.stirred = true;
    world.run(100);
    assert_eq!(world.primary_revision(), SECOND);
}

#[test]
fn an_unanalysed_change_gets_no_traffic_while_something_is_missing() {
    let mut world = World::at_weight(&two_steps(), 20);
    meet(&mut world, "web");
    world.set_revision(THIRD);
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Progressing, 0));
    world.run(600);
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_promotion_that_has_not_begun_to_write_waits_for_what_is_missing_until_its_deadline() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.ask(Verb::PromoteFull, "r1");
    world.tick(None);
    assert_eq!(world.phase(), Phase::Promoting);
    meet(&mut world, "web");
    world.run(30);
    assert_eq!(
        (world.phase(), world.primary_revision(), world.weight()),
        (Phase::Promoting, FIRST, 40)
    );
    world.ask(Verb::Rollback, "r2");
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

// --- writes that fail

fn refused() -> Problem {
    Problem {
        reason: "WriteFailed",
        message: "patch ApisixRoute web.test: failed calling webhook".to_owned(),
    }
}

#[test]
fn a_rollback_that_cannot_be_routed_stays_decided_and_is_not_said_to_be_done() {
    let mut analysis = with_metric(two_steps());
    analysis["threshold"] = 1.into();
    let mut world = World::at_weight(&analysis, 20);
    world.measure(10.0);
    world.now = world.wake.unwrap();
    world.tick_refused(|action| matches!(action, Action::Route(_)), None);
    let status = world.status();
    assert_eq!(conditions::get(&status, READY), None, "told at once");
    let release = status.release.unwrap();
    assert_eq!(
        (release.outcome, release.ended_at, status.canary_weight),
        (Some(Outcome::RolledBack), None, 20)
    );
    world.measure(100.0);
    world.tick_refused(
        |action| matches!(action, Action::Route(_)),
        Some(&refused()),
    );
    let status = world.status();
    let ready = conditions::get(&status, READY).unwrap();
    assert_eq!(ready.reason, "WriteFailed");
    world.stirred = true;
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
    assert_eq!(conditions::get(&world.status(), READY), None);
}

#[test]
fn a_persons_rollback_that_cannot_be_routed_is_pending_until_it_is() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.ask(Verb::Rollback, "r1");
    world.tick_refused(
        |action| matches!(action, Action::Route(_)),
        Some(&refused()),
    );
    let answer = world.status().last_request.unwrap();
    assert!(answer.pending, "{answer:?}");
    world.stirred = true;
    world.settle();
    let answer = world.status().last_request.unwrap();
    assert_eq!(
        (answer.pending, answer.outcome),
        (false, RequestOutcome::Done)
    );
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_promotion_that_is_withdrawn_and_cannot_be_routed_is_withdrawn_once_and_pending() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.log.clear();
    world.ask(Verb::Rollback, "r1");
    for _ in 0..3 {
        world.tick_refused(
            |action| matches!(action, Action::Route(_)),
            Some(&refused()),
        );
    }
    let status = world.status();
    assert_eq!(
        (status.phase, status.canary_weight, world.weight()),
        (Phase::Failed, 40, 40)
    );
    assert!(status.release.as_ref().unwrap().recovering);
    assert!(status.last_request.as_ref().unwrap().pending);
    let said = world.said();
    let rolled_back = said.iter().filter(|line| line.starts_with("Rolling back"));
    assert_eq!(rolled_back.count(), 1, "{said:?}");
    world.stirred = true;
    world.settle();
    let status = world.status();
    assert_eq!((status.canary_weight, world.weight()), (0, 0));
    assert!(!status.last_request.unwrap().pending);
    assert_eq!(world.primary_revision(), FIRST);
}

#[test]
fn a_primary_that_is_smaller_than_before_its_promotion_gets_everybody_back() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.primary.as_mut().unwrap().replicas = 6;
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!(world.phase(), Phase::Promoting);
    assert_eq!(world.status().release.unwrap().primary_pods, Some(6));
    world.primary.as_mut().unwrap().replicas = 2;
    world.ask(Verb::Rollback, "r1");
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_step_that_cannot_be_routed_is_not_remembered_as_taken() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.now = world.wake.unwrap();
    world.tick_refused(
        |action| matches!(action, Action::Route(_)),
        Some(&refused()),
    );
    assert_eq!(world.status().canary_weight, 20);
    world.stirred = true;
    world.settle();
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_primary_that_cannot_be_put_back_keeps_nobody_on_the_canary() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.ask(Verb::Rollback, "r1");
    for _ in 0..2 {
        world.tick_refused(
            |action| matches!(action, Action::Promote(_)),
            Some(&refused()),
        );
    }
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn where_nothing_may_be_touched_the_problem_is_said_and_nothing_else_done() {
    let world = World::at_weight(&two_steps(), 20);
    let plan = untouched(&world.canary, &missing("web"), world.now);
    let text = "HorizontalPodAutoscaler web.test not found".to_owned();
    assert_eq!(plan.actions, [Action::Say(Message::Problem(text))]);
    assert_eq!(plan.status.canary_weight, 20);
}

/// What the condition says, if it is there.
fn halted(world: &World) -> Option<String> {
    conditions::get(&world.status(), HALTED)
        .map(|halted| format!("{}: {}", halted.reason, halted.message))
}

#[test]
fn a_check_that_did_not_pass_is_a_condition_until_one_does() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(90.0);
    world.run(10);
    let halt = "MetricFailed: Halt podinfo.test advancement success rate 90.00% < 99%";
    assert_eq!(halted(&world).as_deref(), Some(halt));
    world.measure(100.0);
    world.run(10);
    assert_eq!(halted(&world), None);
}

#[test]
fn why_a_release_failed_stays_to_be_read_until_the_next_one() {
    let mut world = World::at_weight(&with_metric(two_steps()), 20);
    world.measure(90.0);
    world.run(100);
    assert_eq!(world.phase(), Phase::Failed);
    assert!(halted(&world).is_some());
    world.set_revision("v1-000000000009");
    world.settle();
    assert_eq!((world.phase(), halted(&world)), (Phase::Progressing, None));
    assert_ne!(world.status().release.unwrap().revision, SECOND);
}

fn scales_away(action: &Action) -> bool {
    matches!(action, Action::Scale(0))
}

fn look_while_pods_stay(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        world.pass(SignedDuration::from_secs(1));
        world.tick_refused(scales_away, Some(&refused()));
    }
}

/// A policy that wants two pods of every Deployment, for one.
#[test]
fn a_canary_whose_pods_may_not_go_keeps_no_release_from_ending_and_no_newer_one_waiting() {
    for (rolled_back, end, outcome) in [
        (
            true,
            "Canary failed! Scaling down podinfo.test",
            Outcome::RolledBack,
        ),
        (
            false,
            "Promotion completed! Scaling down podinfo.test",
            Outcome::Promoted,
        ),
    ] {
        let mut world = World::at_weight(&two_steps(), 40);
        world.log.clear();
        if rolled_back {
            world.ask(Verb::Rollback, "r1");
        }
        look_while_pods_stay(&mut world, 60);
        let status = world.status();
        assert_eq!((world.weight(), status.canary_weight), (0, 0));
        assert_eq!(status.release.as_ref().unwrap().outcome, Some(outcome));
        let ready = conditions::get(&status, conditions::READY).unwrap();
        assert_eq!(ready.status, "False", "{ready:?}");
        let told = world.said();
        let ends = told.iter().filter(|line| line.contains(end)).count();
        assert_eq!(ends, 1, "{told:?}");
        assert!(
            !told.iter().any(|line| line.contains("scaling it back")),
            "{told:?}"
        );

        world.set_revision(THIRD);
        world.set_target_health(Health::Ready);
        look_while_pods_stay(&mut world, 15);
        let release = world.status().release.unwrap();
        assert_eq!((release.number, release.revision.as_str()), (2, THIRD));
    }
}
