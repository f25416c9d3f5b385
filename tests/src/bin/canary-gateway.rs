//! Stands in for Apache APISIX and its ingress controller: see `canary_tests::fixtures::gateway`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use canary_tests::fixtures::duration;
use canary_tests::fixtures::gateway::redirect::{AddressRedirect, Redirects, ServiceRedirect};
use canary_tests::fixtures::gateway::{Config, Gateway};
use clap::Parser;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// A gateway that obeys the APISIX routes of a cluster.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where clients connect.
    #[arg(long, default_value = "0.0.0.0:9080")]
    listen: SocketAddr,
    /// Where /apisix/prometheus/metrics and /healthz are served.
    #[arg(long, default_value = "0.0.0.0:9091")]
    metrics: SocketAddr,
    /// How old the gateway's view of the cluster is.
    #[arg(long, default_value = "0s", value_parser = duration)]
    lag: Duration,
    /// Which cluster to obey; in a pod, the pod's own.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Connect to HOST:PORT for a pod's IP:PORT.
    #[arg(long, value_name = "IP:PORT=HOST:PORT")]
    map: Vec<AddressRedirect>,
    /// Connect to HOST:PORT for every pod of a Service.
    #[arg(long, value_name = "NAMESPACE/SERVICE=HOST:PORT")]
    backend_override: Vec<ServiceRedirect>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).init();
    let args = Args::parse();
    let client = client(args.kubeconfig.as_deref()).await?;
    let mut redirects = Redirects::default();
    args.map
        .into_iter()
        .for_each(|redirect| redirects.address(redirect));
    args.backend_override
        .into_iter()
        .for_each(|redirect| redirects.service(redirect));
    let config = Config {
        listen: args.listen,
        metrics: args.metrics,
        lag: args.lag,
        redirects,
    };
    let mut gateway = Gateway::start(config).await?;
    gateway.follow(client);
    tracing::info!(data = %gateway.address(), metrics = %gateway.metrics_address(), "listening");
    canary_tests::fixtures::until_stopped(gateway.run()).await;
    Ok(())
}

async fn client(kubeconfig: Option<&std::path::Path>) -> anyhow::Result<kube::Client> {
    let config = match kubeconfig {
        None => kube::Config::infer()
            .await
            .context("no cluster to obey; give --kubeconfig")?,
        Some(path) => {
            let file = Kubeconfig::read_from(path)
                .with_context(|| format!("reading {}", path.display()))?;
            kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?
        }
    };
    Ok(kube::Client::try_from(config)?)
}
