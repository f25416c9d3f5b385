//! Puts the parts together and runs them until one ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use canary_core::canary::Canary;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tracing::info;

use crate::admission::{self, AdmissionMetrics};
use crate::api::Cluster;
use crate::args::Args;
use crate::caches::{self, Caches};
use crate::clock::Clock;
use crate::controller::Controller;
use crate::hook::{Background, Backoff};
use crate::lease::{Election, Fence};
use crate::notify::{EventWriter, Reporter};
use crate::telemetry::{self, CountRequests, Metrics};
use crate::tick::{Checksums, Contest, Context, Repairs};
use crate::tls::{self, WebhookTarget};
use crate::transport::{Settings, Transport};
use crate::world::Options;

const LEASE: &str = "canary-webhook";
const PUBLISH_AGAIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Caches as admission sees them.
struct CacheView(Arc<Caches>);

pub async fn run(args: Args) -> Result<()> {
    let clock = Clock::start();
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::register(&mut registry));
    metrics.info(env!("CARGO_PKG_VERSION"), &args.mesh_provider);
    let admission_metrics = AdmissionMetrics::register(&mut registry);
    let client = client(&args, &metrics).await?;
    let fence = Arc::new(Fence::new(clock));
    let cluster = Cluster::new(client.clone(), fence.clone());
    let caches = Arc::new(Caches::default());
    let (stop, stopped) = watch::channel(false);

    let admission = serve_admission(
        &args,
        &client,
        &caches,
        clock,
        admission_metrics,
        stopped.clone(),
    );
    let telemetry = serve_telemetry(args.port, registry);
    let namespace = Some(args.namespace.clone()).filter(|namespace| !namespace.is_empty());
    let watches = caches::watch(caches.clone(), cluster.clone(), namespace);
    let election = Election {
        api: Api::namespaced(client.clone(), &args.own_namespace),
        name: LEASE.to_owned(),
        identity: args.identity.clone(),
    };
    let context = context(&args, clock, caches.clone(), cluster, metrics)?;
    let lead = async {
        wait_for(&caches).await;
        info!("caches are synced");
        election.acquire(&fence).await;
        let controller = Controller::new(Arc::new(context));
        tokio::select! {
            lost = election.keep(&fence) => Err::<(), _>(anyhow::Error::new(lost)),
            () = controller.run() => Ok(()),
        }
    };
    let result = tokio::select! {
        ended = admission => ended.context("admission"),
        ended = telemetry => ended.context("metrics"),
        ended = lead => ended,
        () = watches => bail!("the watches ended"),
        () = shutdown() => Ok(()),
    };
    let _ = stop.send(true);
    election.release(&fence).await;
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
    };
    let transport = Transport::new(&settings)?;
    Ok(Context {
        options: Options {
            provider: args.mesh_provider.clone(),
            selector_labels: args.selector_labels.clone(),
            label_prefixes: args.include_label_prefix.clone(),
            config_tracking: args.enable_config_tracking,
            min_interval: args.min_interval,
            drain: args.drain,
        },
        metrics_server: args.metrics_server.clone(),
        mixed_metrics: args.mixed_metrics,
        event_webhook: Some(args.event_webhook.clone()).filter(|url| !url.is_empty()),
        clock,
        caches,
        events: EventWriter::new(cluster.client().clone()),
        cluster,
        background: Background::start(&transport, Backoff::default()),
        transport,
        reporter: Reporter {
            component: args.event_component.clone(),
            instance: args.identity.clone(),
        },
        metrics,
        checksums: Checksums::default(),
        contest: Contest::default(),
        repairs: Repairs::default(),
    })
}

async fn serve_admission(
    args: &Args,
    client: &Client,
    caches: &Arc<Caches>,
    clock: Clock,
    metrics: AdmissionMetrics,
    mut stopped: watch::Receiver<bool>,
) -> Result<()> {
    let own_user = if args.own_user.is_empty() {
        format!(
            "system:serviceaccount:{}:canary-webhook",
            args.own_namespace
        )
    } else {
        args.own_user.clone()
    };
    let state = admission::State {
        view: Arc::new(CacheView(caches.clone())),
        config: Arc::new(admission::Config {
            own_user,
            own_namespace: args.own_namespace.clone(),
            default_provider: args.mesh_provider.clone(),
        }),
        metrics,
        elapsed: Arc::new(move || clock.elapsed()),
    };
    let listener = tls::listen(args.admission_address)?;
    let (names, target) = reachable_as(args);
    let certificate = tls::certificate(client, &args.own_namespace, &names, clock.now()).await?;
    let serve = tls::serve(
        listener,
        admission::router(state),
        &certificate,
        async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        },
    );
    let publish = async {
        // Admission helps, and is never waited for: the controller works without it. The
        // configurations may be applied after us.
        let mut said = false;
        while let Err(error) = tls::publish_ca(client, &certificate.ca_pem, &target).await {
            if !std::mem::replace(&mut said, true) {
                tracing::error!("{error}");
            }
            tokio::time::sleep(PUBLISH_AGAIN).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = serve => Ok(ended?),
        () = publish => Ok(()),
    }
}

/// Names that the certificate must have, and how the API server reaches us.
fn reachable_as(args: &Args) -> (Vec<String>, WebhookTarget) {
    if !args.admission_url.is_empty() {
        let url = args.admission_url.parse::<http::Uri>().ok();
        let host = url.as_ref().and_then(http::Uri::host).unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        return (
            vec![host.to_owned()],
            WebhookTarget::Url(args.admission_url.clone()),
        );
    }
    let service = format!("{}.{}", args.service_name, args.own_namespace);
    (
        vec![
            format!("{service}.svc"),
            service.clone(),
            format!("{service}.svc.cluster.local"),
        ],
        WebhookTarget::Service,
    )
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

async fn shutdown() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    info!("shutting down");
}

// === impl CacheView ===

impl admission::View for CacheView {
    fn canaries(&self, namespace: &str) -> Vec<Arc<Canary>> {
        self.0.canaries.in_namespace(namespace)
    }

    fn target_strategy(&self, namespace: &str, name: &str) -> Option<String> {
        self.0
            .deployments
            .get(namespace, name)
            .map(|deployment| deployment.strategy.clone())
    }

    fn synced(&self) -> bool {
        self.0.synced()
    }
}
