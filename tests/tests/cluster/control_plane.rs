//! The harness itself: what every other cluster test relies on.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::control_plane::ControlPlane;
use canary_tests::held::Held;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

const APP: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: default}
spec:
  replicas: 3
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec: {containers: [{name: app, image: app:1}]}
";

async fn ready_replicas(plane: &ControlPlane) -> Result<i32> {
    let apps: Api<Deployment> = Api::namespaced(plane.client().await?, "default");
    let status = apps.get("app").await?.status.unwrap_or_default();
    Ok(status.ready_replicas.unwrap_or_default())
}

#[tokio::test]
async fn two_control_planes_run_at_once_and_know_nothing_of_each_other() {
    let start = now();
    let (one, other) = tokio::join!(ControlPlane::start(), ControlPlane::start());
    let (one, other) = (one.unwrap(), other.unwrap());
    println!("two control planes: {:?}", start.elapsed());

    one.kubectl(&["create", "namespace", "only-here"])
        .await
        .unwrap()
        .ok()
        .unwrap();

    let there = other.kubectl(&["get", "namespace", "only-here"]).await;
    assert!(there.unwrap().stderr.contains("NotFound"));
}

#[tokio::test]
async fn the_pods_of_a_deployment_are_ready_within_two_seconds() {
    let start = now();
    let plane = ControlPlane::start().await.unwrap();
    println!("one control plane: {:?}", start.elapsed());

    plane.apply(APP).await.unwrap();
    let applied = now();
    eventually("three ready pods", Duration::from_secs(10), async || {
        Ok((ready_replicas(&plane).await? == 3).then_some(()))
    })
    .await
    .unwrap();

    println!("three pods ready: {:?}", applied.elapsed());
    assert!(applied.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_pod_that_must_never_be_ready_stays_pending() {
    let plane = ControlPlane::start().await.unwrap();
    let never = APP.replace(
        "metadata: {labels: {app: app}}",
        "metadata: {labels: {app: app}, annotations: {lab/never-ready: 'true'}}",
    );
    plane.apply(&never).await.unwrap();

    tokio::time::sleep(Duration::from_secs(3)).await;

    assert_eq!(ready_replicas(&plane).await.unwrap(), 0);
    let phases = ["get", "pods", "-o", "jsonpath={.items[*].status.phase}"];
    let phases = plane.kubectl(&phases).await.unwrap().ok().unwrap();
    assert_eq!(phases, "Pending Pending Pending");
}

#[tokio::test]
async fn a_person_without_rights_is_denied_and_one_with_rights_is_not() {
    let plane = ControlPlane::start().await.unwrap();
    let bind = [
        "create",
        "clusterrolebinding",
        "readers",
        "--clusterrole=view",
        "--group=readers",
        "--serviceaccount=ops:watcher",
    ];
    plane.kubectl(&bind).await.unwrap().ok().unwrap();
    let nobody = plane.kubeconfig_for("mallory", &["developers"]).unwrap();
    let reader = plane
        .kubeconfig_for("alice", &["developers", "readers"])
        .unwrap();
    let account = plane.service_account_kubeconfig("ops", "watcher").unwrap();
    let get = ["get", "deployments", "-n", "default"];

    let denied = plane.kubectl_with(&nobody, &get, "").await.unwrap();
    assert_eq!(denied.code, Some(1));
    assert!(
        denied.stderr.contains(r#"User "mallory" cannot list"#),
        "{denied:?}"
    );
    for kubeconfig in [reader, account] {
        let allowed = plane.kubectl_with(&kubeconfig, &get, "").await.unwrap();
        assert_eq!(allowed.code, Some(0), "{allowed:?}");
    }
}

#[tokio::test]
async fn the_audit_log_names_who_asked_for_what() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl(&["get", "pods"]).await.unwrap().ok().unwrap();

    let log = std::fs::read_to_string(plane.audit_log()).unwrap();

    let asked = log.lines().any(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["user"]["username"] == "admin"
            && entry["verb"] == "list"
            && entry["objectRef"]["resource"] == "pods"
    });
    assert!(asked, "{log}");
}

#[tokio::test]
async fn a_run_that_is_killed_leaves_neither_processes_nor_files() {
    let mut lab = Held::start(&[]).unwrap();
    let folder = lab.folder().to_owned();
    let running = processes_in(&folder);
    assert!(running >= 4, "{running} in {}", folder.display());

    lab.kill().unwrap();

    eventually("everything to go", Duration::from_secs(10), async || {
        Ok((!folder.exists() && processes_in(&folder) == 0).then_some(()))
    })
    .await
    .unwrap();
}

/// How many processes work in a folder.
fn processes_in(folder: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok())
        .filter(|place| place.starts_with(folder))
        .count()
}
