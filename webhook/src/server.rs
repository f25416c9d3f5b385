//! Puts the parts together and runs them until one ends.

mod admission;
mod shutdown;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use prometheus_client::registry::Registry;
use tracing::info;

use crate::admission::Flood;
use crate::alerts::{self, Alerts, Providers};
use crate::api::Cluster;
use crate::args::{Args, Policies};
use crate::caches::{self, Caches};
use crate::clock::Clock;
use crate::controller::Controller;
use crate::health::Health;
use crate::hook::{Background, Backoff};
use crate::lease::{Election, Fence};
use crate::notify::{EventWriter, Reporter};
use crate::policies;
use crate::questions::Questions;
use crate::telemetry::{self, CountRequests, Metrics};
use crate::tick::{
    Answered, Checksums, Contest, Context, Farewells, OwnApexes, Places, Refused, Repairs, Rounds,
    Sweeps, Troubles, Unsaved, Waits,
};
use crate::transport::{Settings, Transport};
use crate::world::Options;

const LEASE: &str = "canary-webhook";
/// For giving the Lease away.
const RELEASE: std::time::Duration = std::time::Duration::from_secs(3);

/// `flood` is told by who runs this whenever there is nothing to do.
pub async fn run(args: Args, flood: Arc<Flood>) -> Result<()> {
    let clock = Clock::start();
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    metrics.info(env!("CARGO_PKG_VERSION"), &args.mesh_provider);
    let client = client(&args, &metrics).await?;
    let fence = Arc::new(Fence::new(clock));
    let cluster = Cluster::new(client.clone(), fence.clone());
    let caches = Arc::new(Caches::default());
    let health = Arc::new(Health::default());
    let parts = admission::Parts {
        client: client.clone(),
        caches: caches.clone(),
        health: health.clone(),
        clock,
        flood,
    };
    let (admission, keeper) = admission::prepare(&args, parts, &mut registry)?;

    let telemetry = serve_telemetry(args.port, registry);
    let namespace = Some(args.namespace.clone()).filter(|namespace| !namespace.is_empty());
    let with_policies = args.policies == Policies::On;
    if !with_policies {
        info!("--policies=off: CanaryPolicies are not read, and apply to nothing");
        caches.go_without_policies();
    }
    let watches = caches::watch(caches.clone(), cluster.clone(), clock, namespace);
    let leases = Api::namespaced(client.clone(), &args.own_namespace);
    let election = Election::new(leases, LEASE, args.identity.as_deref())?;
    let context = context(&args, clock, caches.clone(), cluster.clone(), metrics)?;
    let lead = async {
        wait_for(&caches).await;
        info!("caches are synced");
        election.acquire(&fence).await;
        let controller = Controller::new(Arc::new(context));
        tokio::select! {
            lost = election.keep(&fence) => Err::<(), _>(anyhow::Error::new(lost)),
            () = keeper.keep(&fence) => bail!("the certificates are not kept any more"),
            () = policies::keep(caches.clone(), cluster, clock), if with_policies => Ok(()),
            () = controller.run() => Ok(()),
        }
    };
    let work = async {
        tokio::select! {
            ended = telemetry => ended.context("metrics"),
            ended = lead => ended,
            () = watches => bail!("the watches ended"),
        }
    };
    let ended = shutdown::until_told(Box::pin(work), admission, &health, args.shutdown_delay);
    let Ok(result) = ended.await else {
        bail!("told twice to end: not waiting for anybody");
    };
    // An API server that is away must not keep us here.
    let _ = tokio::time::timeout(RELEASE, election.release(&fence)).await;
    result
}

async fn client(args: &Args, metrics: &Arc<Metrics>) -> Result<Client> {
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("--kubeconfig {}", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?
        }
        None => Config::infer()
            .await
            .context("no kubeconfig is given, and this is not a pod")?,
    };
    config.default_namespace.clone_from(&args.own_namespace);
    // A refusal is known at once, told and tried again with pauses of our own: within the client it would be kept
    // for minutes, and a look with it.
    config.default_retry = false;
    let builder = kube::client::ClientBuilder::try_from(config)?;
    Ok(builder
        .with_layer(&CountRequests::new(metrics.clone()))
        .build())
}

fn context(
    args: &Args,
    clock: Clock,
    caches: Arc<Caches>,
    cluster: Cluster,
    metrics: Arc<Metrics>,
) -> Result<Context> {
    let settings = Settings {
        resolve: args.resolve.clone(),
        proxy_from_environment: true,
        proxy: None,
    };
    let transport = Transport::new(&settings)?;
    Ok(Context {
        options: Options {
            provider: args.mesh_provider.clone(),
            selector_labels: args.selector_labels.clone(),
            label_prefixes: args.include_label_prefix.clone(),
            config_tracking: args.enable_config_tracking,
            other_services: args.other_services,
            min_interval: args.min_interval,
            drain: args.drain,
        },
        metrics_server: args.metrics_server.clone(),
        mixed_metrics: args.mixed_metrics,
        event_webhook: Some(args.event_webhook.clone()).filter(|url| !url.is_empty()),
        clock,
        caches,
        events: EventWriter::new(cluster.client().clone()),
        alerts: Alerts::new(
            Box::new(Providers {
                cluster: cluster.clone(),
                default: alerts::default_receiver(&args.alerts),
            }),
            transport.clone(),
            Backoff::default(),
            metrics.clone(),
            &args.alerts,
        ),
        cluster,
        background: Background::start(&transport, Backoff::default()),
        transport,
        reporter: Reporter {
            component: args.event_component.clone(),
            instance: args.identity.clone().unwrap_or_else(|| LEASE.to_owned()),
        },
        metrics,
        checksums: Checksums::default(),
        contest: Contest::default(),
        repairs: Repairs::default(),
        own_apexes: OwnApexes::default(),
        rounds: Rounds::default(),
        reroutes: Repairs::default(),
        unsaved: Unsaved::default(),
        questions: Questions::new(args.calls_per_namespace, clock),
        farewells: Farewells::default(),
        longest_hook: args.max_webhook_timeout,
        answered: Answered::default(),
        waits: Waits::default(),
        refused: Refused::default(),
        lost: Refused::default(),
        places: Places::default(),
        sweeps: Sweeps::default(),
        generating: Troubles::default(),
        deciding: Troubles::default(),
        saving: Troubles::default(),
    })
}

async fn serve_telemetry(port: u16, registry: Registry) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("--port {port}"))?;
    axum::serve(listener, telemetry::router(Arc::new(registry))).await?;
    Ok(())
}

async fn wait_for(caches: &Caches) {
    const LOOK: std::time::Duration = std::time::Duration::from_millis(20);
    while !caches.synced() {
        tokio::time::sleep(LOOK).await;
    }
}
