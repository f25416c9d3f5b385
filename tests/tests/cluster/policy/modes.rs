//! Warn and Audit of every field, with the server stopped: the request passes, and what a policy that denies
//! would have said is a warning, or in the audit log.

use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use serde_json::{Value, json};

use super::requests::Asked;
use super::{ALICE, BOB, CREATE, DRY, SERVER, canary, deployment, image, target};

fn spec(enforcement: &str) -> Value {
    json!({
        "enforcement": enforcement,
        "images": {"allowedRegistries": ["one.io/"], "requireDigest": true, "disallowedTags": ["dev"]},
        "canary": {"maxStepWeight": 20, "maxWeight": 50, "minMetrics": 1, "forbidSkipAnalysis": true},
        "release": {"freezeWindows": []},
        "approvals": {"promote": {"requireReason": true, "notByAuthor": true}},
        "protect": {"lockDuringPromotion": true},
    })
}

/// A request, and what a policy has against it.
struct Case {
    subject: &'static str,
    user: &'static str,
    args: Vec<String>,
    input: String,
    fields: &'static [&'static str],
}

fn create(subject: &'static str, object: &Value, fields: &'static [&'static str]) -> Case {
    Case {
        subject,
        user: ALICE,
        args: CREATE
            .iter()
            .chain([&DRY])
            .map(|&it| it.to_owned())
            .collect(),
        input: object.to_string(),
        fields,
    }
}

fn patch(
    subject: &'static str,
    user: &'static str,
    (object, change): (&str, &Value),
    fields: &'static [&'static str],
) -> Case {
    let change = change.to_string();
    let args = ["patch", object, "--type=merge", DRY, "-p", &change];
    Case {
        subject,
        user,
        args: args.map(str::to_owned).to_vec(),
        input: String::new(),
        fields,
    }
}

/// Requests that break each field, under a freeze. bob started the release that is there.
async fn cases(enforcement: &str) -> (Asked, Vec<Case>) {
    let asked = Asked::under(spec(enforcement)).await;
    let mut locked = target("podinfo:6.0.0");
    locked["metadata"]["annotations"]["kubectl-canary.dev/locked-by"] = json!("podinfo v1-1");
    asked.site.as_user(SERVER, locked).await;
    asked.site.freeze(true).await;
    let mut skipping = canary(json!({"stepWeight": 30, "maxWeight": 60}));
    skipping["metadata"]["name"] = json!("another");
    skipping["spec"]["skipAnalysis"] = json!(true);
    let cases = vec![
        create(
            "deployments",
            &deployment("web", "evil.io/web:dev"),
            &[
                "spec.release.freezeWindows[year-end]: releases are frozen",
                "spec.images.allowedRegistries: ",
                "spec.images.requireDigest: ",
                "spec.images.disallowedTags: ",
            ],
        ),
        patch(
            "deployments",
            ALICE,
            ("deployment/podinfo", &image("one.io/podinfo:1")),
            &["spec.protect.lockDuringPromotion: podinfo is being promoted"],
        ),
        create(
            "canaries",
            &skipping,
            &[
                "spec.canary.maxStepWeight: ",
                "spec.canary.maxWeight: ",
                "spec.canary.minMetrics: ",
                "spec.canary.forbidSkipAnalysis: ",
            ],
        ),
        patch(
            "canaries",
            BOB,
            ("canary/podinfo", &asked.wish("promote", &Value::Null)),
            &[
                "spec.release.freezeWindows[year-end]: releases are held",
                "spec.approvals.promote.requireReason: ",
                "spec.approvals.promote.notByAuthor: ",
            ],
        ),
        patch(
            "canaries",
            BOB,
            ("canary/podinfo", &asked.wish("retry", &Value::Null)),
            &["spec.release.freezeWindows[year-end]: releases are frozen"],
        ),
    ];
    (asked, cases)
}

#[tokio::test]
async fn a_policy_that_warns_says_of_every_field_what_one_that_denies_would_say() {
    let (asked, cases) = cases("Warn").await;
    let site = &asked.site;
    for case in cases {
        let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
        let policy = format!("canary-policy-{}-warn", case.subject);
        for field in case.fields {
            let sentence = format!("CanaryPolicy {}: {field}", site.name);
            eventually(&sentence, LIMIT, async || {
                let output = site.kubectl(case.user, &args, &case.input).await;
                assert_eq!(output.code, Some(0), "{output:?}");
                let mut warnings = output
                    .stderr
                    .lines()
                    .filter(|it| it.starts_with("Warning: "));
                let said = warnings.any(|it| it.contains(&policy) && it.contains(&sentence));
                Ok(said.then_some(()))
            })
            .await
            .unwrap();
        }
    }
}

#[tokio::test]
async fn a_policy_that_audits_tells_every_field_to_the_audit_log_only() {
    let (asked, cases) = cases("Audit").await;
    let site = &asked.site;
    for case in cases {
        let args: Vec<&str> = case.args.iter().map(String::as_str).collect();
        let key = format!("canary-policy-{}-audit/forbidden", case.subject);
        for field in case.fields {
            let sentence = format!("CanaryPolicy {}: {field}", site.name);
            eventually(&sentence, LIMIT, async || {
                site.allowed(case.user, &args, &case.input).await;
                let recorded = site.audited(&key);
                let found = recorded.iter().any(|it| it.contains(&sentence));
                Ok(found.then_some(()))
            })
            .await
            .unwrap();
        }
    }
}
