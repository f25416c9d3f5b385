//! The webhook over TLS, called by a real API server as the manifests register it. The caches are
//! played: what they would know is told to them.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "admission/canaries.rs"]
mod canaries;
#[path = "admission/registration.rs"]
mod registration;
#[path = "admission/sidecar.rs"]
mod sidecar;
#[path = "admission/targets.rs"]
mod targets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use canary_core::canary::Canary;
use canary_core::revision::revision;
use canary_tests::clock::eventually;
use canary_tests::control_plane::{ControlPlane, client};
use canary_tests::process::Output;
use canary_webhook::admission::{AdmissionMetrics, Config, State, View, router};
use canary_webhook::tls::{WebhookTarget, certificate, listen, publish_ca, serve};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const SERVER: (&str, &str) = ("canary-system", "canary-webhook");
const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";
const BY: &str = "kubectl-canary.dev/triggered-by";
const REVISION: &str = "kubectl-canary.dev/triggered-revision";

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

/// One control plane and one webhook for all: each test has a namespace of its own.
static STAGE: OnceCell<ControlPlane> = OnceCell::const_new();
static KNOWN: Mutex<Vec<Arc<Canary>>> = Mutex::new(Vec::new());

struct Caches;

impl View for Caches {
    fn canaries(&self, namespace: &str) -> Vec<Arc<Canary>> {
        let known = KNOWN.lock().unwrap();
        known
            .iter()
            .filter(|canary| canary.namespace_name() == namespace)
            .cloned()
            .collect()
    }

    fn target_strategy(&self, _namespace: &str, _name: &str) -> Option<String> {
        None
    }

    fn synced(&self) -> bool {
        true
    }
}

async fn installed() -> Result<ControlPlane> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    for file in [
        "namespace",
        "serviceaccount",
        "rbac",
        "policies",
        "webhooks",
    ] {
        plane
            .apply_file(&format!("manifests/base/{file}.yaml"))
            .await?;
    }
    Ok(plane)
}

async fn stage() -> Result<ControlPlane> {
    let plane = installed().await?;
    let listener = listen(([127, 0, 0, 1], 0).into())?;
    let url = format!("https://{}", listener.local_addr()?);
    let server = own_client(&plane).await?;
    let certificate = certificate(&server, SERVER.0, &["127.0.0.1".to_owned()], today()).await?;
    publish_ca(
        &server,
        &certificate.ca_pem,
        &WebhookTarget::Url(url.clone()),
    )
    .await?;
    plane
        .apply(&sidecar::registration(&url, &certificate.ca_pem))
        .await?;
    // In a runtime of its own: that of a test ends with the test.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let state = State {
            view: Arc::new(Caches),
            config: Arc::new(Config {
                own_user: format!("system:serviceaccount:{}:{}", SERVER.0, SERVER.1),
                own_namespace: SERVER.0.to_owned(),
                default_provider: "apisix".to_owned(),
            }),
            metrics: AdmissionMetrics::register(&mut Registry::default()),
            elapsed: Arc::new(|| Duration::ZERO),
        };
        runtime.block_on(serve(
            listener,
            router(state).merge(sidecar::router()),
            &certificate,
            std::future::pending(),
        ))
    });
    let probe = ["create", "-n", "default", "--dry-run=server", "-f", "-"];
    let bad = canary("default").replace("provider: apisix", "provider: istio");
    eventually(
        "the webhook to be called",
        Duration::from_secs(30),
        async || {
            let answer = plane
                .kubectl_with(plane.admin_kubeconfig(), &probe, &bad)
                .await?;
            Ok((answer.code != Some(0)).then_some(()))
        },
    )
    .await?;
    Ok(plane)
}

/// With the rights that the manifests give, and no more.
async fn own_client(plane: &ControlPlane) -> Result<kube::Client> {
    client(&plane.service_account_kubeconfig(SERVER.0, SERVER.1)?).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "the API server compares with its own clock"
)]
fn today() -> Timestamp {
    Timestamp::now()
}

fn canary(namespace: &str) -> String {
    include_str!("../../seed/podinfo-canary.yaml")
        .replace("namespace: test", &format!("namespace: {namespace}"))
}

struct Namespace {
    plane: &'static ControlPlane,
    name: String,
}

impl Namespace {
    /// With a target and its Canary, which has been initialized; everybody may edit and operate.
    async fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let plane = STAGE.get_or_try_init(stage).await.unwrap();
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Self { plane, name };
        namespace
            .ok(&["create", "namespace", &namespace.name], "")
            .await;
        for user in ["alice", "bob"] {
            let user_flag = format!("--user={user}");
            let bind = [
                "create",
                "rolebinding",
                user,
                "--clusterrole=admin",
                &user_flag,
            ];
            namespace.ok(&bind, "").await;
        }
        namespace
            .ok(&["create", "-f", "-"], &canary(&namespace.name))
            .await;
        namespace.ok(&["create", "-f", "-"], TARGET).await;
        let status = json!({"status": {"phase": "Initialized"}}).to_string();
        let patch = [
            "patch",
            "canary",
            "podinfo",
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        namespace.ok(&patch, "").await;
        let stored = serde_json::from_value(namespace.read("canary").await).unwrap();
        KNOWN.lock().unwrap().push(Arc::new(stored));
        namespace
    }

    async fn ok(&self, args: &[&str], input: &str) -> String {
        let args: Vec<&str> = args.iter().copied().chain(["-n", &self.name]).collect();
        let kubeconfig = self.plane.admin_kubeconfig();
        self.plane
            .kubectl_with(kubeconfig, &args, input)
            .await
            .unwrap()
            .ok()
            .unwrap()
    }

    async fn read(&self, kind: &str) -> Value {
        serde_json::from_str(&self.ok(&["get", kind, "podinfo", "-o", "json"], "").await).unwrap()
    }

    async fn kubectl(&self, user: &str, args: &[&str], input: &str) -> Output {
        let kubeconfig = self.plane.kubeconfig_for(user, &[]).unwrap();
        let args: Vec<&str> = args.iter().copied().chain(["-n", &self.name]).collect();
        let output = self
            .plane
            .kubectl_with(&kubeconfig, &args, input)
            .await
            .unwrap();
        println!("{user}: kubectl {} → {output:?}", args.join(" "));
        output
    }

    async fn set_image(&self, user: &str, tag: &str) -> Output {
        let image = format!("podinfod=stefanprodan/podinfo:{tag}");
        let output = self
            .kubectl(user, &["set", "image", "deployment/podinfo", &image], "")
            .await;
        assert_eq!(output.code, Some(0), "{output:?}");
        output
    }

    /// Both stamps of the target, and the revision of what is stored.
    async fn stamps(&self) -> (Option<String>, Option<String>, String) {
        let target = self.read("deployment").await;
        let stamp = |key: &str| {
            target["metadata"]["annotations"][key]
                .as_str()
                .map(str::to_owned)
        };
        (
            stamp(BY),
            stamp(REVISION),
            revision(&target["spec"]["template"]),
        )
    }
}
