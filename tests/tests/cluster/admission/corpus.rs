//! Where the fuzzer's corpus comes from: what a real API server sends for what people do.

use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace, deployment, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::webhook;
use canary_tests::tools::folder;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// Reviews in the order in which they came.
type Seen = Arc<Mutex<Vec<Value>>>;

/// Writes down what it is asked, and allows it.
struct Recorder {
    seen: Seen,
    kept: usize,
}

impl Recorder {
    /// Asked before our own webhooks, for its name sorts before theirs.
    async fn start(plane: &ControlPlane) -> Result<Self> {
        let seen = Seen::default();
        let router = Router::new()
            .route("/record", post(record))
            .with_state(seen.clone());
        let url = webhook::serve(plane, "recorder", router)? + "/record";
        let ca = ByteString(plane.authority().pem().into());
        plane.apply(&registration(&url, &ca).to_string()).await?;
        let recorder = Self { seen, kept: 0 };
        let probe = json!({
            "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
            "metadata": {"name": "corpus-probe"}, "spec": {"images": {"requireDigest": true}},
        })
        .to_string();
        eventually("the recorder to be asked", LIMIT, async || {
            let create = ["create", "--dry-run=server", "-f", "-"];
            let admin = plane.admin_kubeconfig();
            plane.kubectl_with(admin, &create, &probe).await?.ok()?;
            Ok((!recorder.seen.lock().unwrap().is_empty()).then_some(()))
        })
        .await?;
        recorder.seen.lock().unwrap().clear();
        Ok(recorder)
    }

    /// Keeps the newest review of `kind` since the last call under a name; others came by themselves.
    fn keep(&mut self, kind: &str, name: &str) -> Result<()> {
        let all = std::mem::take(&mut *self.seen.lock().unwrap());
        let of_kind = |review: &&Value| review["request"]["kind"]["kind"] == kind;
        let review = all.iter().rev().find(of_kind);
        let review = review.with_context(|| format!("no review of a {kind} for {name}"))?;
        let number = self.kept;
        self.kept += 1;
        let path = folder("tests/corpus/admission").join(format!("{number:02}-{name}.json"));
        std::fs::write(path, serde_json::to_string_pretty(review)? + "\n")?;
        Ok(())
    }
}

async fn record(State(seen): State<Seen>, Json(review): Json<Value>) -> Json<Value> {
    let uid = review["request"]["uid"].clone();
    // What our own server does by itself is no news for it.
    let user = review["request"]["userInfo"]["username"].as_str();
    if !user.is_some_and(|user| user.starts_with("system:")) {
        seen.lock().unwrap().push(review);
    }
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": uid, "allowed": true},
    }))
}

fn registration(url: &str, ca: &ByteString) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "a-recorder"},
        "webhooks": [{
            "name": "recorder.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": ca},
            "rules": [
                {"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["*"],
                 "resources": ["deployments", "deployments/scale"]},
                {"apiGroups": ["flagger.app"], "apiVersions": ["*"], "operations": ["*"],
                 "resources": ["canaries", "canaries/status"]},
                {"apiGroups": ["policy.kubectl-canary.dev"], "apiVersions": ["*"],
                 "operations": ["*"], "resources": ["canarypolicies"]},
            ],
        }],
    })
}

/// Every field of a policy.
fn policy(namespace: &str) -> Value {
    json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
        "metadata": {"name": "corpus"},
        "spec": {
            "namespaces": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "enforcement": "Audit",
            "images": {"allowedRegistries": ["docker.io/stefanprodan/"], "requireDigest": true,
                       "disallowedTags": ["latest"]},
            "canary": {"required": true, "maxStepWeight": 20, "maxWeight": 50, "minMetrics": 1,
                       "forbidSkipAnalysis": true},
            "release": {
                "freezeWindows": [
                    {"name": "weekend", "schedule": "0 18 * * 5", "duration": "62h",
                     "timeZone": "Europe/Berlin", "reason": "no weekend releases"},
                    {"name": "year-end", "start": "2126-12-18T17:00:00Z", "end": "2127-01-03T08:00:00Z"},
                ],
                "onFreeze": {"newReleases": "Deny", "running": "Hold"},
                "minInterval": "30m", "maxConcurrentPerNamespace": 2, "onRunningRelease": "Deny",
            },
            "approvals": {"promote": {"required": true, "requireReason": true, "notByAuthor": true}},
            "bypass": {"requireReason": true},
            "protect": {"generated": true, "lockDuringPromotion": true},
        },
    })
}

async fn kubectl(test: &Namespace<'_>, args: &[&str], input: &Value) -> Result<()> {
    let input = input.to_string();
    test.kubectl_with(ALICE, args, &input).await?.ok()?;
    Ok(())
}

const CREATE: [&str; 3] = ["create", "-f", "-"];

/// Creation and what follows it, until the Canary is at rest.
async fn creations(test: &Namespace<'_>, to: &mut Recorder) -> Result<()> {
    let dry = ["create", "--dry-run=server", "-f", "-"];
    kubectl(test, &dry, &deployment()).await?;
    to.keep("Deployment", "deployment-create-dry-run")?;
    kubectl(test, &CREATE, &deployment()).await?;
    to.keep("Deployment", "deployment-create")?;
    kubectl(test, &CREATE, &route()).await?;
    let mut bad = test.canary();
    bad["spec"]["provider"] = json!("istio");
    let refused = test.kubectl_with(ALICE, &dry, &bad.to_string()).await?;
    ensure!(refused.code == Some(1), "{refused:?}");
    to.keep("Canary", "canary-create-wrong")?;
    kubectl(test, &CREATE, &test.canary()).await?;
    to.keep("Canary", "canary-create")?;
    test.phase("Initialized").await?;
    Ok(())
}

/// Changes of the target at rest.
async fn changes(test: &Namespace<'_>, to: &mut Recorder) -> Result<()> {
    const RESTART: &str = r#"patch deployment/podinfo --dry-run=server -p {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}}"#;
    const IMAGE: &str =
        "set image deployment/podinfo podinfod=stefanprodan/podinfo:6.0.2 --dry-run=server";
    for (kind, name, args) in [
        (
            "Scale",
            "deployment-scale",
            "scale deployment/podinfo --replicas=0",
        ),
        (
            "Deployment",
            "deployment-label",
            "label deployment/podinfo a=b",
        ),
        ("Deployment", "deployment-image-dry-run", IMAGE),
        ("Deployment", "deployment-restart-dry-run", RESTART),
        (
            "Deployment",
            "deployment-delete-dry-run",
            "delete deployment/podinfo --dry-run=server",
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        kubectl(test, &args, &Value::Null).await?;
        to.keep(kind, name)?;
    }
    applied(test, to).await?;
    let glass = json!({
        "metadata": {"annotations": {"kubectl-canary.dev/break-glass": "INC-7"}},
        "spec": {"template": {"spec": {"containers": [
            {"name": "podinfod", "image": "stefanprodan/podinfo:6.0.2"},
        ]}}},
    })
    .to_string();
    let patch = [
        "patch",
        "deployment/podinfo",
        "--dry-run=server",
        "-p",
        &glass,
    ];
    test.kubectl_as_admin(&patch, "").await?.ok()?;
    to.keep("Deployment", "deployment-break-glass")
}

/// As a GitOps tool writes it.
async fn applied(test: &Namespace<'_>, to: &mut Recorder) -> Result<()> {
    let mut applied = deployment();
    applied["spec"].as_object_mut().unwrap().remove("replicas");
    let pod = &mut applied["spec"]["template"]["spec"];
    pod["containers"][0]["image"] = json!("docker.io/stefanprodan/podinfo:latest");
    pod["initContainers"] = json!([{"name": "wait", "image": "busybox"}]);
    let apply =
        "apply --server-side --force-conflicts --field-manager=gitops --dry-run=server -f -";
    let apply: Vec<&str> = apply.split(' ').collect();
    kubectl(test, &apply, &applied).await?;
    to.keep("Deployment", "deployment-apply-server-side")
}

/// A release, and what people ask of it.
async fn release(test: &Namespace<'_>, to: &mut Recorder) -> Result<()> {
    let none = Value::Null;
    let slow = json!({"spec": {"analysis": {"interval": "60s"}}});
    test.patch("canaries/podinfo", &slow).await?;
    to.keep("Canary", "canary-update-spec")?;
    test.set_image("6.0.1").await?;
    to.keep("Deployment", "deployment-image")?;
    test.until("canaries/podinfo", |it| it["status"]["canaryWeight"] == 20)
        .await?;
    let again = "set image deployment/podinfo podinfod=stefanprodan/podinfo:6.0.2 --dry-run=server";
    kubectl(test, &again.split(' ').collect::<Vec<_>>(), &none).await?;
    to.keep("Deployment", "deployment-image-while-releasing")?;
    for (verb, name) in [
        ("pause", "canary-request-pause"),
        ("resume", "canary-request-resume"),
        ("promote", "canary-request-promote"),
    ] {
        let args = [verb, "podinfo", "--reason", "looked at it"];
        test.plugin(BOB, &args).await?.ok()?;
        to.keep("Canary", name)?;
    }
    let label = ["label", "canary/podinfo", "a=b"];
    kubectl(test, &label, &none).await?;
    to.keep("Canary", "canary-label")?;
    for (name, patch) in [
        (
            "canary-skip-analysis",
            json!({"spec": {"skipAnalysis": true}}),
        ),
        (
            "canary-request-by-hand",
            json!({"metadata": {"annotations": {"kubectl-canary.dev/request": "promote now"}}}),
        ),
    ] {
        let patch = patch.to_string();
        let args = ["patch", "canary/podinfo", "--type=merge", "-p", &patch];
        let dry = [&args[..], &["--dry-run=server"]].concat();
        test.kubectl(ALICE, &dry).await?;
        to.keep("Canary", name)?;
    }
    test.plugin(BOB, &["rollback", "podinfo"]).await?.ok()?;
    to.keep("Canary", "canary-request-rollback")?;
    test.phase("Failed").await?;
    test.plugin(BOB, &["retry", "podinfo"]).await?.ok()?;
    to.keep("Canary", "canary-request-retry")?;
    let status = r#"{"status":{"canaryWeight":7}}"#;
    let patch = [
        "patch",
        "canary/podinfo",
        "--subresource=status",
        "--dry-run=server",
        "--type=merge",
        "-p",
        status,
    ];
    test.kubectl_as_admin(&patch, "").await?.ok()?;
    to.keep("Canary", "canary-status")?;
    kubectl(test, &["delete", "canary/podinfo"], &none).await?;
    to.keep("Canary", "canary-delete")
}

async fn policies(test: &Namespace<'_>, to: &mut Recorder) -> Result<()> {
    let mut policy = policy(&test.name);
    let input = policy.to_string();
    test.kubectl_as_admin(&CREATE, &input).await?.ok()?;
    to.keep("CanaryPolicy", "policy-create")?;
    let rules = &mut policy["spec"]["release"];
    rules["freezeWindows"][0]["timeZone"] = json!("Europe/Atlantis");
    rules["freezeWindows"][0]["schedule"] = json!("0 0 30 2 *");
    let spec = json!({"spec": policy["spec"]}).to_string();
    let patch = ["patch", "canarypolicy/corpus", "--type=merge", "-p", &spec];
    let refused = test.kubectl_as_admin(&patch, "").await?;
    ensure!(refused.code == Some(1), "{refused:?}");
    to.keep("CanaryPolicy", "policy-update-wrong")?;
    let delete = ["delete", "canarypolicy", "corpus"];
    test.kubectl_as_admin(&delete, "").await?.ok()?;
    to.keep("CanaryPolicy", "policy-delete")
}

#[tokio::test]
#[ignore = "writes tests/corpus/admission: `make corpus`"]
async fn what_a_real_api_server_sends_becomes_the_corpus_of_the_fuzzer() -> Result<()> {
    let test = crate::setup::namespace("corpus").await?;
    let mut recorder = Recorder::start(test.plane).await?;
    creations(&test, &mut recorder).await?;
    changes(&test, &mut recorder).await?;
    release(&test, &mut recorder).await?;
    policies(&test, &mut recorder).await
}
