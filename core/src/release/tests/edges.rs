//! Decisions on the exact edge of a condition, each on facts that no history meets by itself.

use jiff::SignedDuration;
use serde_json::json;

use super::scripts::{SECOND, canary, two_steps, with_hooks, with_metric};
use super::sim::Health;
use super::world::{FIRST, World};
use crate::hook::HookKind;
use crate::release::draft::Draft;
use crate::release::facts::{Readiness, Wait};
use crate::release::{Action, Ended, Measured, Problem, Question, Routes, decide};
use crate::request::Verb;
use crate::status::Phase;

fn seconds(count: i64) -> SignedDuration {
    SignedDuration::from_secs(count)
}

/// The actions that facts of an initializing Canary lead to, after `change`.
fn initializing(change: impl Fn(&mut crate::release::Facts)) -> Vec<Action> {
    let mut world = World::new(canary(&two_steps()), "apisix");
    world.fresh = Health::Unavailable { ready: 0 };
    world.settle();
    assert_eq!(world.phase(), Phase::Initializing);
    world.set_primary_health(Health::Ready);
    let mut facts = world.facts();
    change(&mut facts);
    decide(&world.canary, &facts).unwrap().actions
}

#[test]
fn services_point_at_a_primary_that_is_ready_has_ready_pods_and_serves() {
    assert_eq!(initializing(|_| {}), [Action::Point]);
}

#[test]
fn services_do_not_point_at_a_primary_that_lacks_one_of_the_three() {
    let waiting = initializing(|facts| {
        let primary = facts.primary.as_mut().unwrap();
        primary.readiness = Readiness::Waiting(Wait::Unobserved);
    });
    let without_pods = initializing(|facts| facts.primary.as_mut().unwrap().ready = 0);
    let without_addresses = initializing(|facts| facts.serving.primary = 0);
    assert_eq!(
        (waiting, without_pods, without_addresses),
        Default::default()
    );
}

#[test]
fn after_a_crash_a_target_without_pods_is_not_drained() {
    let mut world = World::new(canary(&two_steps()), "apisix");
    world.target.replicas = 0;
    world.tick(None);
    world.tick(Some(1));
    assert!(world.pointed);
    world.settle();
    assert_eq!((world.phase(), world.second()), (Phase::Initialized, 0));
}

#[test]
fn a_status_that_is_lost_in_mid_release_promotes_nothing_and_the_release_begins_anew() {
    let mut world = World::at_rest(&two_steps());
    world.set_revision(SECOND);
    world.settle();
    while world.weight() == 0 {
        world.run(1);
    }
    assert_eq!(world.phase(), Phase::Progressing);
    let primary = world.primary.clone().unwrap();
    world.canary.status = None;
    world.stirred = true;
    world.settle();
    let status = world.status();
    assert_eq!(status.last_promoted_spec.as_deref(), Some(FIRST));
    assert_eq!(world.primary.as_ref().unwrap().revision, primary.revision);
    assert_eq!(world.weight(), 0, "nobody is left on what nobody watches");
    world.run(600);
    assert_eq!(
        world.phase(),
        Phase::Succeeded,
        "it is analysed, and then promoted"
    );
}

#[test]
fn a_primary_that_cannot_be_given_the_release_fails_the_promotion_at_its_deadline() {
    let mut world = World::at_rest(&two_steps());
    world.set_revision(SECOND);
    world.settle();
    // As `promote` leaves it.
    let now = world.now;
    let status = world.canary.status.as_mut().unwrap();
    status.phase = Phase::Promoting;
    status.release.as_mut().unwrap().rolling_since = Some(now);
    world.stirred = true;
    let message = "exceeded quota".to_owned();
    let reason = "Rejected";
    world.problems = vec![Problem { reason, message }];
    world.run(i64::try_from(world.canary.progress_deadline().as_secs()).unwrap() + 10);
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
    let release = world.status().release.unwrap();
    assert_eq!(release.message, "exceeded quota");
    assert_eq!(world.primary.as_ref().unwrap().revision, FIRST);
}

#[test]
fn a_release_starts_when_its_change_is_seen() {
    let mut world = World::at_rest(&two_steps());
    world.run(100);
    let seen = world.now;
    world.set_revision(SECOND);
    world.run(15);
    assert_eq!(world.status().release.unwrap().started_at, seen);
}

#[test]
fn a_closed_gate_is_asked_again_when_it_is_due_and_not_before() {
    let hooks = with_hooks(two_steps(), &[(HookKind::ConfirmRollout, "gate")]);
    let mut world = World::at_rest(&hooks);
    world.hooks_answer(HookKind::ConfirmRollout, Err("closed"));
    world.set_revision(SECOND);
    world.settle();
    let due = world.status().release.unwrap().next_check_at.unwrap();
    let mut facts = world.facts();
    facts.now = due - seconds(1);
    assert_eq!(decide(&world.canary, &facts).unwrap().wake, Some(due));
    facts.now = due;
    assert_eq!(
        decide(&world.canary, &facts).unwrap_err(),
        Question::Hook(0)
    );
}

#[test]
fn approving_the_start_of_a_release_does_not_approve_its_promotion() {
    let hooks = [
        (HookKind::ConfirmRollout, "start"),
        (HookKind::ConfirmPromotion, "end"),
    ];
    let mut world = World::at_rest(&with_hooks(two_steps(), &hooks));
    world.hooks_answer(HookKind::ConfirmRollout, Err("closed"));
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.set_revision(SECOND);
    world.settle();
    world.ask(Verb::Promote, "r1");
    world.run(120);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::WaitingPromotion, FIRST)
    );
}

#[test]
fn pods_that_are_still_being_written_have_no_more_time_than_the_deadline() {
    let mut world = World::at_rest(&two_steps());
    world.release_slowly(SECOND);
    for _ in 0..12 {
        world.stirred = true;
        world.run(5);
    }
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn pods_lost_before_the_first_step_have_the_deadline_from_when_they_were_missed() {
    let hooks = with_hooks(two_steps(), &[(HookKind::ConfirmTrafficIncrease, "gate")]);
    let mut world = World::at_rest(&hooks);
    world.hooks_answer(HookKind::ConfirmTrafficIncrease, Err("closed"));
    world.set_revision(SECOND);
    world.run(100);
    assert_eq!(world.phase(), Phase::Progressing);
    world.set_target_health(Health::Unavailable { ready: 0 });
    for _ in 0..11 {
        world.stirred = true;
        world.run(5);
    }
    assert_eq!(world.phase(), Phase::Progressing);
    world.run(5);
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn the_error_of_a_query_of_the_users_own_names_its_metric() {
    let mut analysis = two_steps();
    analysis["metrics"] = json!([
        { "name": "errors", "query": "vector(1)", "thresholdRange": { "max": 1 } }
    ]);
    let mut world = World::at_weight(&analysis, 20);
    world.metrics.insert(0, Measured::Failed("boom".to_owned()));
    world.run(10);
    let said = world.said().remove(0);
    assert!(said.contains("errors") && said.contains("boom"), "{said}");
}

#[test]
fn no_weight_goes_to_a_canary_without_ready_pods() {
    let mut world = World::at_rest(&two_steps());
    world.set_revision(SECOND);
    world.tick(None);
    let mut facts = world.facts();
    facts.target.replicas = 1;
    let route = |ready: i32, reached: usize| {
        let mut facts = facts.clone();
        facts.target.ready = ready;
        facts.serving.canary = reached;
        Draft::new(&world.canary, &facts).route(Routes::to_canary(20))
    };
    assert_eq!(
        [route(0, 0), route(1, 0), route(0, 1), route(1, 1)],
        [false, false, false, true]
    );
}

/// The last plans of a release until it rests, by what they say of its end.
fn ends(mut world: World) -> Vec<Ended> {
    world.set_revision(SECOND);
    let mut ends = Vec::new();
    for _ in 0..200 {
        if !world.is_called() {
            let Some(wake) = world.wake else { break };
            world.now = wake;
        }
        let (_, plan) = world.tick(None);
        ends.extend(plan.ended);
    }
    ends
}

#[test]
fn the_end_of_a_release_is_told_once_with_how_it_ended() {
    let succeeded = ends(World::at_rest(&two_steps()));
    let ended = |phase, skipped| vec![Ended { phase, skipped }];
    assert_eq!(succeeded, ended(Phase::Succeeded, false));

    let mut failing = World::at_rest(&with_metric(two_steps()));
    failing.measure(1.0);
    assert_eq!(ends(failing), ended(Phase::Failed, false));

    let mut canary = canary(&two_steps());
    canary.spec.skip_analysis = Some(true);
    let skipping = World::at_rest_behind("apisix", canary);
    assert_eq!(ends(skipping), ended(Phase::Succeeded, true));
}

#[test]
fn a_primary_that_somebody_changed_at_rest_is_given_its_revision_again() {
    let mut world = World::at_rest(&two_steps());
    world.primary.as_mut().unwrap().revision = SECOND.to_owned();
    world.stirred = true;
    world.settle();
    assert_eq!(world.primary_revision(), FIRST);
}

#[test]
fn a_promotion_without_analysis_returns_no_traffic_in_steps() {
    let story = |step: i64| {
        let mut analysis = two_steps();
        analysis["stepWeightPromotion"] = json!(step);
        let mut canary = canary(&analysis);
        canary.spec.skip_analysis = Some(true);
        let mut world = World::at_rest_behind("apisix", canary);
        world.set_revision(SECOND);
        world.run(120);
        world.told()
    };
    assert_eq!(story(10), story(0));
}

/// What a request comes to while the canary at weight 20 is in this health.
fn asked_of(health: Health, verb: Verb) -> (String, Phase) {
    let mut world = World::at_weight(&two_steps(), 20);
    world.target.health = health;
    world.target.replicas = 2;
    world.ask(verb, "r1");
    world.tick(None);
    (world.status().last_request.unwrap().message, world.phase())
}

#[test]
fn promote_needs_a_canary_that_is_ready_and_has_ready_pods() {
    for health in [
        Health::Unavailable { ready: 1 },
        Health::Enough { ready: 0 },
    ] {
        let (message, _) = asked_of(health, Verb::Promote);
        assert!(message.starts_with("the canary is not ready"), "{message}");
    }
}

#[test]
fn promote_full_waits_for_a_canary_that_is_ready_and_has_ready_pods() {
    for health in [
        Health::Unavailable { ready: 1 },
        Health::Enough { ready: 0 },
    ] {
        let asked = asked_of(health, Verb::PromoteFull);
        let waits = "promotion starts when the canary is ready".to_owned();
        assert_eq!(asked, (waits, Phase::Progressing));
    }
}

#[test]
fn promote_at_the_maximum_says_that_the_promotion_needs_an_approval_too() {
    let hooks = with_hooks(two_steps(), &[(HookKind::ConfirmPromotion, "end")]);
    let mut world = World::at_weight(&hooks, 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.ask(Verb::Promote, "r1");
    world.settle();
    assert_eq!(
        world.status().last_request.unwrap().message,
        "waits for approval of the promotion"
    );
}

#[test]
fn a_release_resumed_before_its_pods_are_there_starts_its_analysis_with_them() {
    let mut world = World::at_rest(&two_steps());
    world.release_slowly(SECOND);
    world.ask(Verb::Pause, "r1");
    world.run(5);
    world.ask(Verb::Resume, "r2");
    world.run(5);
    world.set_target_health(Health::Ready);
    world.settle();
    let said = world.said();
    let starts = "Starting canary analysis for podinfo.test";
    assert!(said.iter().any(|line| line == starts), "{said:?}");
}

#[test]
fn a_maximum_raised_while_the_promotion_waits_brings_further_steps() {
    let hooks = with_hooks(two_steps(), &[(HookKind::ConfirmPromotion, "end")]);
    let mut world = World::at_weight(&hooks, 40);
    world.hooks_answer(HookKind::ConfirmPromotion, Err("closed"));
    world.run(10);
    assert_eq!(world.phase(), Phase::WaitingPromotion);
    world.canary.spec.analysis.max_weight = Some(60);
    world.run(10);
    assert_eq!((world.weight(), world.phase()), (60, Phase::Progressing));
}

#[test]
fn an_ab_test_that_has_all_its_traffic_asks_for_no_more() {
    let analysis = json!({
        "interval": "10s", "threshold": 3, "iterations": 3,
        "match": [{ "headers": { "x-user": { "exact": "canary" } } }],
    });
    let gate = HookKind::ConfirmTrafficIncrease;
    let mut world = World::at_weight(&with_hooks(analysis, &[(gate, "gate")]), 100);
    world.hooks_answer(gate, Err("closed"));
    world.run(10);
    assert_eq!((world.weight(), world.status().iterations), (100, 2));
}
