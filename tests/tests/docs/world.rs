//! Where releases are played: a control plane with our server, a metric server and a load tester.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::Cluster;
use canary_tests::fixtures::loadtester::LoadTester;
use canary_tests::fixtures::prometheus::{Answer, Prometheus};
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::Page;
use crate::shell::Shell;

/// What a check's interval becomes, whatever a page says.
const INTERVAL: &str = "2s";
const LOOK: Duration = Duration::from_millis(100);
/// The version whose requests fail, as in the user's scenario.
const FAULTY: &str = "6.0.2";

/// Pages that begin where `docs/first-canary.md` has brought its reader.
const WITH_CANARY: [&str; 5] = [
    "README.md",
    "docs/dashboard.md",
    "docs/operations.md",
    "docs/policy.md",
    "docs/troubleshoot.md",
];

pub struct World {
    // Dropped first: it uses what follows.
    follower: JoinHandle<()>,
    cluster: Cluster,
    _prometheus: Arc<Prometheus>,
    _tester: LoadTester,
}

// === impl World ===

impl World {
    pub async fn start() -> Result<Self> {
        let prometheus = Arc::new(Prometheus::start().await?);
        let tester = LoadTester::start((Ipv4Addr::LOCALHOST, 0).into(), LOOK).await?;
        let metrics = prometheus.address();
        let cluster = Cluster::start(&[
            &format!("--metrics-server={}", prometheus.url()),
            &format!("--resolve=prometheus.monitoring:9090:{metrics}"),
            &format!("--resolve=flagger-loadtester.test:80:{}", tester.address()),
        ])
        .await?;
        let client = cluster.plane.client().await?;
        Ok(Self {
            follower: tokio::spawn(follow(client, Arc::clone(&prometheus))),
            cluster,
            _prometheus: prometheus,
            _tester: tester,
        })
    }

    /// In a namespace of its own.
    pub async fn play(&self, page: Page) -> Result<(), String> {
        let shell = self
            .shell(&page)
            .await
            .map_err(|error| format!("{}: {error:#}", page.file))?;
        shell.play(&page.file, &page.commands).await
    }

    async fn shell(&self, page: &Page) -> Result<Shell> {
        let stem = page
            .file
            .trim_start_matches("docs/")
            .trim_end_matches(".md");
        let name = format!("page-{}", stem.to_lowercase());
        let namespace = self.cluster.plane.namespace(&name).await?;
        let shell = Shell::new(&self.cluster.plane, &namespace)?;
        if WITH_CANARY.contains(&page.file.as_str()) {
            let made = "kubectl apply -f docs/examples/podinfo.yaml -f docs/examples/canary.yaml && \
                        kubectl wait canary/podinfo --for=condition=Promoted --timeout=1m";
            shell.run(made).await?.ok()?;
        }
        Ok(shell)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

/// Time passes faster than the pages say, and requests of [`FAULTY`] fail.
async fn follow(client: Client, prometheus: Arc<Prometheus>) {
    let mut versions = HashMap::new();
    loop {
        // Either is tried again in a moment.
        let _ = hasten(&client).await;
        let _ = measure(&client, &prometheus, &mut versions).await;
        tokio::time::sleep(LOOK).await;
    }
}

async fn list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let request = http::Request::get(path).body(Vec::new())?;
    let mut list: Value = client.request(request).await?;
    Ok(serde_json::from_value(list["items"].take())?)
}

async fn hasten(client: &Client) -> Result<()> {
    let patch = serde_json::to_vec(&json!({"spec": {"analysis": {"interval": INTERVAL}}}))?;
    for canary in list(client, "/apis/flagger.app/v1beta1/canaries").await? {
        if canary["spec"]["analysis"]["interval"] != INTERVAL {
            let (namespace, name) = names(&canary);
            let url = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/canaries/{name}");
            let request = http::Request::patch(url)
                .header("content-type", "application/merge-patch+json")
                .body(patch.clone())?;
            let _: Value = client.request(request).await?;
        }
    }
    Ok(())
}

async fn measure(
    client: &Client,
    prometheus: &Prometheus,
    versions: &mut HashMap<String, String>,
) -> Result<()> {
    for deployment in list(client, "/apis/apps/v1/deployments").await? {
        let (namespace, name) = names(&deployment);
        let containers = &deployment["spec"]["template"]["spec"]["containers"];
        let image = containers[0]["image"].as_str().unwrap_or_default();
        if name == "podinfo" && versions.get(namespace).is_none_or(|known| known != image) {
            versions.insert(namespace.to_owned(), image.to_owned());
            let success = if image.ends_with(FAULTY) { 60.0 } else { 100.0 };
            let of = |metric: &str| format!("{metric}{{route=~\"{namespace}_");
            prometheus.answer(&of("apisix_http_status"), Answer::value(success));
            prometheus.answer(&of("apisix_http_latency_bucket"), Answer::value(42.0));
            let latency = format!("type=~\"request\",route=~\"{namespace}_");
            prometheus.answer(&latency, Answer::value(42.0));
            prometheus.answer("code=~\"4..\"", Answer::value(0.4));
        }
    }
    Ok(())
}

fn names(object: &Value) -> (&str, &str) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    (text("namespace"), text("name"))
}
