//! What our server makes of a `CanaryPolicy`: denials that need other objects or the exact clock, releases
//! that are held, and the policy's status. What holds without it is in `policy.rs`.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "policy_server/approvals.rs"]
mod approvals;
#[path = "policy_server/denials.rs"]
mod denials;
#[path = "policy_server/freezes.rs"]
mod freezes;
#[path = "policy_server/marks.rs"]
mod marks;
#[path = "policy_server/modes.rs"]
mod modes;
#[path = "policy_server/places.rs"]
mod places;
#[path = "policy_server/status.rs"]
mod status;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace};
use canary_tests::process::Output;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The policy `name` for that namespace alone; its server has read it when this returns.
async fn policy(test: &Namespace<'_>, name: &str, spec: Value) -> Result<String> {
    let name = format!("{}-{name}", test.name);
    let output = apply(test, &name, spec).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    known(test, &name, |status| status["observedGeneration"] == 1).await?;
    Ok(name)
}

async fn apply(test: &Namespace<'_>, name: &str, mut spec: Value) -> Result<Output> {
    spec["namespaces"] = json!({"matchLabels": {"kubernetes.io/metadata.name": &test.name}});
    let object = json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1", "kind": "CanaryPolicy",
        "metadata": {"name": name}, "spec": spec,
    });
    test.kubectl_as_admin(&["create", "-f", "-"], &object.to_string())
        .await
}

async fn stored(test: &Namespace<'_>, name: &str) -> Result<Value> {
    let get = ["get", "canarypolicy", name, "-o", "json"];
    let output = test.kubectl_as_admin(&get, "").await?.ok()?;
    serde_json::from_str(&output).context("a policy")
}

/// Waits until the status of a policy is as `check` wants it.
async fn known(test: &Namespace<'_>, name: &str, check: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually(&format!("the status of {name}"), LIMIT, async || {
        let status = stored(test, name).await?["status"].take();
        Ok(check(&status).then_some(status))
    })
    .await
}

/// A freeze that begins and ends so many seconds from now.
fn freeze(from: i64, to: i64) -> Value {
    let at = |seconds: i64| (now() + SignedDuration::from_secs(seconds)).to_string();
    json!({"freezeWindows": [
        {"name": "year-end", "start": at(from), "end": at(to), "reason": "CHG-1234"},
    ]})
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server compares with its own clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

/// alice sets another image.
async fn set_image(test: &Namespace<'_>, version: &str) -> Result<Output> {
    let image = format!("podinfod=stefanprodan/podinfo:{version}");
    test.kubectl(ALICE, &["set", "image", "deployment/podinfo", &image])
        .await
}

/// Asserts that it was refused, and that the refusal says all of `parts`.
#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    assert_ne!(output.code, Some(0), "{output:?}");
    for part in parts {
        assert!(
            output.stderr.contains(part),
            "{part:?} is not in {output:?}"
        );
    }
}

/// What the condition `Held` of the Canary says, if it is there.
fn held(canary: &Value) -> Option<&str> {
    let conditions = canary["status"]["conditions"].as_array()?;
    let held = conditions.iter().find(|it| it["type"] == "Held")?;
    held["message"].as_str()
}
