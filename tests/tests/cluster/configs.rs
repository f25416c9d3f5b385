//! Configuration is released with the workload: the primary has copies of its own.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "configs/copies.rs"]
mod copies;

use anyhow::Result;
use canary_tests::cluster::{BOB, Namespace, deployment, route};
use canary_tests::fixtures::hooks::{Hooks, Reply};
use serde_json::{Value, json};

use crate::selectors::{canary_of, labelled, phase};
use crate::setup::{initialized, namespace, owner};

fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

fn secret(name: &str, kind: &str, data: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data,
    })
}

/// Every way in which a pod template may refer to configuration.
fn with_references() -> Value {
    let mut target = deployment();
    let pod = &mut target["spec"]["template"]["spec"];
    pod["containers"][0]["env"] = json!([
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "env-map", "key": "a"}}},
        {"name": "B", "valueFrom": {"secretKeyRef": {"name": "env-secret", "key": "b"}}},
        {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "opted-out", "key": "c"}}},
    ]);
    pod["containers"][0]["envFrom"] = json!([
        {"configMapRef": {"name": "from-map"}}, {"secretRef": {"name": "from-secret"}},
    ]);
    pod["initContainers"] = json!([{
        "name": "init", "image": "init:1", "envFrom": [{"configMapRef": {"name": "init-map"}}],
    }]);
    pod["volumes"] = json!([
        {"name": "map", "configMap": {"name": "volume-map"}},
        {"name": "secret", "secret": {"secretName": "volume-secret"}},
        {"name": "both", "projected": {"sources": [
            {"configMap": {"name": "projected-map"}}, {"secret": {"name": "projected-secret"}},
        ]}},
    ]);
    target
}

fn all() -> Vec<Value> {
    let mut binary = config_map("volume-map", &json!({"text": "plain"}));
    binary["binaryData"] = json!({"picture": "AAEC"});
    let mut immutable = config_map("from-map", &json!({"KEY": "fixed"}));
    immutable["immutable"] = json!(true);
    let mut opted_out = config_map("opted-out", &json!({"c": "3"}));
    opted_out["metadata"]["annotations"] = json!({"flagger.app/config-tracking": "disabled"});
    vec![
        config_map("env-map", &json!({"a": "1"})),
        secret("env-secret", "Opaque", &json!({"b": "Mg=="})),
        immutable,
        secret(
            "from-secret",
            "kubernetes.io/basic-auth",
            &json!({"username": "bWU=", "password": "cHc="}),
        ),
        config_map("init-map", &json!({"x": "y"})),
        binary,
        secret(
            "volume-secret",
            "kubernetes.io/tls",
            &json!({"tls.crt": "Y3J0", "tls.key": "a2V5"}),
        ),
        config_map("projected-map", &json!({"p": "q"})),
        secret(
            "projected-secret",
            "kubernetes.io/ssh-auth",
            &json!({"ssh-privatekey": "a2V5"}),
        ),
        opted_out,
    ]
}

#[tokio::test]
async fn every_kind_of_reference_is_copied_whole_and_the_primary_refers_to_the_copies() -> Result<()>
{
    let test = namespace("references").await?;
    for config in all() {
        test.create(&config).await?;
    }
    test.create(&with_references()).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    let canary = test.phase("Initialized").await?;

    let template = test.get("deployments/podinfo-primary").await?["spec"]["template"].to_string();
    let tracked = &canary["status"]["trackedConfigs"];
    for config in all() {
        let (kind, name) = (
            config["kind"].as_str().unwrap(),
            config["metadata"]["name"].as_str().unwrap(),
        );
        let resource = format!("{}s/{name}-primary", kind.to_lowercase());
        let id = format!("{}/{name}", kind.to_lowercase());
        if name == "opted-out" {
            assert!(test.find(&resource).await?.is_none());
            assert!(template.contains("\"opted-out\""), "{template}");
            assert!(tracked[&id].is_null(), "{tracked}");
            continue;
        }
        let copy = test.get(&resource).await?;
        for field in ["data", "binaryData", "immutable", "type"] {
            assert_eq!(copy[field], config[field], "{field} of {resource}");
        }
        assert_eq!(owner(&copy), "Canary/podinfo");
        assert!(
            template.contains(&format!("\"{name}-primary\"")),
            "{name}: {template}"
        );
        assert!(
            !template.contains(&format!("\"{name}\"")),
            "{name}: {template}"
        );
        assert!(tracked[&id].is_string(), "{tracked}");
    }
    let target = test.get("deployments/podinfo").await?;
    assert!(
        target["spec"]["template"]
            .to_string()
            .contains("\"env-map\"")
    );
    Ok(())
}

/// A target with one ConfigMap, and a gate before its promotion.
async fn with_map(name: &str, hooks: &Hooks) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    test.create(&config_map("config", &json!({"color": "blue"})))
        .await?;
    let mut target = deployment();
    let from = json!([{"configMapRef": {"name": "config"}}]);
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = from;
    test.create(&target).await?;
    test.create(&route()).await?;
    let mut canary = test.canary();
    canary["spec"]["analysis"]["webhooks"] = json!([{
        "name": "gate", "type": "confirm-promotion", "url": hooks.url("/gate"),
    }]);
    test.create(&canary).await?;
    test.phase("Initialized").await?;
    Ok(test)
}

#[tokio::test]
async fn changed_data_is_a_release_and_reaches_the_primary_by_its_promotion_only() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::status(403));
    let test = with_map("changed", &hooks).await?;
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("WaitingPromotion").await?;
    let copy = test.get("configmaps/config-primary").await?;
    assert_eq!(copy["data"]["color"], "blue");

    hooks.reply("/gate", Reply::status(200));
    test.phase("Succeeded").await?;
    let copy = test.get("configmaps/config-primary").await?;
    assert_eq!(copy["data"]["color"], "green");
    Ok(())
}

#[tokio::test]
async fn a_changed_label_of_a_config_map_is_no_release() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = with_map("relabelled", &hooks).await?;
    let canary = test.record("canaries/podinfo").await?;
    test.patch(
        "configmaps/config",
        &json!({"metadata": {"labels": {"team": "web"}}}),
    )
    .await?;
    // What is a release is seen by the same watch, later.
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("Succeeded").await?;
    let numbers = canary.changes(|canary| canary["status"]["release"]["number"].as_i64());
    assert_eq!(numbers, [1]);
    Ok(())
}

#[tokio::test]
async fn what_the_new_version_dropped_is_gone_from_the_primary() -> Result<()> {
    let test = namespace("dropped").await?;
    let mut target = deployment();
    let pod = &mut target["spec"]["template"]["spec"];
    pod["containers"][0]["env"] =
        json!([{"name": "OLD", "value": "1"}, {"name": "KEPT", "value": "2"}]);
    pod["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "sidecar", "image": "sidecar:1"}));
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(
        primary["spec"]["template"]["spec"]["containers"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    drop_from(&test).await?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_dropped(&primary);
    Ok(())
}

/// The new version: another image, one env var, and no sidecar.
pub async fn drop_from(test: &Namespace<'_>) -> Result<()> {
    let container = json!({
        "name": "podinfod", "image": "stefanprodan/podinfo:6.0.9",
        "env": [{"name": "KEPT", "value": "2"}],
    });
    let patch =
        json!({"spec": {"template": {"spec": {"containers": [container], "volumes": null}}}});
    test.patch("deployments/podinfo", &patch).await?;
    Ok(())
}

#[track_caller]
pub fn assert_dropped(primary: &Value) {
    let containers = &primary["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers.as_array().map(Vec::len),
        Some(1),
        "{containers:#}"
    );
    assert_eq!(containers[0]["image"], "stefanprodan/podinfo:6.0.9");
    assert_eq!(
        containers[0]["env"],
        json!([{"name": "KEPT", "value": "2"}])
    );
}

#[tokio::test]
async fn a_config_map_that_is_deleted_takes_nothing_away_from_the_primary() -> Result<()> {
    let hooks = Hooks::start().await?;
    let test = with_map("config-gone", &hooks).await?;
    test.delete("configmaps/config").await?;
    test.gone("configmaps/config").await?;
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Initialized");
    assert_eq!(
        test.get("configmaps/config-primary").await?["data"]["color"],
        "blue"
    );
    drop(initialized("after-it").await?);
    assert_eq!(
        test.get("configmaps/config-primary").await?["data"]["color"],
        "blue"
    );
    Ok(())
}

/// A second application that reads the same ConfigMap.
async fn beside_it(test: &Namespace<'_>) -> Result<()> {
    let mut target = labelled("web", &json!({"app": "web"}));
    let from = json!([{"configMapRef": {"name": "config"}}]);
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = from;
    test.create(&target).await?;
    let [route, mut canary] = canary_of(test, "web");
    canary["spec"]["analysis"]["webhooks"] =
        test.get("canaries/podinfo").await?["spec"]["analysis"]["webhooks"].clone();
    test.create(&route).await?;
    test.create(&canary).await?;
    phase(test, "web", "Initialized").await?;
    Ok(())
}

#[tokio::test]
async fn two_primaries_never_read_one_copy_and_none_gets_what_the_other_analysed() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::status(403));
    let test = with_map("two-of-one-map", &hooks).await?;
    beside_it(&test).await?;
    let of = |deployment: Value| {
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        container["envFrom"][0]["configMapRef"]["name"].clone()
    };
    let read = async |name: &str| Ok::<_, anyhow::Error>(of(test.get(name).await?));
    assert_eq!(read("deployments/podinfo-primary").await?, "config-primary");
    let other = "config-web-primary";
    assert_eq!(read("deployments/web-primary").await?, other);
    let first = test.get("configmaps/config-primary").await?;
    assert_eq!(owner(&first), "Canary/podinfo");
    assert_eq!(
        first["metadata"]["ownerReferences"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );

    // One of them is promoted.
    test.patch("configmaps/config", &json!({"data": {"color": "green"}}))
        .await?;
    test.phase("WaitingPromotion").await?;
    phase(&test, "web", "WaitingPromotion").await?;
    let promote = ["promote", "web"];
    test.plugin(BOB, &promote).await?.ok()?;
    phase(&test, "web", "Succeeded").await?;
    let color = async |name: &str| {
        let map = test.get(&format!("configmaps/{name}")).await?;
        Ok::<_, anyhow::Error>(map["data"]["color"].clone())
    };
    assert_eq!(color("config-primary").await?, "blue");
    assert_eq!(color(other).await?, "green");
    Ok(())
}
