//! Freezes, by the exact clock.

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace, deployment, route};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{freeze, held, known, now, policy, refused, set_image};
use crate::setup::{initialized, initialized_with, namespace};

fn config(color: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"},
        "data": {"color": color},
    })
}

async fn with_config(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "config"}}]);
    test.create(&config("blue")).await?;
    for object in [target, route(), test.canary()] {
        test.create(&object).await?;
    }
    test.phase("Initialized").await?;
    Ok(test)
}

#[tokio::test]
async fn a_change_is_refused_until_the_freeze_ends_and_passes_then() -> Result<()> {
    let test = initialized("freeze-ends").await?;
    let name = policy(&test, "prod", json!({"release": freeze(-60, 8)})).await?;
    let status = known(&test, &name, |status| status["frozen"] == true).await?;
    assert_eq!(
        (&status["window"], &status["reason"]),
        (&json!("year-end"), &json!("CHG-1234"))
    );
    let until = status["until"].as_str().unwrap();
    let output = set_image(&test, "6.0.1").await?;
    let field = format!(
        "CanaryPolicy {name}: spec.release.freezeWindows[year-end]: releases are frozen until {until}"
    );
    refused(
        &output,
        &[
            &field,
            "(CHG-1234); wait, or ask a holder of the verb bypass",
        ],
    );
    known(&test, &name, |status| status["frozen"] == false).await?;
    set_image(&test, "6.0.1").await?.ok()?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_freeze_begins_by_a_timer() -> Result<()> {
    let test = initialized("freeze-begins").await?;
    let name = policy(&test, "prod", json!({"release": freeze(6, 600)})).await?;
    let status = known(&test, &name, |_| true).await?;
    assert_eq!(
        (&status["frozen"], &status["nextFreeze"]["name"]),
        (&json!(false), &json!("year-end"))
    );
    let dry = ["patch", "deployment", "podinfo", "--dry-run=server", "-p"];
    let patch =
        json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}}).to_string();
    let dry: Vec<&str> = dry.into_iter().chain([patch.as_str()]).collect();
    test.kubectl(ALICE, &dry).await?.ok()?;
    known(&test, &name, |status| status["frozen"] == true).await?;
    refused(
        &test.kubectl(ALICE, &dry).await?,
        &["spec.release.freezeWindows[year-end]"],
    );
    Ok(())
}

#[tokio::test]
async fn windows_that_overlap_are_one_freeze_until_the_last_ends() -> Result<()> {
    let test = initialized("freeze-overlap").await?;
    let mut windows = freeze(-60, 10);
    let mut second = freeze(5, 14);
    // The third only touches the second; the fourth does not.
    let mut third = freeze(14, 18);
    third["freezeWindows"][0]["start"] = second["freezeWindows"][0]["end"].clone();
    let mut fourth = freeze(3600, 7200);
    let all = windows["freezeWindows"].as_array_mut().unwrap();
    for (name, other) in [("b", &mut second), ("c", &mut third), ("d", &mut fourth)] {
        other["freezeWindows"][0]["name"] = json!(name);
        all.push(other["freezeWindows"][0].take());
    }
    let end = all[2]["end"].as_str().unwrap().parse::<Timestamp>()?;
    let name = policy(&test, "prod", json!({"release": windows})).await?;
    let status = known(&test, &name, |status| status["frozen"] == true).await?;
    let until: Timestamp = status["until"].as_str().unwrap().parse()?;
    assert!(end.duration_since(until).abs().as_secs() < 1, "{status}");
    assert_eq!(status["nextFreeze"]["name"], "d");
    let output = set_image(&test, "6.0.1").await?;
    let said = format!("releases are frozen until {until}");
    refused(&output, &[&format!("CanaryPolicy {name}: "), &said]);
    known(&test, &name, |status| status["frozen"] == false).await?;
    assert!(now() >= until, "it was let go early");
    set_image(&test, "6.0.1").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_configuration_change_in_a_freeze_waits_and_starts_when_it_ends() -> Result<()> {
    let test = with_config("freeze-config").await?;
    let name = policy(&test, "prod", json!({"release": freeze(-60, 10)})).await?;
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    let canary = test.phase("Waiting").await?;
    let gate = format!("CanaryPolicy {name}");
    assert_eq!(canary["status"]["release"]["waitingFor"], gate);
    let sentence = held(&canary).unwrap();
    assert!(
        sentence.starts_with(&format!("{gate}: spec.release.freezeWindows[year-end]")),
        "{sentence}"
    );
    let shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
    assert!(shown.contains(&gate), "{shown}");
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );
    let canary = test.phase("Succeeded").await?;
    assert_eq!(held(&canary), None);
    let events = test.events().await?;
    let said = events
        .iter()
        .filter(|text| text.contains("Halt") && text.contains(&gate));
    assert_eq!(said.count(), 1, "{events:#?}");
    let copy = test.get("configmaps/config-primary").await?;
    assert_eq!(copy["data"]["color"], "green");
    Ok(())
}

#[tokio::test]
async fn a_running_release_is_held_at_its_weight_and_goes_on_when_the_freeze_ends() -> Result<()> {
    let test = initialized_with("freeze-running", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("3s");
    })
    .await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    let name = policy(&test, "prod", json!({"release": freeze(-60, 12)})).await?;
    let canary = test
        .until("canaries/podinfo", |canary| held(canary).is_some())
        .await?;
    assert_eq!(canary["status"]["canaryWeight"], 20);
    assert_eq!(canary["status"]["phase"], "Progressing");
    known(&test, &name, |status| status["frozen"] == false).await?;
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    Ok(())
}

#[tokio::test]
async fn a_held_release_whose_checks_fail_rolls_back_in_the_freeze() -> Result<()> {
    let test = initialized("freeze-rollback").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    policy(&test, "prod", json!({"release": freeze(-60, 600)})).await?;
    test.until("canaries/podinfo", |canary| held(canary).is_some())
        .await?;
    test.prometheus
        .answer("", canary_tests::fixtures::prometheus::Answer::value(1.0));
    test.phase("Failed").await?;
    assert_eq!(test.weights().await?, (100, 0));
    // To what the primary runs, which no freeze forbids.
    set_image(&test, "6.0.0").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_policy_that_is_deleted_lets_go_of_what_it_holds() -> Result<()> {
    let test = with_config("freeze-deleted").await?;
    let name = policy(&test, "prod", json!({"release": freeze(-60, 600)})).await?;
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("Waiting").await?;
    test.kubectl_as_admin(&["delete", "canarypolicy", &name], "")
        .await?
        .ok()?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_break_glass_of_a_holder_releases_in_a_freeze() -> Result<()> {
    let test = initialized("freeze-glass").await?;
    policy(&test, "prod", json!({"release": freeze(-60, 600)})).await?;
    let patch = json!({
        "metadata": {"annotations": {"kubectl-canary.dev/break-glass": "INC-7"}},
        "spec": {"template": {"spec": {"containers": [
            {"name": "podinfod", "image": "stefanprodan/podinfo:6.0.1"},
        ]}}},
    })
    .to_string();
    let patch = ["patch", "deployment", "podinfo", "-p", &patch];
    refused(&test.kubectl(ALICE, &patch).await?, &["lacks verb bypass"]);
    test.kubectl_as_admin(&patch, "").await?.ok()?;
    test.phase("Succeeded").await?;
    Ok(())
}
