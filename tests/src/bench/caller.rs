//! Calls the webhook as the API server does: TLS, HTTP/1.1, connections kept and used again.
//!
//! The API server speaks no HTTP/2 to webhooks, so that its calls spread over the replicas behind a Service.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use super::recorder::Review;
use crate::fixtures::locked;

/// What the API server waits at most for ours, as the registration says.
const PATIENCE: Duration = Duration::from_secs(2);

/// A client with so many connections at most.
pub struct Caller {
    address: SocketAddr,
    tls: TlsConnector,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
    room: Semaphore,
}

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A 200.
    Answered,
    /// Told at once that there is no room: a 429 or 503.
    Shed,
    /// Anything else: another status, a closed connection, no answer in time.
    Failed,
}

// === impl Caller ===

impl Caller {
    /// Trusts `authority` (PEM), as the API server trusts `caBundle`.
    pub fn new(address: SocketAddr, authority: &str, connections: usize) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            address,
            tls: TlsConnector::from(Arc::new(config)),
            idle: Mutex::default(),
            room: Semaphore::new(connections),
        })
    }

    /// What becomes of a review, once there is a connection for it.
    pub async fn fate(&self, review: &Review) -> Fate {
        let Ok(_room) = self.room.acquire().await else {
            return Fate::Failed;
        };
        match tokio::time::timeout(PATIENCE, self.call(review)).await {
            Ok(Ok((StatusCode::OK, _))) => Fate::Answered,
            Ok(Ok((StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS, _))) => {
                Fate::Shed
            }
            _ => Fate::Failed,
        }
    }

    /// Status and body of the answer.
    pub async fn call(&self, review: &Review) -> Result<(StatusCode, Bytes)> {
        let idle = locked(&self.idle).pop();
        let mut connection = match idle {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await?,
        };
        let request = Request::post(review.path.as_str())
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(review.body.clone()))?;
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        locked(&self.idle).push(connection);
        Ok((status, body))
    }

    /// Each review is allowed, so that what is measured are answers and no refusals.
    pub async fn check(&self, reviews: &[Review]) -> Result<()> {
        for review in reviews {
            let (status, body) = self.call(review).await?;
            let answer: serde_json::Value = serde_json::from_slice(&body)
                .with_context(|| format!("{status} to {}", review.path))?;
            let allowed = answer["response"]["allowed"] == true;
            let patched = answer["response"]["patchType"] == "JSONPatch";
            ensure!(
                allowed && patched == review.path.starts_with("/mutate"),
                "{} was answered {answer}",
                review.path
            );
        }
        Ok(())
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let stream = self.tls.connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is seen by who sends on it next.
        tokio::spawn(connection);
        Ok(sender)
    }
}
