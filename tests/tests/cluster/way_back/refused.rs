//! Writes that another team's webhook refuses.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace};
use canary_tests::fixtures::hooks::Hooks;
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use super::{
    at_first_step, at_rest, condition, failed, promoting, release_to_first_step, success_rate,
    told, unchecked, until_checks_pass,
};
use crate::setup::image;

/// A webhook that is broken: it answers whatever it is asked with an error.
struct Broken {
    name: String,
    /// When our server tried.
    tries: Arc<Mutex<Vec<Instant>>>,
}

// === impl Broken ===

impl Broken {
    /// Nobody may write that resource in the namespace of the test, until [`Self::go`].
    async fn stands(test: &Namespace<'_>, group: &str, resource: &str) -> Result<Self> {
        let tries = Arc::default();
        let router = Router::new()
            .route("/refuse", post(refuse))
            .with_state(Arc::clone(&tries));
        let name = format!("broken-{}", test.name);
        let url = webhook::serve(test.plane, &name, router)? + "/refuse";
        let registration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [{
                "name": "broken.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": url, "caBundle": ByteString(test.plane.authority().pem().into())},
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"], "resources": [resource],
                }],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
            }],
        });
        test.plane.apply(&registration.to_string()).await?;
        let broken = Self { name, tries };
        broken.until_asked(test, resource, true).await?;
        Ok(broken)
    }

    /// The API server learns of a registration a moment after it is stored.
    async fn until_asked(&self, test: &Namespace<'_>, resource: &str, asked: bool) -> Result<()> {
        let object = format!("{resource}/podinfo");
        eventually("the broken webhook", LIMIT, async || {
            let annotate = [
                "annotate",
                &object,
                "probe=probe",
                "--overwrite",
                "--dry-run=server",
            ];
            let answer = test.kubectl(ALICE, &annotate).await?;
            let refused = answer.stderr.contains("failed calling webhook");
            Ok((refused == asked).then_some(()))
        })
        .await
    }

    async fn goes(&self, test: &Namespace<'_>) -> Result<()> {
        let delete = ["delete", "validatingwebhookconfiguration", &self.name];
        test.plane.kubectl(&delete).await?.ok()?;
        Ok(())
    }

    fn tries(&self) -> Vec<Instant> {
        self.tries.lock().unwrap().clone()
    }
}

async fn refuse(
    State(tries): State<Arc<Mutex<Vec<Instant>>>>,
    Json(review): Json<Value>,
) -> (StatusCode, &'static str) {
    let user = review["request"]["userInfo"]["username"].as_str();
    if user.is_some_and(|user| user.ends_with(":canary-webhook")) {
        tries.lock().unwrap().push(now());
    }
    (StatusCode::INTERNAL_SERVER_ERROR, "out of order")
}

const ROUTES: (&str, &str) = ("apisix.apache.org", "apisixroutes");

async fn told_of_the_webhook(test: &Namespace<'_>) -> Result<()> {
    let message = test.condition("Ready", "False", "WriteFailed").await?;
    for part in ["failed calling webhook", "broken.example.com"] {
        assert!(message.contains(part), "{message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rollback_that_cannot_be_routed_is_told_and_tried_with_growing_pauses() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "unroutable").await?;
    let broken = Broken::stands(&test, ROUTES.0, ROUTES.1).await?;
    let threshold = json!({"spec": {"analysis": {"threshold": 1}}});
    test.patch("canaries/podinfo", &threshold).await?;
    test.event("failed checks threshold reached").await?;
    told_of_the_webhook(&test).await?;
    assert!(broken.tries().len() >= 2, "{:?}", broken.tries());

    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(
        (&status["phase"], &status["canaryWeight"]),
        (&json!("Progressing"), &json!(20)),
        "{status:#}"
    );
    assert_eq!(status["release"]["outcome"], "RolledBack");
    assert!(status["release"]["endedAt"].is_null(), "{status:#}");
    assert_eq!(test.weights().await?, (80, 20));
    let shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
    assert!(!shown.contains("rolled back"), "{shown}");
    assert!(shown.contains("failed calling webhook"), "{shown}");

    // It stays decided, although checks would pass now.
    success_rate(&test, 100.0);
    let tries = eventually("more tries", LIMIT, async || {
        let tries = broken.tries();
        Ok((tries.len() >= 8).then_some(tries))
    });
    let tries = tries.await?;
    let last = tries[tries.len() - 1].duration_since(tries[tries.len() - 2]);
    assert!(last >= Duration::from_secs(1), "{last:?} after {tries:?}");

    broken.goes(&test).await?;
    failed(&test).await?;
    for part in ["Rolling back", "Canary failed!"] {
        assert_eq!(told(&test, part).await?, 1, "{:?}", test.events().await?);
    }
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
    Ok(())
}

/// A person's rollback is taken note of, and not said to be done before it is.
async fn pending_until_routed(test: &Namespace<'_>) -> Result<()> {
    let broken = Broken::stands(test, ROUTES.0, ROUTES.1).await?;
    let weights = test.weights().await?;
    let meanwhile = async {
        test.until("canaries/podinfo", |canary| {
            canary["status"]["lastRequest"]["pending"] == true
        })
        .await?;
        told_of_the_webhook(test).await?;
        assert_eq!(test.weights().await?, weights);
        broken.goes(test).await?;
        test.until("apisixroutes/podinfo-podinfo-canary", |route| {
            route["spec"]["http"][0]["backends"][0]["weight"] == 100
        })
        .await?;
        test.until("canaries/podinfo", |canary| {
            canary["status"]["canaryWeight"] == 0
        })
        .await?;
        failed(test).await
    };
    let (answered, meanwhile) = tokio::join!(test.plugin(BOB, &["rollback", "podinfo"]), meanwhile);
    answered?;
    meanwhile?;
    let canary = test.get("canaries/podinfo").await?;
    assert_ne!(
        canary["status"]["lastRequest"]["pending"], true,
        "{canary:#}"
    );
    assert_eq!(
        told(test, "Rolling back").await?,
        1,
        "{:?}",
        test.events().await?
    );
    Ok(())
}

#[tokio::test]
async fn a_persons_rollback_that_cannot_be_routed_is_pending_until_it_is() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "pending").await?;
    pending_until_routed(&test).await
}

#[tokio::test]
async fn a_promotion_that_is_taken_back_and_cannot_be_routed_is_pending_until_it_is() -> Result<()>
{
    let test = promoting(&unchecked().await?.plane, "pending-promotion", |_| ()).await?;
    pending_until_routed(&test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["release"]["recovering"] == false
    })
    .await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    Ok(())
}

#[tokio::test]
async fn a_step_that_cannot_be_routed_is_told_and_taken_later() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-step").await?;
    let broken = Broken::stands(&test, ROUTES.0, ROUTES.1).await?;
    success_rate(&test, 100.0);
    told_of_the_webhook(&test).await?;
    assert_eq!(test.weights().await?, (80, 20));
    broken.goes(&test).await?;
    test.phase("Succeeded").await?;
    assert_eq!(told(&test, "canary weight 40").await?, 1);
    Ok(())
}

/// Checks and webhooks between the tries are no reason to try at once, nor to tell that all is well.
#[tokio::test]
async fn a_step_that_is_refused_is_tried_with_growing_pauses_and_told_all_along() -> Result<()> {
    let hooks = Hooks::start().await?;
    let check = json!([{"name": "check", "type": "rollout", "url": hooks.url("/check")}]);
    let test = at_rest(&unchecked().await?.plane, "no-step-pauses", |canary| {
        canary["spec"]["analysis"]["webhooks"] = check;
    })
    .await?;
    release_to_first_step(&test).await?;
    let broken = Broken::stands(&test, ROUTES.0, ROUTES.1).await?;
    success_rate(&test, 100.0);
    told_of_the_webhook(&test).await?;
    let told = test.record("canaries/podinfo").await?;
    let tries = eventually("more tries", LIMIT, async || {
        let tries = broken.tries();
        Ok((tries.len() >= 6).then_some(tries))
    });
    let tries = tries.await?;
    let last = tries[tries.len() - 1].duration_since(tries[tries.len() - 2]);
    assert!(last >= Duration::from_secs(4), "{last:?} after {tries:?}");
    let ready = told.changes(|canary| Some(condition(canary, "Ready").is_some()));
    assert_eq!(ready, [true], "it comes and goes");

    broken.goes(&test).await?;
    let canary = test.phase("Succeeded").await?;
    assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
    Ok(())
}

#[tokio::test]
async fn a_rollback_is_routed_at_once_while_services_cannot_be_written() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-services").await?;
    let broken = Broken::stands(&test, "", "services").await?;
    let label = json!({"spec": {"service": {"canary": {"labels": {"team": "web"}}}}});
    test.patch("canaries/podinfo", &label).await?;
    told_of_the_webhook(&test).await?;
    until_checks_pass(&test).await?;
    assert_eq!(test.weights().await?, (80, 20));
    super::bob_rolls_back(&test).await?;

    broken.goes(&test).await?;
    test.until("services/podinfo-canary", |service| {
        service["metadata"]["labels"]["team"] == "web"
    })
    .await?;
    test.until("canaries/podinfo", |canary| {
        condition(canary, "Ready").is_none()
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn nobody_is_sent_to_a_canary_whose_service_is_gone_and_cannot_be_made_again() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-canary-service").await?;
    let broken = Broken::stands(&test, "", "services").await?;
    test.delete("services/podinfo-canary").await?;
    test.event("Service podinfo-canary").await?;
    assert_eq!(test.weights().await?, (100, 0));
    told_of_the_webhook(&test).await?;
    assert!(test.find("services/podinfo-canary").await?.is_none());

    broken.goes(&test).await?;
    test.event("is ready again, routing weight 20").await?;
    assert_eq!(test.weights().await?, (80, 20));
    assert_eq!(told(&test, "leads to no ready pod").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_canary_is_scaled_away_while_deployments_cannot_be_written() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-deployments").await?;
    let broken = Broken::stands(&test, "apps", "deployments").await?;
    super::bob_rolls_back(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    broken.goes(&test).await
}

/// Another team lets nobody have that host on a generated route.
async fn forbid_host(test: &Namespace<'_>, host: &str) -> Result<()> {
    let name = format!("hosts-{}", test.name);
    let expression = format!(
        "object.metadata.name != 'podinfo-podinfo-canary' || !object.spec.http.exists(r, has(r.match) && has(r.match.hosts) && '{host}' in r.match.hosts)"
    );
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [ROUTES.0], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [ROUTES.1],
            }]},
            "validations": [{"expression": expression, "message": "that host is taken"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": test.name}}},
        },
    });
    for object in [&policy, &binding] {
        test.plane.apply(&object.to_string()).await?;
    }
    let patch = add_host(host).to_string();
    let dry = ["--type=json", "-p", &patch, "--dry-run=server"];
    let args = [
        &["patch", "apisixroute", "podinfo-podinfo-canary"][..],
        &dry,
    ]
    .concat();
    eventually("the policy to be in force", LIMIT, async || {
        let answer = test.kubectl_as_admin(&args, "").await?;
        Ok(answer.stderr.contains("that host is taken").then_some(()))
    })
    .await
}

fn add_host(host: &str) -> Value {
    json!([{"op": "add", "path": "/spec/http/0/match/hosts/-", "value": host}])
}

#[tokio::test]
async fn a_route_of_the_users_that_may_not_be_copied_keeps_nobody_from_going_back() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-copy").await?;
    forbid_host(&test, "taken.example.com").await?;
    let patch = add_host("taken.example.com").to_string();
    let args = [
        "patch",
        "apisixroute",
        "podinfo",
        "--type=json",
        "-p",
        &patch,
    ];
    test.kubectl_as_admin(&args, "").await?.ok()?;
    let message = test.condition("Ready", "False", "Rejected").await?;
    assert!(message.contains("that host is taken"), "{message}");
    super::bob_rolls_back(&test).await
}
