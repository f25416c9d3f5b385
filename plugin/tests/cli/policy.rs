//! `policy list`, `policy test`.

use std::io::Write as _;
use std::process::Stdio;

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::fake::{Call, FakeApi, FakeState, canary, progressing, status};
use crate::run::{Ran, command, finish, on, run};

const FROZEN_LONG: &str = "2026-01-01T00:00:00Z";

pub fn policy(name: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
        "metadata": {
            "name": name,
            "managedFields": [{
                "manager": "kubectl-canary", "operation": "Update", "subresource": "status",
                "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "time": FROZEN_LONG,
                "fieldsType": "FieldsV1", "fieldsV1": {},
            }],
        },
        "spec": spec, "status": status,
    })
}

pub fn freeze(enforcement: &str) -> Value {
    json!({
        "enforcement": enforcement,
        "namespaces": { "matchLabels": { "env": "prod" } },
        "release": { "freezeWindows": [{
            "name": "moratorium", "start": FROZEN_LONG, "end": "2099-01-01T00:00:00Z", "reason": "CHG-1234",
        }] },
    })
}

/// A cluster with these policies, whose user holds the verbs in `may`.
pub fn cluster(policies: Vec<Value>, labels: Value, may: &'static [&'static str]) -> FakeApi {
    let answer = move |call: &Call, state: &FakeState| -> Option<Response> {
        if call.path.ends_with("/canarypolicies") {
            let list = json!({
                "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicyList",
                "metadata": { "resourceVersion": "1" }, "items": policies,
            });
            return Some(axum::Json(list).into_response());
        }
        if call.path == "/api/v1/namespaces/test" {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "test", "labels": labels },
            });
            return Some(axum::Json(namespace).into_response());
        }
        if call.path.ends_with("/selfsubjectaccessreviews") {
            let mut review = state.sent();
            let verb = review["spec"]["resourceAttributes"]["verb"].clone();
            let allowed = verb.as_str().is_some_and(|verb| may.contains(&verb));
            review["status"] = json!({ "allowed": allowed });
            return Some(axum::Json(review).into_response());
        }
        None
    };
    let resting = json!({ "phase": "Succeeded", "lastPromotedSpec": "v1-aaaaaaaaaaaa" });
    FakeApi::scripted(canary(&resting), Box::new(answer), Vec::new())
}

pub fn prod(policies: Vec<Value>) -> FakeApi {
    cluster(
        policies,
        json!({ "env": "prod" }),
        &["patch", "promote", "rollback"],
    )
}

fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": { "template": {
            "metadata": { "labels": { "app": "podinfo" } },
            "spec": { "containers": [{ "name": "podinfod", "image": image }] },
        } },
    })
}

fn write(directory: &tempfile::TempDir, name: &str, objects: &[Value]) -> String {
    let file = directory.path().join(name);
    let text = objects.iter().fold(String::new(), |text, object| {
        text + &format!("---\n{object}\n")
    });
    std::fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn offline(words: &[&str]) -> Ran {
    run(&mut command(&[&["policy", "test"], words].concat()))
}

#[test]
fn the_policies_are_listed_with_what_they_freeze() {
    let frozen = json!({
        "frozen": true, "window": "moratorium", "reason": "CHG-1234", "until": "2026-01-02T00:00:00Z",
        "nextFreeze": { "name": "easter", "start": "2026-01-03T00:00:00Z", "end": "2026-01-04T00:00:00Z" },
    });
    let api = prod(vec![
        policy("prod", &freeze("Deny"), &frozen),
        policy("new", &json!({ "enforcement": "Warn" }), &Value::Null),
        policy(
            "broken",
            &json!({}),
            &json!({ "frozen": false, "conditions": [{
            "type": "Ready", "status": "False", "reason": "Invalid", "message": "no such zone",
            "lastTransitionTime": FROZEN_LONG,
        }] }),
        ),
    ]);
    on(&api, &["policy", "list"]).said(
        "NAME     ENFORCEMENT   FROZEN    UNTIL                  NEXT FREEZE                   NAMESPACES\n\
         broken   Deny          no        -                      -                             all\n\
         new      Warn          unknown   -                      -                             all\n\
         prod     Deny          yes       2026-01-02T00:00:00Z   easter 2026-01-03T00:00:00Z   env=prod\n\
         broken is not ready: no such zone\n",
    );
    let wide = on(&api, &["policy", "list", "-o", "wide"]).stdout;
    assert!(wide.contains("moratorium   CHG-1234"), "{wide}");
    let json: Value =
        serde_json::from_str(&on(&api, &["policy", "list", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["kind"], "CanaryPolicyReportList");
    assert_eq!(json["items"][2]["until"], "2026-01-02T00:00:00Z");
    let yaml = on(&api, &["policy", "list", "-o", "yaml"]).stdout;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), json);
    assert!(
        on(&api, &["policy", "list", "-o", "name"])
            .stdout
            .contains("canarypolicy.policy.kubectl-canary.dev/prod\n")
    );
}

#[test]
fn without_policies_the_list_says_what_that_means() {
    let ran = on(&prod(Vec::new()), &["policy", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    assert!(ran.stderr.contains("No policies found"), "{}", ran.stderr);
}

#[test]
fn files_are_judged_without_a_cluster_and_a_forbidden_object_exits_with_5() {
    let directory = tempfile::tempdir().unwrap();
    let rules = json!({
        "images": { "disallowedTags": ["latest"] }, "canary": { "maxStepWeight": 5, "required": true },
    });
    let policies = write(
        &directory,
        "policy.yaml",
        &[policy("prod", &rules, &Value::Null)],
    );
    let good = write(&directory, "good.json", &[deployment("podinfo:1")]);
    let bad = write(
        &directory,
        "bad.yaml",
        &[deployment("podinfo"), canary(&progressing())],
    );
    let ran = offline(&["-f", &policies, "-f", &good]);
    ran.said("allowed  Deployment test/podinfo\n");
    let ran = offline(&["-f", &policies, "-f", &bad]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            5,
            "denied   Deployment test/podinfo: CanaryPolicy prod: spec.images.disallowedTags: use an image with another tag than latest, or a digest, not podinfod=podinfo\n\
             denied   Canary test/podinfo: CanaryPolicy prod: spec.canary.maxStepWeight: a step of spec.analysis.stepWeight adds 10: let none add more than 5\n"
        ),
        "{}",
        ran.stderr
    );
    let json = offline(&["-f", &policies, "-f", &bad, "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (json.code, &report["kind"]),
        (5, &json!("PolicyTestReport"))
    );
    assert_eq!(
        report["items"][0]["objections"][0]["field"],
        "spec.images.disallowedTags"
    );
}

#[test]
fn a_directory_is_read_and_a_deployment_behind_a_service_needs_the_canary_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    write(
        &directory,
        "a.yml",
        &[policy(
            "prod",
            &json!({ "canary": { "required": true } }),
            &Value::Null,
        )],
    );
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": { "selector": { "app": "podinfo" } },
    });
    let list =
        json!({ "apiVersion": "v1", "kind": "List", "items": [service, deployment("podinfo:1")] });
    write(&directory, "b.json", &[list]);
    std::fs::write(directory.path().join("notes.txt"), "not for us: {").unwrap();
    let path = directory.path().to_str().unwrap();
    let ran = offline(&["-f", path]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("spec.canary.required"),
        "{}",
        ran.stdout
    );
    write(&directory, "c.yaml", &[canary(&Value::Null)]);
    let ran = offline(&["-f", path]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_warning_does_not_fail_and_the_moment_can_be_chosen() {
    let directory = tempfile::tempdir().unwrap();
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "test", "labels": { "env": "prod" } } });
    let other = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "test" } });
    let of = |name: &str, enforcement: &str, namespace: &Value| {
        let objects = [
            policy("prod", &freeze(enforcement), &Value::Null),
            namespace.clone(),
            deployment("podinfo:1"),
        ];
        write(&directory, name, &objects)
    };
    let at = |file: &str, moment: &str| offline(&["-f", file, "--at", moment]);
    let deny = of("deny.yaml", "Deny", &namespace);
    assert_eq!(at(&deny, "2025-12-31T23:59:59Z").code, 0);
    assert_eq!(at(&deny, FROZEN_LONG).code, 5);
    assert_eq!(at(&deny, "2099-01-01T00:00:00Z").code, 0);
    let warn = at(&of("warn.yaml", "Warn", &namespace), FROZEN_LONG);
    assert!(
        warn.code == 0
            && warn
                .stdout
                .starts_with("warned   Deployment test/podinfo: "),
        "{}",
        warn.stdout
    );
    let audit = at(&of("audit.yaml", "Audit", &namespace), FROZEN_LONG);
    assert!(
        audit.code == 0 && audit.stdout.starts_with("audited  "),
        "{}",
        audit.stdout
    );
    at(&of("other.yaml", "Deny", &other), FROZEN_LONG).said("allowed  Deployment test/podinfo\n");
}

#[test]
fn standard_input_is_judged_by_the_policies_of_the_cluster() {
    let api = prod(vec![policy("prod", &freeze("Deny"), &Value::Null)]);
    let judge = |api: &FakeApi| {
        let words = [
            "policy",
            "test",
            "-f",
            "-",
            "--server",
            &api.address,
            "-n",
            "test",
        ];
        let mut child = command(&words).stdin(Stdio::piped()).spawn().unwrap();
        let text = deployment("podinfo:1").to_string();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        finish(child)
    };
    let ran = judge(&api);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("releases are frozen until 2099-01-01T00:00:00Z (CHG-1234)"),
        "{}",
        ran.stdout
    );
    let elsewhere = cluster(
        vec![policy("prod", &freeze("Deny"), &Value::Null)],
        json!({}),
        &[],
    );
    assert_eq!(judge(&elsewhere).code, 0);
}

#[test]
fn files_that_cannot_be_judged_say_why_in_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap().to_owned();
    offline(&["-f", "/nonexistent/x.yaml"]).failed(1, "cannot read /nonexistent/x.yaml: ");
    offline(&["-f", &path]).failed(1, "no .yaml, .yml or .json file in it");
    std::fs::write(directory.path().join("broken.yaml"), "a: [").unwrap();
    offline(&["-f", &path]).failed(1, "broken.yaml: ");
    std::fs::write(directory.path().join("broken.yaml"), "just words").unwrap();
    offline(&["-f", &path]).failed(1, "no object");
    let broken = json!({ "release": { "freezeWindows": [{ "name": "w", "schedule": "x", "duration": "1h" }] } });
    let file = write(
        &directory,
        "broken.yaml",
        &[policy("prod", &broken, &Value::Null)],
    );
    offline(&["-f", &file]).failed(
        1,
        "CanaryPolicy prod: spec.release.freezeWindows[w].schedule: \"x\" is no cron line",
    );
    let file = write(
        &directory,
        "broken.yaml",
        &[policy("prod", &json!({}), &Value::Null)],
    );
    offline(&["-f", &file]).failed(1, "no Deployment and no Canary");
    let ran = offline(&["-f", &file, "--at", "yesterday"]);
    assert!(
        ran.code == 1 && ran.stderr.contains("write a time as"),
        "{}",
        ran.stderr
    );
    offline(&["-f", &file, "--dry-run=server", "--at", FROZEN_LONG]).failed(1, "at its own time");
}

#[test]
fn a_dry_run_asks_the_api_server_and_keeps_its_words() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(&directory, "podinfo.yaml", &[deployment("podinfo:1")]);
    let judge = |answer: fn() -> Response| {
        let api = FakeApi::answering(move |call, _| {
            call.path.ends_with("/deployments/podinfo").then(answer)
        });
        let ran = on(
            &api,
            &["policy", "test", "-f", &file, "--dry-run", "server"],
        );
        (ran, api)
    };
    let (ran, api) = judge(|| axum::Json(deployment("podinfo:1")).into_response());
    ran.said("allowed  Deployment test/podinfo\n");
    assert_eq!(api.patches()[0]["metadata"]["name"], "podinfo");
    assert!(
        api.urls()
            .iter()
            .all(|url| !url.contains("PATCH") || url.contains("dryRun=All")),
        "{:?}",
        api.urls()
    );
    let (ran, _) = judge(|| {
        let warning = [("warning", "299 - \"CanaryPolicy soft: no \\\"latest\\\"\"")];
        (warning, axum::Json(deployment("podinfo:1"))).into_response()
    });
    ran.said("warned   Deployment test/podinfo: CanaryPolicy soft: no \"latest\"\n");
    let (ran, _) = judge(|| {
        status(
            403,
            "Forbidden",
            "deployments.apps \"podinfo\" is forbidden: ValidatingAdmissionPolicy 'a' with binding 'b' denied request: CanaryPolicy prod: frozen",
            "podinfo",
        )
    });
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            5,
            "denied   Deployment test/podinfo: CanaryPolicy prod: frozen\n"
        )
    );
    let (ran, _) = judge(|| {
        status(
            403,
            "Forbidden",
            "deployments.apps \"podinfo\" is forbidden: User \"bob\" cannot patch resource \"deployments\"",
            "podinfo",
        )
    });
    ran.failed(5, "User \"bob\" cannot patch");
}
