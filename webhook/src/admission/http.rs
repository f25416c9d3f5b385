//! The HTTP rim: bytes in, `AdmissionReview` out, whatever happens.
//!
//! ```text
//!  guard: long? deadline ─► body ≤ 7 MiB ─► flood? ─► read ─► decide ─► rights ─► AdmissionReview, 200
//!    └ 503      └ 504          └ 413         └ 503     └ 400   └ 500 (a panic)
//! ```
//!
//! A usual review is decided by the task that drives its connection, as soon as it is read: it takes a tenth
//! of a millisecond or two, too short to hand it to another thread or to let it grow cold.
//!
//! Whatever is no decision of ours has an HTTP status that is no 2xx: the API server takes that for a
//! failed call and goes on as `failurePolicy` says. The same review under a 200 would be a denial, by
//! `Ignore` too. So a limit, a timeout or a panic costs one answer, never a user's change. The body is an
//! `AdmissionReview` all the same, for people and tools that call us by hand.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, HttpBody as _};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, Request as HttpRequest, State as FromState};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use kube::core::admission::{AdmissionResponse, Operation};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_http::catch_panic::CatchPanicLayer;

use super::flood::Flood;
use super::metrics::InFlight;
use super::{Answer, Config, Request, State, View, mutate, review, rights, validate};

/// A review holds the object twice, and the API server takes objects of up to 3 MiB.
const BODY_LIMIT: usize = 7 << 20;
/// A longer review takes a millisecond and more, and is worked on apart from the threads that drive
/// connections: it holds up no other, and the deadline is kept whatever an answer takes.
const LONG: usize = 128 << 10;
/// Long reviews that are here at once, from their first byte on: what they may take of memory and CPU. Short
/// ones are as many as there are connections at most.
const LONG_AT_ONCE: usize = 8;
/// What the API server waits at most for any webhook.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the path of the call does not say how long the API server waits.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const MUTATE: &str = "mutate";
const VALIDATE: &str = "validate";

const TOO_MANY: &str = "too many reviews at once";

type Decide = fn(&Request, &dyn View, &Config) -> Answer;

/// One of the two webhooks.
#[derive(Clone)]
struct Webhook {
    name: &'static str,
    decide: Decide,
    /// Whether people need rights for what it sees.
    guards_rights: bool,
    long: Arc<Semaphore>,
    state: State,
}

/// A review that is here, until nobody works on it any more: that may be later than its caller was told
/// that it took too long.
struct Guest {
    /// Of a long one.
    _room: Option<OwnedSemaphorePermit>,
    _counted: InFlight,
}

/// Why there is no answer of ours.
struct Failure {
    status: StatusCode,
    /// A label of metrics.
    reason: &'static str,
    message: String,
}

/// Both webhooks, and the probes that say whether to send them anything.
pub fn router(state: State) -> Router {
    let long = Arc::new(Semaphore::new(LONG_AT_ONCE));
    let webhook = |name, decide, guards_rights| Webhook {
        name,
        decide,
        guards_rights,
        long: long.clone(),
        state: state.clone(),
    };
    let draining = middleware::from_fn_with_state(state.clone(), drain);
    Router::new()
        .merge(webhook(MUTATE, mutate, false).routes())
        .merge(webhook(VALIDATE, validate, true).routes())
        .layer(draining)
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(state)
}

async fn ready(FromState(state): FromState<State>) -> Response {
    match state.health.ready(state.view.synced()) {
        Ok(()) => "ok".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

/// Asks who still comes on a kept connection to open another one, which leads elsewhere.
async fn drain(FromState(state): FromState<State>, request: HttpRequest, next: Next) -> Response {
    let mut response = next.run(request).await;
    if state.health.draining() {
        state.health.came_late();
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// Bounds how many long reviews are here at once, and how long any may take.
async fn guard(
    FromState(webhook): FromState<Webhook>,
    mut request: HttpRequest,
    next: Next,
) -> Response {
    let room = if is_long(&request) {
        match webhook.long.clone().try_acquire_owned() {
            Ok(room) => Some(room),
            Err(_) => return webhook.failed(Failure::overload()),
        }
    } else {
        None
    };
    let guest = Guest {
        _room: room,
        _counted: webhook.state.metrics.begin(),
    };
    request.extensions_mut().insert(Arc::new(guest));
    let limit = timeout(request.uri().query());
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => webhook.failed(Failure::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            format!("no answer within the {limit:?} that the caller waits"),
        )),
    }
}

/// One of unknown length may become long.
fn is_long(request: &HttpRequest) -> bool {
    let length = request.body().size_hint().exact();
    length.is_none_or(|length| length > LONG as u64)
}

/// The API server says in `?timeout=3s` how long it waits.
fn timeout(query: Option<&str>) -> Duration {
    query
        .unwrap_or_default()
        .split('&')
        .find_map(|pair| pair.strip_prefix("timeout="))
        .and_then(canary_core::canary::duration)
        .map_or(DEFAULT_TIMEOUT, |asked| asked.min(MAX_TIMEOUT))
}

fn read(body: &[u8]) -> Result<Request, Failure> {
    review::read(body).map_err(|error| {
        let message = format!("not an AdmissionReview: {error}");
        Failure::new(StatusCode::BAD_REQUEST, "unreadable", message)
    })
}

fn operation(request: &Request) -> &'static str {
    match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

// === impl Webhook ===

impl Webhook {
    fn routes(self) -> Router<State> {
        let guarded = middleware::from_fn_with_state(self.clone(), guard);
        let (path, panicking) = (format!("/{}", self.name), self.clone());
        let handler = move |Extension(guest): Extension<Arc<Guest>>,
                            body: Result<Bytes, BytesRejection>| async move {
            self.review(guest, body).await
        };
        Router::new()
            .route(&path, post(handler))
            .layer(DefaultBodyLimit::max(BODY_LIMIT))
            .layer(CatchPanicLayer::custom(move |panic| {
                panicking.panicked(panic)
            }))
            .layer(guarded)
    }

    async fn review(&self, guest: Arc<Guest>, body: Result<Bytes, BytesRejection>) -> Response {
        let start = (self.state.elapsed)();
        let answered = match body {
            Ok(body) => self.answer(guest, body).await,
            Err(rejection) => Err(Failure::rejected(&rejection)),
        };
        let response = match answered {
            Ok((request, answer)) => self.respond(answer, &request),
            Err(failure) => self.failed(failure),
        };
        let took = (self.state.elapsed)().saturating_sub(start);
        self.state.metrics.observe(self.name, took);
        response
    }

    async fn answer(&self, guest: Arc<Guest>, body: Bytes) -> Result<(Request, Answer), Failure> {
        let (request, answer) = if body.len() > LONG {
            self.decide_apart(guest, body).await?
        } else {
            self.decide_here(&body)?
        };
        if !self.guards_rights {
            return Ok((request, answer));
        }
        let rights = self.state.rights.as_ref();
        let answer = rights::guard(answer, &request, rights, &self.state.config).await;
        Ok((request, answer))
    }

    fn decide_here(&self, body: &[u8]) -> Result<(Request, Answer), Failure> {
        let flood: &Flood = &self.state.flood;
        let before = (self.state.cpu.process)();
        if flood.floods(before) {
            return Err(Failure::overload());
        }
        let start = (self.state.cpu.thread)();
        let decided = self.decided(body);
        let took = (self.state.cpu.thread)().saturating_sub(start);
        flood.worked(before, took);
        decided
    }

    fn decided(&self, body: &[u8]) -> Result<(Request, Answer), Failure> {
        let request = read(body)?;
        let answer = (self.decide)(&request, self.state.view.as_ref(), &self.state.config);
        Ok((request, answer))
    }

    async fn decide_apart(
        &self,
        guest: Arc<Guest>,
        body: Bytes,
    ) -> Result<(Request, Answer), Failure> {
        let webhook = self.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let _guest = guest;
            webhook.decided(&body)
        });
        worked.await.unwrap_or_else(|error| {
            if error.is_panic() {
                std::panic::resume_unwind(error.into_panic());
            }
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Err(Failure::new(status, "shutdown", "shutting down"))
        })
    }

    fn respond(&self, answer: Answer, request: &Request) -> Response {
        let labels = answer.labels();
        match answer.response(request) {
            Ok(response) => {
                let metrics = &self.state.metrics;
                metrics.count(self.name, operation(request), labels);
                Json(response.into_review()).into_response()
            }
            Err(error) => self.failed(Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unwritable",
                error.to_string(),
            )),
        }
    }

    fn failed(&self, failure: Failure) -> Response {
        let (webhook, status) = (self.name, failure.status);
        self.state.metrics.failed(webhook, failure.reason);
        // A flood of reviews is counted; it must not become a flood of lines too.
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::debug!(
                webhook,
                reason = failure.message,
                "a review was turned away"
            );
        } else {
            tracing::warn!(webhook, %status, reason = failure.message, "a review was not answered");
        }
        failure.into_response()
    }

    // The signature is the layer's.
    #[allow(clippy::needless_pass_by_value)]
    fn panicked(&self, panic: Box<dyn Any + Send>) -> Response {
        let reason = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no reason given");
        let (webhook, message) = (self.name, "the review panicked: please report this");
        self.state.metrics.panicked(webhook);
        tracing::error!(webhook, reason, message);
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", message).into_response()
    }
}

// === impl Failure ===

impl Failure {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    fn overload() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overload", TOO_MANY)
    }

    fn rejected(rejection: &BytesRejection) -> Self {
        let status = rejection.status();
        let reason = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            _ => "unreadable",
        };
        Self::new(status, reason, rejection.body_text())
    }

    /// A review without the uid of a request: none was read.
    fn into_response(self) -> Response {
        let mut response = AdmissionResponse::invalid(self.message);
        response.result.code = self.status.as_u16();
        (self.status, Json(response.into_review())).into_response()
    }
}
