//! Admission on its listener, with certificate and rights.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use canary_core::canary::Canary;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::admission::{AdmissionMetrics, Config, Flood, State, View, router};
use crate::args::Args;
use crate::caches::{Caches, Labels, Stated};
use crate::clock::{Clock, Cpu};
use crate::foreign;
use crate::health::Health;
use crate::lease::Fence;
use crate::others;
use crate::rights::ApiRights;
use crate::tls::{
    CertificateMetrics, Follower, Keeper, Kept, Limits, Lives, Place, SECRET, Served,
    WebhookTarget, listen, serve,
};

/// What admission shares with the rest of the server.
pub struct Parts {
    pub client: Client,
    pub caches: Arc<Caches>,
    pub health: Arc<Health>,
    pub clock: Clock,
    pub flood: Arc<Flood>,
}

/// Answers reviews until it is told to stop.
pub struct Admission {
    stop: watch::Sender<bool>,
    /// Ends when every review that was begun is answered.
    served: BoxFuture<'static, Result<()>>,
}

/// What the leader does about certificates; nothing where they are somebody else's.
pub struct MaybeKeeper(Option<Keeper>);

/// Caches as admission sees them.
struct CacheView {
    caches: Arc<Caches>,
    clock: Clock,
    selector_labels: Vec<String>,
}

/// Takes the address, so that a second server fails early; serves once it is polled.
pub fn prepare(
    args: &Args,
    parts: Parts,
    registry: &mut Registry,
) -> Result<(Admission, MaybeKeeper)> {
    let clock = parts.clock;
    let rights = Arc::new(ApiRights::new(parts.client.clone()));
    let router = router(State {
        view: Arc::new(CacheView {
            caches: parts.caches,
            clock,
            selector_labels: args.selector_labels.clone(),
        }),
        config: Arc::new(config(args)),
        rights: rights.clone(),
        health: parts.health.clone(),
        metrics: AdmissionMetrics::register(registry),
        flood: parts.flood,
        elapsed: Arc::new(move || clock.elapsed()),
        cpu: Cpu::of_this_process(),
    });
    let listener = listen(args.admission_address)?;
    let (names, target) = reachable_as(args);
    let (kept, seen) = watch::channel(Kept::default());
    let served = Arc::new(Served::default());
    let follower = Follower {
        client: parts.client.clone(),
        place: place(args),
        served: served.clone(),
        health: parts.health,
        metrics: CertificateMetrics::register(registry),
        kept,
        address: own_address(args, &listener),
        name: names.first().cloned().unwrap_or_default(),
    };
    let keeper = args.tls_secret.is_empty().then(|| Keeper {
        client: parts.client,
        place: place(args),
        names,
        lives: Lives {
            authority: args.ca_duration,
            leaf: args.certificate_duration,
        },
        target,
        trust_after: args.ca_trusted_after,
        clock,
        kept: seen,
    });
    let (stop, mut stopped) = watch::channel(false);
    let served = async move {
        let told = async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let aside = async {
            tokio::join!(follower.follow(), rights.discover());
        };
        let serve = serve(listener, router, served, Limits::default(), told);
        tokio::select! {
            ended = serve => Ok(ended?),
            () = aside => Err(anyhow::anyhow!("the certificate is not followed any more")),
        }
    };
    let served = Box::pin(served);
    Ok((Admission { stop, served }, MaybeKeeper(keeper)))
}

fn config(args: &Args) -> Config {
    let own_user = if args.own_user.is_empty() {
        format!(
            "system:serviceaccount:{}:canary-webhook",
            args.own_namespace
        )
    } else {
        args.own_user.clone()
    };
    Config {
        own_user,
        own_namespace: args.own_namespace.clone(),
        default_provider: args.mesh_provider.clone(),
    }
}

fn place(args: &Args) -> Place {
    let name = if args.tls_secret.is_empty() {
        SECRET
    } else {
        &args.tls_secret
    };
    Place {
        namespace: args.own_namespace.clone(),
        name: name.to_owned(),
    }
}

/// With the port that was free, if it was left to chance.
fn own_address(args: &Args, listener: &std::net::TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or(args.admission_address)
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

// === impl Admission ===

impl Admission {
    /// Serves; an end before [`Self::stop`] is an error.
    pub async fn serve(&mut self) -> Result<()> {
        (&mut self.served).await
    }

    /// Takes no new connections, and ends once the reviews that were begun are answered.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

// === impl MaybeKeeper ===

impl MaybeKeeper {
    /// Keeps certificates for as long as the process leads.
    pub async fn keep(self, fence: &Fence) {
        match self.0 {
            Some(keeper) => keeper.keep(fence).await,
            None => std::future::pending().await,
        }
    }
}

// === impl CacheView ===

impl View for CacheView {
    fn canaries_for(&self, namespace: &str, target: &str) -> Vec<Arc<Canary>> {
        self.caches.canaries_for(namespace, target)
    }

    fn others_releasing(&self, namespace: &str, canary: Option<&str>) -> usize {
        self.caches.others_releasing(namespace, canary)
    }

    fn target_strategy(&self, namespace: &str, name: &str) -> Option<String> {
        self.caches
            .deployments
            .get(namespace, name)
            .map(|deployment| deployment.strategy.clone())
    }

    fn policies(&self, namespace: &str) -> Vec<Arc<Stated>> {
        self.caches.policies_of(namespace)
    }

    fn is_served(&self, namespace: &str, labels: &Labels) -> bool {
        self.caches.is_served(namespace, labels)
    }

    fn shared_selector(&self, namespace: &str, canary: &Canary) -> Option<String> {
        let mut canary = canary.clone();
        canary.metadata.namespace = Some(namespace.to_owned());
        foreign::refusal(&canary, &self.selector_labels, &self.caches)
    }

    fn other_services(&self, namespace: &str, canary: &Canary) -> Option<String> {
        let mut canary = canary.clone();
        canary.metadata.namespace = Some(namespace.to_owned());
        others::warning(&canary, &self.selector_labels, &self.caches)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn synced(&self) -> bool {
        self.caches.synced()
    }
}
