//! Labels of every kind that a Deployment may have.

use anyhow::Result;
use canary_tests::cluster::deployment;
use serde_json::json;

use super::{canary_of, create, labelled, selector};
use crate::bad_input::told;
use crate::setup::{image, namespace};

#[tokio::test]
async fn a_label_whose_value_fills_it_is_shortened_for_the_primary() -> Result<()> {
    let test = namespace("long-label").await?;
    let value = "a".repeat(63);
    create(&test, "podinfo", &json!({"app": value})).await?;
    test.phase("Initialized").await?;
    let primary = selector(&test, "podinfo").await?;
    let short = primary["app"].as_str().unwrap_or_default();
    assert!(
        short.len() == 63 && short.ends_with("-primary"),
        "{primary}"
    );
    assert_eq!(
        selector(&test, "podinfo-canary").await?,
        json!({"app": value})
    );
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let promoted = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&promoted), "stefanprodan/podinfo:6.0.1");
    assert_eq!(selector(&test, "podinfo").await?, primary);
    Ok(())
}

#[tokio::test]
async fn a_selector_with_expressions_is_told_by_its_labels() -> Result<()> {
    let test = namespace("expressions").await?;
    let mut target = deployment();
    target["spec"]["selector"]["matchExpressions"] = json!([
        {"key": "tier", "operator": "In", "values": ["front"]},
        {"key": "zone", "operator": "In", "values": ["a", "b"]},
        {"key": "legacy", "operator": "DoesNotExist"},
    ]);
    let labels = json!({"app": "podinfo", "tier": "front", "zone": "a"});
    target["spec"]["template"]["metadata"]["labels"] = labels;
    test.create(&target).await?;
    for object in canary_of(&test, "podinfo") {
        test.create(&object).await?;
    }
    test.phase("Initialized").await?;
    let expected = json!({"app": "podinfo-primary", "tier": "front"});
    assert_eq!(selector(&test, "podinfo").await?, expected);
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_selector_of_expressions_that_no_service_could_say_is_refused_with_a_sentence()
-> Result<()> {
    let test = namespace("only-expressions").await?;
    let mut target = deployment();
    target["spec"]["selector"] = json!({"matchExpressions": [
        {"key": "app", "operator": "In", "values": ["podinfo", "podinfo-next"]},
    ]});
    test.create(&target).await?;
    for object in canary_of(&test, "podinfo") {
        test.create(&object).await?;
    }
    told(
        &test,
        "spec.selector.matchLabels must contain one of [app name",
    )
    .await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 1);
    Ok(())
}

#[tokio::test]
async fn placement_of_the_primary_goes_by_the_labels_value_and_not_by_the_deployments_name()
-> Result<()> {
    let test = namespace("placement").await?;
    let own = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"});
    let cache = json!({"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "kubernetes.io/hostname"});
    let mut target = labelled("podinfo", &json!({"app": "web", "tier": "front"}));
    target["spec"]["template"]["spec"]["affinity"] = json!({
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [own, cache]},
    });
    let mut spread = own.clone();
    spread["labelSelector"]["matchLabels"] = json!({"tier": "front"});
    spread["maxSkew"] = json!(1);
    spread["whenUnsatisfiable"] = json!("ScheduleAnyway");
    target["spec"]["template"]["spec"]["topologySpreadConstraints"] = json!([spread]);
    target["spec"]["replicas"] = json!(0);
    test.create(&target).await?;
    for object in canary_of(&test, "podinfo") {
        test.create(&object).await?;
    }
    test.phase("Initialized").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    let pods = &primary["spec"]["template"]["spec"];
    let required =
        &pods["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(
        required[0]["labelSelector"]["matchLabels"],
        json!({"app": "web-primary"})
    );
    assert_eq!(required[1]["labelSelector"], cache["labelSelector"]);
    assert_eq!(
        pods["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        json!({"app": "web-primary", "tier": "front"})
    );
    Ok(())
}
