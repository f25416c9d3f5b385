//! No new releases while `status.frozen` says so.

use serde_json::{Value, json};

use super::{ALICE, CREATE, SERVER, Site, UNTIL, deployment, image, target};

fn frozen(on_freeze: &Value) -> Value {
    json!({"release": {
        "freezeWindows": [{"name": "year-end", "start": "2026-12-18T17:00:00Z", "end": UNTIL}],
        "onFreeze": on_freeze,
    }})
}

fn note(images: &Value) -> Value {
    json!({"metadata": {"annotations": {"kubectl-canary.dev/promoted-images": images}}})
}

fn merged(mut one: Value, two: &Value) -> Value {
    for (key, value) in two.as_object().unwrap() {
        one[key] = value.clone();
    }
    one
}

/// A frozen namespace with a target that runs 6.0.0, as its primary does.
async fn in_a_freeze() -> Site {
    let site = Site::new().await;
    site.given(target("podinfo:6.0.0")).await;
    site.policy(&site.name, frozen(&json!({}))).await;
    site.freeze(true).await;
    let new = image("podinfo:6.0.1");
    site.patch_refused(ALICE, "deployment/podinfo", new, "releases are frozen")
        .await;
    site
}

#[tokio::test]
async fn a_freeze_refuses_a_new_template_and_says_until_when_and_what_to_do() {
    let site = in_a_freeze().await;
    let sentence = format!(
        "CanaryPolicy {}: spec.release.freezeWindows[year-end]: releases are frozen until {UNTIL} \
         (CHG-1234); wait, or ask a holder of the verb bypass to add kubectl-canary.dev/break-glass",
        site.name
    );
    let new = image("podinfo:6.0.1");
    let output = site
        .patch_refused(ALICE, "deployment/podinfo", new, &sentence)
        .await;
    assert!(output.stderr.contains("(Forbidden)"), "{output:?}");
    let created = deployment("web", "web:1").to_string();
    site.refused(ALICE, &CREATE, &created, &sentence).await;
    let restart =
        json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
    let other = site.given_before_freeze("other").await;
    site.patch_refused(ALICE, &other, restart, &sentence).await;
}

impl Site {
    /// A Deployment that no Canary manages; the freeze is lifted for its creation.
    async fn given_before_freeze(&self, name: &str) -> String {
        let object = deployment(name, "web:1").to_string();
        self.freeze(false).await;
        self.eventually_allowed(ALICE, &CREATE, &object).await;
        self.freeze(true).await;
        format!("deployment/{name}")
    }

    async fn eventually_allowed(&self, user: &str, args: &[&str], input: &str) {
        let what = format!("{args:?} to be allowed");
        canary_tests::clock::eventually(&what, canary_tests::cluster::LIMIT, async || {
            let output = self.kubectl(user, args, input).await;
            Ok((output.code == Some(0)).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn what_is_no_release_passes_in_a_freeze() {
    let site = in_a_freeze().await;
    site.allowed(ALICE, &["scale", "deployment/podinfo", "--replicas=2"], "")
        .await;
    site.allowed(ALICE, &["label", "deployment/podinfo", "a=b"], "")
        .await;
    site.allowed(
        ALICE,
        &["delete", "deployment/podinfo", "--dry-run=server"],
        "",
    )
    .await;
    let new = image("podinfo:6.0.1");
    site.patch(SERVER, "deployment/podinfo", new).await;
}

#[tokio::test]
async fn when_the_freeze_has_ended_releases_start_again() {
    let site = in_a_freeze().await;
    site.freeze(false).await;
    let new = image("podinfo:6.0.1").to_string();
    let patch = ["patch", "deployment/podinfo", "--type=merge", "-p", &new];
    site.eventually_allowed(ALICE, &patch, "").await;
}

#[tokio::test]
async fn a_freeze_that_allows_new_releases_refuses_none() {
    let site = Site::with(frozen(&json!({"newReleases": "Allow"}))).await;
    site.freeze(true).await;
    // Written after the other: where it is known, the other is.
    let next = format!("{}-next", site.name);
    site.policy(&next, json!({"images": {"disallowedTags": ["dev"]}}))
        .await;
    let dev = deployment("web", "web:dev").to_string();
    let output = site.refused(ALICE, &CREATE, &dev, "disallowedTags").await;
    assert!(!output.stderr.contains("frozen"), "{output:?}");
    let object = deployment("web", "web:1").to_string();
    site.allowed(ALICE, &CREATE, &object).await;
}

#[tokio::test]
async fn a_rollback_is_never_frozen() {
    let site = in_a_freeze().await;
    site.patch(SERVER, "deployment/podinfo", image("podinfo:6.0.1"))
        .await;

    let two = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "app", "image": "podinfo:6.0.0"}, {"name": "spy", "image": "spy:1"},
    ]}}}});
    let init = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "app", "image": "podinfo:6.0.0"}],
        "initContainers": [{"name": "spy", "image": "spy:1"}],
    }}}});
    let name = json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "podinfo:6.0.0"}]}}}});
    for not_back in [
        image("podinfo:6.0.2"),
        image("podinfo:6.0.0-evil"),
        image("podinfo:6.0"),
        two,
        init,
        name,
    ] {
        site.patch_refused(ALICE, "deployment/podinfo", not_back, "releases are frozen")
            .await;
    }
    site.patch(ALICE, "deployment/podinfo", image("podinfo:6.0.0"))
        .await;
}

#[tokio::test]
async fn a_container_less_is_no_rollback() {
    let site = in_a_freeze().await;
    let both = json!({"app": "podinfo:6.0.0", "proxy": "proxy:1"}).to_string();
    site.patch(SERVER, "deployment/podinfo", note(&json!(both)))
        .await;
    site.patch(SERVER, "deployment/podinfo", image("podinfo:6.0.1"))
        .await;
    let one = image("podinfo:6.0.0");
    let why = "releases are frozen";
    site.patch_refused(ALICE, "deployment/podinfo", one, why)
        .await;
    let all = json!({"spec": {"template": {"spec": {
        "containers": [{"name": "app", "image": "podinfo:6.0.0"}],
        "initContainers": [{"name": "proxy", "image": "proxy:1"}],
    }}}});
    site.patch(ALICE, "deployment/podinfo", all).await;
}

#[tokio::test]
async fn kubectl_rollout_undo_works_in_a_freeze() {
    let site = in_a_freeze().await;
    let observed = |deployment: &Value| {
        deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
            && deployment["metadata"]["generation"] != 0
    };
    let settled = async || {
        canary_tests::clock::eventually(
            "the controller",
            canary_tests::cluster::LIMIT,
            async || Ok(observed(&site.read("deployment/podinfo").await).then_some(())),
        )
        .await
        .unwrap();
    };
    settled().await;
    site.patch(SERVER, "deployment/podinfo", image("podinfo:6.0.1"))
        .await;
    settled().await;
    site.allowed(ALICE, &["rollout", "undo", "deployment/podinfo"], "")
        .await;
    let back = site.read("deployment/podinfo").await;
    assert_eq!(
        back["spec"]["template"]["spec"]["containers"][0]["image"],
        "podinfo:6.0.0"
    );
}

#[tokio::test]
async fn nobody_writes_what_counts_as_promoted() {
    let site = in_a_freeze().await;
    let why = "annotation kubectl-canary.dev/promoted-images is set by the server";
    let evil = json!({"app": "evil:1"}).to_string();
    site.patch_refused(ALICE, "deployment/podinfo", note(&json!(evil)), why)
        .await;

    // Not with the template either, while it counts.
    let both = merged(image("evil:1"), &note(&json!(evil)));
    site.patch_refused(ALICE, "deployment/podinfo", both, "releases are frozen")
        .await;
    let back = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    let both = merged(back.clone(), &note(&json!(evil)));
    site.patch_refused(ALICE, "deployment/podinfo", both, "releases are frozen")
        .await;
    site.patch(ALICE, "deployment/podinfo", back).await;

    // `kubectl replace` drops it; then no change is a rollback until the server has put it back.
    site.patch(ALICE, "deployment/podinfo", note(&Value::Null))
        .await;
    let old = json!({"spec": {"template": {"metadata": {"annotations": {"a": "c"}}}}});
    site.patch_refused(ALICE, "deployment/podinfo", old, "releases are frozen")
        .await;
}

#[tokio::test]
async fn a_deployment_that_no_canary_manages_has_nothing_promoted() {
    let site = Site::new().await;
    let mut web = deployment("web", "web:1");
    let noted = json!({"kubectl-canary.dev/promoted-images": json!({"app": "web:2"}).to_string()});
    web["metadata"]["annotations"] = noted;
    site.given(web).await;
    site.policy(&site.name, frozen(&json!({}))).await;
    site.freeze(true).await;
    site.patch_refused(
        ALICE,
        "deployment/web",
        image("web:2"),
        "releases are frozen",
    )
    .await;
    // Nor does the label make it one.
    let label = json!({"metadata": {"labels": {"kubectl-canary.dev/managed": "true"}}});
    let why = "annotation kubectl-canary.dev/promoted-images is set by the server";
    site.patch_refused(ALICE, "deployment/web", label, why)
        .await;
}
