//! What a person must have agreed to.

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB};
use serde_json::json;

use super::{policy, refused};
use crate::setup::initialized;

#[tokio::test]
async fn a_promotion_waits_for_somebody_else_with_a_reason() -> Result<()> {
    let test = initialized("approval").await?;
    test.bind(ALICE, "canary-operator").await?;
    let rule = json!({"required": true, "requireReason": true, "notByAuthor": true});
    let name = policy(&test, "prod", json!({"approvals": {"promote": rule}})).await?;
    test.set_image("6.0.1").await?;
    let canary = test.phase("WaitingPromotion").await?;
    assert_eq!(canary["status"]["release"]["by"], ALICE);
    assert_eq!(
        canary["status"]["release"]["waitingFor"],
        format!("CanaryPolicy {name}")
    );
    test.event(&format!(
        "waiting for promotion approval CanaryPolicy {name}"
    ))
    .await?;

    let output = test.plugin(BOB, &["promote", "podinfo"]).await?;
    refused(
        &output,
        &[&format!(
            "CanaryPolicy {name}: spec.approvals.promote.requireReason"
        )],
    );
    let output = test
        .plugin(ALICE, &["promote", "podinfo", "--reason", "mine"])
        .await?;
    refused(
        &output,
        &[&format!(
            "CanaryPolicy {name}: spec.approvals.promote.notByAuthor: alice started"
        )],
    );
    assert_eq!(
        test.get("canaries/podinfo").await?["status"]["phase"],
        "WaitingPromotion"
    );
    test.plugin(BOB, &["promote", "podinfo", "--reason", "looked at it"])
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn an_approval_that_is_no_longer_asked_for_is_not_waited_for() -> Result<()> {
    let test = initialized("approval-gone").await?;
    let rule = json!({"approvals": {"promote": {"required": true}}});
    let name = policy(&test, "prod", rule).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    test.kubectl_as_admin(&["delete", "canarypolicy", &name], "")
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    Ok(())
}
