//! `rollback --to`: a kept template is given back to the target, and the release that starts is followed.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::fake::{Call, FakeApi, FakeState, canary, conflict, progressing, status};
use crate::history::kept;
use crate::run::{Ran, command, on, run};
use crate::set;

/// At rest after release 2, which replaced what release 1 was.
fn promoted_twice() -> Value {
    let record = |number: i64, from: &str, revision: &str| {
        json!({
            "number": number, "revision": revision, "from": from, "images": [], "outcome": "Promoted", "weight": 50,
            "startedAt": "2026-03-01T10:00:00Z", "endedAt": "2026-03-01T10:10:00Z",
        })
    };
    let mut status = progressing();
    status["phase"] = json!("Succeeded");
    status["canaryWeight"] = json!(0);
    status["lastPromotedSpec"] = json!("v1-bbbbbbbbbbbb");
    status["release"]["outcome"] = json!("Promoted");
    status["release"]["endedAt"] = json!("2026-03-01T10:10:00Z");
    status["history"] = json!([
        record(2, "v1-aaaaaaaaaaaa", "v1-bbbbbbbbbbbb"),
        record(1, "v1-000000000000", "v1-aaaaaaaaaaaa"),
    ]);
    canary(&status)
}

/// Release 3, as the controller writes it.
fn next(phase: &str, outcome: &Value) -> Value {
    let end = if outcome.is_null() {
        Value::Null
    } else {
        json!("2026-03-01T12:10:00Z")
    };
    json!({"phase": phase, "release": {
        "number": 3, "revision": "v1-aaaaaaaaaaaa", "from": "v1-bbbbbbbbbbbb", "outcome": outcome, "endedAt": end,
        "startedAt": "2026-03-01T12:00:00Z",
        "images": [{"container": "podinfod", "from": "podinfo:6.0.1", "to": "podinfo:6.0.0"}],
    }})
}

/// Where nothing is changed.
pub fn at_rest() -> FakeApi {
    cluster(|_| None)
}

/// A cluster that answers a patch of the Deployment by `patched`.
fn cluster(patched: impl Fn(&FakeState) -> Option<Response> + Send + Sync + 'static) -> FakeApi {
    let answer = move |call: &Call, state: &FakeState| -> Option<Response> {
        if call
            .path
            .ends_with("/controllerrevisions/podinfo-v1-aaaaaaaaaaaa")
        {
            return Some(kept("a", "podinfo:6.0.0"));
        }
        if !call.path.ends_with("/deployments/podinfo") {
            return None;
        }
        let mut live = set::deployment();
        live["metadata"]["resourceVersion"] = json!("70");
        live["spec"]["template"]["spec"]["containers"][0]["image"] = json!("podinfo:6.0.1");
        let refused = (call.method == Method::PATCH).then(|| patched(state));
        refused
            .flatten()
            .or_else(|| Some(axum::Json(live).into_response()))
    };
    FakeApi::scripted(promoted_twice(), Box::new(answer), Vec::new())
}

fn promoting(state: &FakeState) -> Option<Response> {
    state.merge(&json!({"status": next("Progressing", &Value::Null)}));
    state.merge(&json!({"status": next("Succeeded", &json!("Promoted"))}));
    None
}

fn back(api: &FakeApi, words: &[&str]) -> Ran {
    on(api, &[&["rollback", "podinfo"], words].concat())
}

#[test]
fn the_kept_template_takes_the_place_of_the_one_that_is_there() {
    let api = cluster(promoting);
    let ran = back(&api, &["--to=r1", "--reason=errors"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let said = "podinfo.test: releases release 1 again (6.0.1 -> 6.0.0)\n";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    assert!(
        ran.stdout.trim_end().ends_with("promoted"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("kept in Git"), "{}", ran.stderr);
    assert_eq!(
        api.patches(),
        [json!({
            "metadata": {
                "resourceVersion": "70",
                "annotations": {"kubernetes.io/change-cause": "errors"},
            },
            "spec": {"template": {
                "$patch": "replace",
                "spec": {"containers": [{"name": "podinfod", "image": "podinfo:6.0.0"}], "nodeName": "a"},
            }},
        })]
    );
}

#[test]
fn zero_is_what_the_last_promotion_replaced() {
    let ran = back(&cluster(promoting), &["--to=0"]);
    let said = "podinfo.test: releases the version before release 2 again (6.0.1 -> 6.0.0)\n";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn a_release_that_fails_on_its_way_back_is_2() {
    let api = cluster(|state| {
        state.merge(&json!({"status": next("Progressing", &Value::Null)}));
        state.merge(&json!({"status": next("Failed", &json!("RolledBack"))}));
        None
    });
    back(&api, &["--to=1"]).failed(2, "rolled back");
}

#[test]
fn a_rehearsal_changes_nothing() {
    let api = cluster(promoting);
    back(&api, &["--to=1", "--fast", "--dry-run=client"]).said(
        "podinfo.test: would release release 1 again (6.0.1 -> 6.0.0), without analysis (dry run)\n",
    );
    assert!(api.patches().is_empty());
    let api = cluster(|_| None);
    back(&api, &["--to=1", "--dry-run=server"])
        .said("podinfo.test: would release release 1 again (6.0.1 -> 6.0.0) (server dry run)\n");
    let urls = api.urls();
    let patch = urls.iter().find(|url| url.starts_with("PATCH")).unwrap();
    assert!(patch.contains("dryRun=All"), "{patch}");
}

#[test]
fn what_keeps_it_from_happening_is_said_before_anything_is_changed() {
    let api = cluster(|_| None);
    back(&api, &["--to=2"]).failed(1, "runs release 2 already");
    back(&api, &["--to=7"]).failed(1, "release 7 of podinfo.test is not in its history");
    back(&api, &["--to=1", "--expect-release=r1"]).failed(6, "nothing was asked");
    on(&api, &["rollback", "a", "b", "--to=1"]).failed(1, "--to is for one Canary");
    for words in [
        &["rollback", "podinfo", "--fast"][..],
        &["rollback", "-A", "--to=1"],
        &["rollback", "podinfo", "--to=banana"],
        &["pause", "podinfo", "--for=0s"],
        &["pause", "podinfo", "--for=soon"],
    ] {
        assert_eq!(run(&mut command(words)).code, 1, "{words:?}");
    }
    assert!(api.patches().is_empty());
}

#[test]
fn a_template_that_is_not_kept_any_more_cannot_be_given_back() {
    let mut lost = promoted_twice();
    lost["status"]["history"][1]["revision"] = json!("v1-cccccccccccc");
    let ran = back(&FakeApi::new(lost), &["--to=1"]);
    ran.failed(1, "the template of release 1 is not kept any more");
    assert!(ran.stderr.contains("canary set image"), "{}", ran.stderr);
}

#[test]
fn lack_of_rights_and_policies_are_5() {
    let api = cluster(|_| {
        let why =
            "deployments.apps \"podinfo\" is forbidden: CanaryPolicy prod: frozen until Monday";
        Some(status(403, "Forbidden", why, "podinfo"))
    });
    let ran = back(&api, &["--to=1"]);
    ran.failed(5, "CanaryPolicy prod: frozen until Monday");
    assert!(ran.stderr.contains("can-i release"), "{}", ran.stderr);
}

#[test]
fn a_deployment_that_changes_meanwhile_is_read_again() {
    let tries = AtomicUsize::new(0);
    let api = cluster(move |state| {
        if tries.fetch_add(1, Ordering::Relaxed) < 2 {
            return Some(conflict());
        }
        promoting(state)
    });
    let ran = back(&api, &["--to=1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(api.patches().len(), 3);
    back(&cluster(|_| Some(conflict())), &["--to=1"]).failed(1, "keeps changing");
}
