//! Somebody else's webhook rewrites the template on our own writes of the target: a tag becomes a digest, a
//! sidecar is injected. That is nobody's release.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::{LIMIT, Namespace, Recorder, deployment, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{image, namespace};

const PROMOTED_IMAGES: &str = "kubectl-canary.dev/promoted-images";

/// What such a webhook makes of the containers of a Deployment; the number says how often the world has moved
/// on since.
type Rewrite = fn(&mut Value, u64);

/// A webhook for the target of one namespace.
struct Rewriter {
    moved: Arc<AtomicU64>,
    plane: &'static ControlPlane,
    name: String,
}

// === impl Rewriter ===

impl Rewriter {
    /// Starts it, and waits until the API server asks it.
    async fn start(test: &Namespace<'static>, rewrite: Rewrite) -> Result<Self> {
        let moved = Arc::new(AtomicU64::new(1));
        let counter = moved.clone();
        let answer = move |Json(review): Json<Value>| async move {
            Json(answer(&review, rewrite, counter.load(Ordering::SeqCst)))
        };
        let name = format!("rewriter-{}", test.name);
        let router = Router::new().route("/rewrite", post(answer));
        let url = webhook::serve(test.plane, &name, router)? + "/rewrite";
        let ca = ByteString(test.plane.authority().pem().into());
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "rewriter.example.com", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ca},
                "rules": [{
                    "apiGroups": ["apps"], "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}},
                "matchConditions": [{"name": "target", "expression": "request.name != 'podinfo-primary'"}],
                "sideEffects": "None",
            }],
        });
        test.plane.apply(&registration.to_string()).await?;
        let mut probe = deployment();
        probe["metadata"]["name"] = json!("probe");
        let before = probe["spec"]["template"].clone();
        eventually("templates to be rewritten", LIMIT, async || {
            let path = format!("{}?dryRun=All", test.path("deployments"));
            let request = http::Request::post(path).body(serde_json::to_vec(&probe)?)?;
            let created: Value = test.plane.client().await?.request(request).await?;
            let list = |template: &Value| template["spec"]["containers"].clone();
            let count = list(&created["spec"]["template"]).as_array().map(Vec::len);
            let same = created["spec"]["template"]["spec"]["containers"][0]["image"]
                == before["spec"]["containers"][0]["image"]
                && count == list(&before).as_array().map(Vec::len);
            Ok((!same).then_some(()))
        })
        .await?;
        Ok(Self {
            moved,
            plane: test.plane,
            name,
        })
    }

    /// From now on it makes something else of the same.
    fn move_on(&self) {
        self.moved.fetch_add(1, Ordering::SeqCst);
    }

    async fn end(self) -> Result<()> {
        let delete = ["delete", "mutatingwebhookconfiguration", &self.name];
        self.plane.kubectl(&delete).await?.ok()?;
        Ok(())
    }
}

fn answer(review: &Value, rewrite: Rewrite, moved: u64) -> Value {
    let mut containers =
        review["request"]["object"]["spec"]["template"]["spec"]["containers"].clone();
    rewrite(&mut containers, moved);
    let patch = json!([{
        "op": "replace", "path": "/spec/template/spec/containers", "value": containers,
    }]);
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"], "allowed": true, "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes()),
        },
    })
}

/// The digest that the tag has now.
fn to_digest(containers: &mut Value, moved: u64) {
    let image = containers[0]["image"].as_str().unwrap_or_default();
    let tag = image.split('@').next().unwrap_or_default();
    containers[0]["image"] = json!(format!("{tag}@sha256:{moved:064x}"));
}

/// The sidecar in the version that its operator has now.
fn with_sidecar(containers: &mut Value, moved: u64) {
    let all = containers.as_array_mut().unwrap();
    all.retain(|container| container["name"] != "sidecar");
    all.push(json!({"name": "sidecar", "image": format!("sidecar:{moved}")}));
}

fn templates(target: &Recorder) -> usize {
    let template = |target: &Value| Some(target["spec"]["template"].clone());
    target.changes(template).len()
}

async fn releases(test: &Namespace<'_>) -> Result<usize> {
    let events = test.events().await?;
    let new = events.iter().filter(|text| text.contains("New revision"));
    Ok(new.count())
}

/// Nothing follows. What a loop would do, it would do within this time.
async fn at_rest(test: &Namespace<'_>) -> Result<Value> {
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (before, status) = (
        test.get("deployments/podinfo").await?,
        test.get("canaries/podinfo").await?,
    );
    tokio::time::sleep(Duration::from_secs(5)).await;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    assert_eq!(
        version(&test.get("deployments/podinfo").await?),
        version(&before)
    );
    assert_eq!(
        version(&test.get("canaries/podinfo").await?),
        version(&status)
    );
    Ok(status)
}

/// A target, a webhook that came after it, and then a Canary: adopted, released once, and at rest.
async fn adopted_and_released(test: &Namespace<'static>, rewrite: Rewrite) -> Result<()> {
    test.create(&deployment()).await?;
    let rewriter = Rewriter::start(test, rewrite).await?;
    let target = test.record("deployments/podinfo").await?;
    let canary = test.record("canaries/podinfo").await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    let rewritten = test.get("deployments/podinfo").await?;
    let known = |status: &Value| status["target"]["revision"] == status["lastAppliedSpec"];
    test.until("canaries/podinfo", |canary| known(&canary["status"]))
        .await?;
    assert_eq!(templates(&target), 2, "once, on our first write");
    assert_eq!(releases(test).await?, 0);

    // A person's change is a release, whatever the webhook makes of it.
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Progressing"
    })
    .await?;
    // Our note of the promoted images is a write at its end, and then the world has moved on.
    rewriter.move_on();
    test.phase("Succeeded").await?;
    let noted = test
        .until("deployments/podinfo", |target| {
            let images = &target["metadata"]["annotations"][PROMOTED_IMAGES];
            images
                .as_str()
                .is_some_and(|images| images.contains("6.0.1"))
                && target["spec"]["template"] != rewritten["spec"]["template"]
        })
        .await?;
    assert!(image(&noted).contains("6.0.1"), "{noted:#}");
    test.until("canaries/podinfo", |canary| known(&canary["status"]))
        .await?;

    let status = at_rest(test).await?;
    assert_eq!(status["status"]["release"]["number"], 1, "{status:#}");
    assert_eq!(releases(test).await?, 1);
    let phases = canary.phases();
    assert_eq!(
        phases.last().map(String::as_str),
        Some("Succeeded"),
        "{phases:?}"
    );
    assert_eq!(
        phases.iter().filter(|it| *it == "Progressing").count(),
        1,
        "{phases:?}"
    );
    rewriter.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_that_become_digests_on_our_writes_are_no_release() -> Result<()> {
    adopted_and_released(&namespace("digests").await?, to_digest).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_is_injected_on_our_writes_is_no_release() -> Result<()> {
    adopted_and_released(&namespace("injected").await?, with_sidecar).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_was_rewritten_on_the_last_write_before_a_crash_is_no_release() -> Result<()>
{
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("rewritten-crash", "1s").await?;
    server.process().kill()?;
    // As the server left it that wrote a mark, and died before it had read the answer.
    let before = test.get("canaries/podinfo").await?;
    let seen = before["status"]["target"]["revision"].clone();
    let mut template = test.get("deployments/podinfo").await?["spec"]["template"].clone();
    to_digest(&mut template["spec"]["containers"], 7);
    let patch = json!({
        "metadata": {"annotations": {"kubectl-canary.dev/seen-revision": seen}},
        "spec": {"template": template},
    });
    let ours = "system:serviceaccount:canary-system:canary-webhook";
    // Two writes of one second are told apart by nobody.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let patch = patch.to_string();
    let args = [
        "patch",
        "deployment",
        "podinfo",
        "--type=merge",
        "--field-manager=kubectl-canary",
        "-p",
        &patch,
    ];
    test.kubectl(ours, &args).await?.ok()?;

    server.restart()?;
    test.until("canaries/podinfo", |canary| {
        let revision = &canary["status"]["target"]["revision"];
        revision.is_string() && *revision != seen
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    assert_eq!(releases(&test).await?, 1, "the person's");
    Ok(())
}
