use serde_json::{Value, json};

use super::*;
use crate::exit::code;
use crate::report::Observed;
use crate::report::tests::{canary, progressing, status};

fn at(goal: Goal, status: &Value, awaited: &mut Awaited) -> Look {
    let canary = canary(status);
    let report = Observed::alone(canary.clone()).report();
    look(goal, &canary, &report, awaited)
}

/// `Ok` with the sentence, or the code and the sentence of what cannot come any more.
fn ended(goal: Goal, status: &Value) -> Option<Result<String, (u8, String)>> {
    match at(goal, status, &mut Awaited::Current) {
        Look::Pending => None,
        Look::Reached(said) => Some(Ok(said)),
        Look::Over(error) => Some(Err((error.code(), error.to_string()))),
    }
}

fn over(outcome: &str) -> Value {
    let phase = if outcome == "Promoted" {
        "Succeeded"
    } else {
        "Failed"
    };
    let end = json!({"outcome": outcome, "endedAt": "2026-03-01T11:59:42Z", "message": ""});
    status(phase, 0, 0, &end)
}

const ALL: [Goal; 5] = [
    Goal::Promoted,
    Goal::Paused,
    Goal::Held,
    Goal::Failed,
    Goal::Any,
];

#[test]
fn nothing_is_reached_while_the_release_runs() {
    for goal in ALL {
        assert_eq!(ended(goal, &progressing()), None, "{goal:?}");
    }
}

#[test]
fn a_promoted_release_ends_every_wait() {
    let promoted = over("Promoted");
    let said = "release 2 promoted (6.0.0 -> 6.0.1), 40s after it started".to_owned();
    for goal in [Goal::Promoted, Goal::Any] {
        assert_eq!(ended(goal, &promoted), Some(Ok(said.clone())));
    }
    for goal in [Goal::Paused, Goal::Held, Goal::Failed] {
        let (code, said) = ended(goal, &promoted).unwrap().unwrap_err();
        assert_eq!(code, code::ERROR, "{goal:?}");
        assert!(said.contains("will not be"), "{said}");
    }
}

#[test]
fn a_release_that_failed_is_what_one_waits_for_or_2() {
    for outcome in ["RolledBack", "Aborted", "PromotionFailed"] {
        let failed = over(outcome);
        assert!(ended(Goal::Failed, &failed).unwrap().is_ok(), "{outcome}");
        for goal in [Goal::Promoted, Goal::Paused, Goal::Held, Goal::Any] {
            let (code, _) = ended(goal, &failed).unwrap().unwrap_err();
            assert_eq!(code, code::RELEASE_FAILED, "{outcome} {goal:?}");
        }
    }
}

#[test]
fn a_pause_is_reached_and_says_how_it_goes_on() {
    let paused = json!({"paused": {"since": "2026-03-01T11:59:30Z", "by": "bob"}});
    let paused = status("Progressing", 30, 0, &paused);
    let said = "release 2 is paused by bob; resume it: kubectl canary resume podinfo -n test";
    assert_eq!(ended(Goal::Paused, &paused), Some(Ok(said.to_owned())));
    assert_eq!(ended(Goal::Held, &paused), None, "a pause is no gate");
}

#[test]
fn a_gate_holds_in_each_phase_that_has_one() {
    for phase in ["Waiting", "Progressing", "WaitingPromotion"] {
        let gate = status(phase, 0, 0, &json!({"waitingFor": "ask-ops"}));
        let said = "release 2 waits for ask-ops".to_owned();
        assert_eq!(ended(Goal::Held, &gate), Some(Ok(said)), "{phase}");
        assert_eq!(ended(Goal::Paused, &gate), None, "{phase}");
    }
    let approval = status("WaitingPromotion", 0, 0, &json!({}));
    assert!(ended(Goal::Held, &approval).is_some());
}

#[test]
fn a_newer_release_supersedes_the_one_that_was_seen() {
    let mut awaited = Awaited::Current;
    assert!(matches!(
        at(Goal::Promoted, &progressing(), &mut awaited),
        Look::Pending
    ));
    assert_eq!(awaited, Awaited::Seen(2));
    let newer = status("Progressing", 0, 0, &json!({"number": 3}));
    let Look::Over(error) = at(Goal::Promoted, &newer, &mut awaited) else {
        panic!("it goes on");
    };
    assert_eq!(error.code(), code::SUPERSEDED);
}

#[test]
fn a_named_release_may_be_one_to_come_or_one_of_the_past() {
    let mut next = Awaited::Number(3);
    assert!(matches!(
        at(Goal::Any, &over("Promoted"), &mut next),
        Look::Pending
    ));
    let mut running = status("Progressing", 0, 0, &json!({"number": 3}));
    assert!(matches!(at(Goal::Any, &running, &mut next), Look::Pending));
    assert_eq!(next, Awaited::Seen(3));

    let Look::Over(error) = at(Goal::Any, &running, &mut Awaited::Number(2)) else {
        panic!("nobody knows how release 2 ended");
    };
    assert_eq!(error.code(), code::ERROR);
    assert!(error.to_string().contains("not in its history any more"));
    running["history"] = json!([{
        "number": 2, "revision": "v1-b", "outcome": "Promoted",
        "startedAt": "2026-03-01T11:00:00Z", "endedAt": "2026-03-01T11:30:00Z",
    }]);
    let Look::Reached(said) = at(Goal::Any, &running, &mut Awaited::Number(2)) else {
        panic!("release 2 was promoted");
    };
    assert_eq!(said, "release 2 promoted, 30m after it started");
}

fn target(generation: i64, image: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo", "generation": generation},
        "spec": {"template": {"spec": {"containers": [{"name": "a", "image": image}]}}},
    }))
    .unwrap()
}

#[test]
fn right_after_a_change_of_the_target_the_last_release_is_not_what_is_meant() {
    let known = revision(target(1, "a:1").data.pointer("/spec/template").unwrap());
    let seen = |generation: i64, revision: &str| {
        let mut status = over("Promoted");
        status["target"] = json!({"uid": "u", "generation": generation, "revision": revision});
        status
    };
    let before = seen(3, &known);
    let mut awaited = Awaited::of_target(&canary(&before), &target(4, "a:2"));
    assert_eq!(awaited, Awaited::Next { generation: 4 });
    assert!(matches!(
        at(Goal::Any, &before, &mut awaited),
        Look::Pending
    ));
    // The controller looked, and it was no release: the target went back to what was promoted.
    let after = seen(4, &known);
    assert!(matches!(
        at(Goal::Any, &after, &mut awaited),
        Look::Reached(_)
    ));
    // Scaled, and nothing else.
    let scaled = Awaited::of_target(&canary(&before), &target(4, "a:1"));
    assert_eq!(scaled, Awaited::Current);
}

#[test]
fn without_a_look_at_the_target_the_last_release_counts_only_after_a_moment() {
    let mut awaited = Awaited::Unsure;
    let promoted = over("Promoted");
    assert!(matches!(
        at(Goal::Any, &promoted, &mut awaited),
        Look::Pending
    ));
    awaited.settle();
    assert!(matches!(
        at(Goal::Any, &promoted, &mut awaited),
        Look::Reached(_)
    ));
}
