//! Warn and Audit of what the server judges: a request passes, whoever made it is told or the audit log has
//! it, and no release is held.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace, deployment};
use canary_tests::process::Output;
use serde_json::{Value, json};

use super::places::two;
use super::{freeze, policy, set_image};
use crate::setup::{initialized, initialized_with};

/// The same rules twice: a policy that warns, and one that audits.
struct Told<'a> {
    test: &'a Namespace<'a>,
    warns: String,
    audits: String,
}

impl<'a> Told<'a> {
    async fn under(test: &'a Namespace<'a>, rules: &Value) -> Result<Self> {
        let enforced = |enforcement: &str| {
            let mut spec = rules.clone();
            spec["enforcement"] = json!(enforcement);
            spec
        };
        Ok(Self {
            test,
            warns: policy(test, "warns", enforced("Warn")).await?,
            audits: policy(test, "audits", enforced("Audit")).await?,
        })
    }

    /// Asserts that the request passed, and that both policies had their say about `field`.
    #[track_caller]
    fn has_said(&self, output: &Output, field: &str) -> Result<()> {
        assert_eq!(output.code, Some(0), "{output:?}");
        let warning = format!("Warning: CanaryPolicy {}: {field}: ", self.warns);
        assert!(output.stderr.contains(&warning), "{output:?}");
        assert!(!output.stderr.contains(&self.audits), "{output:?}");
        let log = std::fs::read_to_string(self.test.plane.audit_log())?;
        let wanted = format!("CanaryPolicy {}: {field}: ", self.audits);
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = entries.into_iter().any(|entry| {
            let notes = entry["annotations"].as_object().into_iter().flatten();
            // The server's, not those of the API server's own policies.
            let mut ours =
                notes.filter(|it| it.0.ends_with(".validate.kubectl-canary.dev/forbidden"));
            ours.any(|(_, note)| note.as_str().is_some_and(|note| note.contains(&wanted)))
        });
        assert!(found, "no audit annotation with {wanted:?}");
        Ok(())
    }
}

/// Keeps a release where it can be looked at.
async fn waiting(test: &Namespace<'_>) -> Result<()> {
    let rule = json!({"approvals": {"promote": {"required": true}}});
    policy(test, "waits", rule).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    Ok(())
}

#[tokio::test]
async fn a_release_before_its_interval_is_told() -> Result<()> {
    let test = initialized("told-interval").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let told = Told::under(&test, &json!({"release": {"minInterval": "1h"}})).await?;
    let output = set_image(&test, "6.0.2").await?;
    told.has_said(&output, "spec.release.minInterval")?;
    let second = |it: &Value| it["status"]["release"]["number"] == 2;
    test.until("canaries/podinfo", |it| {
        second(it) && it["status"]["phase"] == "Succeeded"
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_running_release_that_is_replaced_is_told() -> Result<()> {
    let test = initialized("told-running").await?;
    let told = Told::under(&test, &json!({"release": {"onRunningRelease": "Deny"}})).await?;
    waiting(&test).await?;
    let output = set_image(&test, "6.0.2").await?;
    told.has_said(&output, "spec.release.onRunningRelease")?;
    test.until("canaries/podinfo", |it| {
        it["status"]["release"]["number"] == 2
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_release_beyond_the_last_place_is_told_and_one_in_the_last_place_is_not() -> Result<()> {
    let test = two("told-places").await?;
    let told = Told::under(&test, &json!({"release": {"maxConcurrentPerNamespace": 1}})).await?;
    // One of two runs: there is a place left, for a policy that denies too.
    let second = json!({"release": {"maxConcurrentPerNamespace": 2}});
    policy(&test, "second", second).await?;
    waiting(&test).await?;
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let other = ["set", "image", "deployment/other", image];
    let output = test.kubectl(ALICE, &other).await?;
    told.has_said(&output, "spec.release.maxConcurrentPerNamespace")?;
    assert!(!output.stderr.contains("-second"), "{output:?}");
    test.until("canaries/other", |it| {
        it["status"]["phase"] == "WaitingPromotion"
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_served_deployment_without_a_canary_is_told() -> Result<()> {
    let test = crate::setup::namespace("told-required").await?;
    let told = Told::under(&test, &json!({"canary": {"required": true}})).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 80}]},
    });
    test.create(&service).await?;
    let target = deployment().to_string();
    let dry = ["create", "--dry-run=server", "-f", "-"];
    let output = eventually("the rule to be registered", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &dry, &target).await?;
        Ok(output.stderr.contains("Warning").then_some(output))
    })
    .await?;
    told.has_said(&output, "spec.canary.required")?;
    // Pods that the Service does not select need none.
    let aside = target.replace("\"app\":\"podinfo\"", "\"app\":\"aside\"");
    let output = test.kubectl_with(ALICE, &dry, &aside).await?;
    assert!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_freeze_or_an_approval_that_is_only_told_holds_no_release() -> Result<()> {
    let test = initialized_with("told-holds", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("3s");
    })
    .await?;
    let approval =
        json!({"promote": {"required": true, "requireReason": true, "notByAuthor": true}});
    let rules = json!({"release": freeze(-60, 600), "approvals": approval});
    let told = Told::under(&test, &rules).await?;
    let canary = test.record("canaries/podinfo").await?;
    let output = set_image(&test, "6.0.1").await?;
    told.has_said(&output, "spec.release.freezeWindows[year-end]")?;
    test.until("canaries/podinfo", |it| it["status"]["canaryWeight"] == 20)
        .await?;
    // No reason, and in a freeze; it goes on at once.
    test.plugin(BOB, &["promote", "podinfo"]).await?.ok()?;
    test.phase("Succeeded").await?;
    let held: Vec<Value> = canary
        .versions()
        .iter()
        .map(|(_, it)| it["status"]["release"]["waitingFor"].clone())
        .filter(|gate| !gate.is_null())
        .collect();
    assert!(held.is_empty(), "{held:?}");
    Ok(())
}
