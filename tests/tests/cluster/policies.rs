//! The policies that hold while our server is down. Nobody here is a cluster administrator but where
//! it says so, and no webhook is registered.
//!
//! alice edits namespaces (role edit), bob operates releases (view, canary-operator), carol administers
//! (admin), and the server is the `ServiceAccount` that the manifests name.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "policies/marks.rs"]
mod marks;
#[path = "policies/requests.rs"]
mod requests;
#[path = "policies/rights.rs"]
mod rights;
#[path = "policies/targets.rs"]
mod targets;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{self, ALICE, BOB, LIMIT, deployment, install_policies};
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Output;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const REQUEST: &str = "kubectl-canary.dev/request";
const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";
const BY: &str = "kubectl-canary.dev/triggered-by";
const REVISION: &str = "kubectl-canary.dev/triggered-revision";
const MANAGED: &str = "kubectl-canary.dev/managed";

const CAROL: &str = "carol";
const SERVER: &str = "system:serviceaccount:canary-system:canary-webhook";

struct Namespace {
    test: cluster::Namespace<'static>,
    uid: String,
}

/// One control plane for all: each test has a namespace of its own.
async fn plane() -> Result<&'static ControlPlane> {
    static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
    let start = async || {
        let plane = ControlPlane::options().simulated_nodes(0).start().await?;
        install_policies(&plane).await?;
        // A policy is compiled and enforced a moment after it is stored.
        plane.apply(&target().to_string()).await?;
        let forge = "label --overwrite --dry-run=server deployment/podinfo";
        for forged in [
            format!("{forge} {MANAGED}=false"),
            format!("{forge} kubectl-canary.dev/generated=u1"),
        ] {
            let forged: Vec<&str> = forged.split(' ').collect();
            eventually("policies to be enforced", LIMIT, async || {
                Ok((plane.kubectl(&forged).await?.code != Some(0)).then_some(()))
            })
            .await?;
        }
        let delete = "delete configmap kube-root-ca.crt --dry-run=server";
        let delete: Vec<&str> = delete.split(' ').collect();
        let server = plane.service_account_kubeconfig("canary-system", "canary-webhook")?;
        eventually("the server to be bound", LIMIT, async || {
            let output = plane.kubectl_with(&server, &delete, "").await?;
            Ok(output.stderr.contains("generated").then_some(()))
        })
        .await?;
        anyhow::Ok(plane)
    };
    PLANE.get_or_try_init(start).await
}

/// A target as adoption leaves it.
fn target() -> Value {
    let mut target = deployment();
    target["metadata"]["labels"] = json!({MANAGED: "true"});
    target["spec"]["replicas"] = json!(0);
    target
}

/// The user's own file, in another namespace.
fn users_canary(namespace: &str) -> String {
    include_str!("../../seed/podinfo-canary.yaml")
        .replace("namespace: test", &format!("namespace: {namespace}"))
}

// === impl Namespace ===

impl Namespace {
    /// With the user's Canary, a target, and the three people.
    async fn new() -> Self {
        let test = cluster::Namespace::new(plane().await.unwrap(), "policies");
        let test = test.await.unwrap();
        test.bind(CAROL, "admin").await.unwrap();
        let namespace = Self {
            uid: String::new(),
            test,
        };
        let canary = users_canary(&namespace.test.name);
        namespace.admin(&["create", "-f", "-"], &canary).await;
        namespace.test.create_as_admin(&target()).await.unwrap();
        let uid = namespace.read("canary", "{.metadata.uid}").await;
        Self { uid, ..namespace }
    }

    async fn admin(&self, args: &[&str], input: &str) -> String {
        let output = self.test.kubectl_as_admin(args, input).await.unwrap();
        output.ok().unwrap()
    }

    async fn read(&self, kind: &str, jsonpath: &str) -> String {
        let path = format!("jsonpath={jsonpath}");
        self.admin(&["get", kind, "podinfo", "-o", &path], "").await
    }

    /// kubectl as `user`.
    async fn kubectl(&self, user: &str, args: &[&str]) -> Output {
        self.test.kubectl(user, args).await.unwrap()
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
