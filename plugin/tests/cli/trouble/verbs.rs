//! What verbs say of a Canary in trouble: why nobody answers, and never that something is done that is not.

use serde_json::{Value, json};

use super::flat;
use super::rows::{REFUSED, rows};
use crate::around::Around;
use crate::fake::{FakeApi, answer_to, canary, ended, progressing};
use crate::run::on;

/// A rollback that was asked for is decided, and its write refused.
fn pending(id: &str) -> Value {
    let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
    status["lastRequest"]["pending"] = json!(true);
    status["release"] = json!({"outcome": "RolledBack", "message": "on request of alice"});
    status["conditions"] =
        json!([{"type": "Ready", "status": "False", "reason": "WriteFailed", "message": REFUSED}]);
    status
}

#[test]
fn a_rollback_that_cannot_be_routed_is_waited_for_and_never_said_to_be_done() {
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(pending)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "3s"]);
    ran.failed(
        1,
        "the rollback of release 2 is decided (on request of alice) and not routed yet: it is tried again by itself",
    );
    assert!(ran.stderr.contains(REFUSED), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    // It was heard: it is not withdrawn.
    assert_eq!(api.patches().len(), 1);
}

#[test]
fn a_rollback_that_is_routed_in_the_end_is_done() {
    let routed = |_: &str| json!({"lastRequest": {"pending": null}, "conditions": []});
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(pending),
            Box::new(routed),
            Box::new(|_| ended("Failed", "RolledBack")),
        ],
    );
    on(&api, &["rollback", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
}

#[test]
fn a_rollback_is_not_done_while_the_primary_is_still_put_back() {
    let recovering = |id: &str| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["phase"] = json!("Failed");
        status["release"] =
            json!({"outcome": "RolledBack", "endedAt": "2026-03-01T12:00:34Z", "recovering": true});
        status
    };
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(recovering)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "2s"]);
    ran.failed(3, "was accepted, but has not happened within 2s");
}

#[test]
fn a_verb_that_nobody_answers_says_what_the_canary_lacks() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "Forbidden", "message": "the server may not patch apisixroutes"}]);
    let api = FakeApi::new(canary(&hindered));
    let ran = on(&api, &["promote", "podinfo", "--timeout", "6s"]);
    ran.failed(
        3,
        "the controller did not answer the promote of podinfo.test within 6s",
    );
    assert!(
        ran.stderr
            .contains("it is not ready, the server may not patch apisixroutes"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("is canary-webhook running?"),
        "{}",
        ran.stderr
    );
}

/// Somebody's finalizer holds a Canary that is being deleted.
fn held(status: &Value) -> Value {
    let mut held = canary(status);
    held["metadata"]["deletionTimestamp"] = json!("2026-03-01T12:00:00Z");
    held["metadata"]["finalizers"] = json!(["acme.io/cleanup"]);
    held
}

#[test]
fn a_verb_about_a_canary_that_is_being_deleted_says_so_at_once_and_asks_nobody() {
    let mut at_rest = progressing();
    at_rest["phase"] = json!("Succeeded");
    for (verb, status, why) in [
        ("rollback", &at_rest, "No request is acted on any more"),
        ("promote", &progressing(), "Its release goes no further"),
        ("pause", &progressing(), "Its release goes no further"),
    ] {
        let api = FakeApi::new(held(status));
        let ran = on(&api, &[verb, "podinfo"]);
        let said = "Canary podinfo is being deleted: it waits for finalizer acme.io/cleanup";
        ran.failed(1, &format!("{said}. {why}"));
        assert!(!ran.stderr.contains("canary-webhook"), "{}", ran.stderr);
        assert!(api.patches().is_empty());
    }
    let explained = on(&FakeApi::new(held(&at_rest)), &["explain", "podinfo"]).stdout;
    assert!(
        explained.starts_with("Canary podinfo is being deleted"),
        "{explained}"
    );
}

#[test]
fn a_rollback_of_a_canary_that_others_keep_from_being_deleted_is_asked_for_and_waited_for() {
    let put_back = |id: &str| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["phase"] = json!("Failed");
        status["release"] =
            json!({"outcome": "RolledBack", "endedAt": "2026-03-01T12:00:34Z", "recovering": true});
        status
    };
    let done = |_: &str| json!({"canaryWeight": 0, "release": {"recovering": null}});
    let api = FakeApi::reacting(
        held(&progressing()),
        vec![Box::new(put_back), Box::new(done)],
    );
    on(&api, &["rollback", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
    let explained = on(&FakeApi::new(held(&progressing())), &["explain", "podinfo"]).stdout;
    assert!(
        flat(&explained).contains("goes no further: Canary podinfo is being deleted"),
        "{explained}"
    );
}

#[test]
fn a_verb_whose_canary_is_deleted_meanwhile_is_not_waited_for_unless_it_goes_back() {
    let deleted = |finalizer: &'static str| {
        FakeApi::scripted(
            canary(&progressing()),
            Box::new(move |call, state| {
                let watches = call.query.contains("watch=true") && call.earlier > 0;
                if watches {
                    state.merge(&json!({"metadata": {
                        "deletionTimestamp": "2026-03-01T12:00:00Z", "finalizers": [finalizer],
                    }}));
                }
                None
            }),
            Vec::new(),
        )
    };
    let (ours, theirs) = ("kubectl-canary.dev/finalizer", "acme.io/cleanup");
    on(&deleted(ours), &["rollback", "podinfo"]).failed(1, "No request is acted on any more");
    on(&deleted(theirs), &["promote", "podinfo"]).failed(1, "Its release goes no further");
    on(
        &deleted(theirs),
        &["rollback", "podinfo", "--timeout", "2s"],
    )
    .failed(
        3,
        "the request stays, and is carried out as soon as the server can",
    );
}

#[test]
fn silence_about_a_canary_that_nothing_may_be_done_for_says_what_mends_it() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "DefinitionOutdated", "message": "the definitions drop status fields"}]);
    let api = FakeApi::new(canary(&hindered));
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "1s"]);
    ran.failed(
        3,
        "the request stays, and is carried out as soon as the server can",
    );
    assert!(
        flat(&ran.stderr).contains("it is not acted on, the definitions drop status fields. To mend it: renew the definitions: kubectl canary install"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_request_that_cannot_be_taken_back_comes_with_the_command_that_does() {
    let api = FakeApi::answering(|call, _| {
        (call.method == axum::http::Method::PATCH && call.earlier > 0)
            .then(|| crate::fake::status(403, "Forbidden", "no", "podinfo"))
    });
    let ran = on(&api, &["promote", "podinfo", "--timeout", "1s"]);
    ran.failed(
        3,
        "the request could not be withdrawn, and may still be carried out",
    );
    assert!(
        flat(&ran.stderr)
            .contains("kubectl annotate canary podinfo kubectl-canary.dev/request- -n test"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_rollback_without_a_ready_pod_of_the_primary_is_never_said_to_be_done() {
    let decided = |id: &str| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["release"] = json!({"outcome": "RolledBack", "message": "on request of alice"});
        status
    };
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(decided)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "2s"]);
    ran.failed(
        1,
        "the rollback of release 2 is decided (on request of alice) and not routed yet",
    );
}

#[test]
fn a_wait_that_ends_in_vain_says_what_hinders_the_release() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "TargetNotFound", "message": "deployment podinfo.test not found"}]);
    let ran = on(
        &FakeApi::new(canary(&hindered)),
        &["wait", "podinfo", "--timeout", "2s"],
    );
    ran.failed(
        3,
        "has not ended within 2s: deployment podinfo.test not found",
    );
    assert!(
        ran.stdout.contains("not ready: TargetNotFound"),
        "{}",
        ran.stdout
    );
}

#[test]
fn explain_says_what_a_deletion_would_put_in_charge() {
    let mut failed = progressing();
    failed["phase"] = json!("Failed");
    failed["lastPromotedSpec"] = json!("v1-aaaaaaaaaaaa");
    failed["release"]["outcome"] = json!("RolledBack");
    let explained = |applied: &str, revert: bool| {
        let mut status = failed.clone();
        status["lastAppliedSpec"] = json!(applied);
        let mut canary = canary(&status);
        canary["spec"]["revertOnDeletion"] = json!(revert);
        let ran = on(&FakeApi::new(canary), &["explain", "podinfo"]);
        flat(&ran.stdout)
    };
    let said = explained("v1-bbbbbbbbbbbb", true);
    assert!(
        said.contains("puts release 2, which failed, in charge of all users")
            && said.contains("kubectl rollout undo deployment/podinfo -n test"),
        "{said}"
    );
    assert!(!explained("v1-aaaaaaaaaaaa", true).contains("in charge"));
    assert!(!explained("v1-bbbbbbbbbbbb", false).contains("in charge"));
}

#[test]
fn a_rollback_that_no_pod_can_take_names_the_command_that_status_names() {
    let mut around = Around::new();
    let row = rows()
        .into_iter()
        .find(|row| row.name.starts_with("F2 the primary is scaled"));
    (row.unwrap().happens)(&mut around);
    let scale = "kubectl scale deployment/podinfo-primary --replicas=3 -n test";
    let api = around.reacting(vec![Box::new(|id| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["release"] = json!({"outcome": "RolledBack", "message": "on request of alice"});
        status
    })]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "2s"]);
    ran.failed(
        1,
        "not routed yet: Deployment podinfo-primary has no ready pod",
    );
    assert!(
        ran.stderr
            .contains(&format!("hint: {scale}. Then follow it: ")),
        "{}",
        ran.stderr
    );
    // Not only when time is up.
    assert_eq!(ran.stderr.matches(scale).count(), 2, "{}", ran.stderr);
    assert!(
        !ran.stderr.contains("tried again by itself"),
        "{}",
        ran.stderr
    );
}
