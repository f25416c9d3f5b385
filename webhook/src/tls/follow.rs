//! What every replica does: it serves what the Secret holds, from the moment that it holds it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Client, ResourceExt};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::issue::Bundle;
use super::secret::{Place, bundle};
use super::serve::Served;
use crate::health::Health;

const PROBE_AGAIN: Duration = Duration::from_secs(1);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of the Secret.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Whether anything is known at all.
    pub synced: bool,
    /// What it holds; none if it is not there.
    pub bundle: Option<Bundle>,
    pub version: Option<String>,
    /// What replicas serve, whatever has become of the Secret.
    pub known: Option<Bundle>,
}

/// When the certificate ends.
#[derive(Clone, Debug)]
pub struct CertificateMetrics(Gauge);

/// Follows the Secret.
pub struct Follower {
    pub client: Client,
    pub place: Place,
    pub served: Arc<Served>,
    pub health: Arc<Health>,
    pub metrics: CertificateMetrics,
    pub kept: watch::Sender<Kept>,
    /// Where we listen, and one of the names by which the API server calls us.
    pub address: SocketAddr,
    pub name: String,
}

// === impl CertificateMetrics ===

impl CertificateMetrics {
    pub fn register(registry: &mut Registry) -> Self {
        let expiry = Gauge::default();
        registry.register(
            "canary_admission_certificate_expiration_timestamp_seconds",
            "When the certificate that is served ends, as Unix time",
            expiry.clone(),
        );
        Self(expiry)
    }
}

// === impl Follower ===

impl Follower {
    /// Serves whatever the Secret holds, for as long as it is polled.
    pub async fn follow(&self) {
        let secrets =
            watch_object(self.place.api(&self.client), &self.place.name).default_backoff();
        let mut secrets = std::pin::pin!(secrets);
        // Of one: that of the certificate loaded last.
        let mut probe = JoinSet::new();
        let mut failing = false;
        while let Some(event) = secrets.next().await {
            match event {
                Ok(secret) => {
                    failing = false;
                    if self.take(secret.as_ref()) {
                        probe.abort_all();
                        probe.spawn(self.probing());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        let place = &self.place;
                        error!(
                            "cannot watch {place}: {error}; the server needs the rights in manifests/base/rbac.yaml"
                        );
                    }
                }
            }
        }
    }

    /// True if there is another certificate to serve.
    fn take(&self, secret: Option<&Secret>) -> bool {
        let mut kept = self.kept.borrow().clone();
        kept.synced = true;
        kept.version = secret.and_then(ResourceExt::resource_version);
        kept.bundle = secret.map(bundle);
        let new = kept.bundle.clone().filter(|bundle| {
            let served = kept.known.as_ref().map(Bundle::certificate);
            served.is_none_or(|served| served != bundle.certificate())
        });
        let loaded = new.is_some_and(|bundle| {
            let loaded = self.load(&bundle);
            if loaded {
                kept.known = Some(bundle);
            }
            loaded
        });
        self.kept.send_replace(kept);
        loaded
    }

    fn load(&self, bundle: &Bundle) -> bool {
        if let Err(error) = self.served.load(&bundle.certificate()) {
            let place = &self.place;
            error!("{place}: {error}");
            return false;
        }
        self.health.certified();
        if let Some(until) = bundle.until() {
            self.metrics.0.set(until.as_second());
            info!(%until, "serving a certificate");
        }
        true
    }

    /// Reaches ourselves as the API server does, and says so to whoever asks whether we are ready.
    fn probing(&self) -> impl Future<Output = ()> + Send + use<> {
        let (health, name) = (self.health.clone(), self.name.clone());
        let ca = self.kept.borrow().known.clone().map(|known| known.ca);
        let address = own(self.address);
        async move {
            let mut said = false;
            loop {
                let (name, ca) = (name.clone(), ca.clone().unwrap_or_default());
                let reached = tokio::task::spawn_blocking(move || reach(address, &name, &ca)).await;
                match reached {
                    Ok(Ok(())) => return health.reached(),
                    Ok(Err(error)) if !std::mem::replace(&mut said, true) => {
                        warn!(%error, "the certificate does not let us reach ourselves");
                    }
                    _ => {}
                }
                tokio::time::sleep(PROBE_AGAIN).await;
            }
        }
    }
}

/// Where to find a server that listens everywhere.
fn own(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Without a CA (a public one has signed) there is nothing to be trusted that is known here.
fn reach(address: SocketAddr, name: &str, ca: &str) -> Result<(), String> {
    if ca.is_empty() {
        return Ok(());
    }
    let why = |error: &dyn std::fmt::Display| error.to_string();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| why(&error))?;
        roots.add(certificate).map_err(|error| why(&error))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| why(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = ServerName::try_from(name.to_owned()).map_err(|error| why(&error))?;
    let connection = ClientConnection::new(Arc::new(config), host).map_err(|error| why(&error))?;
    let answer = (|| {
        let stream = TcpStream::connect_timeout(&address, PROBE_TIMEOUT)?;
        stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
        stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
        let mut stream = StreamOwned::new(connection, stream);
        write!(
            stream,
            "GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    })();
    let answer = answer.map_err(|error| why(&error))?;
    if answer == *b"HTTP/1.1 200" {
        Ok(())
    } else {
        Err(format!("answered {}", String::from_utf8_lossy(&answer)))
    }
}
