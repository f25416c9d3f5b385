//! What the tests of releases share: one cluster, and a namespace for each test.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{Cluster, Namespace};
use serde_json::{Value, json};

/// A new namespace in the shared cluster.
pub async fn namespace(name: &str) -> Result<Namespace<'static>> {
    Cluster::shared().await?.namespace(name).await
}

/// A new namespace with target, route and Canary, which is `Initialized`.
pub async fn initialized(name: &str) -> Result<Namespace<'static>> {
    initialized_with(name, |_| ()).await
}

/// The same, with a Canary that `change` made different.
pub async fn initialized_with(
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Namespace<'static>> {
    let namespace = namespace(name).await?;
    namespace.create_with(change).await?;
    namespace.phase("Initialized").await?;
    Ok(namespace)
}

/// A release that stands at its first step for as long as a test needs.
pub async fn at_first_step(name: &str) -> Result<Namespace<'static>> {
    let test = initialized_with(name, |canary| {
        canary["spec"]["analysis"]["interval"] = json!("60s");
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    Ok(test)
}

/// The texts of a release in two steps, as Flagger says them.
pub fn story(namespace: &str) -> Vec<String> {
    let id = format!("podinfo.{namespace}");
    vec![
        format!("New revision detected! Scaling up {id}"),
        format!("Starting canary analysis for {id}"),
        format!("Advance {id} canary weight 20"),
        format!("Advance {id} canary weight 40"),
        format!("Copying {id} template spec to podinfo-primary.{namespace}"),
        "Routing all traffic to primary".to_owned(),
        format!("Promotion completed! Scaling down {id}"),
    ]
}

/// The only controller owner of an object, as `Kind/name`.
pub fn owner(object: &Value) -> String {
    let owners = object["metadata"]["ownerReferences"].as_array().unwrap();
    let owner = owners.iter().find(|owner| owner["controller"] == true);
    let owner = owner.unwrap_or_else(|| panic!("no controller among {owners:?}"));
    format!(
        "{}/{}",
        owner["kind"].as_str().unwrap(),
        owner["name"].as_str().unwrap()
    )
}

/// The image of a Deployment's first container.
pub fn image(deployment: &Value) -> &str {
    deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default()
}
