//! A write that another team's webhook undoes at once: it is told, not repeated for ever, and decisions go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace};
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{
    at_first_step, at_rest, bob_rolls_back, condition, failed, release_to_first_step, told,
    unchecked, until_checks_pass,
};

/// Another team's admission webhook, which changes what is written.
struct Meddler {
    name: String,
    /// Reviews of our server's writes.
    asked: Arc<AtomicUsize>,
}

/// What it makes of an object, as a JSON patch.
type Change = fn(&Value) -> Value;

// === impl Meddler ===

impl Meddler {
    /// Registers it for updates of one resource, and waits until the API server asks it.
    async fn stands(test: &Namespace<'_>, resource: &str, change: Change) -> Result<Self> {
        let (resource, group) = resource.split_once('.').context("resource.group")?;
        let asked = Arc::default();
        let router = Router::new()
            .route("/change", post(answer))
            .with_state((Arc::clone(&asked), change));
        let name = format!("meddler-{}", test.name);
        let url = webhook::serve(test.plane, &name, router)? + "/change";
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "meddler.example.com", "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ByteString(test.plane.authority().pem().into())},
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"],
                    "operations": ["UPDATE"], "resources": [resource, format!("{resource}/scale")],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}},
                "sideEffects": "None",
            }],
        });
        test.plane.apply(&registration.to_string()).await?;
        eventually("the other webhook to be asked", LIMIT, async || {
            let annotate = ["annotate", resource, "--all", "probe=probe", "--overwrite"];
            let dry = ["--dry-run=server", "-o", "json"];
            let args = [&annotate[..], &dry].concat();
            let answer = test.kubectl_as_admin(&args, "").await?;
            Ok(answer.stdout.contains(CHANGED).then_some(()))
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

/// How often it changed an object.
const CHANGED: &str = "example.com/changed";

async fn answer(
    State((asked, change)): State<(Arc<AtomicUsize>, Change)>,
    Json(review): Json<Value>,
) -> Json<Value> {
    let request = &review["request"];
    let user = request["userInfo"]["username"].as_str().unwrap_or_default();
    if user.ends_with(":canary-webhook") {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let object = &request["object"];
    let mut annotations = object["metadata"]["annotations"].clone();
    let times = annotations[CHANGED]
        .as_str()
        .and_then(|times| times.parse::<u64>().ok())
        .unwrap_or_default();
    annotations[CHANGED] = json!((times + 1).to_string());
    let noted = json!({"op": "add", "path": "/metadata/annotations", "value": annotations});
    let patch = json!([noted, change(object)]);
    Json(json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {
            "uid": request["uid"], "allowed": true, "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes()),
        },
    }))
}

fn without_finalizers(_: &Value) -> Value {
    json!({"op": "add", "path": "/metadata/finalizers", "value": []})
}

/// Weights of a generated route, whatever they are to be.
fn backends(route: &Value, change: impl Fn(&mut Value)) -> Value {
    let mut backends = route["spec"]["http"][0]["backends"].clone();
    if backends[1].is_object() {
        change(&mut backends);
    }
    json!({"op": "replace", "path": "/spec/http/0/backends", "value": backends})
}

fn always_twenty(route: &Value) -> Value {
    backends(route, |backends| {
        backends[0]["weight"] = json!(80);
        backends[1]["weight"] = json!(20);
    })
}

fn half_as_much_besides(route: &Value) -> Value {
    backends(route, |backends| backends[1]["weight"] = json!(50))
}

/// As a program in Go leaves out what is zero.
fn without_a_zero(route: &Value) -> Value {
    backends(route, |backends| {
        backends[1]
            .as_object_mut()
            .unwrap()
            .retain(|field, value| field != "weight" || *value != 0);
    })
}

async fn unroutes(name: &str, change: Change, stored: &str) -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, name).await?;
    let meddler = Meddler::stands(&test, "apisixroutes.apisix.apache.org", change).await?;
    let output = test
        .plugin(BOB, &["rollback", "podinfo", "--timeout", "5s"])
        .await?;
    assert_eq!(output.code, Some(1), "{output:?}");
    let message = test.condition("Ready", "False", "Rejected").await?;
    let told = format!("weights are {stored} instead of 100/0");
    assert!(message.contains(&told), "{message}");
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(status["lastRequest"]["pending"], true, "{status:#}");
    let asked = meddler.asked.load(Ordering::SeqCst);
    assert!(
        asked < 40,
        "{asked} writes: it is tried with growing pauses"
    );
    meddler.goes(&test).await?;
    failed(&test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["lastRequest"]["pending"] != true && condition(canary, "Ready").is_none()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_rollback_that_another_webhook_unroutes_is_told_and_never_said_to_be_done() -> Result<()>
{
    unroutes("unrouted", always_twenty, "80/20").await
}

#[tokio::test]
async fn nor_is_one_whose_weights_do_not_add_up() -> Result<()> {
    unroutes("unrouted-more", half_as_much_besides, "100/50").await
}

#[tokio::test]
async fn nor_is_one_whose_weight_is_gone() -> Result<()> {
    unroutes("unrouted-none", without_a_zero, "100/none").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_somebody_undoes_each_time_closes_only_the_way_forward() -> Result<()> {
    let with_finalizer = |canary: &mut Value| canary["spec"]["revertOnDeletion"] = json!(true);
    let test = at_rest(&unchecked().await?.plane, "undone", with_finalizer).await?;
    release_to_first_step(&test).await?;
    let cleaner = Meddler::stands(&test, "canaries.flagger.app", without_finalizers).await?;
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

/// As a policy has it that wants every Deployment to be available.
fn at_least_two(object: &Value) -> Value {
    let replicas = object["spec"]["replicas"].as_i64().unwrap_or(0).max(2);
    json!({"op": "add", "path": "/spec/replicas", "value": replicas})
}

#[tokio::test]
async fn a_policy_that_lets_no_deployment_have_no_pods_is_told_and_not_fought() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "at-least-two").await?;
    let policy = Meddler::stands(&test, "deployments.apps", at_least_two).await?;
    let output = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let message = test.condition("Ready", "False", "Rejected").await?;
    let told = "its replicas are 2 instead of 0";
    assert!(message.contains(told), "{message}");
    assert_eq!(test.weights().await?, (100, 0));
    let doctor = test.plugin(ALICE, &["doctor", "podinfo"]).await?;
    assert!(doctor.stdout.contains(told), "{doctor:?}");
    let asked = policy.asked.load(Ordering::SeqCst);
    assert!(
        asked < 40,
        "{asked} writes: it is tried with growing pauses"
    );

    policy.goes(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    test.until("canaries/podinfo", |canary| {
        condition(canary, "Ready").is_none()
    })
    .await?;
    Ok(())
}

const ROUTE: &str = "apisixroutes/podinfo-podinfo-canary";

/// A controller of another team: whenever the weights are others, it writes its own.
async fn keeps_half(test: &Namespace<'_>) -> Result<()> {
    loop {
        let mut rule = test.get(ROUTE).await?["spec"]["http"][0].clone();
        if rule["backends"][0]["weight"] != 50 {
            for side in 0..2 {
                rule["backends"][side]["weight"] = json!(50);
            }
            let half = json!({"spec": {"http": [rule]}});
            test.patch_as_admin(ROUTE, &half).await?;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_keeps_changing_the_weights_is_told_and_a_rollback_lasts_once_it_ends()
-> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "reweighed").await?;
    let seen = async {
        let message = test.condition("Rerouted", "True", "WeightsChanged").await?;
        let status = test.plugin(BOB, &["status", "podinfo"]).await?;
        test.plugin(BOB, &["rollback", "podinfo", "--timeout", "5s"])
            .await?;
        anyhow::Ok((message, status.stdout))
    };
    let (message, status) = tokio::select! {
        ended = keeps_half(&test) => return ended,
        seen = seen => seen?,
    };
    let route = "the generated route podinfo-podinfo-canary.";
    assert!(message.contains(route), "{message}");
    assert!(status.contains("--show-managed-fields"), "{status}");
    assert_eq!(told(&test, "keeps changing the weights").await?, 1);

    // Its last write may have come after ours.
    test.until(ROUTE, |route| {
        route["spec"]["http"][0]["backends"][0]["weight"] == 100
    })
    .await?;
    failed(&test).await?;
    let canary = test.get("canaries/podinfo").await?;
    assert!(condition(&canary, "Rerouted").is_some(), "for ten minutes");
    assert_eq!(condition(&canary, "Ready"), None);
    Ok(())
}
