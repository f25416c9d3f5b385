//! Writes on which another team's webhook hangs, for as long as the API server lets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace};
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{at_first_step, failed, unchecked};

/// A webhook that never answers for our server, and lets everybody else write.
struct Hanging {
    name: String,
    asked: Arc<AtomicUsize>,
}

// === impl Hanging ===

impl Hanging {
    async fn stands(test: &Namespace<'_>, group: &str, resource: &str) -> Result<Self> {
        let asked = Arc::default();
        let router = Router::new()
            .route("/hang", post(answer))
            .with_state(Arc::clone(&asked));
        let name = format!("hanging-{}", test.name);
        let url = webhook::serve(test.plane, &name, router)? + "/hang";
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": name},
            "webhooks": [{
                "name": "hanging.example.com", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ByteString(test.plane.authority().pem().into())},
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"], "resources": [resource],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}},
                "failurePolicy": "Fail", "timeoutSeconds": 30, "sideEffects": "None",
            }],
        });
        test.plane.apply(&registration.to_string()).await?;
        Ok(Self { name, asked })
    }

    /// Waits until our server hangs on a write, which `provoke` makes it do.
    async fn until_hung(&self, provoke: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
        let times = AtomicUsize::new(0);
        eventually("a write that hangs", LIMIT, async || {
            provoke(times.fetch_add(1, Ordering::SeqCst)).await?;
            Ok((self.asked.load(Ordering::SeqCst) > 0).then_some(()))
        })
        .await
    }

    async fn goes(&self, test: &Namespace<'_>) -> Result<()> {
        let delete = ["delete", "validatingwebhookconfiguration", &self.name];
        test.plane.kubectl(&delete).await?.ok()?;
        Ok(())
    }
}

async fn answer(State(asked): State<Arc<AtomicUsize>>, Json(review): Json<Value>) -> Json<Value> {
    let request = &review["request"];
    let user = request["userInfo"]["username"].as_str().unwrap_or_default();
    if user.ends_with(":canary-webhook") {
        asked.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>().await;
    }
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": request["uid"], "allowed": true},
    }))
}

/// Before the API server gives up on the webhook.
async fn bob_goes_back_at_once(test: &Namespace<'_>) -> Result<()> {
    let rollback = ["rollback", "podinfo", "--timeout", "25s"];
    let output = test.plugin(BOB, &rollback).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_events_hang_people_go_back_at_once_and_other_namespaces_have_theirs() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "hanging-events").await?;
    let other = at_first_step(&unchecked().await?.plane, "hanging-elsewhere").await?;
    let hanging = Hanging::stands(&test, "", "events").await?;
    // Each failed check is told.
    hanging.until_hung(async |_| Ok(())).await?;
    bob_goes_back_at_once(&test).await?;
    bob_goes_back_at_once(&other).await?;
    other.event("Rolling back").await?;
    failed(&test).await?;
    hanging.goes(&test).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_services_cannot_be_written_people_go_back_at_once() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "hanging-services").await?;
    let hanging = Hanging::stands(&test, "", "services").await?;
    let provoke = async |times: usize| {
        let labels = json!({"times": times.to_string()});
        let change = json!({"spec": {"service": {"canary": {"labels": labels}}}});
        test.patch("canaries/podinfo", &change).await?;
        Ok(())
    };
    hanging.until_hung(provoke).await?;
    bob_goes_back_at_once(&test).await?;
    hanging.goes(&test).await
}

/// Its pods go last: nobody is sent to them by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_target_cannot_be_written_a_rollback_ends_without_it() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "hanging-target").await?;
    let hanging = Hanging::stands(&test, "apps", "deployments").await?;
    let rollback = ["rollback", "podinfo", "--timeout", "60s"];
    let output = test.plugin(BOB, &rollback).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    failed(&test).await?;
    assert!(hanging.asked.load(Ordering::SeqCst) > 0);
    test.condition("Ready", "False", "WriteFailed").await?;
    hanging.goes(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    Ok(())
}
