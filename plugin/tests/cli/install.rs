//! `install`, `upgrade`, `uninstall`: what is printed, and what is refused before anything happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fake::{Call, FakeApi, FakeState, canary, progressing, status};
use crate::run::{at, command, run};

fn documents(yaml: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(yaml)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// A cluster with these Deployments: what it was asked to change is counted, and answered by `writes`.
fn cluster(
    deployments: Vec<Value>,
    writes: impl Fn(&Call) -> Response + Send + Sync + 'static,
) -> (FakeApi, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let script = move |call: &Call, _: &FakeState| {
        if call.method != Method::GET {
            counted.fetch_add(1, Ordering::Relaxed);
            return Some(writes(call));
        }
        if !call.path.ends_with("/deployments") {
            return None;
        }
        let list = json!({
            "apiVersion": "apps/v1", "kind": "DeploymentList", "metadata": {}, "items": deployments,
        });
        Some(axum::Json(list).into_response())
    };
    let api = FakeApi::scripted(canary(&progressing()), Box::new(script), Vec::new());
    (api, count)
}

fn never(_: &Call) -> Response {
    status(500, "InternalError", "nothing may be written", "x")
}

fn server() -> Value {
    json!({
        "metadata": {"name": "canary-webhook", "namespace": "releases"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [{
            "name": "canary-webhook",
            "image": "registry.example.com/canary-webhook:0.0.1",
            "args": ["--metrics-server=http://metrics.example.com"],
        }]}}},
    })
}

#[test]
fn a_dry_run_prints_the_objects_and_needs_no_cluster() {
    let ran = run(&mut command(&[
        "install",
        "--dry-run=client",
        "--namespace=releases",
        "--metrics-server=http://metrics.example.com",
        "--image=registry.example.com/canary-webhook:1.2.3",
        "--",
        "--log-level=debug",
    ]));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let all = documents(&ran.stdout);
    let of = |kind: &str| all.iter().find(|object| object["kind"] == kind).unwrap();
    let deployment = of("Deployment");
    assert_eq!(deployment["metadata"]["namespace"], "releases");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["image"],
        "registry.example.com/canary-webhook:1.2.3"
    );
    assert_eq!(
        container["args"],
        json!([
            "--metrics-server=http://metrics.example.com",
            "--log-level=debug"
        ])
    );
    assert_eq!(of("Namespace")["metadata"]["name"], "releases");
    // Definitions before all that needs them, registrations after all that answers them.
    assert_eq!(all[0]["kind"], "CustomResourceDefinition");
    assert_eq!(
        all.last().unwrap()["kind"],
        "ValidatingWebhookConfiguration"
    );
}

#[test]
fn an_upgrade_s_dry_run_prints_what_is_installed_with_the_new_flags() {
    let (api, writes) = cluster(vec![server()], never);
    let ran = at_home(
        &api,
        &["upgrade", "--dry-run", "--mesh-provider=kubernetes"],
    );
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let all = documents(&ran.stdout);
    let deployment = all.iter().find(|object| object["kind"] == "Deployment");
    let deployment = deployment.unwrap();
    assert_eq!(deployment["metadata"]["namespace"], "releases");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["args"],
        json!([
            "--metrics-server=http://metrics.example.com",
            "--mesh-provider=kubernetes"
        ])
    );
    let image = container["image"].as_str().unwrap();
    assert!(
        image.starts_with("registry.example.com/canary-webhook:"),
        "{image}"
    );
    assert_eq!(writes.load(Ordering::Relaxed), 0);
}

/// Where nothing may be written.
pub fn installed() -> FakeApi {
    cluster(vec![server()], never).0
}

/// Without a namespace on the command line.
fn at_home(api: &FakeApi, words: &[&str]) -> crate::run::Ran {
    run(&mut command(&[words, &["--server", &api.address]].concat()))
}

#[test]
fn what_is_there_or_is_not_there_is_said_before_anything_is_written() {
    let mut by_helm = server();
    by_helm["metadata"]["annotations"] =
        json!({"meta.helm.sh/release-name": "canary", "meta.helm.sh/release-namespace": "ops"});
    let table: [(Vec<Value>, &[&str], &str); 7] = [
        (vec![server()], &["install"], "is installed already"),
        (vec![], &["upgrade"], "is not installed"),
        (
            vec![by_helm.clone()],
            &["upgrade"],
            "installed by Helm, as release canary",
        ),
        (
            vec![by_helm],
            &["uninstall", "--yes"],
            "installed by Helm, as release canary",
        ),
        (
            vec![server()],
            &["upgrade", "-n", "other"],
            "installed in namespace releases, and cannot move",
        ),
        (
            vec![server(), server()],
            &["upgrade"],
            "several are installed",
        ),
        (vec![server()], &["uninstall"], "--yes"),
    ];
    for (deployments, words, cause) in table {
        let (api, writes) = cluster(deployments, never);
        at_home(&api, words).failed(1, cause);
        assert_eq!(writes.load(Ordering::Relaxed), 0, "{words:?}");
    }
}

#[test]
fn an_installation_without_the_rights_says_which_and_ends_with_5() {
    let forbidden = |_: &Call| {
        status(
            403,
            "Forbidden",
            "User \"bob\" cannot patch resource \"customresourcedefinitions\"",
            "x",
        )
    };
    let (api, writes) = cluster(vec![], forbidden);
    let ran = at_home(&api, &["install"]);
    ran.failed(5, "User \"bob\" cannot patch resource");
    assert!(
        ran.stderr.contains("cluster administrator"),
        "{}",
        ran.stderr
    );
    assert_eq!(writes.load(Ordering::Relaxed), 1, "it stops at the first");
}

#[test]
fn a_purge_without_a_server_that_reverts_is_refused() {
    let (api, writes) = cluster(vec![server()], never);
    let ran = at_home(&api, &["uninstall", "--purge", "--yes"]);
    ran.failed(1, "only the server can revert the Canaries");
    assert_eq!(writes.load(Ordering::Relaxed), 0);
}

#[test]
fn an_uninstallation_names_the_releases_that_it_would_leave_unattended() {
    let (api, writes) = cluster(vec![server()], never);
    let ran = at_home(&api, &["uninstall", "--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("canary test/podinfo is in mid-release: Progressing, 10 % of the traffic"),
        "{}",
        ran.stdout
    );
    assert_eq!(writes.load(Ordering::Relaxed), 0);
}

#[test]
fn impossible_combinations_are_usage_errors() {
    for words in [
        ["uninstall", "--purge", "--for-flagger"].as_slice(),
        &["install", "--replicas=0"],
        &["install", "--dry-run=maybe"],
    ] {
        assert_eq!(at("http://127.0.0.1:1", words).code, 1, "{words:?}");
    }
}
