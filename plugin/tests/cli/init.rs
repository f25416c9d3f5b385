//! `init`: from a Deployment to a Canary that passes `lint`.

use axum::response::IntoResponse as _;
use serde_json::json;

use crate::fake::FakeApi;
use crate::run::{command, on, run};

const FILES: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: 'web:1', ports: [{containerPort: 8080}]}]}
---
apiVersion: apisix.apache.org/v2
kind: ApisixRoute
metadata: {name: web, namespace: shop}
spec: {http: [{name: a, backends: [{serviceName: web, servicePort: 80}]}]}
";

#[test]
fn files_and_what_is_written_for_them_pass_lint_together() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("app.yaml"), FILES).unwrap();
    let path = folder.path().display().to_string();
    let ran = run(&mut command(&["init", "deploy/web", "-f", &path]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("namespace: shop"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("Deployment web-primary"),
        "{}",
        ran.stderr
    );
    std::fs::write(folder.path().join("canary.yaml"), &ran.stdout).unwrap();
    run(&mut command(&["lint", "--strict", "-f", &path])).said("");
}

/// A cluster with the Deployment `web` and its Service.
pub fn cluster() -> FakeApi {
    FakeApi::answering(|call, _| {
        let list = |kind: &str, items: serde_json::Value| {
            axum::Json(json!({"apiVersion": "v1", "kind": kind, "metadata": {}, "items": items}))
                .into_response()
        };
        match call.path.rsplit('/').next() {
            Some("web") => Some(axum::Json(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                "spec": {"template": {"spec": {"containers": [{"name": "app", "ports": [{"containerPort": 8080}]}]}}},
            })).into_response()),
            Some("services") => Some(list("ServiceList", json!([{"metadata": {"name": "web"}, "spec": {"ports": [{"port": 8000}]}}]))),
            Some("apisixroutes") => Some(list("ApisixRouteList", json!([]))),
            _ => None,
        }
    })
}

#[test]
fn the_cluster_is_asked_where_there_are_no_files() {
    let api = cluster();
    let ran = on(&api, &["init", "deploy/web", "--route", "mine"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "namespace: test",
        "port: 8000",
        "targetPort: 8080",
        "name: mine",
    ] {
        assert!(
            ran.stdout.contains(part),
            "{part} is not in\n{}",
            ran.stdout
        );
    }
    on(&api, &["init", "deploy/web"]).failed(1, "no ApisixRoute leads to Service web");
    on(&api, &["init", "deploy/other"]).failed(4, "deployment test/other not found");
    assert!(api.patches().is_empty());
}

#[test]
fn what_is_missing_in_the_files_is_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FILES).unwrap();
    let path = file.path().display().to_string();
    run(&mut command(&["init", "deploy/api", "-f", &path]))
        .failed(4, "no Deployment api is in these files");
    // Usage errors have clap's own form, of several lines.
    for (words, part) in [
        (
            &["init", "deploy/web", "-f", &path, "--metric-template"][..],
            "--metrics-server",
        ),
        (&["init", "web"], "write deployment/NAME"),
    ] {
        let ran = run(&mut command(words));
        assert_eq!(ran.code, 1, "{words:?}");
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
}
