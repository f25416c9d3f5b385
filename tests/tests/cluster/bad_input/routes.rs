//! The user's ApisixRoute.

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use serde_json::{Value, json};

use super::told;
use crate::setup::{initialized, namespace};

/// A Canary with that route is refused with that sentence, and the target goes on serving; with a
/// good route it is initialized.
async fn refused(test: &Namespace<'_>, bad: Option<Value>, sentence: &str) -> Result<()> {
    test.create(&deployment()).await?;
    if let Some(bad) = &bad {
        test.create(bad).await?;
    }
    test.create(&test.canary()).await?;
    told(test, sentence).await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );
    assert!(
        test.find("apisixroutes/podinfo-podinfo-canary")
            .await?
            .is_none()
    );

    let good = route();
    match bad {
        Some(_) => {
            test.patch("apisixroutes/podinfo", &json!({"spec": good["spec"]}))
                .await?
        }
        None => test.create(&good).await?,
    };
    test.phase("Initialized").await?;
    Ok(())
}

#[tokio::test]
async fn a_missing_route_is_named() -> Result<()> {
    let test = namespace("no-route").await?;
    let sentence = format!(
        "APISIX route podinfo.{} get query error: not found",
        test.name
    );
    refused(&test, None, &sentence).await
}

#[tokio::test]
async fn a_route_without_rules_is_refused() -> Result<()> {
    let test = namespace("no-rules").await?;
    let mut bad = route();
    bad["spec"] = json!({"stream": [{
        "name": "tcp", "protocol": "TCP", "match": {"ingressPort": 9100},
        "backend": {"serviceName": "podinfo", "servicePort": 80},
    }]});
    let sentence = format!("APISIX route podinfo.{}'s spec.http is empty", test.name);
    refused(&test, Some(bad), &sentence).await
}

#[tokio::test]
async fn a_route_without_the_apex_service_is_refused() -> Result<()> {
    let test = namespace("no-backend").await?;
    let mut bad = route();
    bad["spec"]["http"][0]["backends"][0]["serviceName"] = json!("other");
    let sentence = format!(
        "Can not find podinfo backend on apisix route podinfo.{}",
        test.name
    );
    refused(&test, Some(bad), &sentence).await
}

#[tokio::test]
async fn a_route_with_two_backends_is_refused() -> Result<()> {
    let test = namespace("two-backends").await?;
    let mut bad = route();
    let second = json!({"serviceName": "other", "servicePort": 80});
    bad["spec"]["http"][0]["backends"]
        .as_array_mut()
        .unwrap()
        .push(second);
    let sentence = format!(
        "APISIX route podinfo.{}'s http route method only one http backend is supported",
        test.name
    );
    refused(&test, Some(bad), &sentence).await
}

#[tokio::test]
async fn a_route_that_is_deleted_during_a_release_moves_no_traffic() -> Result<()> {
    let test = initialized("route-gone").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    test.delete("apisixroutes/podinfo").await?;
    let sentence = format!(
        "APISIX route podinfo.{} get query error: not found",
        test.name
    );
    told(&test, &sentence).await?;
    let weights = test.weights().await?;
    assert_ne!(
        weights.1, 0,
        "the generated route serves on as it is: {weights:?}"
    );
    test.create(&route()).await?;
    test.phase("Succeeded").await?;
    Ok(())
}
