//! A primary that cannot be put back: its template is lost, or the write is refused.

use jiff::SignedDuration;

use super::story::{SECOND, THIRD, two_steps};
use crate::release::Action;
use crate::release::tests::sim::Health;
use crate::release::tests::world::{FIRST, World};
use crate::request::Verb;
use crate::status::{Outcome, Phase, RequestOutcome};

/// Whatever would give the primary what it had before.
fn is_refused(action: &Action) -> bool {
    matches!(action, Action::Promote(revision) if revision == FIRST)
}

fn look(world: &mut World, seconds: i64) {
    for _ in 0..seconds {
        world.pass(SignedDuration::from_secs(1));
        world.tick_refused(is_refused, None);
    }
}

/// Taken back by a person in mid-promotion.
fn taken_back() -> World {
    let mut world = World::at_weight(&two_steps(), 40);
    while world.phase() != Phase::Promoting {
        world.now = world.wake.unwrap().max(world.now);
        world.tick(None);
    }
    world.fresh = Health::Rolling;
    world.tick(None);
    assert_eq!(world.primary_revision(), SECOND);
    world.fresh = Health::Ready;
    world.ask(Verb::Rollback, "r1");
    look(&mut world, 5);
    world.set_primary_health(Health::Ready);
    world
}

#[test]
fn everybody_is_home_and_it_is_said_although_the_primary_cannot_be_put_back() {
    let mut world = taken_back();
    look(&mut world, 2);
    let status = world.status();
    assert_eq!((world.weight(), status.canary_weight), (0, 0));
    assert!(!status.last_request.unwrap().pending);
    assert!(status.release.unwrap().recovering);
}

#[test]
fn a_primary_that_cannot_be_put_back_keeps_no_newer_revision_waiting_for_ever() {
    let mut world = taken_back();
    look(&mut world, 5);
    assert_eq!((world.weight(), world.phase()), (0, Phase::Failed));
    world.set_revision(THIRD);
    look(&mut world, 30);
    assert!(
        world.status().release.unwrap().recovering,
        "it has its time"
    );
    look(&mut world, 60);
    let status = world.status();
    assert_eq!(status.last_promoted_spec.as_deref(), Some(THIRD));
    assert_eq!(world.primary_revision(), THIRD);
    let outcomes: Vec<_> = status.history.iter().map(|it| it.outcome).collect();
    assert_eq!(outcomes, [Outcome::Promoted, Outcome::RolledBack]);
}

#[test]
fn a_failed_revision_is_retried_once_the_primary_cannot_be_put_back() {
    let mut world = taken_back();
    world.ask(Verb::Retry, "r2");
    look(&mut world, 1);
    let answer = world.status().last_request.unwrap();
    assert_eq!(answer.message, "the primary is still being put back");
    look(&mut world, 60);
    world.ask(Verb::Retry, "r3");
    look(&mut world, 60);
    let answer = world.status().last_request.unwrap();
    assert_eq!(answer.outcome, RequestOutcome::Done);
    let promoted = world.status().last_promoted_spec;
    assert_eq!(promoted.as_deref(), Some(SECOND));
}

#[test]
fn a_template_that_is_found_again_is_put_back_however_late() {
    let mut world = taken_back();
    look(&mut world, 200);
    assert!(world.status().release.unwrap().recovering);
    assert_eq!(world.primary_revision(), SECOND);
    world.run(10);
    assert!(!world.status().release.unwrap().recovering);
    assert_eq!(world.primary_revision(), FIRST);
}
