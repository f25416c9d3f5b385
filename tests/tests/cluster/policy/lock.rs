//! The target's template stays as it is while its revision is promoted.

use serde_json::{Value, json};

use super::{ALICE, SERVER, Site, image, target};

const LOCK: &str = "podinfo v1-0123456789ab";

fn locked_by(lock: &Value) -> Value {
    json!({"metadata": {"annotations": {"kubectl-canary.dev/locked-by": lock}}})
}

/// Its target is being promoted.
async fn locked(protect: Value) -> Site {
    let site = Site::new().await;
    site.given(target("podinfo:6.0.0")).await;
    site.policy(
        &site.name,
        json!({"protect": protect, "images": {"disallowedTags": ["dev"]}}),
    )
    .await;
    site.patch(SERVER, "deployment/podinfo", locked_by(&json!(LOCK)))
        .await;
    let dev = image("podinfo:dev");
    site.patch_refused(ALICE, "deployment/podinfo", dev, "disallowedTags")
        .await;
    site
}

#[tokio::test]
async fn a_template_is_locked_while_it_is_promoted() {
    let site = locked(json!({"lockDuringPromotion": true})).await;
    let why = format!(
        "CanaryPolicy {}: spec.protect.lockDuringPromotion: podinfo is being promoted ({LOCK}); \
         change it when that has ended",
        site.name
    );
    for new in ["podinfo:6.0.1", "podinfo:6.0.2"] {
        site.patch_refused(ALICE, "deployment/podinfo", image(new), &why)
            .await;
    }
    // Not by taking the lock away in the same request, nor in one before.
    let mut both = image("podinfo:6.0.1");
    both["metadata"] = locked_by(&Value::Null)["metadata"].clone();
    site.patch_refused(ALICE, "deployment/podinfo", both, &why)
        .await;
    for lock in [Value::Null, json!(""), json!("podinfo other")] {
        let why = "annotation kubectl-canary.dev/locked-by is on Deployment podinfo while the server promotes it";
        site.patch_refused(ALICE, "deployment/podinfo", locked_by(&lock), why)
            .await;
    }
    // Nor by making it a Deployment that nobody guards.
    let unguarded = json!({"metadata": {"labels": {"kubectl-canary.dev/managed": null}}});
    let why = "leave it as it is, and label kubectl-canary.dev/managed";
    site.patch_refused(ALICE, "deployment/podinfo", unguarded, why)
        .await;
    site.allowed(ALICE, &["scale", "deployment/podinfo", "--replicas=1"], "")
        .await;
    site.allowed(ALICE, &["label", "deployment/podinfo", "a=b"], "")
        .await;

    site.patch(SERVER, "deployment/podinfo", locked_by(&Value::Null))
        .await;
    site.patch(ALICE, "deployment/podinfo", image("podinfo:6.0.1"))
        .await;
}

#[tokio::test]
async fn nobody_locks_a_target_by_hand() {
    let site = Site::new().await;
    site.given(target("podinfo:6.0.0")).await;
    let why = "annotation kubectl-canary.dev/locked-by is on Deployment podinfo while the server promotes it";
    site.patch_refused(ALICE, "deployment/podinfo", locked_by(&json!(LOCK)), why)
        .await;
}

#[tokio::test]
async fn a_lock_that_no_policy_asks_for_locks_nothing() {
    let site = locked(json!({"lockDuringPromotion": false})).await;
    site.patch(ALICE, "deployment/podinfo", image("podinfo:6.0.1"))
        .await;
}
