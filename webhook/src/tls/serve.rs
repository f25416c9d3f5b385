//! TLS for the admission router.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::guest::Guest;
use super::{Certificate, TlsError};

/// For reviews that are being answered when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// What a peer may take of us before it has said anything sensible.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections; one more is closed at once.
    pub connections: usize,
    pub handshake: Duration,
    /// How long a connection may stay without a complete request head. An API server keeps connections,
    /// also some that it has not used yet, for 90 seconds: one closed by us at the moment it is picked
    /// would be a failed call, so that the client has to be the one who closes.
    pub silence: Duration,
}

/// The certificate that new connections are shown; the open ones keep theirs.
#[derive(Debug, Default)]
pub struct Served(RwLock<Option<Arc<CertifiedKey>>>);

/// Takes connections as long as there is room.
#[derive(Clone)]
struct Doorman(Arc<Semaphore>);

/// Takes the address before anything else starts, so that a second server fails early.
pub fn listen(address: SocketAddr) -> Result<TcpListener, TlsError> {
    TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|source| TlsError::Listen {
            address: address.to_string(),
            source,
        })
}

/// Serves until `shutdown`, then finishes what it has begun.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    certificate: Arc<Served>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TlsError> {
    let config = RustlsConfig::from_config(Arc::new(config(certificate)?));
    let acceptor = RustlsAcceptor::new(config)
        .handshake_timeout(limits.handshake)
        .acceptor(Doorman(Arc::new(Semaphore::new(limits.connections))));
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener)
        .map_err(TlsError::Serve)?
        .acceptor(acceptor)
        .handle(handle.clone())
        .first_request_timeout(limits.silence)
        .http1_only();
    server
        .http_builder()
        .http1()
        .header_read_timeout(limits.silence);
    let server = server.serve(router.into_make_service());
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(TlsError::Serve),
        () = shutdown => handle.graceful_shutdown(Some(GRACE)),
    }
    server.await.map_err(TlsError::Serve)
}

fn config(certificate: Arc<Served>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Unusable {
            reason: error.to_string(),
        })?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    // The API server wants nothing else of a webhook.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(5),
            silence: Duration::from_secs(100),
        }
    }
}

// === impl Served ===

impl Served {
    /// From now on new connections are shown `certificate`.
    pub fn load(&self, certificate: &Certificate) -> Result<(), TlsError> {
        let unusable = |reason: String| TlsError::Unusable { reason };
        let chain = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        // Refuses a key that is not the certificate's.
        let key = CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| unusable(error.to_string()))?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(key));
        Ok(())
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

// === impl Doorman ===

impl<S> Accept<TcpStream, S> for Doorman {
    type Stream = Guest;
    type Service = S;
    type Future = std::future::Ready<io::Result<(Guest, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let room = self.0.clone().try_acquire_owned();
        let guest = room.map_err(io::Error::other).and_then(|room| {
            stream.set_nodelay(true)?;
            Ok((Guest::new(stream, room), service))
        });
        std::future::ready(guest)
    }
}
