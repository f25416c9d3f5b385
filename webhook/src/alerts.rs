//! Alerts, delivered beside the release and never in its way.
//!
//! ```text
//!  say ─► Notice ─► Alerts::send ─► lane of the receiver ─► AlertProvider and Secret read ─► POST
//!                        └ full: dropped, counted, said            └──── again, with pauses ────┘
//! ```
//!
//! Nothing is read before there is something to tell. A receiver that is away holds its own lane alone. What is
//! in a lane is lost with the process; what a crash leaves unsaid is said again, so that an alert may come twice.

mod receiver;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use canary_core::alert::Notice;
use canary_core::canary::Canary;
use canary_core::template::AlertProvider;
use futures::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use tokio::sync::mpsc;

use crate::api::{ApiError, Cluster, Kind};
use crate::args::AlertArgs;
use crate::hook::{Backoff, retry_after};
use crate::telemetry::Metrics;
use crate::transport::{Call, Settings, Transport, TransportError};
pub use receiver::{Receiver, default_receiver, receiver_of};

/// Alerts that wait for one receiver.
const DEPTH: usize = 128;
/// Receivers at once; nobody has as many.
const RECEIVERS: usize = 1024;
/// How long a receiver may be away.
const PATIENCE: Duration = Duration::from_secs(600);

/// Who is told, by whom it is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum To {
    /// Namespace and name of an `AlertProvider`.
    Provider(String, String),
    /// The one that the server was given.
    Default,
}

/// Looks a receiver up when there is something to tell.
pub trait Directory: Send + Sync {
    fn receiver<'a>(&'a self, to: &'a To) -> BoxFuture<'a, Result<Receiver, Failure>>;
}

/// Receivers in the cluster, and the server's own.
pub struct Providers {
    pub cluster: Cluster,
    pub default: Option<Receiver>,
}

/// Why an alert is not delivered yet, or will not be. Never says an address: it is the secret of most receivers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Final(String),
    #[error("{cause}")]
    Passing {
        cause: String,
        after: Option<Duration>,
    },
}

struct Job {
    notice: Notice,
    /// The least severity that is wanted.
    least: Option<String>,
}

/// Takes alerts and never waits.
pub struct Alerts {
    lanes: Mutex<HashMap<To, mpsc::Sender<Job>>>,
    courier: Arc<Courier>,
    has_default: bool,
    metrics: Arc<Metrics>,
    pub cluster_name: String,
}

/// Brings one alert after the other to one receiver.
struct Courier {
    directory: Box<dyn Directory>,
    transport: Transport,
    proxied: Mutex<HashMap<String, Transport>>,
    backoff: Backoff,
    metrics: Arc<Metrics>,
}

// === impl Providers ===

impl Directory for Providers {
    fn receiver<'a>(&'a self, to: &'a To) -> BoxFuture<'a, Result<Receiver, Failure>> {
        Box::pin(async move {
            let (namespace, name) = match to {
                To::Default => {
                    return self
                        .default
                        .clone()
                        .ok_or_else(|| Failure::Final("nobody is named".to_owned()));
                }
                To::Provider(namespace, name) => (namespace, name),
            };
            let provider = self
                .cluster
                .get(Kind::AlertProvider, namespace, name)
                .await?;
            let provider: AlertProvider = serde_json::from_value(provider)
                .map_err(|error| Failure::Final(format!("it cannot be read: {error}")))?;
            let secret = match &provider.spec.secret_ref {
                Some(reference) => {
                    let kind = Kind::Secret;
                    let secret = self.cluster.get(kind, namespace, &reference.name).await?;
                    Some(serde_json::from_value(secret["data"].clone()).unwrap_or_default())
                }
                None => None,
            };
            receiver_of(&provider, secret.as_ref()).map_err(Failure::Final)
        })
    }
}

// === impl Failure ===

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NotFound { .. } | ApiError::Forbidden { .. } => {
                Self::Final(error.to_string())
            }
            _ => Self::Passing {
                cause: error.to_string(),
                after: None,
            },
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        if error.is_transient() {
            Self::Passing {
                cause: error.to_string(),
                after: None,
            }
        } else {
            Self::Final(error.to_string())
        }
    }
}

// === impl Alerts ===

impl Alerts {
    pub fn new(
        directory: Box<dyn Directory>,
        transport: Transport,
        backoff: Backoff,
        metrics: Arc<Metrics>,
        args: &AlertArgs,
    ) -> Self {
        Self {
            lanes: Mutex::default(),
            has_default: default_receiver(args).is_some(),
            metrics: metrics.clone(),
            cluster_name: args.cluster_name.clone(),
            courier: Arc::new(Courier {
                directory,
                transport,
                proxied: Mutex::default(),
                backoff,
                metrics,
            }),
        }
    }

    /// A Canary's own receivers; without any the server's. Never waits.
    pub fn send(&self, canary: &Canary, notice: &Notice) {
        let own = &canary.analysis().alerts;
        if own.is_empty() && self.has_default {
            self.queue(&To::Default, notice, None);
        }
        for alert in own {
            let reference = &alert.provider_ref;
            let namespace = reference.namespace.as_deref();
            let namespace = namespace.filter(|namespace| !namespace.is_empty());
            let to = To::Provider(
                namespace.unwrap_or(&notice.namespace).to_owned(),
                reference.name.clone(),
            );
            self.queue(&to, notice, alert.severity.clone());
        }
    }

    fn queue(&self, to: &To, notice: &Notice, least: Option<String>) {
        let job = Job {
            notice: notice.clone(),
            least,
        };
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= RECEIVERS && !lanes.contains_key(to) {
            // Those that have nothing to do are begun anew when they have.
            lanes.retain(|_, lane| lane.capacity() < DEPTH);
        }
        let lane = lanes.entry(to.clone()).or_insert_with(|| {
            let (sender, jobs) = mpsc::channel(DEPTH);
            tokio::spawn(self.courier.clone().work(to.clone(), jobs));
            sender
        });
        if lane.try_send(job).is_err() {
            self.metrics.alert("dropped");
            tracing::error!(
                canary = notice.id(),
                "alert not sent: {DEPTH} wait for {to}"
            );
        }
    }
}

// === impl Courier ===

impl Courier {
    async fn work(self: Arc<Self>, to: To, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.recv().await {
            let canary = job.notice.id();
            let mut last = None;
            let deliver = self.deliver(&to, &job, &mut last);
            let delivered = match tokio::time::timeout(PATIENCE, deliver).await {
                Ok(delivered) => delivered,
                Err(_) => Err(last.unwrap_or_default()),
            };
            match delivered {
                Ok(true) => self.metrics.alert("delivered"),
                Ok(false) => {}
                Err(cause) => {
                    self.metrics.alert("failed");
                    tracing::error!(canary, "alert not delivered to {to}: {cause}");
                }
            }
        }
    }

    /// Until it is delivered or never will be; `false` if there was nothing to tell. `last` is the last failure.
    async fn deliver(&self, to: &To, job: &Job, last: &mut Option<String>) -> Result<bool, String> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (cause, after) = match self.attempt(to, job).await {
                Ok(told) => return Ok(told),
                Err(Failure::Final(cause)) => return Err(cause),
                Err(Failure::Passing { cause, after }) => (cause, after),
            };
            if attempts == 1 {
                let canary = job.notice.id();
                tracing::warn!(canary, "alert not delivered to {to} yet: {cause}");
            }
            *last = Some(cause);
            tokio::time::sleep(self.backoff.after(attempts, after)).await;
        }
    }

    async fn attempt(&self, to: &To, job: &Job) -> Result<bool, Failure> {
        let receiver = self.directory.receiver(to).await?;
        let url = receiver.service.url(&receiver.address);
        let least = job.least.as_deref();
        let body = receiver
            .service
            .body(&job.notice, least, &receiver.recipient, &url);
        let Some(body) = body else {
            return Ok(false);
        };
        let request = request(&receiver, &url, body.to_string())?;
        let transport = self.transport(receiver.proxy.as_deref())?;
        let response = transport.send(request, &Call::default()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(true);
        }
        let cause = format!("it answered {status}");
        if !status.is_server_error()
            && !matches!(
                status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
            )
        {
            return Err(Failure::Final(cause));
        }
        Err(Failure::Passing {
            cause,
            after: retry_after(&response),
        })
    }

    fn transport(&self, proxy: Option<&str>) -> Result<Transport, Failure> {
        let Some(proxy) = proxy else {
            return Ok(self.transport.clone());
        };
        let mut proxied = self.proxied.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transport) = proxied.get(proxy) {
            return Ok(transport.clone());
        }
        let settings = Settings {
            proxy: Some(proxy.to_owned()),
            ..Settings::default()
        };
        // Its cause would say the proxy's address, which may hold a password.
        let transport = Transport::new(&settings)
            .map_err(|_| Failure::Final("its proxy is no URL of one".to_owned()))?;
        proxied.insert(proxy.to_owned(), transport.clone());
        Ok(transport)
    }
}

fn request(receiver: &Receiver, url: &str, body: String) -> Result<Request<Bytes>, Failure> {
    let mut request = Request::post(url).header(CONTENT_TYPE, receiver.service.content_type());
    if let Some(token) = &receiver.token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request
        .body(body.into())
        .map_err(|_| Failure::Final("its address is no URL".to_owned()))
}

// === impl To ===

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("the server's own receiver"),
            Self::Provider(namespace, name) => write!(f, "AlertProvider {name}.{namespace}"),
        }
    }
}
