//! The primary's own copies of configuration, when a release does not go as it should.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use canary_tests::fixtures::prometheus::Answer;
use serde_json::{Value, json};

use crate::setup::{image, namespace};

/// `Initialized`, with a ConfigMap and an immutable Secret that say `old`.
async fn configured(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"say": "old"},
    });
    test.create(&map).await?;
    test.create(&secret("b2xk")).await?;
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "config"}}, {"secretRef": {"name": "keys"}}]);
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    Ok(test)
}

fn secret(data: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "type": "Opaque",
        "immutable": true, "data": {"say": data},
    })
}

/// All of it says something new, and the image is another.
async fn release_new(test: &Namespace<'_>, template: &Value) -> Result<()> {
    test.patch("configmaps/config", &json!({"data": {"say": "new"}}))
        .await?;
    test.delete("secrets/keys").await?;
    test.create(&secret("bmV3")).await?;
    test.patch(
        "deployments/podinfo",
        &json!({"spec": {"template": template}}),
    )
    .await?;
    Ok(())
}

fn container() -> Value {
    json!({"containers": [{
        "name": "podinfod", "image": "stefanprodan/podinfo:6.0.1",
        "envFrom": [{"configMapRef": {"name": "config"}}, {"secretRef": {"name": "keys"}}],
    }]})
}

/// What the copies say.
async fn copies(test: &Namespace<'_>) -> Result<(Value, Value)> {
    let map = test.get("configmaps/config-primary").await?;
    let secret = test.get("secrets/keys-primary").await?;
    Ok((map["data"]["say"].clone(), secret["data"]["say"].clone()))
}

/// What replaced copies were kept in.
async fn nothing_is_kept(test: &Namespace<'_>) -> Result<()> {
    for object in [
        "configmaps/podinfo-config-previous",
        "secrets/podinfo-keys-previous",
    ] {
        test.gone(object).await?;
    }
    Ok(())
}

fn say(object: &Value) -> Option<String> {
    object["data"]["say"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_promotion_that_fails_gives_the_primary_its_old_configuration_back() -> Result<()> {
    let test = configured("put-back").await?;
    let deadline = json!({"spec": {"progressDeadlineSeconds": 5}});
    test.patch("canaries/podinfo", &deadline).await?;
    let map = test.record("configmaps/config-primary").await?;
    let kept = test.record("configmaps/podinfo-config-previous").await?;
    let kept_secret = test.record("secrets/podinfo-keys-previous").await?;

    // A pod of it may not run beside another: the primary's second one never finds a place.
    let mut pod = container();
    pod["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "podinfo"}}, "topologyKey": "type"},
    ]}});
    release_new(&test, &json!({"spec": pod})).await?;
    test.event("failed, primary not ready").await?;
    test.until("canaries/podinfo", |canary| {
        let release = &canary["status"]["release"];
        release["outcome"] == "PromotionFailed" && release["recovering"] == false
    })
    .await?;

    assert_eq!(copies(&test).await?, (json!("old"), json!("b2xk")));
    let secret = test.get("secrets/keys-primary").await?;
    assert_eq!(secret["immutable"], true);
    nothing_is_kept(&test).await?;
    assert_eq!(map.changes(say), ["old", "new", "old"]);
    assert_eq!(kept.changes(say), ["old"]);
    assert_eq!(kept_secret.changes(say), ["b2xk"]);
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    assert_eq!(primary["status"]["readyReplicas"], 1);
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

/// The Secret `keys` as another type: the API server lets nobody change it in place.
async fn retype(test: &Namespace<'_>, type_: &str, data: &Value) -> Result<()> {
    test.delete("secrets/keys").await?;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "type": type_, "data": data,
    });
    test.create(&secret).await?;
    Ok(())
}

#[tokio::test]
async fn a_secret_of_another_type_is_promoted_and_put_back() -> Result<()> {
    let test = configured("retyped").await?;
    let basic = json!({"username": "bWU=", "password": "cHc="});
    retype(&test, "kubernetes.io/basic-auth", &basic).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Succeeded"
    })
    .await?;
    let copy = test.get("secrets/keys-primary").await?;
    assert_eq!(copy["type"], "kubernetes.io/basic-auth");
    assert_eq!(copy["data"], basic);

    let deadline = json!({"spec": {"progressDeadlineSeconds": 5}});
    test.patch("canaries/podinfo", &deadline).await?;
    let copies = test.record("secrets/keys-primary").await?;
    let mut pod = container();
    pod["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "podinfo"}}, "topologyKey": "type"},
    ]}});
    let template = json!({"spec": {"template": {"spec": pod}}});
    test.patch("deployments/podinfo", &template).await?;
    retype(&test, "Opaque", &json!({"say": "bmV3"})).await?;
    test.until("canaries/podinfo", |canary| {
        let release = &canary["status"]["release"];
        release["outcome"] == "PromotionFailed" && release["recovering"] == false
    })
    .await?;
    let kind = |it: &Value| it["type"].as_str().map(str::to_owned);
    assert_eq!(
        copies.changes(kind),
        [
            "kubernetes.io/basic-auth",
            "Opaque",
            "kubernetes.io/basic-auth"
        ]
    );
    let copy = test.get("secrets/keys-primary").await?;
    assert_eq!(copy["data"], basic);
    nothing_is_kept(&test).await
}

#[tokio::test]
async fn a_promotion_that_succeeds_leaves_nothing_of_the_old_configuration() -> Result<()> {
    let test = configured("forgotten").await?;
    let kept = test.record("configmaps/podinfo-config-previous").await?;
    release_new(&test, &json!({"spec": container()})).await?;
    test.until("canaries/podinfo", |canary| {
        let status = &canary["status"];
        status["phase"] == "Succeeded" && status["release"]["images"][0]["to"].is_string()
    })
    .await?;
    assert_eq!(copies(&test).await?, (json!("new"), json!("bmV3")));
    nothing_is_kept(&test).await?;
    assert_eq!(kept.changes(say), ["old"]);
    Ok(())
}

#[tokio::test]
async fn a_primary_that_is_lost_after_a_failed_release_keeps_its_configuration() -> Result<()> {
    let test = configured("lost-config").await?;
    test.prometheus
        .answer("apisix_http_status", Answer::value(0.0));
    release_new(&test, &json!({"spec": container()})).await?;
    test.phase("Failed").await?;
    let lost = test.get("deployments/podinfo-primary").await?;
    test.delete("deployments/podinfo-primary").await?;
    test.until("deployments/podinfo-primary", |primary| {
        primary["metadata"]["uid"] != lost["metadata"]["uid"]
            && primary["status"]["readyReplicas"] == 1
    })
    .await?;
    assert_eq!(copies(&test).await?, (json!("old"), json!("b2xk")));
    Ok(())
}
