//! The target's own manifest, which knows nothing of us, put over what is there: `kubectl replace`,
//! `helm upgrade --force`, Argo CD with `Replace=true`.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, deployment};
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{image, initialized};

const MANAGED: &str = "kubectl-canary.dev/managed";
const IMAGES: &str = "kubectl-canary.dev/promoted-images";

fn manifest(version: &str) -> Value {
    let mut target = deployment();
    let image = format!("stefanprodan/podinfo:{version}");
    target["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    target
}

/// Once more if somebody wrote between kubectl's look and its write: the server scales the target away again.
async fn replace(test: &Namespace<'_>, version: &str, how: &[&str]) -> Result<()> {
    let words = [&["replace", "-f", "-"], how].concat();
    let manifest = manifest(version).to_string();
    eventually("the manifest to be put", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &words, &manifest).await?;
        if output.stderr.contains("(Conflict)") {
            return Ok(None);
        }
        output.ok().map(Some)
    })
    .await?;
    Ok(())
}

fn has_ours(target: &Value) -> bool {
    let metadata = &target["metadata"];
    metadata["labels"][MANAGED] == "true" && metadata["annotations"][IMAGES].is_string()
}

/// A Canary at rest whose target has all that is ours.
async fn noted(test: &Namespace<'_>) -> Result<()> {
    test.until("deployments/podinfo", has_ours).await?;
    Ok(())
}

#[tokio::test]
async fn a_replaced_target_keeps_what_is_ours_in_the_same_request() -> Result<()> {
    let test = initialized("replaced").await?;
    noted(&test).await?;
    let target = test.record("deployments/podinfo").await?;
    let canary = test.record("canaries/podinfo").await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;

    replace(&test, "6.0.0", &[]).await?;
    // As a GitOps tool does it: again and again.
    replace(&test, "6.0.0", &[]).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(canary.phases(), ["Initialized"], "no release");

    replace(&test, "6.0.1", &[]).await?;
    let started = |canary: &Value| canary["status"]["release"]["by"] == ALICE;
    test.until("canaries/podinfo", started).await?;
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), [(100, 0), (80, 20), (60, 40), (100, 0)]);
    for (_, version) in target.versions() {
        assert!(has_ours(&version), "{:#}", version["metadata"]);
    }
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_deleted_and_made_anew_is_marked_again_and_starts_no_release() -> Result<()>
{
    let test = initialized("forced").await?;
    noted(&test).await?;
    let before = test.get("deployments/podinfo").await?;
    let canary = test.record("canaries/podinfo").await?;
    let apex = test.record("services/podinfo").await?;
    replace(&test, "6.0.0", &["--force"]).await?;
    test.until("deployments/podinfo", |target| {
        target["metadata"]["uid"] != before["metadata"]["uid"] && has_ours(target)
    })
    .await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(canary.phases(), ["Initialized"]);
    let selector = |apex: &Value| Some(apex["spec"]["selector"].clone());
    assert_eq!(apex.changes(selector), [json!({"app": "podinfo-primary"})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_was_replaced_while_the_server_was_away_gets_back_what_is_ours() -> Result<()>
{
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("replaced", "1s").await?;
    noted(&test).await?;
    server.process().kill()?;
    let canary = test.record("canaries/podinfo").await?;
    replace(&test, "6.0.0", &[]).await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["metadata"]["labels"][MANAGED], Value::Null);

    server.restart()?;
    noted(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(canary.phases(), ["Initialized"]);

    server.process().kill()?;
    replace(&test, "6.0.1", &[]).await?;
    server.restart()?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    noted(&test).await?;
    Ok(())
}
