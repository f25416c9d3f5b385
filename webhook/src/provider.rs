//! Metric servers: what to ask, and what an answer means.
//!
//! ```text
//!  MetricTemplate ─► provider() ─► Provider ─ request ─► Transport ─► server
//!                    one table        └────── value ◄──────┘
//! ```
//!
//! A provider is one file with two pure functions, and one row in [`PROVIDERS`]. The exchange is
//! the same for all.

mod prometheus;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use thiserror::Error;

use crate::text;
use crate::transport::{Call, Transport, TransportError};

/// Longest part of a foreign answer that an error quotes.
const QUOTE: usize = 120;

/// One metric server.
pub trait Provider: Send + Sync {
    /// The request that asks for the query's value at `now`.
    fn request(&self, query: &str, now: Timestamp) -> Result<http::Request<Bytes>, QueryError>;

    /// The value that a response carries.
    fn value(&self, response: http::Response<Bytes>) -> Result<f64, QueryError>;

    /// A query with a known answer, which tells whether the server works.
    fn probe(&self) -> (&str, f64);
}

/// What a `MetricTemplate` says of its server.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    pub address: &'a str,
    pub headers: &'a BTreeMap<String, Vec<String>>,
    /// The data of the Secret; none without a `secretRef`.
    pub credentials: Option<&'a BTreeMap<String, ByteString>>,
}

/// Why there is no provider.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProviderError {
    #[error("metric provider type {0} is not supported yet")]
    Unsupported(String),
    #[error("{kind} address {address} is not a valid URL: {cause}")]
    Address {
        kind: &'static str,
        address: String,
        cause: String,
    },
    #[error("{kind} credentials does not contain a {key}")]
    Credentials {
        kind: &'static str,
        key: &'static str,
    },
    #[error("{kind} header {name} cannot be sent: it holds characters that HTTP forbids")]
    Header { kind: &'static str, name: String },
}

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum QueryError {
    #[error("no values found")]
    NoValues,
    #[error(
        "query returned multiple values: aggregate its series into one, for instance with sum()"
    )]
    MultipleValues,
    #[error("error response: Status {status}: {text}")]
    Status {
        status: http::StatusCode,
        text: String,
    },
    #[error("error response: {0}")]
    Failed(String),
    #[error("the answer is not that of a metric server ({cause}): {quote}")]
    Unreadable { cause: String, quote: String },
    #[error("no valid request: {0}")]
    Request(String),
    #[error("value is {value} instead of {expected} for query: {query}")]
    Offline {
        query: String,
        expected: f64,
        value: f64,
    },
    #[error(transparent)]
    Transport(#[from] TransportError),
}

type Build = fn(&Settings<'_>) -> Result<Box<dyn Provider>, ProviderError>;

const PROVIDERS: &[(&str, Build)] = &[("prometheus", prometheus::build)];

/// The provider for a `MetricTemplate`'s `provider.type`.
pub fn provider(kind: &str, settings: &Settings<'_>) -> Result<Box<dyn Provider>, ProviderError> {
    let (_, build) = PROVIDERS
        .iter()
        .find(|(name, _)| *name == kind)
        .ok_or_else(|| ProviderError::Unsupported(kind.to_owned()))?;
    build(settings)
}

/// Asks the server once.
pub async fn query(
    transport: &Transport,
    call: &Call,
    provider: &dyn Provider,
    query: &str,
    now: Timestamp,
) -> Result<f64, QueryError> {
    let request = provider.request(query, now)?;
    provider.value(transport.send(request, call).await?)
}

/// Whether the server answers a query whose value is known.
pub async fn online(
    transport: &Transport,
    call: &Call,
    provider: &dyn Provider,
    now: Timestamp,
) -> Result<(), QueryError> {
    let (probe, expected) = provider.probe();
    let value = query(transport, call, provider, probe, now).await?;
    if (value - expected).abs() < f64::EPSILON {
        return Ok(());
    }
    Err(QueryError::Offline {
        query: probe.to_owned(),
        expected,
        value,
    })
}

// === impl QueryError ===

impl QueryError {
    /// A redirect is an error as well: following it could carry credentials elsewhere.
    fn of_status(response: &http::Response<Bytes>, text: String) -> Self {
        let location = response
            .headers()
            .get(http::header::LOCATION)
            .and_then(|value| value.to_str().ok());
        Self::Status {
            status: response.status(),
            text: match location {
                Some(location) if response.status().is_redirection() => {
                    let location = canary_core::url::shown(location);
                    format!("it redirects to {location}; use that address")
                }
                _ => text,
            },
        }
    }
}

fn quote(body: &[u8]) -> String {
    text::quote(body, QUOTE)
}
