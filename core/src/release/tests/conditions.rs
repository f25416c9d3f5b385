//! When a condition is written anew, and what it keeps.

use jiff::Timestamp;

use crate::release::conditions::{self, DRIFT, PAUSED, READY};
use crate::status::{CanaryCondition, CanaryStatus, Phase};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Seconds of the last update and of the last transition.
fn times(condition: &CanaryCondition) -> (i64, i64) {
    let second = |time: Option<Timestamp>| time.unwrap().as_second();
    (
        second(condition.last_update_time),
        second(condition.last_transition_time),
    )
}

fn promoted(status: &mut CanaryStatus, phase: Phase, second: i64) -> CanaryCondition {
    status.phase = phase;
    conditions::set_promoted(status, "Deployment", at(second));
    status.conditions[0].clone()
}

#[test]
fn promoted_keeps_the_time_of_its_transition_while_its_value_stays() {
    let mut status = CanaryStatus::default();
    let first = promoted(&mut status, Phase::Progressing, 10);
    assert_eq!(
        (first.status.as_str(), times(&first)),
        ("Unknown", (10, 10))
    );
    let same_value = promoted(&mut status, Phase::Promoting, 20);
    assert_eq!(same_value.reason, "Promoting");
    assert_eq!(
        (same_value.status.as_str(), times(&same_value)),
        ("Unknown", (20, 10))
    );
    let another = promoted(&mut status, Phase::Succeeded, 30);
    assert_eq!(
        (another.status.as_str(), times(&another)),
        ("True", (30, 30))
    );
    assert_eq!(status.conditions.len(), 1);
}

#[test]
fn promoted_is_left_alone_while_nothing_in_it_changes() {
    let mut status = CanaryStatus::default();
    let first = promoted(&mut status, Phase::Waiting, 10);
    assert_eq!(promoted(&mut status, Phase::Waiting, 20), first);
}

#[test]
fn promoted_is_read_among_other_conditions_and_comes_first() {
    let mut status = CanaryStatus::default();
    conditions::set(&mut status, DRIFT, "ReplicasNotZero", "text", at(5));
    promoted(&mut status, Phase::Waiting, 10);
    let again = promoted(&mut status, Phase::Progressing, 20);
    assert_eq!(
        (again.type_.as_str(), times(&again)),
        ("Promoted", (20, 10))
    );
    assert_eq!(status.conditions[1].type_, DRIFT);
}

#[test]
fn each_phase_has_the_value_and_the_sentence_that_flagger_gives_it() {
    let wanted = [
        (
            Phase::Initializing,
            "Unknown",
            "New Deployment detected, starting initialization.",
        ),
        (
            Phase::Initialized,
            "True",
            "Deployment initialization completed.",
        ),
        (Phase::Waiting, "Unknown", "Waiting for approval."),
        (
            Phase::Progressing,
            "Unknown",
            "New revision detected, progressing canary analysis.",
        ),
        (Phase::WaitingPromotion, "Unknown", "Waiting for approval."),
        (
            Phase::Promoting,
            "Unknown",
            "Canary analysis completed, starting primary rolling update.",
        ),
        (
            Phase::Finalising,
            "Unknown",
            "Canary analysis completed, routing all traffic to primary.",
        ),
        (
            Phase::Succeeded,
            "True",
            "Canary analysis completed successfully, promotion finished.",
        ),
        (
            Phase::Failed,
            "False",
            "Canary analysis failed, Deployment scaled to zero.",
        ),
        (
            Phase::Terminating,
            "Unknown",
            "New Deployment detected, starting initialization.",
        ),
    ];
    for (phase, value, message) in wanted {
        let condition = promoted(&mut CanaryStatus::default(), phase, 10);
        assert_eq!(
            (condition.status.as_str(), condition.message.as_str()),
            (value, message)
        );
        assert_eq!(condition.reason, format!("{phase:?}"));
    }
}

#[test]
fn a_condition_is_dated_anew_only_if_its_reason_or_text_changed() {
    let mut status = CanaryStatus::default();
    let mut set = |reason: &str, message: &str, second: i64| {
        conditions::set(&mut status, PAUSED, reason, message, at(second));
        let condition = conditions::get(&status, PAUSED).unwrap();
        let told = (condition.reason.clone(), condition.message.clone());
        (told, times(condition))
    };
    let told = |reason: &str, message: &str| (reason.to_owned(), message.to_owned());
    assert_eq!(set("A", "a", 10), (told("A", "a"), (10, 10)));
    assert_eq!(set("A", "a", 20), (told("A", "a"), (10, 10)));
    assert_eq!(set("B", "a", 30), (told("B", "a"), (30, 10)));
    assert_eq!(set("B", "b", 40), (told("B", "b"), (40, 10)));
}

#[test]
fn ready_is_set_where_it_is_false_and_the_others_where_they_are_true() {
    let mut status = CanaryStatus::default();
    conditions::set(&mut status, READY, "Forbidden", "text", at(10));
    conditions::set(&mut status, PAUSED, "Requested", "text", at(10));
    assert_eq!(conditions::get(&status, READY).unwrap().status, "False");
    assert_eq!(conditions::get(&status, PAUSED).unwrap().status, "True");
    conditions::clear(&mut status, READY);
    assert_eq!(conditions::get(&status, READY), None);
    assert!(conditions::get(&status, PAUSED).is_some());
}
