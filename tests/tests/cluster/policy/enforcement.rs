//! Deny, Warn and Audit; several policies at once.

use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use canary_tests::process::Output;
use serde_json::{Value, json};

use super::{ALICE, CREATE, DRY, SERVER, Site, canary, deployment};

/// What each kind of object is refused for, one after the other: subject, object, sentence.
pub(super) fn violations(site: &Site) -> [(&'static str, Value, String); 2] {
    let policy = |rest: &str| format!("CanaryPolicy {}: {rest}", site.name);
    [
        (
            "deployments",
            deployment("web", "web:latest"),
            policy("spec.images.disallowedTags: use an image with another tag than latest"),
        ),
        (
            "canaries",
            canary(json!({"stepWeight": 10, "maxWeight": 60})),
            policy("spec.canary.maxWeight: spec.analysis.maxWeight goes up to 60"),
        ),
    ]
}

pub(super) fn spec(enforcement: &str) -> Value {
    json!({
        "enforcement": enforcement,
        "images": {"disallowedTags": ["latest"]}, "canary": {"maxWeight": 50},
        "protect": {"generated": true},
    })
}

/// Waits until a request passes with that warning.
async fn warned(site: &Site, args: &[&str], input: &str, sentence: &str) -> Output {
    eventually(sentence, LIMIT, async || {
        let output = site.kubectl(ALICE, args, input).await;
        let said = output.code == Some(0) && output.stderr.contains(sentence);
        Ok(said.then_some(output))
    })
    .await
    .unwrap()
}

/// A Secret that the Canary generated; the server wrote it.
async fn generated(site: &Site) {
    site.given(canary(json!({"stepWeight": 10, "maxWeight": 50})))
        .await;
    let uid = site.read("canary/podinfo").await["metadata"]["uid"].clone();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token-primary", "labels": {
            "kubectl-canary.dev/generated": &uid,
        }, "ownerReferences": [{
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo", "uid": uid, "controller": true,
        }]},
    });
    site.as_user(SERVER, secret).await;
}

#[tokio::test]
async fn warn_lets_pass_and_says_why_not() {
    let site = Site::new().await;
    generated(&site).await;
    site.policy(&site.name, spec("Warn")).await;
    let args = [CREATE.as_slice(), &[DRY]].concat();
    for (subject, object, sentence) in violations(&site) {
        let mut object = object;
        object["metadata"]["name"] = json!("another");
        let output = warned(&site, &args, &object.to_string(), &sentence).await;
        assert!(output.stderr.contains("Warning: "), "{output:?}");
        let policy = format!("canary-policy-{subject}-warn");
        assert!(output.stderr.contains(&policy), "{output:?}");
    }
    let patch = [
        "patch",
        "secret/token-primary",
        "--type=merge",
        "-p",
        r#"{"data": {"a": "Yg=="}}"#,
    ];
    let sentence = format!("CanaryPolicy {}: spec.protect.generated: ", site.name);
    warned(&site, &patch, "", &sentence).await;
}

#[tokio::test]
async fn audit_lets_pass_and_tells_the_audit_log_only() {
    let site = Site::new().await;
    generated(&site).await;
    site.policy(&site.name, spec("Audit")).await;
    let args = [CREATE.as_slice(), &[DRY]].concat();
    let kubernetes = "validation.policy.admission.k8s.io/validation_failure";
    for (subject, object, sentence) in violations(&site) {
        let mut object = object;
        object["metadata"]["name"] = json!("another");
        eventually(&sentence, LIMIT, async || {
            site.allowed(ALICE, &args, &object.to_string()).await;
            let own = site.audited(&format!("canary-policy-{subject}-audit/forbidden"));
            let in_both = [own, site.audited(kubernetes)]
                .iter()
                .all(|found| found.iter().any(|text| text.contains(&sentence)));
            Ok(in_both.then_some(()))
        })
        .await
        .unwrap();
    }
    let patch = r#"{"data": {"a": "Yg=="}}"#;
    let patch = [
        "patch",
        "secret/token-primary",
        "--type=merge",
        "-p",
        patch,
        DRY,
    ];
    eventually("the generated object in the audit log", LIMIT, async || {
        site.allowed(ALICE, &patch, "").await;
        let found = site.audited("canary-policy-generated-audit/forbidden");
        Ok((!found.is_empty()).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn deny_is_what_a_policy_without_enforcement_does() {
    let mut spec = spec("Deny");
    spec.as_object_mut().unwrap().remove("enforcement");
    let site = Site::with(spec).await;
    for (_, object, sentence) in violations(&site) {
        site.refused(ALICE, &CREATE, &object.to_string(), &sentence)
            .await;
    }
}

#[tokio::test]
async fn of_policies_that_disagree_each_is_named() {
    let site = Site::new().await;
    let names = ["a", "b", "c"].map(|letter| format!("{}-{letter}", site.name));
    for (name, registry) in names.iter().zip(["one.io/", "two.io/", "three.io/"]) {
        site.policy(name, json!({"images": {"allowedRegistries": [registry]}}))
            .await;
    }
    let object = deployment("web", "one.io/web:1").to_string();
    let [one, two, three] = &names;
    eventually("both others to be named", LIMIT, async || {
        let output = site
            .kubectl(ALICE, &[CREATE.as_slice(), &[DRY]].concat(), &object)
            .await;
        assert!(!output.stderr.contains(one), "{output:?}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        let has_warning = |name: &String| {
            let sentence = format!("CanaryPolicy {name}: spec.images.allowedRegistries: ");
            lines
                .iter()
                .any(|line| line.starts_with("Warning: ") && line.contains(&sentence))
        };
        let refused = lines
            .iter()
            .any(|line| line.starts_with("Error from server (Forbidden): "));
        Ok((has_warning(two) && has_warning(three) && refused).then_some(()))
    })
    .await
    .unwrap();

    // All must pass, so nothing does until one gives way.
    for name in [two, three] {
        let delete = ["delete", "canarypolicy", name];
        site.plane.kubectl(&delete).await.unwrap().ok().unwrap();
    }
    eventually("the deleted policies to be forgotten", LIMIT, async || {
        let output = site.kubectl(ALICE, &CREATE, &object).await;
        Ok((output.code == Some(0)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_policy_that_warns_does_not_soften_one_that_denies() {
    let site = Site::new().await;
    for (name, enforcement) in [("hard", "Deny"), ("soft", "Warn")] {
        let images = json!({"enforcement": enforcement, "images": {"disallowedTags": ["latest"]}});
        site.policy(&format!("{}-{name}", site.name), images).await;
    }
    let object = deployment("web", "web:latest").to_string();
    let soft = format!("CanaryPolicy {}-soft: ", site.name);
    let output = site.refused(ALICE, &CREATE, &object, &soft).await;
    let hard = format!("denied request: CanaryPolicy {}-hard: ", site.name);
    assert!(output.stderr.contains(&hard), "{output:?}");
}
