//! Simulated nodes: kwok plays the kubelet, pods become Ready at once, and no container runs.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::tools::folder;

pub(crate) fn command(mut kwok: Command, kubeconfig: &Path) -> Command {
    kwok.arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--config")
        .arg(folder("tests/kwok/stages.yaml"))
        .args(["--manage-all-nodes", "--cidr", "10.64.0.0/12"])
        .args(["--node-ip", "10.63.0.1"]);
    kwok
}

pub(crate) async fn create_nodes(client: &kube::Client, count: usize) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let creations = (0..count).map(|number| {
        let nodes = nodes.clone();
        async move {
            let node = serde_json::from_value(json!({
                "metadata": {"name": format!("node-{number}"), "labels": {"type": "simulated"}},
            }))?;
            anyhow::Ok(nodes.create(&PostParams::default(), &node).await?)
        }
    });
    try_join_all(creations).await?;
    Ok(())
}
