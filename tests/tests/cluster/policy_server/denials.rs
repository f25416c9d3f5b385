//! What only the server can say of a change.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, deployment};
use serde_json::{Value, json};

use super::{apply, policy, refused, set_image};
use crate::setup::initialized;

/// After one release, whose end begins an interval.
async fn released(name: &str) -> Result<Namespace<'static>> {
    let test = initialized(name).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    Ok(test)
}

fn interval(time: &str) -> Value {
    json!({"release": {"minInterval": time}})
}

#[tokio::test]
async fn the_next_release_waits_for_its_interval_and_passes_after_it() -> Result<()> {
    let test = released("interval").await?;
    let name = policy(&test, "prod", interval("12s")).await?;
    let output = set_image(&test, "6.0.2").await?;
    let field = format!(
        "CanaryPolicy {name}: spec.release.minInterval: the last release ended less than 12s ago"
    );
    refused(&output, &[&field]);
    tokio::time::sleep(std::time::Duration::from_secs(12)).await;
    set_image(&test, "6.0.2").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn two_policies_that_refuse_are_both_named() -> Result<()> {
    let test = released("disagree").await?;
    let hour = policy(&test, "hour", interval("1h")).await?;
    let day = policy(&test, "day", interval("24h")).await?;
    let output = set_image(&test, "6.0.2").await?;
    let named = [hour, day].map(|name| format!("CanaryPolicy {name}: spec.release.minInterval"));
    refused(&output, &[&named[0], &named[1]]);
    Ok(())
}

#[tokio::test]
async fn a_running_release_is_not_replaced_where_a_policy_says_so_but_set_back() -> Result<()> {
    let test = initialized("running").await?;
    let rule = json!({
        "release": {"onRunningRelease": "Deny"}, "approvals": {"promote": {"required": true}},
    });
    let name = policy(&test, "prod", rule).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    let output = set_image(&test, "6.0.2").await?;
    refused(
        &output,
        &[&format!(
            "CanaryPolicy {name}: spec.release.onRunningRelease"
        )],
    );
    set_image(&test, "6.0.0").await?.ok()?;
    test.phase("Failed").await?;
    set_image(&test, "6.0.2").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_policy_that_cannot_be_meant_is_refused_and_one_that_denies_everything_warns()
-> Result<()> {
    let test = crate::setup::namespace("meant").await?;
    let windows = |windows: Value| json!({"release": {"freezeWindows": windows}});
    let window = |schedule: &str, zone: &str| json!({"name": "x", "schedule": schedule, "duration": "24h", "timeZone": zone});
    let name = format!("{}-bad", test.name);
    for (bad, field, why) in [
        (
            window("0 18 * * 5", "Europe/Atlantis"),
            "spec.release.freezeWindows[x].timeZone",
            "\"Europe/Atlantis\" is no time zone: write an IANA name, as Europe/Berlin",
        ),
        (
            window("0 0 30 2 *", "UTC"),
            "spec.release.freezeWindows[x].schedule",
            "\"0 0 30 2 *\" never comes: name a day that exists",
        ),
        (
            window("0 0 * * *", "UTC"),
            "spec.release.freezeWindows[x].duration",
            "24h reaches to the next start each time, so the window never ends: make it shorter",
        ),
    ] {
        let output = apply(&test, &name, windows(json!([bad]))).await?;
        let said = format!("CanaryPolicy \"{name}\" is invalid");
        refused(&output, &[&said, field, why]);
    }
    let always = windows(json!([
        {"name": "am", "schedule": "0 0 * * *", "duration": "12h"},
        {"name": "pm", "schedule": "0 12 * * *", "duration": "12h"},
    ]));
    let output = apply(&test, &name, always).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stderr.contains("Warning: ") && output.stderr.contains("without end"),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_a_service_selects_needs_a_canary_where_a_policy_says_so() -> Result<()> {
    let test = crate::setup::namespace("required").await?;
    let name = policy(&test, "prod", json!({"canary": {"required": true}})).await?;
    // No Service selects its pods.
    test.create(&deployment()).await?;
    test.delete("deployments/podinfo").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 80}]},
    });
    test.create(&service).await?;
    let dry = ["create", "--dry-run=server", "-f", "-"];
    let target = deployment().to_string();
    let output = eventually("the rule to be registered", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &dry, &target).await?;
        Ok((output.code != Some(0)).then_some(output))
    })
    .await?;
    refused(
        &output,
        &[&format!(
            "CanaryPolicy {name}: spec.canary.required: a Service selects the pods"
        )],
    );
    test.create(&test.canary()).await?;
    eventually("the Canary to be known", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &dry, &target).await?;
        Ok((output.code == Some(0)).then_some(()))
    })
    .await?;
    Ok(())
}
