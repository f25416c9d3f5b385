//! What a `CanaryPolicy` forbids while our server is down: only the API server decides here, and nobody
//! is a cluster administrator but where it says so. The status is written by the tests; who writes it in
//! a cluster is another file's.
//!
//! alice edits the namespace, carol also operates releases, bob also holds the verb `bypass`. Each test
//! has a namespace and policies of its own, which select that namespace by its label.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "policy/bypass.rs"]
mod bypass;
#[path = "policy/canaries.rs"]
mod canaries;
#[path = "policy/enforcement.rs"]
mod enforcement;
#[path = "policy/freeze.rs"]
mod freeze;
#[path = "policy/generated.rs"]
mod generated;
#[path = "policy/images.rs"]
mod images;
#[path = "policy/labels.rs"]
mod labels;
#[path = "policy/lock.rs"]
mod lock;
#[path = "policy/modes.rs"]
mod modes;
#[path = "policy/requests.rs"]
mod requests;
#[path = "policy/schema.rs"]
mod schema;
#[path = "policy/types.rs"]
mod types;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Output;
use canary_tests::server::grant;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const ALICE: &str = "alice";
const BOB: &str = "bob";
const CAROL: &str = "carol";
const SERVER: &str = "system:serviceaccount:canary-system:canary-webhook";

const UNTIL: &str = "2027-01-03T08:00:00Z";
/// Put into an update or a creation, so that a denial is waited for without changing anything.
const DRY: &str = "--dry-run=server";

/// A namespace with three people, and the policies for it.
struct Site {
    plane: &'static ControlPlane,
    name: String,
}

async fn plane() -> Result<ControlPlane> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    grant(&plane).await?;
    let (role, user) = ("--clusterrole=canary-bypass", format!("--user={BOB}"));
    let bind = ["create", "clusterrolebinding", "bypass", role, &user];
    plane.kubectl(&bind).await?.ok()?;
    Ok(plane)
}

// === impl Site ===

impl Site {
    /// With `spec` as the only policy, named as the namespace.
    async fn with(spec: Value) -> Self {
        let site = Self::new().await;
        site.policy(&site.name, spec).await;
        site
    }

    async fn new() -> Self {
        static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let plane = PLANE.get_or_try_init(plane).await.unwrap();
        let name = format!("ns-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let site = Self { plane, name };
        let label = json!({"test": &site.name});
        site.admin(&json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": &site.name, "labels": label},
        }))
        .await;
        for (role, user) in [
            ("edit", ALICE),
            ("edit", BOB),
            ("edit", CAROL),
            ("canary-operator", CAROL),
            ("canary-operator", BOB),
        ] {
            site.admin(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": format!("{role}-{user}"), "namespace": &site.name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            }))
            .await;
        }
        site
    }

    /// Another policy for this namespace.
    async fn policy(&self, name: &str, mut spec: Value) {
        spec["namespaces"] = json!({"matchLabels": {"test": &self.name}});
        self.admin(&canary_policy(name, &spec)).await;
    }

    /// What the API server says to an administrator's object, or nothing if it takes it; it is not stored.
    async fn said(&self, object: &Value) -> String {
        let args = [CREATE.as_slice(), &[DRY]].concat();
        let kubeconfig = self.plane.admin_kubeconfig();
        let input = object.to_string();
        let ran = self.plane.kubectl_with(kubeconfig, &args, &input);
        let output = ran.await.unwrap();
        match output.code {
            Some(0) => String::new(),
            _ => output.stderr,
        }
    }

    /// The freeze that the server would have written into the policy.
    async fn freeze(&self, frozen: bool) {
        let status = json!({"status": {
            "frozen": frozen, "window": "year-end", "reason": "CHG-1234", "until": UNTIL,
        }});
        let (name, status) = (&self.name, status.to_string());
        let patch = ["patch", "canarypolicy", name, "--subresource=status"];
        let patch: Vec<&str> = patch
            .into_iter()
            .chain(["--type=merge", "-p", &status])
            .collect();
        self.plane.kubectl(&patch).await.unwrap().ok().unwrap();
    }

    /// Creates or changes an object as an administrator.
    async fn admin(&self, object: &Value) {
        self.as_admin(&["apply", "-f", "-"], object).await;
    }

    /// Creates an object of this namespace as an administrator.
    async fn given(&self, mut object: Value) -> Value {
        object["metadata"]["namespace"] = json!(&self.name);
        self.as_admin(&CREATE, &object).await;
        object
    }

    /// Creates an object of this namespace as somebody.
    async fn as_user(&self, user: &str, object: Value) {
        let output = self.kubectl(user, &CREATE, &object.to_string()).await;
        assert_eq!(output.code, Some(0), "{output:?}");
    }

    async fn as_admin(&self, args: &[&str], object: &Value) {
        let kubeconfig = self.plane.admin_kubeconfig();
        let input = object.to_string();
        let ran = self.plane.kubectl_with(kubeconfig, args, &input).await;
        ran.unwrap().ok().unwrap();
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        match user.strip_prefix("system:serviceaccount:") {
            Some(account) => {
                let (namespace, name) = account.split_once(':').unwrap();
                self.plane.service_account_kubeconfig(namespace, name)
            }
            None => self.plane.kubeconfig_for(user, &[]),
        }
        .unwrap()
    }

    async fn kubectl(&self, user: &str, args: &[&str], input: &str) -> Output {
        let args: Vec<&str> = ["-n", &self.name].iter().chain(args).copied().collect();
        let kubeconfig = self.kubeconfig(user);
        let ran = self.plane.kubectl_with(&kubeconfig, &args, input).await;
        ran.unwrap()
    }

    /// Waits until `user` is refused with that text; nothing is changed meanwhile.
    async fn refused(&self, user: &str, args: &[&str], input: &str, why: &str) -> Output {
        let args: Vec<&str> = args.iter().copied().chain([DRY]).collect();
        let last = std::sync::Mutex::new(String::new());
        let waited = eventually(why, LIMIT, async || {
            let output = self.kubectl(user, &args, input).await;
            let refused = output.code == Some(1) && output.stderr.contains(why);
            *last.lock().unwrap() = format!("{output:?}");
            Ok(refused.then_some(output))
        });
        match waited.await {
            Ok(output) => output,
            Err(error) => panic!("{error}; last: {}", last.lock().unwrap()),
        }
    }

    /// `user` does it, and nobody says a word.
    async fn allowed(&self, user: &str, args: &[&str], input: &str) -> Output {
        let output = self.kubectl(user, args, input).await;
        assert_eq!(output.code, Some(0), "{args:?}: {output:?}");
        assert!(!output.stderr.contains("Warning"), "{args:?}: {output:?}");
        output
    }

    /// A merge patch, as arguments of kubectl.
    async fn patch_refused(&self, user: &str, object: &str, patch: Value, why: &str) -> Output {
        let patch = patch.to_string();
        let args = ["patch", object, "--type=merge", "-p", &patch];
        self.refused(user, &args, "", why).await
    }

    async fn patch(&self, user: &str, object: &str, patch: Value) -> Output {
        let patch = patch.to_string();
        let args = ["patch", object, "--type=merge", "-p", &patch];
        self.allowed(user, &args, "").await
    }

    async fn read(&self, object: &str) -> Value {
        let get = ["get", object, "-n", &self.name, "-o", "json"];
        let text = self.plane.kubectl(&get).await.unwrap().ok().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The annotations of the audit log's entries for requests to this namespace that begin with `key`.
    fn audited(&self, key: &str) -> Vec<String> {
        let log = std::fs::read_to_string(self.plane.audit_log()).unwrap();
        let entries = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let own = entries.filter(|entry: &Value| entry["objectRef"]["namespace"] == *self.name);
        own.flat_map(|entry| {
            let annotations = entry["annotations"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            let found = annotations
                .into_iter()
                .filter(|(name, _)| name.starts_with(key));
            found
                .map(|(_, value)| value.as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        })
        .collect()
    }
}

// === what people apply ===

fn canary_policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
        "metadata": {"name": name}, "spec": spec,
    })
}

/// A Deployment of one container.
fn deployment(name: &str, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "annotations": {}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    })
}

/// As the server marks a target: its label, and what the primary runs.
fn target(image: &str) -> Value {
    let mut target = deployment("podinfo", image);
    target["metadata"]["labels"] = json!({"kubectl-canary.dev/managed": "true"});
    target["metadata"]["annotations"] = json!({
        "kubectl-canary.dev/promoted-images": json!({"app": image}).to_string(),
    });
    target
}

/// What makes another image of it.
fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}})
}

/// A Canary with that way to advance.
fn canary(mut analysis: Value) -> Value {
    for (field, value) in [("interval", json!("10s")), ("threshold", json!(5))] {
        if analysis[field].is_null() {
            analysis[field] = value;
        }
    }
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo"},
        "spec": {
            "provider": "apisix",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": analysis,
        },
    })
}

const CREATE: [&str; 3] = ["create", "-f", "-"];
