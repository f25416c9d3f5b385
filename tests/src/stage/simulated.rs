//! The scenario with simulated pods: what they would answer, two applications of ours answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use tokio::task::JoinHandle;

use crate::control_plane::ControlPlane;
use crate::fixtures::app::App;
use crate::fixtures::gateway::redirect::Redirects;
use crate::fixtures::gateway::{Config, Gateway};
use crate::fixtures::loadtester::LoadTester;
use crate::fixtures::prometheus::{Answer, Prometheus};
use crate::scenario;
use crate::server::{Server, register};

const SERVER_LIMIT: Duration = Duration::from_secs(20);
/// The share of its requests that a faulty version answers with an error.
const FAULTY_PERCENT: u32 = 33;

/// A control plane, our server, and the parts of the scenario with real sockets.
pub struct Simulated {
    // Dropped first: it uses what follows.
    follower: JoinHandle<()>,
    server: Server,
    gateway: Gateway,
    canary: App,
    prometheus: Prometheus,
    _primary: Arc<App>,
    _tester: LoadTester,
    plane: ControlPlane,
}

impl Simulated {
    pub(super) async fn start() -> Result<Self> {
        let plane = ControlPlane::start().await?;
        register(&plane).await?;
        scenario::apply(&plane).await?;
        let (primary, canary) = (Arc::new(App::start("6.0.0").await?), App::start("").await?);
        let mut gateway = Gateway::start(gateway_config(&primary, &canary)).await?;
        gateway.follow(plane.client().await?);
        let prometheus = Prometheus::start().await?;
        prometheus.answer("", Answer::value(100.0));
        prometheus.answer("latency", Answer::value(5.0));
        let tester = LoadTester::start(loopback(), Duration::from_secs(60)).await?;
        let metrics = format!("--metrics-server={}", prometheus.url());
        let hooks = format!("--resolve=flagger-loadtester.test:80:{}", tester.address());
        let mut server = Server::beside(&plane, &[&metrics, &hooks])?;
        server.logged("caches are synced", SERVER_LIMIT).await?;
        let deployments: Api<Deployment> = Api::namespaced(plane.client().await?, "test");
        Ok(Self {
            follower: tokio::spawn(follow(deployments, Arc::clone(&primary))),
            server,
            gateway,
            canary,
            prometheus,
            _primary: primary,
            _tester: tester,
            plane,
        })
    }

    pub(super) fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    pub(super) fn gateway(&self) -> String {
        self.gateway.address().to_string()
    }

    pub(super) fn publish(&self, version: &str, faulty: bool) {
        let errors = if faulty { FAULTY_PERCENT } else { 0 };
        self.canary.set_version(version);
        self.canary.set_errors(errors);
        let success = Answer::value(f64::from(100 - errors));
        self.prometheus.answer("apisix_http_status", success);
    }

    /// Our server.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

fn gateway_config(primary: &App, canary: &App) -> Config {
    Config {
        listen: loopback(),
        metrics: loopback(),
        lag: Duration::from_secs(1),
        redirects: Redirects::of_release("test", primary, canary),
    }
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// Lets the primary's application answer with the version that the primary's pods would run.
async fn follow(deployments: Api<Deployment>, primary: Arc<App>) {
    loop {
        // Not there before the Canary is, and out of reach when the cluster goes.
        if let Ok(Some(deployment)) = deployments.get_opt("podinfo-primary").await
            && let Some(version) = version(&deployment)
        {
            primary.set_version(version);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn version(deployment: &Deployment) -> Option<&str> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let image = pod.containers.first()?.image.as_ref()?;
    image.rsplit_once(':').map(|(_, tag)| tag)
}
