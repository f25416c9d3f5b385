//! `doctor`: one line each, and an exit code for the whole.

use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::fake::{Call, FakeApi, FakeState, canary, progressing, status, text};
use crate::run::on;

const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":""}"#;

/// Everything is forbidden but the Canary and one's own rights.
pub fn closed(call: &Call, _: &FakeState) -> Option<Response> {
    match call.path.as_str() {
        "/version" => Some(text(200, VERSION)),
        path if path.ends_with("selfsubjectaccessreviews") => {
            let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {}, "spec": {}, "status": {"allowed": true}});
            Some(axum::Json(review).into_response())
        }
        path if path.contains("/canaries") && call.method == Method::GET => None,
        _ => Some(status(
            403,
            "Forbidden",
            "x is forbidden: User \"bob\" cannot get resource \"x\"",
            "",
        )),
    }
}

pub fn open(call: &Call, state: &FakeState) -> Option<Response> {
    // Nothing is there, which is a failure of an installation that everything of is visible.
    match call.path.as_str() {
        "/version" => Some(text(200, VERSION)),
        path if path.ends_with("selfsubjectaccessreviews") => closed(call, state),
        path if path.contains("/canaries") => None,
        path if path.ends_with('s') && call.method == Method::GET => Some(
            axum::Json(json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": []}))
                .into_response(),
        ),
        _ => Some(status(404, "NotFound", "not found", "x")),
    }
}

#[test]
fn what_is_not_visible_is_no_failure() {
    let api = FakeApi::answering(closed);
    let ran = on(&api, &["doctor"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(
        ran.stdout.contains("✔ ok   kubernetes   v1.36.3 at "),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("• skip controller"), "{}", ran.stdout);
    assert!(ran.stderr.contains("not visible to you"), "{}", ran.stderr);
}

#[test]
fn an_installation_that_is_not_there_is_1_and_each_failure_has_its_hint() {
    let api = FakeApi::answering(open);
    let ran = on(&api, &["doctor", "-o", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["kind"], "DoctorReport");
    let checks = report["checks"].as_array().unwrap();
    let failed: Vec<_> = checks.iter().filter(|it| it["outcome"] == "fail").collect();
    let names: Vec<_> = failed
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    for name in ["crds", "controller", "certificate", "policies"] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(failed.iter().all(|it| it["hint"].is_string()), "{failed:?}");
}

#[test]
fn a_canary_is_looked_at_too() {
    let api = FakeApi::scripted(canary(&progressing()), Box::new(open), Vec::new());
    let ran = on(&api, &["doctor", "podinfo"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.contains("Deployment podinfo does not exist"),
        "{}",
        ran.stdout
    );
    on(&api, &["doctor", "other"]).failed(4, "canary test/other not found");
}

#[test]
fn without_a_cluster_there_is_nothing_to_look_at() {
    crate::run::at("http://127.0.0.1:1", &["doctor"]).failed(1, "cannot reach");
}

#[test]
fn nothing_is_written_but_a_dry_run() {
    let api = FakeApi::answering(open);
    on(&api, &["doctor"]);
    for url in api.urls() {
        let writes = ["POST", "PUT", "PATCH", "DELETE"]
            .iter()
            .any(|verb| url.starts_with(verb));
        assert!(
            !writes || url.contains("dryRun=All") || url.contains("subjectaccessreviews"),
            "{url}"
        );
    }
}

/// With a server that is installed, whose rights are asked for.
fn installed(allowed: fn(&Value) -> Option<bool>) -> FakeApi {
    FakeApi::answering(move |call, state| {
        if call.path.ends_with("/subjectaccessreviews") {
            let review = state.sent();
            let user = "system:serviceaccount:canary-system:canary-webhook";
            assert_eq!(review["spec"]["user"], user);
            let Some(allowed) = allowed(&review["spec"]["resourceAttributes"]) else {
                return closed(call, state);
            };
            let mut answer = review.clone();
            answer["status"] = json!({"allowed": allowed});
            return Some(axum::Json(answer).into_response());
        }
        if call.path.ends_with("/deployments") && call.query.contains("canary-webhook") {
            let server = json!({
                "metadata": {"name": "canary-webhook", "namespace": "canary-system"},
                "spec": {"template": {"spec": {"serviceAccountName": "canary-webhook"}}},
            });
            let list = json!({"apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {}, "items": [server]});
            return Some(axum::Json(list).into_response());
        }
        open(call, state)
    })
}

#[test]
fn a_right_that_the_server_lacks_is_named_by_doctor_to_whoever_may_ask() {
    let line = |allowed| {
        let said = on(&installed(allowed), &["doctor"]).stdout;
        let line = said.lines().find(|line| line.contains("its rights"));
        line.unwrap_or(&said).to_owned()
    };
    let all = line(|_| Some(true));
    assert!(all.contains("ok   its rights"), "{all}");
    let routes = line(|right| Some(right["resource"] != "apisixroutes"));
    assert!(
        routes.contains("fail its rights")
            && routes.contains(
                "ServiceAccount canary-system/canary-webhook may not write ApisixRoutes in namespace test"
            ),
        "{routes}"
    );
    let unseen = line(|_| None);
    assert!(unseen.contains("skip its rights"), "{unseen}");
}
