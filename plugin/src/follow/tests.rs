use serde_json::json;

use super::*;
use crate::report::tests::{progressing, report, status};

#[test]
fn a_release_runs_until_it_has_an_outcome_and_its_phase_has_ended() {
    assert_eq!(fate(&report(&progressing()), Some(2)), Fate::Running);
    // The outcome of a rollback is decided before traffic and pods have followed.
    let deciding = status("Progressing", 30, 10, &json!({"outcome": "RolledBack"}));
    assert_eq!(fate(&report(&deciding), Some(2)), Fate::Running);
    let promoted = status("Succeeded", 0, 0, &json!({"outcome": "Promoted"}));
    assert_eq!(fate(&report(&promoted), Some(2)), Fate::Promoted);
}

#[test]
fn a_failure_says_why() {
    for (outcome, said) in [
        ("RolledBack", "rolled back: threshold reached"),
        ("Aborted", "aborted: threshold reached"),
        ("PromotionFailed", "the promotion failed: threshold reached"),
    ] {
        let failed = status(
            "Failed",
            0,
            10,
            &json!({"outcome": outcome, "message": "threshold reached"}),
        );
        assert_eq!(fate(&report(&failed), Some(2)), Fate::Failed(said.into()));
    }
}

#[test]
fn a_newer_release_supersedes_the_one_that_is_followed() {
    let newer = status("Progressing", 10, 0, &json!({"number": 3}));
    assert_eq!(fate(&report(&newer), Some(2)), Fate::Superseded(Some(3)));
}

#[test]
fn a_release_that_ended_before_the_next_began_is_found_in_the_history() {
    let mut newer = status("Progressing", 10, 0, &json!({"number": 3}));
    newer["history"] = json!([{
        "number": 2, "revision": "v1-b", "outcome": "Promoted",
        "startedAt": "2026-03-01T11:00:00Z", "endedAt": "2026-03-01T11:30:00Z",
    }]);
    assert_eq!(fate(&report(&newer), Some(2)), Fate::Promoted);
}

#[test]
fn without_recorded_releases_the_phase_decides() {
    for (phase, expected) in [
        ("Progressing", Fate::Running),
        ("Succeeded", Fate::Promoted),
        ("Failed", Fate::Failed("rolled back".into())),
    ] {
        let status = json!({"phase": phase, "canaryWeight": 0, "failedChecks": 0, "iterations": 0});
        assert_eq!(fate(&report(&status), None), expected);
    }
}
