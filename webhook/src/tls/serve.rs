//! TLS for the admission router.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsConfig, from_tcp_rustls};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Certificate, TlsError};

/// For reviews that are being answered when the server stops.
const GRACE: Duration = Duration::from_secs(10);
/// For the first request of a connection: the API server sends it at once.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

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
    certificate: &Certificate,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TlsError> {
    let config = RustlsConfig::from_config(Arc::new(config(certificate)?));
    let handle = Handle::new();
    let server = from_tcp_rustls(listener, config)
        .map_err(TlsError::Serve)?
        .handle(handle.clone())
        .first_request_timeout(FIRST_REQUEST)
        .serve(router.into_make_service());
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended.map_err(TlsError::Serve),
        () = shutdown => handle.graceful_shutdown(Some(GRACE)),
    }
    server.await.map_err(TlsError::Serve)
}

fn config(certificate: &Certificate) -> Result<ServerConfig, TlsError> {
    let unusable = |reason: String| TlsError::Unusable { reason };
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes())
        .map_err(|error| unusable(error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| unusable(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
