//! Promotions that go wrong.

use jiff::SignedDuration;
use serde_json::json;

use super::story::{SECOND, THIRD, expect, two_steps};
use crate::release::conditions;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase};

/// Promoting, with a primary whose new pods do not come.
fn promoting() -> World {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Promoting, SECOND)
    );
    world.log.clear();
    world
}

#[test]
fn a_primary_that_lost_its_pods_is_put_back_while_the_canary_serves() {
    let mut world = promoting();
    world.fresh = Health::Unavailable { ready: 0 };
    world.set_primary_health(world.fresh);
    world.run(70);
    world.set_primary_health(Health::Ready);
    world.run(10);
    expect(
        &mut world,
        "
        0 Promotion of podinfo.test failed, primary not ready: waiting for rollout to finish: 0 of 1 (readyThreshold 100%) updated replicas are available
        0 [route 0/100]
        0 [promote v1-000000000001]
        10 [route 100/0]
        10 Primary of podinfo.test is ready with the promoted revision again, routing all traffic to it
        12 [scale 0]
        ",
    );
    let status = world.status();
    assert_eq!(
        (status.phase, status.history[0].outcome),
        (Phase::Failed, Outcome::PromotionFailed)
    );
    assert_eq!(
        (world.primary_revision(), world.target.replicas),
        (FIRST, 0)
    );
    assert!(!status.release.unwrap().recovering);
}

#[test]
fn a_primary_that_kept_its_pods_gets_everybody_back_at_its_deadline() {
    let mut world = promoting();
    world.run(70);
    world.set_primary_health(Health::Ready);
    world.run(10);
    expect(
        &mut world,
        "
        0 Promotion of podinfo.test failed, primary not ready: waiting for rollout to finish: 0 out of 1 new replicas have been updated
        0 [route 100/0]
        0 [promote v1-000000000001]
        10 Primary of podinfo.test is ready with the promoted revision again, routing all traffic to it
        12 [scale 0]
        ",
    );
    assert!(!world.status().release.unwrap().recovering);
}

#[test]
fn a_primary_that_lost_some_of_its_pods_gets_the_share_that_it_carries() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.primary.as_mut().unwrap().replicas = 4;
    world.fresh = Health::Unavailable { ready: 3 };
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.ask(Verb::Rollback, "r1");
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 25));
    world.set_primary_health(Health::Unavailable { ready: 4 });
    world.settle();
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_primary_with_any_ready_pod_gets_everybody_where_the_canary_has_none() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.primary.as_mut().unwrap().replicas = 4;
    world.fresh = Health::Unavailable { ready: 1 };
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    assert_eq!(world.weight(), 0);
}

// --- a controller that is behind

#[test]
fn a_deadline_does_not_run_while_nobody_has_looked_at_the_primary() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Unobserved { ready: 1 };
    world.run(10);
    assert_eq!(world.phase(), Phase::Promoting);
    world.log.clear();
    world.run(600);
    let behind = "the Deployment controller has not looked at podinfo-primary.test for more than a minute, no deadline runs meanwhile: check that kube-controller-manager runs and keeps up";
    assert_eq!(world.said(), [behind]);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Promoting, SECOND)
    );
    let status = world.status();
    let condition = conditions::get(&status, conditions::NOT_OBSERVED).unwrap();
    assert_eq!(condition.message, behind);
    // It has its whole time from the first look on.
    world.set_primary_health(Health::Rolling);
    world.run(55);
    assert_eq!(world.phase(), Phase::Promoting);
    assert_eq!(
        conditions::get(&world.status(), conditions::NOT_OBSERVED),
        None
    );
    world.run(10);
    assert_eq!(world.phase(), Phase::Failed);
}

#[test]
fn a_deadline_does_not_run_while_nobody_has_looked_at_the_canary() {
    let mut world = World::at_rest(&two_steps());
    world.fresh = Health::Unobserved { ready: 0 };
    world.set_revision(SECOND);
    world.run(600);
    assert_eq!((world.phase(), world.weight()), (Phase::Progressing, 0));
    world.set_target_health(Health::Ready);
    world.fresh = Health::Ready;
    world.run(60);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn a_canary_that_nobody_has_looked_at_fails_no_check_and_gets_no_more() {
    let mut world = World::at_weight(&two_steps(), 20);
    world.set_target_health(Health::Unobserved { ready: 1 });
    world.run(600);
    let status = world.status();
    assert_eq!(
        (status.phase, status.failed_checks, world.weight()),
        (Phase::Progressing, 0, 20)
    );
    world.ask(Verb::Rollback, "r1");
    world.settle();
    assert_eq!(world.weight(), 0);
}

#[test]
fn a_controller_that_looks_within_its_usual_time_costs_no_write() {
    let mut quick = World::at_weight(&two_steps(), 40);
    let mut slow = quick.clone();
    for (world, fresh) in [
        (&mut quick, Health::Rolling),
        (&mut slow, Health::Unobserved { ready: 1 }),
    ] {
        world.fresh = fresh;
        world.run(10);
        world.now += SignedDuration::from_millis(500);
        world.set_primary_health(Health::Rolling);
        world.settle();
        world.set_primary_health(Health::Ready);
        world.run(10);
        assert_eq!(world.phase(), Phase::Succeeded);
    }
    assert_eq!(quick.status_writes, slow.status_writes);
}

// --- deadlines

#[test]
fn a_primary_whose_own_deadline_passed_is_put_back_at_once() {
    let mut world = promoting();
    world.set_primary_health(Health::Stuck);
    world.settle();
    let told = world.told();
    assert!(told.starts_with("  0 Promotion of podinfo.test failed, primary not ready: deployment \"podinfo-primary\" exceeded"));
    assert_eq!(
        (world.phase(), world.weight(), world.primary_revision()),
        (Phase::Failed, 0, FIRST)
    );
}

#[test]
fn a_canary_that_is_not_ready_gets_nothing_when_the_promotion_fails() {
    let mut world = promoting();
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.set_primary_health(Health::Stuck);
    world.settle();
    assert_eq!(
        (world.phase(), world.weight(), world.primary_revision()),
        (Phase::Failed, 0, FIRST)
    );
}

#[test]
fn a_primary_that_fails_after_traffic_returned_is_put_back_too() {
    let mut world = promoting();
    world.set_primary_health(Health::Ready);
    world.settle();
    assert_eq!(world.phase(), Phase::Finalising);
    world.set_primary_health(Health::Stuck);
    world.settle();
    assert_eq!(
        (world.phase(), world.weight(), world.primary_revision()),
        (Phase::Failed, 0, FIRST)
    );
}

#[test]
fn a_primary_that_nobody_can_reach_fails_its_promotion() {
    let mut world = promoting();
    world.set_primary_health(Health::Ready);
    world.primary.as_mut().unwrap().replicas = 0;
    world.run(70);
    let said = world.said();
    assert_eq!(
        said[0],
        "Promotion of podinfo.test failed, primary not ready: none of its pods can be reached"
    );
}

#[test]
fn a_promotion_in_long_steps_does_not_run_into_the_deadline_of_the_rollout() {
    let analysis = json!({
        "interval": "1m", "threshold": 3, "stepWeight": 90, "maxWeight": 90, "stepWeightPromotion": 30,
    });
    let mut world = World::at_weight(&analysis, 90);
    world.run(90);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 60));
    world.run(60);
    world.set_primary_health(Health::Unavailable { ready: 0 });
    world.run(5);
    assert_eq!(world.phase(), Phase::Promoting);
    world.set_primary_health(Health::Ready);
    world.run(120);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn a_revision_that_arrives_while_the_primary_is_put_back_starts_from_the_primary() {
    let mut world = promoting();
    world.set_primary_health(Health::Stuck);
    world.settle();
    world.fresh = Health::Ready;
    world.set_revision(THIRD);
    world.settle();
    assert_eq!(
        (
            world.weight(),
            world.status().release.unwrap().revision.as_str()
        ),
        (0, SECOND)
    );
    world.log.clear();
    world.set_primary_health(Health::Ready);
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, THIRD)
    );
    let first_route = world
        .told()
        .lines()
        .find(|line| line.contains("[route"))
        .unwrap()
        .to_owned();
    assert!(first_route.contains("[route 80/20]"), "{first_route}");
}

#[test]
fn a_canary_that_dies_while_it_serves_everybody_gives_way_to_the_old_pods_of_the_primary() {
    let mut world = promoting();
    world.set_primary_health(Health::Stuck);
    world.settle();
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.settle();
    assert_eq!((world.phase(), world.weight()), (Phase::Failed, 0));
}

#[test]
fn a_primary_that_somebody_changes_in_mid_promotion_gets_the_release_again() {
    let mut world = promoting();
    world.primary.as_mut().unwrap().revision = THIRD.to_owned();
    world.stirred = true;
    world.settle();
    expect(&mut world, "0 [promote v1-000000000002]");
}

#[test]
fn a_primary_that_is_gone_in_mid_promotion_gets_the_release_again() {
    let mut world = promoting();
    world.primary = None;
    world.stirred = true;
    world.settle();
    expect(&mut world, "0 [promote v1-000000000002]");
}

#[test]
fn a_promotion_that_failed_can_be_retried_once_the_primary_is_back() {
    use crate::request::Verb;
    use crate::status::RequestOutcome;
    let mut world = promoting();
    world.set_primary_health(Health::Stuck);
    world.settle();
    world.ask(Verb::Retry, "r1");
    world.settle();
    let record = world.status().last_request.unwrap();
    assert_eq!(
        (record.outcome, record.message.as_str()),
        (
            RequestOutcome::Refused,
            "the primary is still being put back"
        )
    );
    world.set_primary_health(Health::Ready);
    world.run(5);
    world.fresh = Health::Ready;
    world.ask(Verb::Retry, "r2");
    world.run(60);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn a_crash_after_the_copy_does_not_forget_the_promotion() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.pass(jiff::SignedDuration::from_secs(10));
    // Phase first: the tick that copies is another one.
    let (_, plan) = world.tick(None);
    assert!(!plan.promotes());
    let (_, plan) = world.tick(Some(1));
    assert!(plan.promotes());
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Promoting, SECOND)
    );
    world.run(10);
    assert_eq!(
        (world.phase(), world.primary_revision()),
        (Phase::Succeeded, SECOND)
    );
}

#[test]
fn a_weight_that_somebody_edits_waits_until_the_primary_was_given_its_revision() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.pass(jiff::SignedDuration::from_secs(10));
    world.fresh = Health::Rolling;
    world.tick(None);
    world.routes = Some(crate::release::Routes::ALL_PRIMARY);
    let (_, plan) = world.tick(None);
    assert!(plan.promotes() && plan.routes().next().is_none());
    world.settle();
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_crash_between_route_and_status_skips_no_step() {
    let mut world = World::at_rest(&two_steps());
    world.set_revision(SECOND);
    // Detected, then scaled up.
    world.tick(None);
    world.tick(None);
    world.log.clear();
    world.tick(Some(2));
    assert_eq!((world.weight(), world.status().canary_weight), (20, 0));
    world.settle();
    expect(
        &mut world,
        "
        0 Starting canary analysis for podinfo.test
        0 [route 80/20]
        0 Starting canary analysis for podinfo.test
        0 Advance podinfo.test canary weight 20
        ",
    );
    assert_eq!(world.status().canary_weight, 20);
}

/// A person's request meets the controller between a route and its status: whoever was sent to the
/// canary meanwhile has connections there.
#[test]
fn a_weight_that_was_routed_but_not_stored_drains_before_its_pods_go() {
    let mut world = World::at_rest(&two_steps());
    world.set_revision(SECOND);
    world.tick(None);
    world.tick(None);
    world.tick(Some(2));
    assert_eq!((world.weight(), world.status().canary_weight), (20, 0));
    world.ask(Verb::PromoteFull, "r1");
    let asked_at = world.now;
    world.run(10);
    let status = world.status();
    assert_eq!((status.phase, world.weight()), (Phase::Succeeded, 0));
    let ended_at = status.release.unwrap().ended_at.unwrap();
    assert!(ended_at.duration_since(asked_at) >= SignedDuration::from_secs(2));
}

#[test]
fn a_crash_as_the_pods_go_does_not_forget_the_step() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.set_target_health(Health::Unavailable { ready: 0 });
    world.tick(Some(1));
    assert_eq!(world.weight(), 0);
    world.settle();
    world.set_target_health(Health::Ready);
    world.settle();
    assert_eq!(world.weight(), 40);
}

#[test]
fn a_revision_that_nobody_analysed_gets_nothing_when_the_promotion_fails() {
    let mut world = promoting();
    world.fresh = Health::Ready;
    world.set_revision(THIRD);
    world.set_primary_health(Health::Stuck);
    world.settle();
    let told = world.told();
    assert!(told.contains("Promotion of podinfo.test failed"), "{told}");
    assert!(!told.contains("[route 0/100]"), "{told}");
}

#[test]
fn a_primary_that_is_ready_at_its_deadline_is_promoted() {
    let mut world = promoting();
    let since = world.status().release.unwrap().rolling_since.unwrap();
    world.now = since + SignedDuration::from_secs(60);
    world.set_primary_health(Health::Ready);
    world.run(10);
    assert_eq!(world.phase(), Phase::Succeeded);
}

#[test]
fn configuration_that_failed_its_promotion_is_put_back_although_the_template_is_the_same() {
    let mut world = World::at_rest(&two_steps());
    world
        .configs
        .insert("configmap/settings".to_owned(), "new".to_owned());
    world.stirred = true;
    world.settle();
    world.advance_to(40);
    world.fresh = Health::Rolling;
    world.run(10);
    world.log.clear();
    world.set_primary_health(Health::Stuck);
    world.settle();
    let told = world.told();
    assert_eq!(
        told.matches("[promote v1-000000000001]").count(),
        1,
        "{told}"
    );
}

#[test]
fn people_sent_to_the_canary_while_a_promotion_ends_are_brought_back_and_drained_before_its_pods_go()
 {
    let mut world = World::at_weight(&two_steps(), 40);
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Finalising, 0));
    world.log.clear();
    world.routes = Some(crate::release::Routes::to_canary(10));
    world.stirred = true;
    world.run(20);
    expect(
        &mut world,
        "
        0 [route 100/0]
        2 [scale 0]
        2 Promotion completed! Scaling down podinfo.test
        ",
    );
}

/// `kubectl rollout undo`, or the commit before: the usual way back.
#[test]
fn a_target_that_is_set_back_in_mid_promotion_takes_the_promotion_back() {
    let mut world = World::at_weight(&two_steps(), 40);
    world.fresh = Health::Rolling;
    world.run(10);
    assert_eq!((world.phase(), world.weight()), (Phase::Promoting, 40));
    world.log.clear();
    world.fresh = Health::Ready;
    world.set_revision(FIRST);
    world.set_target_health(Health::Ready);
    world.settle();
    world.run(120);
    let status = world.status();
    assert_eq!((world.weight(), status.canary_weight), (0, 0));
    assert_eq!(world.primary_revision(), FIRST);
    assert_eq!(status.last_promoted_spec.as_deref(), Some(FIRST));
    assert_eq!(status.last_applied_spec.as_deref(), Some(FIRST));
    let release = status.release.unwrap();
    assert_eq!(release.outcome, Some(Outcome::Aborted));
    assert!(!release.recovering);
    assert_eq!(release.number, 1, "and nothing is released anew");
    let said = world.said();
    let back = "Rolling back podinfo.test target was set back to the promoted revision";
    assert!(said.contains(&back.to_owned()), "{said:?}");
}
