//! Break-glass: who holds the verb `bypass` passes by, and the audit log has it.

use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use serde_json::{Value, json};

use super::{ALICE, BOB, CREATE, Site, canary, deployment, image};

const GLASS: &str = "kubectl-canary.dev/break-glass";

/// A change of the image that says why it may be one.
fn broken_for(reason: &str, to: &str) -> Value {
    let mut change = image(to);
    change["metadata"] = json!({"annotations": {GLASS: reason}});
    change
}

/// Only version 1 of the image may run.
async fn site() -> Site {
    let site = Site::new().await;
    site.given(deployment("web", "r.io/web:1")).await;
    site.policy(
        &site.name,
        json!({"images": {"disallowedTags": ["2", "3", "4"]}}),
    )
    .await;
    let two = image("r.io/web:2");
    site.patch_refused(ALICE, "deployment/web", two, "disallowedTags")
        .await;
    site
}

#[tokio::test]
async fn who_holds_the_verb_passes_by_with_a_reason_that_is_kept() {
    let site = site().await;
    site.patch(BOB, "deployment/web", broken_for("INC-1", "r.io/web:2"))
        .await;
    let record = format!("CanaryPolicy {}: bob: INC-1", site.name);
    eventually("the audit log", LIMIT, async || {
        let found = site.audited("canary-policy-deployments-deny/break-glass");
        Ok(found.contains(&record).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn who_does_not_hold_it_is_told_so() {
    let site = site().await;
    let why = format!(
        "CanaryPolicy {0}: user alice lacks verb bypass on canarypolicies.policy.kubectl-canary.dev/{0}: \
         leave out annotation {GLASS}, or ask a holder",
        site.name
    );
    // Not even for what is allowed: the server takes what got past this for rightful.
    for to in ["r.io/web:2", "r.io/web:5"] {
        let change = broken_for("INC-1", to);
        site.patch_refused(ALICE, "deployment/web", change, &why)
            .await;
    }
    let mut created = deployment("new", "r.io/web:5");
    created["metadata"]["annotations"] = json!({GLASS: "INC-1"});
    site.refused(ALICE, &CREATE, &created.to_string(), &why)
        .await;
}

#[tokio::test]
async fn a_break_glass_that_was_there_before_opens_nothing() {
    let site = site().await;
    site.patch(BOB, "deployment/web", broken_for("INC-1", "r.io/web:2"))
        .await;
    for user in [ALICE, BOB] {
        let stale = broken_for("INC-1", "r.io/web:3");
        site.patch_refused(user, "deployment/web", stale, "disallowedTags")
            .await;
    }
    // It may stay, and another one counts again.
    site.patch(ALICE, "deployment/web", broken_for("INC-1", "r.io/web:5"))
        .await;
    site.patch(BOB, "deployment/web", broken_for("INC-2", "r.io/web:3"))
        .await;
    // Written ahead of the change it opens nothing either.
    let ahead = json!({"metadata": {"annotations": {GLASS: "INC-3"}}});
    site.patch(ALICE, "deployment/web", ahead).await;
    let then = image("r.io/web:4");
    site.patch_refused(ALICE, "deployment/web", then, "disallowedTags")
        .await;
}

#[tokio::test]
async fn a_break_glass_says_why() {
    let site = site().await;
    for blank in [" ", "\t", " \n "] {
        let change = broken_for(blank, "r.io/web:2");
        let why = format!(
            "CanaryPolicy {}: annotation {GLASS} must say why",
            site.name
        );
        site.patch_refused(BOB, "deployment/web", change, &why)
            .await;
    }
    let empty = broken_for("", "r.io/web:2");
    site.patch_refused(BOB, "deployment/web", empty, "disallowedTags")
        .await;
    site.patch(BOB, "deployment/web", broken_for(".", "r.io/web:2"))
        .await;
}

#[tokio::test]
async fn a_right_on_one_policy_is_no_right_on_another() {
    let site = site().await;
    let other = format!("{}-other", site.name);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": &other},
        "rules": [{
            "apiGroups": ["policy.kubectl-canary.dev"], "resources": ["canarypolicies"],
            "resourceNames": [&site.name], "verbs": ["bypass"],
        }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": &other},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": &other},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": &other}],
    });
    let edit = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": &other},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": &other}],
    });
    site.admin(&role).await;
    site.admin(&binding).await;
    site.given(edit).await;
    let change = |reason: &str, to: &str| broken_for(reason, to).to_string();
    let patch = change("INC-1", "r.io/web:2");
    let args = ["patch", "deployment/web", "--type=merge", "-p", &patch];
    eventually("the rights", LIMIT, async || {
        let output = site.kubectl(&other, &args, "").await;
        Ok((output.code == Some(0)).then_some(()))
    })
    .await
    .unwrap();

    site.policy(&other, json!({"images": {"disallowedTags": ["3"]}}))
        .await;
    let why = format!("CanaryPolicy {other}: user {other} lacks verb bypass");
    site.patch_refused(
        &other,
        "deployment/web",
        broken_for("INC-2", "r.io/web:3"),
        &why,
    )
    .await;
    site.patch(BOB, "deployment/web", broken_for("INC-2", "r.io/web:3"))
        .await;
}

#[tokio::test]
async fn a_canary_and_a_request_have_a_glass_too() {
    let site = Site::new().await;
    site.given(canary(json!({"stepWeight": 10, "maxWeight": 50})))
        .await;
    site.policy(&site.name, json!({"canary": {"maxWeight": 50}}))
        .await;
    let with = |reason: &str, weight: i64| {
        json!({
            "metadata": {"annotations": {GLASS: reason}},
            "spec": {"analysis": {"maxWeight": weight}},
        })
    };
    site.patch_refused(
        ALICE,
        "canary/podinfo",
        with("INC-1", 60),
        "user alice lacks verb bypass",
    )
    .await;
    site.patch(BOB, "canary/podinfo", with("INC-1", 60)).await;
    site.patch_refused(
        BOB,
        "canary/podinfo",
        with("INC-1", 70),
        "spec.canary.maxWeight",
    )
    .await;

    site.freeze(true).await;
    let uid = site.read("canary/podinfo").await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    let promote = |reason: &str| {
        json!({"metadata": {"annotations": {
            GLASS: reason,
            "kubectl-canary.dev/request": format!("promote v1-0123456789ab {uid} {reason}"),
        }}})
    };
    site.patch_refused(BOB, "canary/podinfo", promote("INC-1"), "releases are held")
        .await;
    site.patch(BOB, "canary/podinfo", promote("INC-2")).await;
}
