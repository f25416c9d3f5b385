use serde_json::{Value, json};

use super::*;
use crate::report::tests::{canary, progressing, report, status};

/// By the Canary alone.
fn judge(request: &Request, before: Option<i64>, canary: &Canary) -> Result<Step, Error> {
    super::judge(request, before, &Observed::alone(canary.clone()))
}

fn at(phase: &str) -> CanaryReport {
    report(&status(phase, 0, 0, &json!({})))
}

fn refused(considered: Considered) -> String {
    match considered {
        Considered::Nothing(error) => {
            assert_eq!(error.code(), crate::exit::code::ERROR);
            error.to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn revision(considered: &Considered) -> Option<&str> {
    match considered {
        Considered::Revision(revision) => Some(revision),
        _ => None,
    }
}

#[test]
fn a_running_release_can_be_steered() {
    for phase in ["Waiting", "Progressing", "WaitingPromotion"] {
        for verb in [
            Verb::Promote,
            Verb::PromoteFull,
            Verb::Rollback,
            Verb::Pause,
        ] {
            assert_eq!(
                revision(&consider(verb, &at(phase))),
                Some("v1-bbbbbbbbbbbb"),
                "{phase} {verb}"
            );
        }
    }
}

#[test]
fn a_suspended_release_can_be_rolled_back_and_nothing_else() {
    let suspended = |phase: &str| CanaryReport {
        suspended: true,
        ..at(phase)
    };
    for phase in ["Waiting", "Progressing", "WaitingPromotion", "Promoting"] {
        let considered = consider(Verb::Rollback, &suspended(phase));
        assert_eq!(revision(&considered), Some("v1-bbbbbbbbbbbb"), "{phase}");
        for verb in [
            Verb::Promote,
            Verb::PromoteFull,
            Verb::Pause,
            Verb::Resume,
            Verb::Retry,
        ] {
            let said = refused(consider(verb, &suspended(phase)));
            assert!(said.contains("is suspended"), "{phase} {verb}: {said}");
        }
    }
    let said = refused(consider(Verb::Rollback, &suspended("Succeeded")));
    assert!(said.contains("is suspended"), "{said}");
}

#[test]
fn at_rest_there_is_nothing_to_do_and_it_is_said() {
    for phase in [
        "Initialized",
        "Succeeded",
        "Failed",
        "Initializing",
        "Terminating",
    ] {
        for verb in [
            Verb::Promote,
            Verb::PromoteFull,
            Verb::Rollback,
            Verb::Pause,
            Verb::Resume,
        ] {
            let said = refused(consider(verb, &at(phase)));
            assert!(
                said.starts_with("nothing to ") && said.contains("podinfo.test"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_promotion_under_way_is_not_promoted_again_but_can_be_rolled_back() {
    assert!(refused(consider(Verb::Promote, &at("Promoting"))).contains("being promoted already"));
    assert!(revision(&consider(Verb::Rollback, &at("Promoting"))).is_some());
}

#[test]
fn only_a_failed_release_is_retried() {
    assert_eq!(
        revision(&consider(Verb::Retry, &at("Failed"))),
        Some("v1-bbbbbbbbbbbb")
    );
    for phase in ["Progressing", "Succeeded", "Initialized"] {
        assert!(
            refused(consider(Verb::Retry, &at(phase))).starts_with("nothing to retry"),
            "{phase}"
        );
    }
}

#[test]
fn what_is_so_already_is_no_failure() {
    let paused = report(&status(
        "Progressing",
        30,
        0,
        &json!({"paused": {"since": "2026-03-01T11:59:00Z"}}),
    ));
    assert!(matches!(
        consider(Verb::Pause, &paused),
        Considered::Already(_)
    ));
    assert!(matches!(
        consider(Verb::Resume, &at("Progressing")),
        Considered::Already(_)
    ));
    assert!(revision(&consider(Verb::Resume, &paused)).is_some());
}

#[test]
fn a_canary_that_no_controller_of_ours_runs_is_left_alone() {
    let bare =
        json!({"phase": "Progressing", "canaryWeight": 0, "failedChecks": 0, "iterations": 0});
    assert!(refused(consider(Verb::Promote, &report(&bare))).contains("another controller"));
    let new = json!({"phase": "", "canaryWeight": 0, "failedChecks": 0, "iterations": 0});
    assert!(refused(consider(Verb::Promote, &report(&new))).contains("no controller has looked"));
}

fn request(verb: Verb) -> Request {
    let options = std::collections::BTreeMap::new();
    Request {
        verb,
        revision: "v1-bbbbbbbbbbbb".into(),
        uid: "uid-1".into(),
        id: "mine".into(),
        options,
    }
}

fn answered(mut status: Value, id: &str, outcome: &str) -> Canary {
    status["lastRequest"] = json!({
        "id": id, "verb": "promote", "at": "2026-03-01T12:00:00Z", "outcome": outcome, "message": "weight 10 → 20",
    });
    canary(&status)
}

#[test]
fn the_answer_to_another_request_is_no_answer() {
    let canary = answered(progressing(), "theirs", "Done");
    assert_eq!(
        judge(&request(Verb::Promote), Some(2), &canary).unwrap(),
        Step::Unanswered
    );
}

#[test]
fn a_step_has_happened_when_the_controller_says_so() {
    let canary = answered(progressing(), "mine", "Done");
    let step = judge(&request(Verb::Promote), Some(2), &canary).unwrap();
    assert_eq!(step, Step::Happened("weight 10 → 20".into()));
}

#[test]
fn a_refusal_and_a_newer_revision_have_their_own_codes() {
    for (outcome, code) in [("Refused", 1), ("Malformed", 1), ("Superseded", 6)] {
        let canary = answered(progressing(), "mine", outcome);
        assert_eq!(
            judge(&request(Verb::Promote), Some(2), &canary)
                .unwrap_err()
                .code(),
            code,
            "{outcome}"
        );
    }
}

#[test]
fn a_request_that_was_written_over_is_superseded() {
    let mut canary = canary(&progressing());
    canary.metadata.annotations = Some(
        [(
            names::REQUEST.to_owned(),
            "pause v1-b uid-1 theirs".to_owned(),
        )]
        .into(),
    );
    assert_eq!(
        judge(&request(Verb::Promote), Some(2), &canary)
            .unwrap_err()
            .code(),
        6
    );
}

#[test]
fn a_full_promotion_has_happened_when_the_release_has_ended() {
    let verb = Verb::PromoteFull;
    let judge = |status: Value| judge(&request(verb), Some(2), &answered(status, "mine", "Done"));
    assert!(matches!(
        judge(status("Promoting", 30, 0, &json!({}))),
        Ok(Step::Accepted(_))
    ));
    let end = json!({"outcome": "Promoted", "endedAt": "2026-03-01T11:59:36Z"});
    let said = Step::Happened("release 2 promoted (6.0.0 -> 6.0.1), 34s after it started".into());
    assert_eq!(judge(status("Succeeded", 0, 0, &end)).unwrap(), said);
    let failed = judge(status(
        "Failed",
        0,
        0,
        &json!({"outcome": "PromotionFailed"}),
    ))
    .unwrap_err();
    assert_eq!(failed.code(), 2);
    let newer = judge(status("Progressing", 0, 0, &json!({"number": 3}))).unwrap_err();
    assert_eq!(newer.code(), 6);
}

#[test]
fn a_rollback_has_happened_when_the_canary_is_scaled_down() {
    let judge = |status: Value| {
        judge(
            &request(Verb::Rollback),
            Some(2),
            &answered(status, "mine", "Done"),
        )
    };
    let outcome = json!({"outcome": "RolledBack"});
    assert!(matches!(
        judge(status("Progressing", 0, 0, &outcome)),
        Ok(Step::Accepted(_))
    ));
    let mut draining = status("Failed", 0, 0, &outcome);
    draining["drain"] = json!({"until": "2026-03-01T12:00:02Z", "then": "Failed"});
    assert!(matches!(judge(draining), Ok(Step::Accepted(_))));
    assert!(matches!(
        judge(status("Failed", 0, 0, &outcome)),
        Ok(Step::Happened(_))
    ));
}

#[test]
fn a_rollback_that_a_newer_template_follows_says_so() {
    let then = "; then the newer template of the target is released";
    let mut failed = status("Failed", 0, 0, &json!({"outcome": "RolledBack"}));
    failed["lastRequest"] = json!({
        "id": "mine", "verb": "rollback", "at": "2026-03-01T12:00:00Z", "outcome": "Done",
        "message": format!("{GOING_BACK}{then}"),
    });
    let step = judge(&request(Verb::Rollback), Some(2), &canary(&failed)).unwrap();
    let said = format!("release 2 rolled back, all traffic goes to the primary{then}");
    assert_eq!(step, Step::Happened(said));
}
