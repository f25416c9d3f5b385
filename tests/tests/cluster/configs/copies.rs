//! The primary's copies: whose they are, what brings one back, and when one goes.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use canary_tests::fixtures::hooks::{Hooks, Reply};
use serde_json::{Value, json};

use super::{config_map, with_map};
use crate::setup::namespace;

const COPY: &str = "configmaps/config-primary";

fn color(object: &Value) -> &Value {
    &object["data"]["color"]
}

fn from(deployment: &Value) -> Vec<&str> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let all = container["envFrom"].as_array().into_iter().flatten();
    all.filter_map(|it| it["configMapRef"]["name"].as_str())
        .collect()
}

fn condition<'a>(canary: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = canary["status"]["conditions"].as_array()?;
    all.iter().find(|it| it["type"] == kind)
}

/// `Initialized`, with a target that starts without its ConfigMap too.
async fn optional(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    test.create(&config_map("config", &json!({"color": "blue"})))
        .await?;
    let mut target = deployment();
    let from = json!([{"configMapRef": {"name": "config", "optional": true}}]);
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = from;
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    Ok(test)
}

#[tokio::test]
async fn a_copy_that_is_deleted_at_rest_is_made_again() -> Result<()> {
    let test = optional("copy-deleted").await?;
    let before = test.get(COPY).await?;
    test.delete(COPY).await?;
    let after = test
        .until(COPY, |copy| {
            copy["metadata"]["uid"] != before["metadata"]["uid"]
        })
        .await?;
    assert_eq!(after["data"], before["data"]);
    assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);
    Ok(())
}

#[tokio::test]
async fn a_copy_that_somebody_changed_says_again_what_was_promoted() -> Result<()> {
    let test = optional("copy-changed").await?;
    let patch = json!({"data": {"color": "red", "more": "x"}});
    test.patch_as_admin(COPY, &patch).await?;
    let after = test
        .until(COPY, |copy| copy["data"] == json!({"color": "blue"}))
        .await?;
    assert_eq!(color(&after), "blue");
    Ok(())
}

#[tokio::test]
async fn a_copy_that_nothing_can_bring_back_is_named_until_there_is_one() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::status(403));
    let test = with_map("copy-lost", &hooks).await?;
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("WaitingPromotion").await?;
    test.delete(COPY).await?;
    let message = test.condition("ConfigLost", "True", "CopyLost").await?;
    assert!(
        message.starts_with("ConfigMap config-primary.copy-lost"),
        "{message}"
    );
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(condition(&canary, "Ready"), None, "it hinders nothing");

    hooks.reply("/gate", Reply::status(200));
    let canary = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["phase"] == "Succeeded" && condition(canary, "ConfigLost").is_none()
        })
        .await?;
    assert_eq!(canary["status"]["release"]["outcome"], "Promoted");
    assert_eq!(color(&test.get(COPY).await?), "green");
    Ok(())
}

#[tokio::test]
async fn what_was_analysed_without_a_config_map_is_promoted_without_its_copy() -> Result<()> {
    let test = optional("optional-gone").await?;
    test.delete("configmaps/config").await?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(from(&primary), ["config"]);
    test.gone(COPY).await
}

#[tokio::test]
async fn a_config_map_that_is_opted_out_later_is_what_the_primary_reads() -> Result<()> {
    let test = optional("opted-out-later").await?;
    let annotation = json!({"flagger.app/config-tracking": "disabled"});
    test.patch(
        "configmaps/config",
        &json!({"metadata": {"annotations": annotation}}),
    )
    .await?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(from(&primary), ["config"]);
    test.gone(COPY).await
}

#[tokio::test]
async fn a_primary_is_not_given_a_template_whose_pods_do_not_start() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = with_map("mandatory-gone", &hooks).await?;
    test.delete("configmaps/config").await?;
    let message = test.condition("Ready", "False", "ConfigNotFound").await?;
    assert!(
        message.contains("ConfigMap config.mandatory-gone"),
        "{message}"
    );
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(from(&primary), ["config-primary"]);
    assert_eq!(color(&test.get(COPY).await?), "blue");
    // It goes on once there is one.
    test.create(&config_map("config", &json!({"color": "green"})))
        .await?;
    test.until(COPY, |copy| color(copy) == "green").await?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_source_that_has_the_name_of_a_copy_stays_its_owners() -> Result<()> {
    let test = namespace("named-primary").await?;
    let adopt = json!({"kubectl-canary.dev/adopt": "true"});
    let mut theirs = config_map("app-primary", &json!({"color": "theirs"}));
    theirs["metadata"]["annotations"] = adopt;
    test.create(&config_map("app", &json!({"color": "blue"})))
        .await?;
    test.create(&theirs).await?;
    // This one belongs to nobody here, and nobody hands it over.
    test.create(&config_map("other", &json!({"color": "other"})))
        .await?;
    test.create(&config_map("other-primary", &json!({"color": "unrelated"})))
        .await?;
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([
        {"configMapRef": {"name": "app"}}, {"configMapRef": {"name": "app-primary"}},
        {"configMapRef": {"name": "other"}},
    ]);
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;

    let primary = test.get("deployments/podinfo-primary").await?;
    let copies = [
        ("app-podinfo-primary", "blue"),
        ("app-primary-primary", "theirs"),
        ("other-podinfo-primary", "other"),
    ];
    assert_eq!(from(&primary), copies.map(|(name, _)| name));
    let untouched = [("app-primary", "theirs"), ("other-primary", "unrelated")];
    for (name, says) in copies.into_iter().chain(untouched) {
        let object = test.get(&format!("configmaps/{name}")).await?;
        assert_eq!(color(&object), says, "{name}");
    }
    test.patch("configmaps/app", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("Succeeded").await?;
    let copy = test.get("configmaps/app-podinfo-primary").await?;
    assert_eq!(color(&copy), "green");
    let theirs = test.get("configmaps/app-primary").await?;
    assert_eq!(color(&theirs), "theirs");
    Ok(())
}
