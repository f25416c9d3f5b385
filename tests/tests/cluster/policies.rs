//! The policies that hold while our server is down. Nobody here is a cluster administrator but where
//! it says so, and no webhook is registered.
//!
//! alice edits namespaces (role edit), bob operates releases (canary-operator), carol administers
//! (admin), and the server is the `ServiceAccount` that the manifests name.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "policies/requests.rs"]
mod requests;
#[path = "policies/rights.rs"]
mod rights;
#[path = "policies/targets.rs"]
mod targets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Output;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const REQUEST: &str = "kubectl-canary.dev/request";
const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";
const BY: &str = "kubectl-canary.dev/triggered-by";
const REVISION: &str = "kubectl-canary.dev/triggered-revision";
const MANAGED: &str = "kubectl-canary.dev/managed";

const ALICE: &str = "alice";
const BOB: &str = "bob";
const CAROL: &str = "carol";
const SERVER: &str = "system:serviceaccount:canary-system:canary-webhook";

const TARGET: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: podinfo, labels: {kubectl-canary.dev/managed: 'true'}}
spec:
  replicas: 0
  selector: {matchLabels: {app: podinfo}}
  template:
    metadata: {labels: {app: podinfo}}
    spec: {containers: [{name: podinfod, image: 'stefanprodan/podinfo:6.0.0'}]}
";

/// One control plane for all: each test has a namespace of its own.
static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();

struct Namespace {
    plane: &'static ControlPlane,
    name: String,
    uid: String,
}

async fn plane() -> Result<ControlPlane> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    for file in ["namespace", "serviceaccount", "rbac", "policies"] {
        plane
            .apply_file(&format!("manifests/base/{file}.yaml"))
            .await?;
    }
    // A policy is compiled and enforced a moment after it is stored.
    plane
        .kubectl(&["create", "namespace", "probe"])
        .await?
        .ok()?;
    plane
        .kubectl_with(
            plane.admin_kubeconfig(),
            &["create", "-n", "probe", "-f", "-"],
            TARGET,
        )
        .await?
        .ok()?;
    let (name, text) = ("policies to be enforced", format!("{MANAGED}-"));
    let unlabel = [
        "label",
        "-n",
        "probe",
        "--dry-run=server",
        "deployment/podinfo",
        text.as_str(),
    ];
    eventually(name, Duration::from_secs(30), async || {
        Ok((plane.kubectl(&unlabel).await?.code != Some(0)).then_some(()))
    })
    .await?;
    Ok(plane)
}

/// The user's own file, in another namespace.
fn users_canary(namespace: &str) -> String {
    include_str!("../../seed/podinfo-canary.yaml")
        .replace("namespace: test", &format!("namespace: {namespace}"))
}

impl Namespace {
    /// With the user's Canary, a target, and the three people.
    async fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let plane = PLANE.get_or_try_init(plane).await.unwrap();
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Self {
            plane,
            name,
            uid: String::new(),
        };
        namespace
            .admin(&["create", "namespace", &namespace.name], "")
            .await;
        for (user, role) in [(ALICE, "edit"), (BOB, "canary-operator"), (CAROL, "admin")] {
            let (role, user_flag) = (format!("--clusterrole={role}"), format!("--user={user}"));
            namespace
                .admin(&["create", "rolebinding", user, &role, &user_flag], "")
                .await;
        }
        let canary = users_canary(&namespace.name);
        namespace.admin(&["create", "-f", "-"], &canary).await;
        namespace.admin(&["create", "-f", "-"], TARGET).await;
        let uid = namespace.read("canary", "{.metadata.uid}").await;
        Self { uid, ..namespace }
    }

    async fn admin(&self, args: &[&str], input: &str) {
        let args: Vec<&str> = args.iter().copied().chain(["-n", &self.name]).collect();
        let kubeconfig = self.plane.admin_kubeconfig();
        self.plane
            .kubectl_with(kubeconfig, &args, input)
            .await
            .unwrap()
            .ok()
            .unwrap();
    }

    async fn read(&self, kind: &str, jsonpath: &str) -> String {
        let path = format!("jsonpath={jsonpath}");
        let args = ["get", kind, "podinfo", "-n", &self.name, "-o", &path];
        self.plane.kubectl(&args).await.unwrap().ok().unwrap()
    }

    /// kubectl as `user`.
    async fn kubectl(&self, user: &str, args: &[&str]) -> Output {
        let kubeconfig = self.plane.kubeconfig_for(user, &[]).unwrap();
        let args: Vec<&str> = args.iter().copied().chain(["-n", &self.name]).collect();
        self.plane
            .kubectl_with(&kubeconfig, &args, "")
            .await
            .unwrap()
    }

    async fn patch(&self, user: &str, kind: &str, patch: Value) -> Output {
        let patch = patch.to_string();
        self.kubectl(
            user,
            &["patch", kind, "podinfo", "--type=merge", "-p", &patch],
        )
        .await
    }

    /// What `kubectl canary` sends; a null takes the annotation away.
    async fn request(&self, user: &str, request: &str, by: Value) -> Output {
        let annotations = json!({REQUEST: request, REQUESTED_BY: by});
        self.patch(
            user,
            "canary",
            json!({"metadata": {"annotations": annotations}}),
        )
        .await
    }

    fn wish(&self, verb: &str, id: &str) -> String {
        format!("{verb} v1-0123456789ab {} {id}", self.uid)
    }
}

#[track_caller]
fn assert_allowed(output: &Output) {
    assert_eq!(output.code, Some(0), "{output:?}");
}

#[track_caller]
fn assert_denied(output: &Output, why: &str) {
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains(why), "{output:?}");
}
