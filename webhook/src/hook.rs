//! Calls of a Canary's webhooks.
//!
//! ```text
//!  gate, check ─► call()  ─────────────► answer, within the hook's timeout
//!  event       ─► Background::send ─► lane by URL ─► call(), in order, result only logged
//! ```

mod background;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use canary_core::canary::{Canary, Hook};
use canary_core::hook::{HookKind, Payload};
use canary_core::url;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use reqwest::Url;
use thiserror::Error;

use crate::text::cut;
use crate::transport::{Call, Transport, TransportError};

pub use background::Background;

/// Longest answer that an error repeats.
const TEXT_LIMIT: usize = 1024;

/// Time between attempts: doubled after each, up to a limit.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

/// A call that is ready to go.
#[derive(Clone, Debug)]
pub struct Outgoing {
    url: Url,
    body: Bytes,
    timeout: Duration,
    retries: u32,
    insecure: bool,
}

/// Why a hook did not say yes. The text is the end of an Event, after the hook's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HookError {
    #[error("{0} is not the URL of a webhook: it needs http:// or https:// and a host")]
    Url(String),
    #[error("the payload is no JSON: {0}")]
    Payload(String),
    /// The answer itself.
    #[error("{0}")]
    Refused(String),
    #[error("POST {url} giving up after {attempts} attempt(s): {cause}")]
    GivingUp {
        url: String,
        attempts: u32,
        cause: String,
    },
    #[error("POST {url} timed out after {after:?} in attempt {attempts}")]
    TimedOut {
        url: String,
        after: Duration,
        attempts: u32,
    },
    #[error(transparent)]
    Transport(TransportError),
}

/// One attempt's end.
enum Attempt {
    Passed,
    Final(HookError),
    Again {
        cause: String,
        after: Option<Duration>,
    },
}

/// The hooks that an event is sent to: the Canary's own, or else the server's.
pub fn event_hooks(canary: &Canary, global: Option<&str>) -> Vec<Hook> {
    let own: Vec<_> = canary
        .hooks(HookKind::Event)
        .map(|(_, hook)| hook.clone())
        .collect();
    match global {
        Some(url) if own.is_empty() && !url.is_empty() => vec![Hook {
            type_: Some(HookKind::Event.to_string()),
            name: "event".to_owned(),
            url: url.to_owned(),
            ..Hook::default()
        }],
        _ => own,
    }
}

/// Calls until an answer is final, the retries are used up or the timeout is over. The timeout
/// spans all attempts, so that a hook costs a release no more than its author meant.
pub async fn call(
    transport: &Transport,
    outgoing: &Outgoing,
    backoff: Backoff,
) -> Result<(), HookError> {
    let mut attempts = 0;
    let run = outgoing.run(transport, backoff, &mut attempts);
    match tokio::time::timeout(outgoing.timeout, run).await {
        Ok(Err(HookError::Transport(TransportError::TimedOut { .. }))) | Err(_) => {
            Err(HookError::TimedOut {
                url: outgoing.shown(),
                after: outgoing.timeout,
                attempts,
            })
        }
        Ok(result) => result,
    }
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

impl Backoff {
    /// The wait after this many attempts. A server may ask for more, up to the limit.
    pub(crate) fn after(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        asked
            .unwrap_or_else(|| self.first.saturating_mul(doubled))
            .min(self.longest)
    }
}

// === impl Outgoing ===

impl Outgoing {
    pub fn new(hook: &Hook, payload: &Payload) -> Result<Self, HookError> {
        let url = Url::parse(&hook.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| HookError::Url(url::shown(&hook.url)))?;
        let body = serde_json::to_vec(payload).map_err(|e| HookError::Payload(e.to_string()))?;
        Ok(Self {
            url,
            body: body.into(),
            timeout: hook.timeout(),
            retries: hook.retries(),
            insecure: hook.skips_verification(),
        })
    }

    /// With no more time than this.
    #[must_use]
    pub fn within(mut self, longest: Duration) -> Self {
        self.timeout = self.timeout.min(longest);
        self
    }

    /// The URL without what it may carry of secrets.
    fn shown(&self) -> String {
        url::shown(self.url.as_str())
    }

    async fn run(
        &self,
        transport: &Transport,
        backoff: Backoff,
        attempts: &mut u32,
    ) -> Result<(), HookError> {
        loop {
            *attempts += 1;
            let (cause, after) = match self.attempt(transport).await {
                Attempt::Passed => return Ok(()),
                Attempt::Final(error) => return Err(error),
                Attempt::Again { cause, after } => (cause, after),
            };
            if *attempts > self.retries {
                return Err(HookError::GivingUp {
                    url: self.shown(),
                    attempts: *attempts,
                    cause,
                });
            }
            tokio::time::sleep(backoff.after(*attempts, after)).await;
        }
    }

    async fn attempt(&self, transport: &Transport) -> Attempt {
        let call = Call {
            deadline: self.timeout,
            insecure: self.insecure,
        };
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return Attempt::Final(error),
        };
        match transport.send(request, &call).await {
            Ok(response) => judge(&response),
            Err(error @ TransportError::TimedOut { .. }) => {
                Attempt::Final(HookError::Transport(error))
            }
            Err(error) if error.is_transient() => Attempt::Again {
                cause: error.to_string(),
                after: None,
            },
            Err(error) => Attempt::Final(HookError::Transport(error)),
        }
    }

    /// A hook may act on every call. On a connection of its own none is lost to one that the
    /// server was just closing, which nobody could repeat safely.
    fn request(&self) -> Result<Request<Bytes>, HookError> {
        Request::post(self.url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .body(self.body.clone())
            .map_err(|_| HookError::Url(self.shown()))
    }
}

/// 200, 201 and 202 are success. 429 and every 5xx but "not implemented" may pass.
fn judge(response: &Response<Bytes>) -> Attempt {
    let status = response.status();
    if status <= StatusCode::ACCEPTED {
        return Attempt::Passed;
    }
    let busy = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    if !busy && status != StatusCode::TOO_MANY_REQUESTS {
        return Attempt::Final(HookError::Refused(text(response)));
    }
    Attempt::Again {
        cause: text(response),
        after: retry_after(response),
    }
}

/// What a server asks for in seconds; not in its other form, a date.
pub(crate) fn retry_after(response: &Response<Bytes>) -> Option<Duration> {
    let after = response.headers().get(RETRY_AFTER)?;
    after.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The answer's text; an empty one would leave people without any reason.
fn text(response: &Response<Bytes>) -> String {
    let body = String::from_utf8_lossy(response.body());
    let body = body.trim();
    if body.is_empty() {
        return format!("status {}", response.status());
    }
    cut(body, TEXT_LIMIT).to_owned()
}
