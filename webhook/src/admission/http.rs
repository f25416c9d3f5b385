//! The HTTP rim: bytes in, `AdmissionReview` out, whatever happens.
//!
//! The API server takes any answer that is no 2xx as a failed call and, by `failurePolicy: Ignore`,
//! goes on without us. So a limit, a timeout or a panic costs one answer, never a user's change.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request as HttpRequest, State as FromState};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use canary_core::validate::Violation;
use http::StatusCode;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionResponse, AdmissionReview, Operation};
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

use super::{AdmissionMetrics, Answer, Config, Request, State, View, mutate, validate};

/// A review holds the object twice, and the API server takes objects of up to 3 MiB.
const BODY_LIMIT: usize = 7 << 20;
/// Reviews answered at once; beyond that the API server is told so at once.
const CONCURRENCY: usize = 128;
/// What the API server waits at most for any webhook.
const MAX_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the path of the call does not say how long the API server waits.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

const MUTATE: &str = "mutate";
const VALIDATE: &str = "validate";

type Decide = fn(&Request, &dyn View, &Config) -> Answer;

/// Both webhooks, and the probes that say whether to send them anything.
pub fn router(state: State) -> Router {
    let guarded = middleware::from_fn_with_state(Arc::new(Semaphore::new(CONCURRENCY)), guard);
    Router::new()
        .merge(webhook(MUTATE, mutate, &state.metrics))
        .merge(webhook(VALIDATE, validate, &state.metrics))
        .layer(guarded)
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(state)
}

fn webhook(name: &'static str, decide: Decide, metrics: &AdmissionMetrics) -> Router<State> {
    let metrics = metrics.clone();
    let handler = move |FromState(state): FromState<State>, body: Result<Bytes, BytesRejection>| async move {
        review(name, decide, &state, body)
    };
    Router::new()
        .route(&format!("/{name}"), post(handler))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(move |panic| {
            panicked(name, &metrics, panic)
        }))
}

async fn ready(FromState(state): FromState<State>) -> Response {
    if state.view.synced() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are being filled").into_response()
    }
}

/// Bounds how many reviews are answered at once, and how long one may take.
async fn guard(
    FromState(permits): FromState<Arc<Semaphore>>,
    request: HttpRequest,
    next: Next,
) -> Response {
    let Ok(_permit) = permits.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "too many reviews at once");
    };
    let limit = timeout(request.uri().query());
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => failure(
            StatusCode::GATEWAY_TIMEOUT,
            "the review did not arrive in time",
        ),
    }
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

fn review(
    name: &'static str,
    decide: Decide,
    state: &State,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let start = (state.elapsed)();
    let response = match body
        .map_err(|error| (error.status(), error.body_text()))
        .and_then(|body| read(&body))
    {
        Ok(request) => {
            let answer = decide(&request, state.view.as_ref(), &state.config);
            state
                .metrics
                .count(name, operation(&request), decision(&answer));
            respond(answer, &request)
        }
        Err((status, reason)) => {
            state.metrics.count(name, "UNKNOWN", "invalid");
            tracing::warn!(webhook = name, %status, reason, "not an admission review");
            failure(status, &reason)
        }
    };
    state
        .metrics
        .observe(name, (state.elapsed)().saturating_sub(start));
    response
}

fn read(body: &Bytes) -> Result<Request, (StatusCode, String)> {
    let review: Result<AdmissionReview<DynamicObject>, _> = serde_json::from_slice(body);
    review
        .map_err(|error| error.to_string())
        .and_then(|review| {
            review
                .try_into()
                .map_err(|_| "it has no request".to_owned())
        })
        .map_err(|error| {
            (
                StatusCode::BAD_REQUEST,
                format!("not an AdmissionReview: {error}"),
            )
        })
}

fn respond(answer: Answer, request: &Request) -> Response {
    let response = AdmissionResponse::from(request);
    let response = match answer {
        Answer::Deny(violations) => deny(response, request, violations),
        Answer::Allow { patch, warnings } => {
            let patched = if patch.0.is_empty() {
                Ok(response)
            } else {
                response.with_patch(patch)
            };
            match patched {
                Ok(mut response) => {
                    response.warnings = (!warnings.is_empty()).then_some(warnings);
                    response
                }
                Err(error) => {
                    return failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
                }
            }
        }
    };
    Json(response.into_review()).into_response()
}

/// As the API server itself answers for a field that its schema refuses, so that kubectl prints
/// it field by field.
fn deny(
    response: AdmissionResponse,
    request: &Request,
    violations: Vec<Violation>,
) -> AdmissionResponse {
    let sentences: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let mut response = response.deny(sentences.join("; "));
    response.result.status = Some(StatusSummary::Failure);
    response.result.code = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
    "Invalid".clone_into(&mut response.result.reason);
    let cause = |violation: Violation| StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: violation.message,
        field: violation.field,
    };
    response.result.details = Some(StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        uid: String::new(),
        causes: violations.into_iter().map(cause).collect(),
        retry_after_seconds: 0,
    });
    response
}

/// An answer to something that could not be read, so without the uid of a request.
fn failure(status: StatusCode, reason: &str) -> Response {
    let mut response = AdmissionResponse::invalid(reason);
    response.result.code = status.as_u16();
    (status, Json(response.into_review())).into_response()
}

// The signature is the layer's.
#[allow(clippy::needless_pass_by_value)]
fn panicked(
    name: &'static str,
    metrics: &AdmissionMetrics,
    panic: Box<dyn Any + Send>,
) -> Response {
    let reason = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    metrics.count(name, "UNKNOWN", "panicked");
    tracing::error!(
        webhook = name,
        reason,
        "the review panicked: please report this"
    );
    failure(StatusCode::INTERNAL_SERVER_ERROR, "the review panicked")
}

fn operation(request: &Request) -> &'static str {
    match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

fn decision(answer: &Answer) -> &'static str {
    match answer {
        Answer::Deny(_) => "denied",
        Answer::Allow { patch, .. } if patch.0.is_empty() => "allowed",
        Answer::Allow { .. } => "patched",
    }
}
