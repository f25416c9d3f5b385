//! Canaries that Flagger ran until now.

use super::story::{SECOND, THIRD, canary, expect, two_steps};
use crate::release::Routes;
use crate::release::tests::sim::Sim;
use crate::release::tests::world::{FIRST, World};
use crate::status::{CanaryStatus, Outcome, Phase};

/// As Flagger leaves it: its own hashes, the primary with one revision and the target with another.
fn flagger(phase: Phase, weight: i64, target: &str) -> World {
    let mut canary = canary(&two_steps());
    canary.status = Some(CanaryStatus {
        phase,
        canary_weight: weight,
        last_applied_spec: Some("5d5b8d7c6b".to_owned()),
        last_promoted_spec: Some("79f8c7b5d4".to_owned()),
        ..CanaryStatus::default()
    });
    let mut world = World::new(canary, "apisix");
    world.pointed = true;
    world.routes = Some(Routes::to_canary(weight));
    world.target = Sim::new("podinfo", target, i32::from(weight > 0));
    let mut primary = Sim::new("podinfo-primary", FIRST, 1);
    primary.surges = true;
    world.primary = Some(primary);
    world
}

#[test]
fn a_canary_at_rest_is_taken_over_without_a_release() {
    for phase in [Phase::Initialized, Phase::Succeeded] {
        let mut world = flagger(phase, 0, FIRST);
        world.run(60);
        expect(
            &mut world,
            "
            0 [record v1-000000000001]
            0 [rebaseline \"\" to v1-000000000001]
            ",
        );
        let status = world.status();
        assert_eq!(
            (status.phase, status.last_applied_spec.as_deref()),
            (phase, Some(FIRST))
        );
        assert_eq!(
            (status.last_promoted_spec.as_deref(), status.release),
            (Some(FIRST), None)
        );
    }
}

#[test]
fn an_image_that_was_changed_while_neither_ran_is_a_release() {
    for phase in [Phase::Initialized, Phase::Succeeded] {
        let mut world = flagger(phase, 0, SECOND);
        world.run(60);
        assert_eq!(world.status().history[0].from, FIRST);
        assert_eq!(
            (world.phase(), world.primary_revision()),
            (Phase::Succeeded, SECOND)
        );
    }
}

#[test]
fn a_failed_canary_never_becomes_the_baseline() {
    let mut world = flagger(Phase::Failed, 0, SECOND);
    world.run(60);
    let status = world.status();
    assert_eq!(
        (status.phase, status.last_promoted_spec.as_deref()),
        (Phase::Failed, Some(FIRST))
    );
    assert_eq!(status.last_applied_spec.as_deref(), Some(SECOND));
    assert_eq!(status.release.unwrap().outcome, Some(Outcome::RolledBack));
    assert_eq!(world.primary_revision(), FIRST);
    world.set_revision(THIRD);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
}

#[test]
fn a_canary_that_serves_everybody_after_a_failed_promotion_is_not_taken_away() {
    let mut world = flagger(Phase::Failed, 100, SECOND);
    world.run(10);
    let told = world.told();
    let routed = told.find("[route 100/0]").unwrap();
    assert!(told.find("[scale 0]").unwrap() > routed, "{told}");
    assert_eq!(
        (world.phase(), world.weight(), world.target.replicas),
        (Phase::Failed, 0, 0)
    );
}

#[test]
fn an_analysis_goes_on_at_its_weight() {
    let mut world = flagger(Phase::Progressing, 20, SECOND);
    world.run(9);
    assert_eq!((world.weight(), world.phase()), (20, Phase::Progressing));
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
    assert_eq!(world.status().history[0].from, FIRST);
}

#[test]
fn a_canary_that_is_still_rolling_begins_its_analysis() {
    let mut world = flagger(Phase::Progressing, 0, SECOND);
    world.run(3);
    assert_eq!(world.weight(), 20);
    assert_eq!(world.said()[0], "Starting canary analysis for podinfo.test");
}

#[test]
fn what_waits_for_its_promotion_keeps_the_weight_that_is_routed() {
    let mut world = flagger(Phase::WaitingPromotion, 40, SECOND);
    let mut status = world.status();
    (status.canary_weight, status.iterations) = (0, -1);
    world.canary.status = Some(status);
    world.run(9);
    let status = world.status();
    assert_eq!(
        (status.canary_weight, status.iterations, world.weight()),
        (40, 0, 40)
    );
    world.run(30);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_promotion_is_finished() {
    for phase in [Phase::Promoting, Phase::Finalising] {
        let mut world = flagger(phase, 40, SECOND);
        world.primary.as_mut().unwrap().revision = SECOND.to_owned();
        world.run(60);
        assert_eq!(
            (world.phase(), world.weight(), world.target.replicas),
            (Phase::Succeeded, 0, 0)
        );
    }
}

#[test]
fn a_release_that_waits_for_approval_starts_when_its_gate_opens() {
    let mut world = flagger(Phase::Waiting, 0, SECOND);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn events_of_a_canary_without_a_primary_are_numbered_on() {
    let mut world = flagger(Phase::Succeeded, 0, FIRST);
    world.primary = None;
    world.canary.status.as_mut().unwrap().events.sequence = 7;
    world.tick(None);
    assert!(world.events.keys().all(|sequence| *sequence > 7));
    assert!(world.status().events.sequence > 7);
}

#[test]
fn a_weight_left_in_the_route_is_not_that_of_a_canary_at_rest() {
    let mut world = flagger(Phase::Succeeded, 0, FIRST);
    world.routes = Some(Routes::to_canary(30));
    world.tick(None);
    assert_eq!(world.status().canary_weight, 0);
}

#[test]
fn a_release_that_flagger_began_is_our_first_and_has_the_steps_that_it_took() {
    let begun = |weight: i64, iterations: i64| {
        let mut world = flagger(Phase::Progressing, weight, SECOND);
        world.canary.status.as_mut().unwrap().iterations = iterations;
        world.tick(None);
        let release = world.status().release.unwrap();
        (release.number, release.step_since.is_some())
    };
    assert_eq!(begun(0, 0), (1, false));
    assert_eq!(begun(0, 2), (1, true));
    assert_eq!(begun(20, 0), (1, true));
}

#[test]
fn a_release_that_flagger_began_has_the_time_of_the_takeover_and_flaggers_weight() {
    let release = |phase, weight| {
        let mut world = flagger(phase, weight, SECOND);
        world.tick(None);
        let release = world.status().release.unwrap();
        assert_eq!(release.started_at, world.now);
        let ended = release.ended_at.map(|at| at == world.now);
        (release.peak_weight, ended, release.recovering)
    };
    assert_eq!(release(Phase::Progressing, 20), (20, None, false));
    assert_eq!(release(Phase::Failed, 0), (0, Some(true), false));
    assert_eq!(release(Phase::Failed, 100), (100, Some(true), true));
}

/// The next decision finds a route that nobody has to mend, and must not take the stored weight for
/// the one that is wanted.
#[test]
fn traffic_that_was_brought_back_before_a_crash_stays_with_the_primary() {
    let mut world = flagger(Phase::Finalising, 10, SECOND);
    world.primary.as_mut().unwrap().revision = SECOND.to_owned();
    world.tick(None);
    assert_eq!(world.status().canary_weight, 10);
    let (_, plan) = world.plan();
    assert_eq!(plan.routes().collect::<Vec<_>>(), [Routes::ALL_PRIMARY]);
    world.apply(&plan, Some(plan.actions.len()));
    world.log.clear();
    world.tick(None);
    assert_eq!((world.weight(), world.status().canary_weight), (0, 0));
    world.run(10);
    assert!(!world.told().contains("[route"), "{}", world.told());
    assert_eq!(world.phase(), Phase::Succeeded);
}
