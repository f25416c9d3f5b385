//! Something outside keeps the Canary from being acted on.

use super::story::{SECOND, canary, two_steps, with_metric};
use crate::message::Message;
use crate::release::conditions::{self, HALTED, PROMOTED, READY};
use crate::release::tests::world::World;
use crate::release::{Action, Plan, Problem, hindered};
use crate::status::Phase;

fn missing(name: &str) -> Problem {
    Problem {
        reason: "TargetNotFound",
        message: format!("Deployment {name}.test not found"),
    }
}

fn meet(world: &mut World, problem: &Problem) -> Plan {
    let plan = hindered(&world.canary, problem, world.now);
    world.apply(&plan, None);
    plan
}

#[test]
fn a_problem_is_said_once_and_kept_as_a_condition() {
    let mut world = World::new(canary(&two_steps()), "apisix");
    let plan = meet(&mut world, &missing("podinfo"));
    assert_eq!(
        plan.actions,
        [Action::Say(Message::Problem(
            "Deployment podinfo.test not found".to_owned()
        ))]
    );
    let status = world.status();
    let ready = conditions::get(&status, READY).unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "TargetNotFound")
    );
    let writes = world.status_writes;
    let plan = meet(&mut world, &missing("podinfo"));
    assert_eq!((plan.actions, world.status_writes), (vec![], writes));
    let plan = meet(&mut world, &missing("other"));
    assert_eq!(plan.actions.len(), 1);
}

#[test]
fn a_new_canary_with_a_problem_keeps_its_baseline_for_later() {
    let mut world = World::new(canary(&two_steps()), "apisix");
    meet(&mut world, &missing("podinfo"));
    let status = world.status();
    assert_eq!(
        (status.phase, status.last_applied_spec.is_none()),
        (Phase::New, true)
    );
    assert_eq!(status.conditions[0].type_, PROMOTED);
    assert_eq!(status.conditions[0].reason, "Initializing");
    world.run(10);
    assert_eq!(world.phase(), Phase::Initialized);
}

#[test]
fn a_problem_that_is_gone_leaves_no_condition() {
    let mut world = World::at_weight(&two_steps(), 20);
    meet(&mut world, &missing("podinfo"));
    assert_eq!(world.weight(), 20);
    world.stirred = true;
    world.settle();
    assert_eq!(conditions::get(&world.status(), READY), None);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
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
