//! Verbs that ask the controller for something, and wait until it has happened.

use std::process::Command;

use axum::http::Method;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use crate::fake::{FakeApi, answer_to, canary, conflict, ended, progressing, status};
use crate::run::{finish, on, start, wait_until};

const REQUEST: &str = "kubectl-canary.dev/request";

pub fn answering(outcome: &'static str, message: &'static str) -> FakeApi {
    FakeApi::reacting(
        canary(&progressing()),
        vec![Box::new(move |id| answer_to(id, outcome, message))],
    )
}

#[test]
fn a_step_is_reported_when_it_was_taken() {
    let api = answering("Done", "weight 10 → 20");
    on(
        &api,
        &["promote", "canary/podinfo", "--reason", "looks good"],
    )
    .said("podinfo.test: weight 10 → 20\n");
    let patches = api.patches();
    let [patch] = patches.as_slice() else {
        panic!("{patches:?}")
    };
    assert_eq!(patch["metadata"]["resourceVersion"], "7");
    let request = patch["metadata"]["annotations"][REQUEST].as_str().unwrap();
    assert!(
        request.starts_with("promote v1-bbbbbbbbbbbb uid-1 "),
        "{request}"
    );
    // Behind the request's id, so that no later request takes it for its own.
    let id = request.rsplit(' ').next().unwrap();
    assert_eq!(
        patch["metadata"]["annotations"]["kubectl-canary.dev/request-reason"],
        format!("{id} looks good")
    );
    assert!(patch.get("spec").is_none() && patch.get("status").is_none());
}

#[test]
fn each_verb_asks_for_what_it_is_called() {
    let paused = |paused: bool| {
        let mut status = progressing();
        if paused {
            status["release"]["paused"] =
                json!({"since": "2026-03-01T11:59:30Z", "remainingMs": 1000});
        }
        canary(&status)
    };
    for (verb, was_paused) in [("pause", false), ("resume", true)] {
        let api = FakeApi::reacting(
            paused(was_paused),
            vec![Box::new(|id| answer_to(id, "Done", "so it is"))],
        );
        on(&api, &[verb, "podinfo"]).said("podinfo.test: so it is\n");
        assert!(
            api.annotations()[REQUEST]
                .as_str()
                .unwrap()
                .starts_with(&format!("{verb} "))
        );
        let api = FakeApi::new(paused(!was_paused));
        assert_eq!(on(&api, &[verb, "podinfo"]).code, 0);
        assert!(
            api.patches().is_empty(),
            "what is so already needs no request"
        );
    }
    let failed = merged(progressing(), &ended("Failed", "RolledBack"));
    let api = FakeApi::reacting(
        canary(&failed),
        vec![Box::new(|id| {
            answer_to(id, "Done", "the release starts again")
        })],
    );
    on(&api, &["retry", "podinfo"]).said("podinfo.test: the release starts again\n");
    assert!(
        api.annotations()[REQUEST]
            .as_str()
            .unwrap()
            .starts_with("retry v1-bbbbbbbbbbbb ")
    );
}

fn merged(mut base: Value, over: &Value) -> Value {
    for (key, value) in over.as_object().unwrap() {
        match (
            base.get_mut(key).and_then(Value::as_object_mut),
            value.as_object(),
        ) {
            (Some(base), Some(value)) => base.extend(value.clone()),
            _ => base[key] = value.clone(),
        }
    }
    base
}

#[test]
fn a_full_promotion_is_reported_when_the_release_has_ended() {
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(|id| {
                answer_to(
                    id,
                    "Done",
                    "promotion started: the primary gets the new revision",
                )
            }),
            Box::new(|_| json!({"phase": "Promoting"})),
            Box::new(|_| ended("Succeeded", "Promoted")),
        ],
    );
    let ran = on(&api, &["promote", "podinfo", "--full"]);
    ran.said("podinfo.test: release 2 promoted (6.0.0 -> 6.0.1), 92s after it started\n");
    assert!(ran.stderr.contains("promotion started"), "{}", ran.stderr);
    assert!(
        api.annotations()[REQUEST]
            .as_str()
            .unwrap()
            .starts_with("promote-full ")
    );
}

#[test]
fn a_full_promotion_that_fails_is_2() {
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(|id| answer_to(id, "Done", "promotion started")),
            Box::new(|_| ended("Failed", "PromotionFailed")),
        ],
    );
    on(&api, &["promote", "podinfo", "--full"])
        .failed(2, "release 2 of podinfo.test the promotion failed");
}

/// Where a rollback is asked for, and happens.
pub fn rolled_back() -> FakeApi {
    FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(|id| answer_to(id, "Done", "rolling back")),
            Box::new(|_| ended("Failed", "RolledBack")),
        ],
    )
}

#[test]
fn a_rollback_is_reported_when_the_canary_is_gone() {
    let api = rolled_back();
    on(&api, &["rollback", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
}

#[test]
fn a_release_that_is_superseded_while_it_is_promoted_is_6() {
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(|id| answer_to(id, "Done", "promotion starts when the canary is ready")),
            Box::new(|_| json!({"release": {"number": 3, "revision": "v1-cccccccccccc"}})),
        ],
    );
    on(&api, &["promote", "podinfo", "--full"])
        .failed(6, "release 2 of podinfo.test was superseded");
}

#[test]
fn the_controller_s_no_is_reported_as_it_said_it() {
    on(
        &answering("Refused", "the release is paused: resume it first"),
        &["promote", "podinfo"],
    )
    .failed(1, "the release is paused");
    on(
        &answering("Superseded", "the release is v1-cc now"),
        &["promote", "podinfo"],
    )
    .failed(6, "the release is v1-cc now");
}

#[test]
fn at_rest_nothing_is_asked() {
    let api = FakeApi::new(canary(&merged(
        progressing(),
        &ended("Succeeded", "Promoted"),
    )));
    for verb in ["promote", "rollback", "pause", "resume", "retry"] {
        on(&api, &[verb, "podinfo"]).failed(1, "nothing to ");
    }
    assert!(api.patches().is_empty());
}

/// A server that refuses the write in this way.
fn denying(code: u16, reason: &'static str, message: &'static str) -> FakeApi {
    FakeApi::answering(move |call, _| {
        (call.method == Method::PATCH).then(|| status(code, reason, message, "podinfo"))
    })
}

#[test]
fn a_policy_s_no_is_5_without_the_machinery_s_words() {
    let policy = "canaries.flagger.app \"podinfo\" is forbidden: ValidatingAdmissionPolicy 'canary-requests' with binding 'canary-requests' denied request: user bob lacks verb promote on canaries.flagger.app test/podinfo";
    let ran = on(&denying(403, "Forbidden", policy), &["promote", "podinfo"]);
    ran.failed(5, "error: user bob lacks verb promote");
    assert!(
        !ran.stderr.contains("ValidatingAdmissionPolicy"),
        "{}",
        ran.stderr
    );
    let webhook = "admission webhook \"validate.kubectl-canary.dev\" denied the request: not today";
    on(&denying(422, "Invalid", webhook), &["promote", "podinfo"]).failed(5, "error: not today");
    let rbac = "canaries.flagger.app \"podinfo\" is forbidden: User \"bob\" cannot patch resource \"canaries\"";
    on(&denying(403, "Forbidden", rbac), &["rollback", "podinfo"])
        .failed(5, "User \"bob\" cannot patch");
}

#[test]
fn a_conflict_is_tried_again_on_what_is_there_now() {
    let api = FakeApi::scripted(
        canary(&progressing()),
        Box::new(|call, state| {
            (call.method == Method::PATCH && call.earlier == 0).then(|| {
                state.merge(&json!({"status": {"failedChecks": 1}}));
                conflict()
            })
        }),
        vec![Box::new(|id| answer_to(id, "Done", "weight 10 → 20"))],
    );
    on(&api, &["promote", "podinfo"]).said("podinfo.test: weight 10 → 20\n");
    assert_eq!(api.patches()[1]["metadata"]["resourceVersion"], "8");
}

#[test]
fn a_conflict_that_stays_is_1() {
    let ran = on(
        &denying(409, "Conflict", "modified"),
        &["promote", "podinfo"],
    );
    ran.failed(1, "keeps changing");
}

#[test]
fn a_revision_that_changed_meanwhile_is_6_and_not_promoted() {
    let api = FakeApi::answering(|call, state| {
        (call.method == Method::PATCH).then(|| {
            state.merge(
                &json!({"status": {"release": {"number": 3, "revision": "v1-cccccccccccc"}}}),
            );
            conflict()
        })
    });
    on(&api, &["promote", "podinfo"]).failed(6, "v1-bbbbbbbbbbbb was superseded by release 3");
    assert_eq!(api.patches().len(), 1);
}

#[test]
fn a_request_that_nobody_answers_is_withdrawn_at_the_timeout() {
    let api = FakeApi::new(canary(&progressing()));
    let ran = on(&api, &["promote", "podinfo", "--timeout", "1s"]);
    ran.failed(3, "the controller did not answer the promote of podinfo.test within 1s; the request was withdrawn");
    assert_eq!(api.annotations(), json!({}));
}

#[test]
fn a_request_that_was_accepted_is_not_withdrawn() {
    let api = answering("Done", "promotion started");
    let ran = on(&api, &["promote", "podinfo", "--full", "--timeout", "1s"]);
    ran.failed(3, "was accepted, but has not happened within 1s");
    assert!(api.annotations()[REQUEST].is_string());
}

#[test]
fn ctrl_c_withdraws_what_nobody_has_answered() {
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &["promote", "podinfo"]);
    wait_until(|| api.annotations()[REQUEST].is_string());
    api.state.until_told(1);
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let ran = finish(child);
    assert_eq!(
        (ran.code, ran.stderr.trim()),
        (130, "the request was withdrawn")
    );
    assert_eq!(api.annotations(), json!({}));
}

#[test]
fn a_canary_that_is_deleted_meanwhile_is_4() {
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &["promote", "podinfo"]);
    wait_until(|| api.annotations()[REQUEST].is_string());
    api.state.until_told(1);
    api.state.delete();
    finish(child).failed(4, "canary podinfo.test was deleted");
}

#[test]
fn silence_is_explained_while_it_lasts() {
    let api = FakeApi::new(canary(&progressing()));
    let ran = on(&api, &["pause", "podinfo", "--timeout", "6s"]);
    assert!(
        ran.stderr
            .contains("no answer from the controller yet: is canary-webhook running?"),
        "{}",
        ran.stderr
    );
    ran.failed(3, "did not answer");
}

/// A Canary on which bob's wish waits for its answer.
pub fn waiting(verb: &str) -> Value {
    let mut canary = canary(&progressing());
    canary["metadata"]["annotations"] = json!({
        REQUEST: format!("{verb} v1-bbbbbbbbbbbb uid-1 42"),
        "kubectl-canary.dev/request-reason": "42 errors", "kubectl-canary.dev/requested-by": "bob",
    });
    canary
}

#[test]
fn a_rollback_that_waits_is_never_replaced_by_what_goes_forward() {
    let api = FakeApi::new(waiting("rollback"));
    let said = "nothing was asked of podinfo.test: bob asked to roll back (errors), and is not answered yet";
    for words in [
        ["promote", "podinfo"].as_slice(),
        &["promote", "podinfo", "--full"],
        &["pause", "podinfo"],
        &["resume", "podinfo"],
        &["promote", "podinfo", "--dry-run=server"],
    ] {
        let ran = on(&api, words);
        ran.failed(1, said);
        assert!(
            ran.stderr.contains("kubectl canary doctor podinfo -n test"),
            "{}",
            ran.stderr
        );
        assert!(
            ran.stderr.contains(
                "kubectl annotate canary podinfo kubectl-canary.dev/request= --overwrite -n test"
            ),
            "{}",
            ran.stderr
        );
    }
    on(&api, &["promote", "podinfo", "other"]).failed(1, "takes a terminal to ask");
    assert!(api.patches().is_empty());
    // A pause that waits holds as well; only the way back is always open.
    let api = FakeApi::new(waiting("pause"));
    on(&api, &["resume", "podinfo"]).failed(1, "bob asked to pause (errors)");
    assert!(api.patches().is_empty());
    on(&api, &["rollback", "podinfo", "--timeout", "1s"]).failed(3, "the request stays");
    let written = api.annotations()[REQUEST].as_str().unwrap().to_owned();
    assert!(written.starts_with("rollback "), "{written}");
}

#[test]
fn a_request_that_the_cluster_does_not_keep_is_said_to_be_lost() {
    let api = FakeApi::answering(|call, _| {
        // As a policy does that takes annotations out.
        let bare = canary(&progressing());
        (call.method == Method::PATCH).then(|| axum::Json(bare).into_response())
    });
    for words in [
        ["rollback", "podinfo"].as_slice(),
        &["promote", "podinfo", "--dry-run=server"],
    ] {
        let ran = on(&api, words);
        ran.failed(5, "did not keep annotation kubectl-canary.dev/request");
        assert!(!ran.stderr.contains("stays"), "{}", ran.stderr);
    }
}
