//! What can go wrong on the way to a server, in words that name the server and the cause.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use thiserror::Error;

/// The server of a request, as it may be shown: no user, no password, no query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransportError {
    #[error("connect to {target}: connection refused; nothing listens at that address")]
    Refused { target: Target },
    #[error("{target}: the name does not resolve ({cause}); check the host, or give --resolve")]
    Unresolved { target: Target, cause: String },
    #[error("{target} timed out after {after:?}")]
    TimedOut { target: Target, after: Duration },
    #[error("{target}: TLS failed: {cause}")]
    Tls { target: Target, cause: String },
    #[error("{target}: the response is longer than {limit} bytes")]
    TooLong { target: Target, limit: usize },
    #[error("{target}: {cause}")]
    Broken { target: Target, cause: String },
    #[error("{target}: no valid request: {cause}")]
    Request { target: Target, cause: String },
    #[error("no HTTP client: {0}")]
    Client(String),
    #[error("no HTTP client: the process has no default rustls crypto provider; install one first")]
    NoCryptoProvider,
}

// === impl Target ===

impl Target {
    pub fn of(uri: &http::Uri) -> Self {
        match (uri.host(), uri.port()) {
            (Some(host), Some(port)) => Self(format!("{host}:{port}")),
            (Some(host), None) => Self(host.to_owned()),
            (None, _) => Self(uri.path().to_owned()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl TransportError ===

impl TransportError {
    /// Whether the same request may succeed a moment later.
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Refused { .. }
            | Self::Unresolved { .. }
            | Self::TimedOut { .. }
            | Self::Broken { .. } => true,
            Self::Tls { .. }
            | Self::TooLong { .. }
            | Self::Request { .. }
            | Self::Client(_)
            | Self::NoCryptoProvider => false,
        }
    }

    pub(super) fn client(error: &reqwest::Error) -> Self {
        Self::Client(innermost(error))
    }

    /// reqwest's own text names only the URL; what happened stands at the end of its sources.
    pub(super) fn exchange(target: &Target, error: &reqwest::Error) -> Self {
        let target = target.clone();
        let cause = innermost(error);
        if error.is_builder() {
            return Self::Request { target, cause };
        }
        if any(error, |e| {
            io_kind(e) == Some(io::ErrorKind::ConnectionRefused)
        }) {
            return Self::Refused { target };
        }
        if any(error, |e| e.to_string() == "dns error") {
            return Self::Unresolved { target, cause };
        }
        if any(error, is_tls) {
            return Self::Tls { target, cause };
        }
        Self::Broken { target, cause }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| e.source())
}

fn any(error: &reqwest::Error, test: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    chain(error).any(test)
}

pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    chain(error).last().unwrap_or(error).to_string()
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

/// A rustls error travels inside `io::Error`s, which hide it from `source()`.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .is_some_and(|inner| is_tls(inner))
}
