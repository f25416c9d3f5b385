//! From a Canary that nobody has looked at to one that is initialized.

use super::story::{SECOND, THIRD, canary, expect, two_steps};
use crate::release::conditions::{self, READY};
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::release::{Plan, WentBack, decide};
use crate::request::Verb;
use crate::status::Phase;

/// A baseline that never became ready gives way to the second revision.
const SECOND_TAKES_ITS_PLACE: &str = "
    0 [record v1-000000000002]
    0 podinfo-primary.test never became ready, podinfo.test as it is now takes its place
    0 [promote v1-000000000002]
    0 [point]
    0 [scale 0]
    0 Initialization done! podinfo.test
";

fn new() -> World {
    World::new(canary(&two_steps()), "apisix")
}

#[test]
fn the_primary_is_ready_before_anything_points_at_it() {
    let mut world = new();
    world.fresh = Health::Unavailable { ready: 0 };
    world.run(10);
    expect(
        &mut world,
        "
        0 all the metrics providers are available!
        0 [record v1-000000000001]
        ",
    );
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initializing, 1)
    );
    world.set_primary_health(Health::Ready);
    world.run(10);
    expect(
        &mut world,
        "
        0 [point]
        0 [scale 0]
        0 Initialization done! podinfo.test
        ",
    );
    assert_eq!(
        (world.phase(), world.target.replicas, world.weight()),
        (Phase::Initialized, 0, 0)
    );
}

#[test]
fn a_target_that_served_through_the_users_own_service_is_drained_first() {
    let mut world = new();
    world.adopted = true;
    world.run(10);
    expect(
        &mut world,
        "
        0 all the metrics providers are available!
        0 [record v1-000000000001]
        0 [point]
        2 [scale 0]
        2 Initialization done! podinfo.test
        ",
    );
}

#[test]
fn a_crash_after_pointing_does_not_forget_the_drain() {
    let mut world = new();
    world.adopted = true;
    world.tick(None);
    world.tick(Some(1));
    assert!(world.pointed);
    world.settle();
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initializing, 1)
    );
    world.run(5);
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initialized, 0)
    );
}

#[test]
fn a_target_that_served_nobody_is_not_waited_for() {
    let mut world = new();
    world.adopted = true;
    world.target.replicas = 0;
    world.settle();
    assert_eq!(world.phase(), Phase::Initialized);
}

#[test]
fn the_target_stays_until_the_apex_service_has_addresses() {
    let mut world = new();
    world.fresh = Health::Unavailable { ready: 0 };
    world.settle();
    world.set_primary_health(Health::Ready);
    world.tick(None);
    world.set_primary_health(Health::Unavailable { ready: 0 });
    world.run(60);
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initializing, 1)
    );
}

#[test]
fn metric_servers_that_do_not_answer_are_named_and_stop_nothing() {
    let mut world = new();
    world.providers = Err("connection refused".to_owned());
    world.run(10);
    assert_eq!(
        world.said(),
        [
            "Error checking metric providers: connection refused",
            "Initialization done! podinfo.test"
        ]
    );
}

#[test]
fn metric_servers_are_not_asked_where_the_analysis_is_skipped() {
    let mut canary = canary(&two_steps());
    canary.spec.skip_analysis = Some(true);
    let mut world = World::new(canary, "apisix");
    world.providers = Err("connection refused".to_owned());
    world.run(10);
    assert_eq!(world.said(), ["Initialization done! podinfo.test"]);
}

#[test]
fn a_target_that_changes_before_initialized_is_released_right_after_it() {
    let mut world = new();
    world.fresh = Health::Rolling;
    world.settle();
    world.set_revision(SECOND);
    world.settle();
    world.fresh = Health::Ready;
    world.set_primary_health(Health::Ready);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
    assert_eq!(world.status().history[0].from, FIRST);
}

#[test]
fn a_baseline_that_never_starts_gives_way_to_its_fix() {
    let mut world = new();
    world.fresh = Health::Stuck;
    world.run(10);
    assert_eq!(
        world.said().last().unwrap(),
        "podinfo-primary.test not ready: deployment \"podinfo-primary\" exceeded its progress deadline"
    );
    assert_eq!(
        conditions::get(&world.status(), READY).unwrap().reason,
        "PrimaryNotReady"
    );
    world.fresh = Health::Ready;
    world.set_revision(SECOND);
    world.run(10);
    expect(&mut world, SECOND_TAKES_ITS_PLACE);
    let status = world.status();
    assert_eq!(status.last_promoted_spec.as_deref(), Some(SECOND));
    assert_eq!(conditions::get(&status, READY), None);
}

#[test]
fn a_fix_that_is_ready_before_its_baseline_takes_its_place_without_waiting_for_a_deadline() {
    let mut world = new();
    world.fresh = Health::Unavailable { ready: 0 };
    world.run(10);
    world.fresh = Health::Ready;
    world.set_revision(SECOND);
    world.log.clear();
    world.run(10);
    expect(&mut world, SECOND_TAKES_ITS_PLACE);
    assert!(world.status().history.is_empty());
}

#[test]
fn a_baseline_that_its_configuration_keeps_from_starting_gives_way_to_another_configuration() {
    let mut world = new();
    world.fresh = Health::Stuck;
    world.run(10);
    world.fresh = Health::Ready;
    world
        .configs
        .insert("configmap/podinfo".to_owned(), "fixed".to_owned());
    world.stirred = true;
    world.log.clear();
    world.run(10);
    let told = world.told();
    assert!(told.contains("[promote v1-000000000001]"), "{told}");
    assert_eq!(world.phase(), Phase::Initialized);
    assert_eq!(conditions::get(&world.status(), READY), None);
}

#[test]
fn a_crash_while_the_baseline_is_replaced_does_not_bring_the_broken_one_back() {
    for done in 0..2 {
        let mut world = new();
        world.fresh = Health::Stuck;
        world.run(10);
        world.fresh = Health::Ready;
        world.set_revision(SECOND);
        world.tick(None);
        world.log.clear();
        world.tick(Some(done));
        world.run(10);
        let told = world.told();
        assert!(!told.contains("[promote v1-000000000001]"), "{told}");
        assert_eq!(
            (world.phase(), world.primary_revision()),
            (Phase::Initialized, SECOND)
        );
    }
}

#[test]
fn a_canary_that_is_created_suspended_begins_nothing() {
    let mut world = new();
    world.canary.spec.suspend = Some(true);
    world.run(10);
    assert!(!world.pointed);
    assert_eq!(
        (world.phase(), world.target.replicas),
        (Phase::Initializing, 1)
    );
}

#[test]
fn a_request_to_a_new_canary_delays_nothing() {
    let mut world = new();
    world.ask_for(Verb::Promote, THIRD, "r1");
    world.run(10);
    assert_eq!(world.phase(), Phase::Initialized);
}

#[test]
fn without_a_router_the_services_are_all_that_is_pointed() {
    let mut world = World::new(canary(&two_steps()), "kubernetes");
    world.run(10);
    assert_eq!((world.phase(), world.routes), (Phase::Initialized, None));
}

#[test]
fn a_primary_that_does_not_start_is_told_of_once_although_somebody_changes_it_meanwhile() {
    let mut world = new();
    world.fresh = Health::Stuck;
    world.run(10);
    let told = |world: &mut World| {
        let said = world.said();
        said.iter().filter(|it| it.contains("not ready")).count()
    };
    assert_eq!(told(&mut world), 1);
    world
        .primary
        .as_mut()
        .unwrap()
        .set_template(THIRD, Health::Stuck);
    world.stirred = true;
    world.run(10);
    assert_eq!(told(&mut world), 0);
    assert_eq!(world.primary_revision(), FIRST);
}

#[test]
fn a_newer_template_without_pods_takes_nobodys_place() {
    let mut world = new();
    world.fresh = Health::Unavailable { ready: 0 };
    world.run(10);
    world.target.replicas = 0;
    world.fresh = Health::Ready;
    world.set_revision(SECOND);
    world.run(10);
    assert_eq!(world.primary_revision(), FIRST);
    assert_eq!(world.phase(), Phase::Initializing);
}

/// As its target notes it, and no primary is left.
fn went_back(images: &[(&str, &str)]) -> Plan {
    let world = new();
    let (mut facts, _) = world.plan();
    facts.answers.providers = Some(Ok(()));
    facts.target.failed = Some(WentBack {
        number: 3,
        images: images
            .iter()
            .map(|(name, image)| ((*name).to_owned(), (*image).to_owned()))
            .collect(),
    });
    decide(&world.canary, &facts).unwrap()
}

#[test]
fn a_baseline_that_went_back_before_is_told_with_the_command_that_helps() {
    let plan = went_back(&[("podinfod", "podinfo:old")]);
    let said: Vec<String> = plan
        .messages()
        .map(|message| message.text(&new().canary))
        .collect();
    let text = said.last().unwrap();
    assert!(text.contains("release 3 went back from"), "{text}");
    let command = "kubectl set image deployment/podinfo podinfod=podinfo:old -n test";
    assert!(text.ends_with(command), "{text}");
    let condition = conditions::get(&plan.status, conditions::BASELINE_FAILED).unwrap();
    assert_eq!(
        (&condition.message, condition.status.as_str()),
        (text, "True")
    );
}

#[test]
fn a_baseline_that_went_back_before_is_told_until_another_template_is_promoted() {
    let mut world = new();
    let plan = went_back(&[]);
    world.apply(&plan, None);
    let warned =
        |world: &World| conditions::get(&world.status(), conditions::BASELINE_FAILED).is_some();
    world.stirred = true;
    world.run(20);
    assert!(warned(&world) && world.phase() == Phase::Initialized);
    world.set_revision(SECOND);
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
    assert!(!warned(&world));
}
