//! `lint`: files in, findings and exit codes out.

use std::io::Write as _;
use std::process::Stdio;

use axum::http::Method;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use crate::fake::{FakeApi, status, text};
use crate::run::{Ran, command, finish, on, run};

const CANARY: &str = "\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: podinfo}
spec:
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  routeRef: {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: podinfo}
  service: {port: 80}
  analysis:
    interval: 10s
    threshold: 10
    stepWeight: 10
    maxWeight: 50
";
const OTHER: &str = "\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
";

fn lint(text: &str, words: &[&str]) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let mut ran = run(&mut command(&[&["lint", "-f", &path], words].concat()));
    ran.stdout = ran.stdout.replace(&path, "FILE");
    ran
}

#[test]
fn a_clean_file_is_0_and_says_so_beside_the_output() {
    let ran = lint(CANARY, &[]);
    ran.said("");
    assert_eq!(ran.stderr, "1 object checked: nothing to complain about\n");
}

#[test]
fn an_error_is_2_with_file_line_and_path() {
    let ran = lint(&CANARY.replace("maxWeight: 50", "maxWeight: 5"), &[]);
    assert_eq!(ran.code, 2);
    assert_eq!(
        ran.stdout,
        "FILE:11: spec.analysis.stepWeight: error: 10 is more than maxWeight 5\n"
    );
}

#[test]
fn warnings_alone_are_0_and_with_strict_2() {
    let text = format!("{CANARY}{OTHER}");
    let expected =
        "FILE:5: spec.targetRef.name: warning: Deployment podinfo is not in these files\n";
    lint(&text, &[]).said(expected);
    let strict = lint(&text, &["--strict"]);
    assert_eq!((strict.code, strict.stdout.as_str()), (2, expected));
}

#[test]
fn what_cannot_be_read_or_has_nothing_to_check_is_1() {
    run(&mut command(&["lint", "-f", "/nonexistent.yaml"])).failed(1, "/nonexistent.yaml");
    lint("# nothing\n", &[]).failed(1, "nothing to check");
    lint(OTHER, &[]).failed(1, "nothing to check");
    assert_eq!(run(&mut command(&["lint"])).code, 1);
}

#[test]
fn what_is_no_yaml_is_a_finding() {
    let ran = lint("a: [1\nb: 2\n", &[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout.starts_with("FILE:2: error: is no YAML"),
        "{}",
        ran.stdout
    );
}

#[test]
fn directories_are_read_to_their_ground_and_other_yaml_in_them_is_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let deep = root.path().join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("canary.yaml"), CANARY.replace("10s", "soon")).unwrap();
    std::fs::write(root.path().join("values.yaml"), "replicas: 1\n").unwrap();
    let path = root.path().display().to_string();
    let ran = run(&mut command(&["lint", "-f", &path]));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
    assert!(
        ran.stdout
            .contains("a/b/canary.yaml:9: spec.analysis.interval: error: "),
        "{}",
        ran.stdout
    );
}

#[test]
fn standard_input_is_a_file_too() {
    let mut child = command(&["lint", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(CANARY.replace("port: 80", "port: 0").as_bytes())
        .unwrap();
    drop(stdin);
    let ran = finish(child);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stdout
            .starts_with("-:7: spec.service.port: error: is missing"),
        "{}",
        ran.stdout
    );
}

#[test]
fn programs_get_json_or_sarif() {
    let text = CANARY.replace("maxWeight: 50", "maxWeight: 5");
    let ran = lint(&text, &["-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, &report["kind"], &report["errors"]),
        (2, &json!("LintReport"), &json!(1))
    );
    assert_eq!(report["items"][0]["line"], 11);
    let ran = lint(&text, &["-o", "sarif"]);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let result = &log["runs"][0]["results"][0];
    assert_eq!(
        (ran.code, &log["version"], &result["level"]),
        (2, &json!("2.1.0"), &json!("error"))
    );
    assert_eq!(
        result["locations"][0]["physicalLocation"]["region"]["startLine"],
        11
    );
    // No progress or sentence beside it.
    assert_eq!(ran.stderr, "");
}

#[test]
fn colour_is_only_where_it_is_wanted() {
    let text = CANARY.replace("maxWeight: 50", "maxWeight: 5");
    assert!(!lint(&text, &[]).stdout.contains('\u{1b}'));
    assert!(
        lint(&text, &["--color", "always"])
            .stdout
            .contains("\u{1b}[31merror: ")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &text).unwrap();
    let path = file.path().display().to_string();
    let ran = run(command(&["lint", "-f", &path]).env("CLICOLOR_FORCE", "1"));
    assert!(ran.stdout.contains('\u{1b}'));
    let ran = run(command(&["lint", "-f", &path])
        .env("NO_COLOR", "1")
        .env("CLICOLOR_FORCE", "0"));
    assert!(!ran.stdout.contains('\u{1b}'));
}

/// An API server that knows Canaries, and answers writes with this.
fn refusing(code: u16, reason: &'static str, message: &'static str, causes: Value) -> FakeApi {
    FakeApi::answering(move |call, _| match (&call.method, call.path.as_str()) {
        (&Method::GET, "/apis/flagger.app/v1beta1") => Some(text(
            200,
            r#"{
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "flagger.app/v1beta1",
            "resources": [{"name": "canaries", "singularName": "canary", "namespaced": true, "kind": "Canary", "verbs": ["get", "patch"]}]
        }"#,
        )),
        (&Method::PATCH, _) if code == 200 => Some(text(200, "{}")),
        (&Method::PATCH, _) => {
            let body = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "code": code, "details": {"causes": causes},
            });
            Some(
                (
                    axum::http::StatusCode::from_u16(code).unwrap(),
                    axum::Json(body),
                )
                    .into_response(),
            )
        }
        _ => Some(status(404, "NotFound", "not here", "")),
    })
}

fn on_server(api: &FakeApi) -> Ran {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), CANARY).unwrap();
    let path = file.path().display().to_string();
    let mut ran = on(api, &["lint", "-f", &path, "--dry-run=server"]);
    ran.stdout = ran.stdout.replace(&path, "FILE");
    ran
}

#[test]
fn the_api_server_s_denials_have_lines_too() {
    let denied = "admission webhook \"x\" denied the request: releases are frozen";
    let ran = on_server(&refusing(403, "Forbidden", denied, json!([])));
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (2, "FILE:1: error: releases are frozen\n")
    );
    let causes = json!([{"reason": "FieldValueInvalid", "message": "must be even", "field": "spec.analysis.threshold"}]);
    let ran = on_server(&refusing(422, "Invalid", "it is invalid", causes));
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (2, "FILE:10: spec.analysis.threshold: error: must be even\n")
    );
}

#[test]
fn nothing_is_stored_and_unknown_fields_count() {
    let api = refusing(200, "", "", json!([]));
    let ran = on_server(&api);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let urls = api.urls();
    let patch = urls.iter().find(|url| url.starts_with("PATCH")).unwrap();
    for part in [
        "/namespaces/test/canaries/podinfo?",
        "dryRun=All",
        "fieldValidation=Strict",
    ] {
        assert!(patch.contains(part), "{patch}");
    }
}

#[test]
fn who_may_not_apply_is_told_so_with_5() {
    let forbidden = "canaries.flagger.app \"podinfo\" is forbidden: User \"bob\" cannot patch resource \"canaries\"";
    on_server(&refusing(403, "Forbidden", forbidden, json!([]))).failed(5, "cannot patch");
}

#[test]
fn the_user_s_own_yaml_is_clean() {
    let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/seed");
    let ran = run(&mut command(&["lint", "--strict", "-f", seed]));
    ran.said("");
}
