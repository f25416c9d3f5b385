//! The one HTTP client for metric servers and webhooks.
//!
//! ```text
//!  provider ─┐                    ┌─ pool: certificates verified
//!            ├─ Transport::send ──┤
//!  hook ─────┘   deadline, limit  ├─ pool: certificates not verified
//!                                 └─ a pair of pools for each --resolve
//! ```
//!
//! Every request has a deadline and every response a limit, so that no server outside can hold a
//! tick or fill the memory. Redirects are not followed: they would carry credentials to a host
//! that nobody named.

mod error;
mod resolve;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use reqwest::{Client, ClientBuilder, Url, redirect};

pub use error::{Target, TransportError};
pub use resolve::{Resolve, ResolveError};

/// Deadline of a call that names none.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// A longer response body is an error.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// Shorter than the usual keep-alive of servers and proxies, so that a request does not meet a
/// connection that is being closed.
const POOL_IDLE: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!("kubectl-canary/", env!("CARGO_PKG_VERSION"));

/// How one call differs from the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// For the whole exchange: name, connection, request and response body.
    pub deadline: Duration,
    /// Accept any server certificate (`disableTLS`, `insecureSkipVerify`).
    pub insecure: bool,
}

/// What the whole process has in common.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// As curl's `--resolve`.
    pub resolve: Vec<Resolve>,
    /// Obey `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as Flagger does. An address given by
    /// `resolve` is always reached directly.
    pub proxy_from_environment: bool,
    /// Everything goes through this one.
    pub proxy: Option<String>,
}

/// Cheap to clone: clones share their connections.
#[derive(Clone, Debug)]
pub struct Transport {
    usual: Pools,
    resolved: HashMap<(String, u16), Pools>,
}

#[derive(Clone, Debug)]
struct Pools {
    verified: Client,
    insecure: Client,
}

// === impl Call ===

impl Default for Call {
    fn default() -> Self {
        Self {
            deadline: DEADLINE,
            insecure: false,
        }
    }
}

// === impl Transport ===

impl Transport {
    /// Needs the process's default rustls crypto provider, which `main` installs.
    pub fn new(settings: &Settings) -> Result<Self, TransportError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(TransportError::NoCryptoProvider);
        }
        let proxy = settings.proxy.as_deref().map(reqwest::Proxy::all);
        let proxy = proxy.transpose().map_err(|e| TransportError::client(&e))?;
        let usual = Pools::build(|| match &proxy {
            Some(proxy) => base().proxy(proxy.clone()),
            None if settings.proxy_from_environment => base(),
            None => base().no_proxy(),
        })?;
        let mut resolved = HashMap::new();
        for rule in &settings.resolve {
            let pools = Pools::build(|| base().no_proxy().resolve(&rule.host, rule.address))?;
            resolved.insert((rule.host.clone(), rule.port), pools);
        }
        Ok(Self { usual, resolved })
    }

    /// One exchange. A status of 400 or more is a response like any other here.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        call: &Call,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let target = Target::of(request.uri());
        match tokio::time::timeout(call.deadline, self.exchange(request, call, &target)).await {
            Ok(result) => result,
            Err(_) => Err(TransportError::TimedOut {
                target,
                after: call.deadline,
            }),
        }
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
        call: &Call,
        target: &Target,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (parts, body) = request.into_parts();
        let mut url = Url::parse(&parts.uri.to_string()).map_err(|e| TransportError::Request {
            target: target.clone(),
            cause: e.to_string(),
        })?;
        let mut headers = parts.headers;
        let pools = self.pools(&mut url, &mut headers);
        let client = if call.insecure {
            &pools.insecure
        } else {
            &pools.verified
        };
        // Through the builder, since it moves a user and password of the URL into a header.
        let request = client
            .request(parts.method, url)
            .headers(headers)
            .body(body);
        let response = request
            .send()
            .await
            .map_err(|e| TransportError::exchange(target, &e))?;
        collect(response, target).await
    }

    /// The pools for the request's host and port. For a resolved one the port leaves the URL (the
    /// connector would prefer it to the address's own) and stays in the `Host` header.
    fn pools(&self, url: &mut Url, headers: &mut HeaderMap) -> &Pools {
        let Some(pools) = host_and_port(url).and_then(|key| self.resolved.get(&key)) else {
            return &self.usual;
        };
        if let Ok(authority) = HeaderValue::from_str(&authority(url)) {
            headers.entry(header::HOST).or_insert(authority);
        }
        // Fails only for URLs without a host, and this one has one.
        let _ = url.set_port(None);
        pools
    }
}

fn host_and_port(url: &Url) -> Option<(String, u16)> {
    Some((
        url.host_str()?.to_ascii_lowercase(),
        url.port_or_known_default()?,
    ))
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn collect(
    mut response: reqwest::Response,
    target: &Target,
) -> Result<http::Response<Bytes>, TransportError> {
    let too_long = || TransportError::TooLong {
        target: target.clone(),
        limit: BODY_LIMIT,
    };
    if response.content_length() > Some(BODY_LIMIT as u64) {
        return Err(too_long());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| TransportError::exchange(target, &e))?
    {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    let mut collected = http::Response::new(body.freeze());
    *collected.status_mut() = response.status();
    *collected.headers_mut() = std::mem::take(response.headers_mut());
    Ok(collected)
}

// === impl Pools ===

impl Pools {
    fn build(builder: impl Fn() -> ClientBuilder) -> Result<Self, TransportError> {
        // An image without a CA bundle must still reach plain HTTP.
        let verified = builder().build().or_else(|error| {
            tracing::warn!(
                "no CA certificates on this system, HTTPS servers will not be trusted: {}",
                error::innermost(&error)
            );
            builder().tls_certs_only([]).build()
        });
        let insecure = builder().tls_danger_accept_invalid_certs(true).build();
        Ok(Self {
            verified: verified.map_err(|e| TransportError::client(&e))?,
            insecure: insecure.map_err(|e| TransportError::client(&e))?,
        })
    }
}

fn base() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .pool_idle_timeout(POOL_IDLE)
}
