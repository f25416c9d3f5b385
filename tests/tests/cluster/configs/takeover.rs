//! What a live Flagger left behind (`tests/flagger-state`) is taken over as it is.

use anyhow::{Context, Result};
use canary_tests::cluster::{LIMIT, Namespace, QUICK, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use super::{assert_dropped, drop_from};
use crate::setup::image;

/// The objects of a dump, without what the API server makes up.
fn dump(state: &str) -> Result<Vec<Value>> {
    let path = folder("tests/flagger-state").join(format!("{state}.yaml"));
    let list: Value = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
    let mut items = list["items"].as_array().context("items")?.clone();
    for item in &mut items {
        let metadata = item["metadata"].as_object_mut().context("metadata")?;
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "namespace",
        ] {
            metadata.remove(field);
        }
        if item["kind"] == "Service" {
            for field in ["clusterIP", "clusterIPs"] {
                item["spec"].as_object_mut().context("spec")?.remove(field);
            }
        }
        // So that there is a container for a later version to drop.
        if item["kind"] == "Deployment" {
            let containers = &mut item["spec"]["template"]["spec"]["containers"];
            let all = containers.as_array_mut().context("containers")?;
            all.push(json!({"name": "sidecar", "image": "sidecar:1"}));
        }
    }
    Ok(items)
}

/// Puts them where they were: the user's, the Canary with its status, and what it owns.
async fn restore(test: &Namespace<'_>, state: &str) -> Result<()> {
    let (mut uid, items) = (Value::Null, dump(state)?);
    let is_canary = |item: &&Value| item["kind"] == "Canary";
    let is_owned = |item: &&Value| item["metadata"]["ownerReferences"].is_array();
    for item in items
        .iter()
        .filter(|item| !is_canary(item) && !is_owned(item))
    {
        // The tokens and CAs that each namespace has are not the user's.
        if item["metadata"]["name"] != "kube-root-ca.crt" {
            test.create(item).await?;
        }
    }
    for canary in items.iter().filter(is_canary) {
        let mut canary = canary.clone();
        canary["spec"]["metricsServer"] = json!(test.prometheus.url());
        canary["spec"]["analysis"]["interval"] = json!("1s");
        canary["spec"]["analysis"]["stepWeight"] = json!(25);
        uid = test.create(&canary).await?["metadata"]["uid"].clone();
        let status = json!({"status": canary["status"]});
        test.patch_as_admin("canaries/podinfo/status", &status)
            .await?;
    }
    for owned in items.iter().filter(is_owned) {
        let mut owned = owned.clone();
        owned["metadata"]["ownerReferences"][0]["uid"] = uid.clone();
        test.create(&owned).await?;
    }
    Ok(())
}

async fn templates(test: &Namespace<'_>) -> Result<[Value; 2]> {
    let target = test.get("deployments/podinfo").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    Ok([target, primary].map(|workload| workload["spec"]["template"].clone()))
}

#[tokio::test]
async fn what_flagger_left_is_taken_over_without_a_rollout() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let mut states = Vec::new();
    for state in ["initialized", "succeeded", "failed"] {
        let namespace = Namespace::new(&plane, state).await?;
        restore(&namespace, state).await?;
        let before = templates(&namespace).await?;
        states.push((state, namespace, before));
    }
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;

    for (state, test, before) in &states {
        let canary = test
            .until("canaries/podinfo", |canary| {
                canary["status"]["target"]["revision"].is_string()
            })
            .await?;
        assert_eq!(
            canary["status"]["phase"]
                .as_str()
                .map(str::to_lowercase)
                .as_deref(),
            Some(*state)
        );
        test.until("deployments/podinfo", |target| {
            target["metadata"]["labels"]["kubectl-canary.dev/managed"] == "true"
        })
        .await?;
        assert_eq!(templates(test).await?, *before, "{state}");
        assert_eq!(test.weights().await?, (100, 0), "{state}");
    }
    for (state, test, before) in &states {
        drop_from(test).await.context(*state)?;
        test.phase("Progressing").await.context(*state)?;
        assert_eq!(
            templates(test).await?[1],
            before[1],
            "{state}: not before its promotion"
        );
        test.phase("Succeeded").await.context(*state)?;
        assert_dropped(&test.get("deployments/podinfo-primary").await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_release_that_flagger_began_is_brought_to_its_end() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let test = Namespace::new(&plane, "progressing").await?;
    restore(&test, "progressing").await?;
    let [target, primary] = templates(&test).await?;
    let target_image = target["spec"]["containers"][0]["image"].clone();
    assert_ne!(target_image, primary["spec"]["containers"][0]["image"]);
    let _server = Server::beside(&plane, &QUICK)?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), target_image);
    Ok(())
}
