// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::{at, canary, fields, read};
use super::*;

const NOW: &str = "2026-11-23T12:00:00Z";

fn moment(canary: &Canary) -> Moment<'_> {
    Moment {
        canary: Some(canary),
        others_releasing: 0,
        now: at(NOW),
    }
}

fn resting() -> Canary {
    canary(
        json!({ "stepWeight": 10 }),
        json!({ "phase": "Succeeded", "lastPromotedSpec": "v1-00000000000a" }),
    )
}

fn running(phase: &str) -> Canary {
    canary(
        json!({ "stepWeight": 10 }),
        json!({
            "phase": phase,
            "release": { "number": 2, "revision": "v1-00000000000b", "startedAt": "2026-11-23T11:00:00Z", "by": "ann" },
        }),
    )
}

fn ended(outcome: &str, at: &str) -> Canary {
    canary(
        json!({}),
        json!({
            "phase": "Succeeded",
            "release": {
                "number": 2, "revision": "v1-00000000000b", "startedAt": "2026-11-23T01:00:00Z",
                "endedAt": at, "outcome": outcome,
            },
        }),
    )
}

/// Frozen from 11:00 until 13:00.
fn freeze(on_freeze: Value) -> Policy {
    read(json!({ "release": {
        "onFreeze": on_freeze,
        "freezeWindows": [{
            "name": "lunch", "start": "2026-11-23T11:00:00Z", "end": "2026-11-23T13:00:00Z", "reason": "CHG-1",
        }],
    } }))
}

#[test]
fn a_freeze_says_until_when_and_why_and_who_may_pass() {
    let canary = resting();
    let found = freeze(json!({})).start(&moment(&canary));
    assert_eq!(
        found[0].to_string(),
        "CanaryPolicy prod: spec.release.freezeWindows[lunch]: releases are frozen until \
         2026-11-23T13:00:00Z (CHG-1); wait, or ask a holder of the verb bypass to add \
         kubectl-canary.dev/break-glass"
    );
    assert_eq!(found[0].until, Some(at("2026-11-23T13:00:00Z")));
}

#[test]
fn a_freeze_holds_from_its_first_instant_to_its_last() {
    let canary = resting();
    let policy = freeze(json!({}));
    let frozen = |now: &str| {
        let moment = Moment {
            now: at(now),
            ..moment(&canary)
        };
        !policy.start(&moment).is_empty()
    };
    for (now, expected) in [
        ("2026-11-23T10:59:59.999999999Z", false),
        ("2026-11-23T11:00:00Z", true),
        ("2026-11-23T12:59:59.999999999Z", true),
        ("2026-11-23T13:00:00Z", false),
    ] {
        assert_eq!(frozen(now), expected, "{now}");
    }
}

#[test]
fn a_freeze_that_lets_new_releases_start_still_holds_running_ones_and_the_other_way_round() {
    let canary = resting();
    let starts = freeze(json!({ "newReleases": "Allow" }));
    let found = holds([&starts], &moment(&canary), false);
    assert!(found.start.is_empty());
    assert_eq!((found.advance.len(), found.promote.len()), (1, 1));
    let goes_on = freeze(json!({ "running": "Continue" }));
    let found = holds([&goes_on], &moment(&canary), false);
    assert_eq!(found.start.len(), 1);
    assert!(found.advance.is_empty() && found.promote.is_empty());
}

#[test]
fn the_time_between_two_releases_counts_from_the_end_of_the_last() {
    let policy = read(json!({ "release": { "minInterval": "30m" } }));
    let held = |canary: &Canary| policy.start(&moment(canary)).first().map(|o| o.until);
    let free = |text: &str| Some(Some(at(text)));
    assert_eq!(held(&resting()), None);
    assert_eq!(held(&ended("Promoted", "2026-11-23T11:30:00Z")), None);
    assert_eq!(
        held(&ended("Promoted", "2026-11-23T11:30:00.000001Z")),
        free("2026-11-23T12:00:00.000001Z")
    );
    assert_eq!(
        held(&ended("RolledBack", "2026-11-23T11:50:00Z")),
        free("2026-11-23T12:20:00Z")
    );
    // The release that took over goes on where it was.
    assert_eq!(held(&ended("Superseded", "2026-11-23T11:50:00Z")), None);
}

#[test]
fn the_end_of_the_last_release_is_known_while_the_next_one_waits() {
    let policy = read(json!({ "release": { "minInterval": "30m" } }));
    let waiting = canary(
        json!({}),
        json!({
            "phase": "Waiting",
            "release": { "number": 3, "revision": "v1-00000000000c", "startedAt": "2026-11-23T11:55:00Z" },
            "history": [{
                "number": 2, "revision": "v1-00000000000b", "startedAt": "2026-11-23T11:00:00Z",
                "endedAt": "2026-11-23T11:50:00Z", "outcome": "Promoted",
            }],
        }),
    );
    let found = holds([&policy], &moment(&waiting), false);
    assert_eq!(fields(&found.start), ["spec.release.minInterval"]);
    assert_eq!(found.edge, Some(at("2026-11-23T12:20:00Z")));
}

#[test]
fn a_namespace_has_no_more_releases_than_it_may_and_one_that_runs_keeps_its_slot() {
    let policy = read(json!({ "release": { "maxConcurrentPerNamespace": 2 } }));
    let found = |canary: &Canary, others| {
        let moment = Moment {
            others_releasing: others,
            ..moment(canary)
        };
        policy.start(&moment).len()
    };
    assert_eq!(found(&resting(), 1), 0);
    assert_eq!(found(&resting(), 2), 1);
    assert_eq!(found(&running("Progressing"), 2), 0);
    assert_eq!(found(&running("Waiting"), 2), 1);
}

#[test]
fn a_release_runs_from_its_first_check_to_the_last_write_of_its_promotion() {
    for (phase, runs) in [
        ("", false),
        ("Initializing", false),
        ("Initialized", false),
        ("Waiting", false),
        ("Progressing", true),
        ("WaitingPromotion", true),
        ("Promoting", true),
        ("Finalising", true),
        ("Succeeded", false),
        ("Failed", false),
        ("Terminating", false),
        ("Terminated", false),
    ] {
        assert_eq!(is_releasing(&running(phase)), runs, "{phase}");
    }
}

#[test]
fn what_blocks_a_release_is_told_for_every_policy_whatever_its_enforcement() {
    let mut warns = freeze(json!({}));
    warns.name = "soft".into();
    warns.spec.enforcement = Enforcement::Warn;
    let denies = read(json!({ "release": { "onRunningRelease": "Deny", "minInterval": "30m" } }));
    let running = running("Progressing");
    assert_eq!(
        fields(&blocks([&warns, &denies], &moment(&running))),
        [
            "spec.release.freezeWindows[lunch]",
            "spec.release.onRunningRelease"
        ]
    );
    let resting = resting();
    assert!(blocks([&denies], &moment(&resting)).is_empty());
}

#[test]
fn only_policies_that_deny_hold_and_each_of_them_does() {
    let canary = resting();
    let mut warns = freeze(json!({}));
    warns.spec.enforcement = Enforcement::Warn;
    let mut audits = warns.clone();
    audits.spec.enforcement = Enforcement::Audit;
    assert_eq!(
        holds([&warns, &audits], &moment(&canary), false),
        Holds::default()
    );
    let (one, mut other) = (freeze(json!({})), freeze(json!({})));
    other.name = "other".into();
    let found = holds([&one, &other], &moment(&canary), false);
    let names: Vec<_> = found.promote.iter().map(Objection::gate).collect();
    assert_eq!(names, ["CanaryPolicy prod", "CanaryPolicy other"]);
}

#[test]
fn an_approval_is_asked_for_in_and_out_of_a_freeze_and_by_whoever_broke_the_glass() {
    let canary = resting();
    let policy = read(json!({ "approvals": { "promote": { "required": true } } }));
    for broken in [false, true] {
        let found = holds([&policy], &moment(&canary), broken);
        assert_eq!(fields(&found.approval), ["spec.approvals.promote.required"]);
        assert!(found.promote.is_empty() && found.start.is_empty());
    }
    let reason_only = read(json!({ "approvals": { "promote": { "requireReason": true } } }));
    assert!(
        holds([&reason_only], &moment(&canary), false)
            .approval
            .is_empty()
    );
}

#[test]
fn a_release_that_broke_the_glass_is_not_held_by_the_freeze() {
    let canary = resting();
    let found = holds([&freeze(json!({}))], &moment(&canary), true);
    assert!(found.start.is_empty() && found.advance.is_empty() && found.promote.is_empty());
}

#[test]
fn a_target_is_locked_if_any_policy_says_so() {
    let canary = resting();
    let locks = read(json!({ "protect": { "lockDuringPromotion": true } }));
    let not = read(json!({ "protect": { "generated": true } }));
    assert!(holds([&not, &locks], &moment(&canary), false).lock);
    assert!(!holds([&not], &moment(&canary), false).lock);
    assert!(!holds([], &moment(&canary), false).lock);
}

proptest! {
    /// Who sleeps until the edge misses nothing.
    #[test]
    fn holds_are_the_same_until_their_edge(
        minute in 0_i64..240,
        ended_before in 0_i64..120,
        interval in 1_i64..90,
        between in 0.0_f64..0.999,
    ) {
        let now = at("2026-11-23T10:00:00Z") + SignedDuration::from_mins(minute);
        let end = (now - SignedDuration::from_mins(ended_before)).to_string();
        let canary = ended("Promoted", &end);
        let pause = read(json!({ "release": { "minInterval": format!("{interval}m") } }));
        let policies = [freeze(json!({})), pause];
        let at_time = |now| holds(&policies, &Moment { canary: Some(&canary), others_releasing: 0, now }, false);
        let found = at_time(now);
        if let Some(edge) = found.edge {
            prop_assert!(edge > now);
            let inside = now + SignedDuration::from_secs_f64((edge - now).total(jiff::Unit::Second).unwrap() * between);
            prop_assert_eq!(at_time(inside), found);
        } else {
            prop_assert_eq!(at_time(now + SignedDuration::from_hours(9000)), found);
        }
    }
}
