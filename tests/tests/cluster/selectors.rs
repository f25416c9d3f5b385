//! By which labels pods are found, when a Deployment is not as it was, and when others have such pods too.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "selectors/foreign.rs"]
mod foreign;
#[path = "selectors/labels.rs"]
mod labels;
#[path = "selectors/pinned.rs"]
mod pinned;

use anyhow::Result;
use canary_tests::cluster::{Namespace, Recorder, deployment, route};
use serde_json::{Value, json};

/// A target of that name whose pods have these labels, all of which it selects by.
pub fn labelled(name: &str, labels: &Value) -> Value {
    let mut target = deployment();
    target["metadata"]["name"] = json!(name);
    target["spec"]["selector"]["matchLabels"] = labels.clone();
    target["spec"]["template"]["metadata"]["labels"] = labels.clone();
    target
}

/// Route and Canary of a target of that name.
pub fn canary_of(test: &Namespace<'_>, name: &str) -> [Value; 2] {
    let (mut route, mut canary) = (route(), test.canary());
    for object in [&mut route, &mut canary] {
        object["metadata"]["name"] = json!(name);
    }
    route["spec"]["http"][0]["match"]["hosts"] =
        json!([format!("{name}.{}.example.com", test.name)]);
    route["spec"]["http"][0]["backends"][0]["serviceName"] = json!(name);
    canary["spec"]["targetRef"]["name"] = json!(name);
    canary["spec"]["routeRef"]["name"] = json!(name);
    [route, canary]
}

/// Creates all three.
pub async fn create(test: &Namespace<'_>, name: &str, labels: &Value) -> Result<()> {
    test.create(&labelled(name, labels)).await?;
    for object in canary_of(test, name) {
        test.create(&object).await?;
    }
    Ok(())
}

/// The target is deleted and made anew, with other labels and another image.
pub async fn recreate(test: &Namespace<'_>, labels: &Value, version: &str) -> Result<()> {
    let mut target = labelled("podinfo", labels);
    target["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!(format!("stefanprodan/podinfo:{version}"));
    test.delete("deployments/podinfo").await?;
    test.gone("deployments/podinfo").await?;
    test.create(&target).await?;
    Ok(())
}

pub async fn phase(test: &Namespace<'_>, name: &str, phase: &str) -> Result<Value> {
    test.until(&format!("canaries/{name}"), |canary| {
        canary["status"]["phase"] == phase
    })
    .await
}

/// What a Service has selected by, one after the other.
pub fn selectors(service: &Recorder) -> Vec<Value> {
    service.changes(|service| Some(service["spec"]["selector"].clone()))
}

/// What a Service selects by now.
pub async fn selector(test: &Namespace<'_>, service: &str) -> Result<Value> {
    let service = test.get(&format!("services/{service}")).await?;
    Ok(service["spec"]["selector"].clone())
}

/// Whether there was a ready address in each version of the slices that were recorded.
pub fn always_ready(endpoints: &Recorder) -> bool {
    let slices = endpoints.versions();
    slices.iter().all(|(_, slice)| {
        let mut all = slice["endpoints"].as_array().into_iter().flatten();
        all.any(|one| one["conditions"]["ready"] == true)
    })
}
