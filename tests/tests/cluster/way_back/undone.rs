//! A write that another team's webhook undoes at once: it is told, not repeated for ever, and decisions go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace};
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{
    at_rest, bob_rolls_back, condition, release_to_first_step, unchecked, until_checks_pass,
};

/// A webhook that takes all finalizers off Canaries, and notes on each how often it did.
struct Cleaner {
    name: String,
    /// Reviews of our server's writes.
    asked: Arc<AtomicUsize>,
}

// === impl Cleaner ===

impl Cleaner {
    async fn stands(test: &Namespace<'_>) -> Result<Self> {
        let asked = Arc::default();
        let router = Router::new()
            .route("/clean", post(clean))
            .with_state(Arc::clone(&asked));
        let name = format!("cleaner-{}", test.name);
        let url = webhook::serve(test.plane, &name, router)? + "/clean";
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "cleaner.example.com", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ByteString(test.plane.authority().pem().into())},
                "rules": [{
                    "apiGroups": ["flagger.app"], "apiVersions": ["*"],
                    "operations": ["UPDATE"], "resources": ["canaries"],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}},
                "sideEffects": "None",
            }],
        });
        test.plane.apply(&registration.to_string()).await?;
        eventually("the cleaner to be asked", LIMIT, async || {
            let annotate = ["annotate", "canary/podinfo", "probe=probe", "--overwrite"];
            let dry = ["--dry-run=server", "-o", "json"];
            let answer = test.kubectl(ALICE, &[&annotate[..], &dry].concat()).await?;
            Ok(answer.stdout.contains("example.com/cleaned").then_some(()))
        })
        .await?;
        Ok(Self { name, asked })
    }

    async fn goes(&self, test: &Namespace<'_>) -> Result<()> {
        let delete = ["delete", "mutatingwebhookconfiguration", &self.name];
        test.plane.kubectl(&delete).await?.ok()?;
        Ok(())
    }
}

async fn clean(State(asked): State<Arc<AtomicUsize>>, Json(review): Json<Value>) -> Json<Value> {
    let request = &review["request"];
    let user = request["userInfo"]["username"].as_str().unwrap_or_default();
    if user.ends_with(":canary-webhook") {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let mut annotations = request["object"]["metadata"]["annotations"].clone();
    let times = annotations["example.com/cleaned"]
        .as_str()
        .and_then(|times| times.parse::<u64>().ok())
        .unwrap_or_default();
    annotations["example.com/cleaned"] = json!((times + 1).to_string());
    let patch = json!([
        {"op": "add", "path": "/metadata/annotations", "value": annotations},
        {"op": "add", "path": "/metadata/finalizers", "value": []},
    ]);
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": request["uid"], "allowed": true, "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes()),
        },
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_somebody_undoes_each_time_closes_only_the_way_forward() -> Result<()> {
    let with_finalizer = |canary: &mut Value| canary["spec"]["revertOnDeletion"] = json!(true);
    let test = at_rest(&unchecked().await?.plane, "undone", with_finalizer).await?;
    release_to_first_step(&test).await?;
    let cleaner = Cleaner::stands(&test).await?;
    test.kubectl(ALICE, &["annotate", "canary/podinfo", "touched=true"])
        .await?
        .ok()?;
    let message = test.condition("Ready", "False", "Contended").await?;
    assert!(message.contains("the Canary's finalizer"), "{message}");
    until_checks_pass(&test).await?;
    assert_eq!(test.weights().await?, (80, 20));
    bob_rolls_back(&test).await?;
    let asked = cleaner.asked.load(Ordering::SeqCst);
    assert!(
        asked < 40,
        "{asked} writes: it is tried with growing pauses"
    );

    cleaner.goes(&test).await?;
    test.until("canaries/podinfo", |canary| {
        let finalizers = canary["metadata"]["finalizers"].as_array();
        finalizers.is_some_and(|all| !all.is_empty()) && condition(canary, "Ready").is_none()
    })
    .await?;
    Ok(())
}
