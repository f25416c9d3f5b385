//! A loop that applies the target's manifest again and again, as a GitOps tool does, and says that it has
//! a replica.

use std::time::Duration;

use anyhow::Result;
use canary_tests::fixtures::load::Counts;
use canary_tests::node::Node;
use serde_json::{Value, json};

use super::acts::{analysis, success_rate};
use super::count::RATE;
use super::site::Site;

const EVERY: Duration = Duration::from_secs(5);
const TIMES: usize = 8;

/// What came of it.
#[derive(Debug)]
pub struct Looped {
    /// Weights of primary and canary in the generated route, one after the other.
    pub weights: Vec<(i64, i64)>,
    /// The Canary at the end.
    pub canary: Value,
    /// What a steady load met from before the loop began until after it ended.
    pub traffic: Counts,
    pub seconds: usize,
}

pub async fn looped(node: &Node) -> Result<Looped> {
    let site = Site::new(node, "drift", "podinfo").await?;
    site.deploy(|yaml| yaml).await?;
    site.adopt(|canary| analysis(canary, &json!({"metrics": [success_rate()]})))
        .await?;
    let route = site.record("apisixroutes", &site.route()).await?;
    let manifest = site
        .text("scenario/podinfo.yaml")?
        .replace("  minReadySeconds:", "  replicas: 1\n  minReadySeconds:");
    let load = site.load("/api/info", RATE);
    for _ in 0..TIMES {
        apply(&site, &manifest).await?;
        tokio::time::sleep(EVERY).await;
    }
    let report = load.stop().await;
    Ok(Looped {
        weights: route.weights(),
        canary: site.get("canaries", site.app).await?,
        traffic: report.total(),
        seconds: report.per_second.len(),
    })
}

async fn apply(site: &Site<'_>, manifest: &str) -> Result<()> {
    let apply = "apply --server-side --force-conflicts --field-manager=argocd -f -";
    let words: Vec<&str> = apply.split(' ').collect();
    let plane = site.node.plane();
    let applied = plane.kubectl_with(plane.admin_kubeconfig(), &words, manifest);
    applied.await?.ok()?;
    Ok(())
}
