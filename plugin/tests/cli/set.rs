//! `set image`: the change, and what becomes of it.

use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::fake::{self, Call, FakeApi, FakeState, canary, ended, progressing};
use crate::run::{Ran, on};

pub fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": {"template": {"spec": {"containers": [{"name": "podinfod", "image": "podinfo:6.0.0"}]}}},
    })
}

/// At rest after release 1.
fn at_rest() -> Value {
    let mut status = progressing();
    status["phase"] = json!("Succeeded");
    status["release"]["number"] = json!(1);
    status["release"]["outcome"] = json!("Promoted");
    status["release"]["endedAt"] = json!("2026-03-01T11:00:00Z");
    status
}

/// What the controller writes once the image is set, one after the other.
pub fn scripted(then: Vec<fn() -> Value>) -> FakeApi {
    let answer = move |call: &Call, state: &FakeState| -> Option<Response> {
        if !call.path.ends_with("/deployments/podinfo") {
            return None;
        }
        if call.method == Method::PATCH {
            for status in &then {
                state.merge(&json!({"status": status()}));
            }
        }
        Some(axum::Json(deployment()).into_response())
    };
    FakeApi::scripted(canary(&at_rest()), Box::new(answer), Vec::new())
}

pub fn begun() -> Value {
    let mut status = progressing();
    status["release"]["number"] = json!(2);
    // A merge patch takes away what the last release ended with.
    status["release"]["outcome"] = Value::Null;
    status["release"]["endedAt"] = Value::Null;
    status
}

pub fn promoted() -> Value {
    ended("Succeeded", "Promoted")
}

fn rolled_back() -> Value {
    ended("Failed", "RolledBack")
}

fn set(api: &FakeApi, words: &[&str]) -> Ran {
    let image = [
        "set",
        "image",
        "deployment/podinfo",
        "podinfod=podinfo:6.0.1",
    ];
    on(api, &[&image, words].concat())
}

#[test]
fn the_image_is_set_as_kubectl_sets_it() {
    let api = scripted(Vec::new());
    set(&api, &["--wait=false"]).said("deployment.apps/podinfo image updated\n");
    let expected = json!({"spec": {"template": {"spec": {"containers": [{"name": "podinfod", "image": "podinfo:6.0.1"}]}}}});
    assert_eq!(api.patches(), [expected]);
    let urls = api.urls();
    let patch = urls.iter().find(|url| url.starts_with("PATCH")).unwrap();
    assert!(patch.contains("fieldManager=kubectl-set"), "{patch}");
}

#[test]
fn a_reason_becomes_the_change_cause_of_the_deployment() {
    let api = scripted(Vec::new());
    set(&api, &["--wait=false", "--reason", "CVE-2026-1"])
        .said("deployment.apps/podinfo image updated\n");
    let annotations = &api.patches()[0]["metadata"]["annotations"];
    assert_eq!(
        *annotations,
        json!({"kubernetes.io/change-cause": "CVE-2026-1"})
    );
}

#[test]
fn a_dry_run_changes_nothing_and_waits_for_nothing() {
    let api = scripted(vec![begun]);
    set(&api, &["--dry-run=client"]).said("deployment.apps/podinfo image updated (dry run)\n");
    assert_eq!(api.patches(), [] as [Value; 0]);
    set(&api, &["--dry-run=server"])
        .said("deployment.apps/podinfo image updated (server dry run)\n");
    let urls = api.urls();
    let patches: Vec<_> = urls.iter().filter(|url| url.starts_with("PATCH")).collect();
    assert!(
        matches!(patches[..], [patch] if patch.contains("dryRun=All")),
        "{patches:?}"
    );
    assert!(!urls.iter().any(|url| url.contains("watch")), "{urls:?}");
}

#[test]
fn warnings_are_shown_as_kubectl_shows_them_whatever_is_in_them() {
    let answer = |call: &Call, _: &FakeState| {
        let asked = call.path.ends_with("/deployments/podinfo");
        asked.then(|| {
            let mut response = axum::Json(deployment()).into_response();
            let warning = "299 - \"podinfo 6.0.0 → 6.0.1 starts\"".as_bytes();
            let warning = axum::http::HeaderValue::from_bytes(warning).unwrap();
            response.headers_mut().append("warning", warning);
            response
        })
    };
    let api = FakeApi::scripted(canary(&at_rest()), Box::new(answer), Vec::new());
    let ran = set(&api, &["--wait=false"]);
    assert_eq!(ran.stderr, "Warning: podinfo 6.0.0 → 6.0.1 starts\n");
}

#[test]
fn a_release_that_is_promoted_is_0() {
    let ran = set(&scripted(vec![begun, promoted]), &[]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .starts_with("deployment.apps/podinfo image updated\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("promoted"), "{}", ran.stdout);
}

#[test]
fn a_release_that_is_rolled_back_is_2() {
    let ran = set(&scripted(vec![begun, rolled_back]), &[]);
    ran.failed(2, "release 2 of podinfo.test rolled back");
}

#[test]
fn a_release_that_a_newer_one_replaces_is_6() {
    fn newer() -> Value {
        let mut status = begun();
        status["release"]["number"] = json!(3);
        status["history"] = json!([{
            "number": 2, "revision": "v1-b", "images": [], "startedAt": "2026-03-01T11:59:02Z",
            "endedAt": "2026-03-01T11:59:42Z", "outcome": "Superseded", "weight": 10,
        }]);
        status
    }
    // Both are there before anybody looks: then the newer one is followed; so the first is seen alone.
    let api = scripted(vec![begun]);
    let state = api.state.clone();
    let follower = std::thread::spawn(move || {
        // The watch begins after the change, with the release that it has started.
        state.until_told(1);
        std::thread::sleep(std::time::Duration::from_millis(500));
        state.merge(&json!({"status": newer()}));
    });
    set(&api, &["--timeout", "60s"]).failed(6, "superseded");
    follower.join().unwrap();
}

#[test]
fn an_end_that_does_not_come_in_time_is_3() {
    set(&scripted(vec![begun]), &["--timeout", "1s"]).failed(3, "has not ended within 1s");
}

#[test]
fn the_image_that_is_there_already_starts_nothing() {
    let api = scripted(Vec::new());
    let words = ["set", "image", "deploy/podinfo", "podinfod=podinfo:6.0.0"];
    on(&api, &words).said("deployment.apps/podinfo unchanged\n");
    assert!(api.patches().is_empty());
}

#[test]
fn what_is_not_there_is_named() {
    let api = scripted(Vec::new());
    let words = |target: &'static str, image: &'static str| ["set", "image", target, image];
    on(&api, &words("deploy/other", "a=b")).failed(4, "deployment test/other not found");
    on(&api, &words("deploy/podinfo", "web=b"))
        .failed(1, "has no container \"web\": it has podinfod");
    let ran = on(&api, &words("podinfo", "a=b"));
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("write deployment/NAME"),
        "{}",
        ran.stderr
    );
    let mut other = canary(&at_rest());
    other["spec"]["targetRef"]["name"] = json!("backend");
    let answer = |call: &Call, _: &FakeState| {
        let asked = call.path.ends_with("/deployments/podinfo");
        asked.then(|| axum::Json(deployment()).into_response())
    };
    let api = FakeApi::scripted(other, Box::new(answer), Vec::new());
    set(&api, &[]).failed(4, "no Canary releases deployment test/podinfo");
    assert!(api.patches().is_empty());
}

#[test]
fn a_freeze_is_5_and_names_the_command_that_tells_until_when() {
    let answer = |call: &Call, _: &FakeState| {
        let denied = "admission webhook \"x\" denied the request: releases are frozen";
        match call.method {
            Method::PATCH => Some(fake::status(403, "Forbidden", denied, "podinfo")),
            _ if call.path.ends_with("/deployments/podinfo") => {
                Some(axum::Json(deployment()).into_response())
            }
            _ => None,
        }
    };
    let api = FakeApi::scripted(canary(&at_rest()), Box::new(answer), Vec::new());
    let ran = set(&api, &[]);
    ran.failed(5, "error: releases are frozen");
    assert!(
        ran.stderr
            .contains("hint: kubectl canary can-i release podinfo -n test"),
        "{}",
        ran.stderr
    );
}
