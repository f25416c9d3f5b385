//! An API server of one Canary, over real HTTP.
//!
//! ```text
//!  GET, list ─► the Canary as it is        PATCH ─► merged ─► then ─► the controller's part
//!  watch ─────► every change of it                                    of the script
//! ```

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::run::wait_until;

const CANARIES: &str = "/canaries";

/// What the server answers out of the ordinary.
pub type Script = Box<dyn Fn(&Call, &FakeState) -> Option<Response> + Send + Sync>;

pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// How many calls of this method came before.
    pub earlier: usize,
}

pub struct FakeState {
    canary: watch::Sender<Option<Value>>,
    calls: Mutex<Vec<(Method, String, Value)>>,
    /// So many events of watches were sent.
    told: AtomicUsize,
    script: Script,
    /// Statuses that the controller writes, one after the other, once a request is there.
    reactions: Vec<Reaction>,
}

/// A status to merge, given the id of the request.
pub type Reaction = Box<dyn Fn(&str) -> Value + Send + Sync>;

pub struct FakeApi {
    pub address: String,
    pub state: Arc<FakeState>,
    _runtime: tokio::runtime::Runtime,
}

// === impl FakeApi ===

impl FakeApi {
    pub fn new(canary: Value) -> Self {
        Self::scripted(canary, Box::new(|_, _| None), Vec::new())
    }

    /// A server that does something else than an API server would.
    pub fn answering(
        answer: impl Fn(&Call, &FakeState) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(canary(&progressing()), Box::new(answer), Vec::new())
    }

    pub fn reacting(canary: Value, reactions: Vec<Reaction>) -> Self {
        Self::scripted(canary, Box::new(|_, _| None), reactions)
    }

    pub fn scripted(canary: Value, script: Script, reactions: Vec<Reaction>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(FakeState {
            canary: watch::Sender::new(Some(canary)),
            calls: Mutex::default(),
            told: AtomicUsize::new(0),
            script,
            reactions,
        });
        let router = Router::new().fallback(answer).with_state(state.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            state,
            _runtime: runtime,
        }
    }

    /// Bodies of the patches that were sent.
    pub fn patches(&self) -> Vec<Value> {
        let calls = self.state.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(method, ..)| *method == Method::PATCH)
            .map(|(.., body)| body.clone())
            .collect()
    }

    /// `PATCH /path?query` of each call.
    pub fn urls(&self) -> Vec<String> {
        let calls = self.state.calls.lock().unwrap();
        calls
            .iter()
            .map(|(method, url, _)| format!("{method} {url}"))
            .collect()
    }

    pub fn annotations(&self) -> Value {
        let canary = self.state.canary.borrow();
        canary.as_ref().map_or(Value::Null, |canary| {
            canary["metadata"]["annotations"].clone()
        })
    }
}

// === impl FakeState ===

impl FakeState {
    /// Writes into the Canary as the controller would.
    pub fn merge(&self, over: &Value) {
        self.canary.send_modify(|canary| {
            if let Some(canary) = canary {
                merge(canary, over);
                let version: i64 = canary["metadata"]["resourceVersion"]
                    .as_str()
                    .unwrap()
                    .parse()
                    .unwrap();
                canary["metadata"]["resourceVersion"] = json!((version + 1).to_string());
            }
        });
    }

    /// Body of the call that is being answered.
    pub fn sent(&self) -> Value {
        let calls = self.calls.lock().unwrap();
        calls
            .last()
            .map(|(.., body)| body.clone())
            .unwrap_or_default()
    }

    pub fn delete(&self) {
        self.canary.send_replace(None);
    }

    /// Until a watch has told more than this, so that each state is seen. Who does not watch has time to begin.
    async fn until_told_more(&self, than: usize) {
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if self.told.load(Ordering::Acquire) > than {
                break;
            }
        }
    }

    /// Until so many events of watches were sent; the first is the Canary as the watch finds it.
    pub fn until_told(&self, events: usize) {
        wait_until(|| self.told.load(Ordering::Acquire) >= events);
    }
}

async fn answer(
    State(state): State<Arc<FakeState>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sent = serde_json::from_slice(&body).unwrap_or_default();
    let call = {
        let mut calls = state.calls.lock().unwrap();
        let earlier = calls.iter().filter(|(other, ..)| *other == method).count();
        calls.push((method.clone(), uri.to_string(), sent));
        Call {
            method: method.clone(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers,
            earlier,
        }
    };
    if let Some(response) = (state.script)(&call, &state) {
        return response;
    }
    let watching = uri
        .query()
        .is_some_and(|query| query.contains("watch=true"));
    if !uri.path().contains(CANARIES) {
        return not_found("deployments.apps", "x");
    }
    match method {
        Method::PATCH => patched(&state, &serde_json::from_slice(&body).unwrap()),
        _ if watching => watched(state),
        _ if uri.path().ends_with(CANARIES) => listed(&state),
        _ => got(&state, uri.path()),
    }
}

fn got(state: &FakeState, path: &str) -> Response {
    let name = path.rsplit('/').next().unwrap_or_default();
    match state.canary.borrow().as_ref() {
        Some(canary) if canary["metadata"]["name"] == name => {
            axum::Json(canary.clone()).into_response()
        }
        _ => not_found("canaries.flagger.app", name),
    }
}

fn listed(state: &FakeState) -> Response {
    let items: Vec<Value> = state.canary.borrow().iter().cloned().collect();
    let list = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "CanaryList",
        "metadata": {"resourceVersion": "1"}, "items": items,
    });
    axum::Json(list).into_response()
}

/// A line of a watch. The type comes first, as an API server writes it: who reads it knows then what follows.
pub fn event(type_: &str, object: &Value) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}

/// Every change from now on, without end.
fn watched(state: Arc<FakeState>) -> Response {
    let mut changes = state.canary.subscribe();
    changes.mark_changed();
    let lines = stream::unfold(
        (state, changes, None::<Value>),
        |(state, mut changes, before)| async move {
            changes.changed().await.ok()?;
            let now = changes.borrow_and_update().clone();
            state.told.fetch_add(1, Ordering::Release);
            let line = match &now {
                Some(canary) => event("MODIFIED", canary),
                None => event("DELETED", before.as_ref().unwrap_or(&Value::Null)),
            };
            Some((Ok::<_, std::io::Error>(line), (state, changes, now)))
        },
    );
    Body::from_stream(lines).into_response()
}

fn patched(state: &Arc<FakeState>, patch: &Value) -> Response {
    let version = state
        .canary
        .borrow()
        .as_ref()
        .map(|canary| canary["metadata"]["resourceVersion"].clone());
    if version != Some(patch["metadata"]["resourceVersion"].clone()) {
        return conflict();
    }
    let mut patch = patch.clone();
    patch["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    let mut told = state.told.load(Ordering::Acquire);
    state.merge(&patch);
    let request = patch["metadata"]["annotations"]["kubectl-canary.dev/request"]
        .as_str()
        .map(str::to_owned);
    if let Some(id) = request.and_then(|request| request.split(' ').nth(3).map(str::to_owned)) {
        let state = state.clone();
        tokio::spawn(async move {
            for reaction in &state.reactions {
                state.until_told_more(told).await;
                told = state.told.load(Ordering::Acquire);
                state.merge(&json!({"status": reaction(&id)}));
            }
        });
    }
    axum::Json(state.canary.borrow().clone()).into_response()
}

/// RFC 7386, with maps created where they are missing.
fn merge(base: &mut Value, over: &Value) {
    let Some(over) = over.as_object() else {
        *base = over.clone();
        return;
    };
    if !base.is_object() {
        *base = json!({});
    }
    let base = base.as_object_mut().unwrap();
    for (key, value) in over {
        if value.is_null() {
            base.remove(key);
        } else {
            merge(base.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The API server's own form of an error.
pub fn status(code: u16, reason: &str, message: &str, name: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
        "details": {"name": name, "group": "flagger.app", "kind": "canaries"},
    });
    (StatusCode::from_u16(code).unwrap(), axum::Json(body)).into_response()
}

pub fn not_found(resource: &str, name: &str) -> Response {
    status(
        404,
        "NotFound",
        &format!("{resource} \"{name}\" not found"),
        name,
    )
}

pub fn conflict() -> Response {
    status(409, "Conflict", "the object has been modified", "podinfo")
}

pub fn text(code: u16, body: &'static str) -> Response {
    (StatusCode::from_u16(code).unwrap(), body).into_response()
}

/// The user's Canary with this status.
pub fn canary(status: &Value) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test", "uid": "uid-1", "resourceVersion": "7"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 10, "maxWeight": 50, "stepWeight": 10},
        },
        "status": status,
    })
}

pub fn progressing() -> Value {
    json!({
        "phase": "Progressing", "canaryWeight": 10, "failedChecks": 0, "iterations": 0,
        "release": {
            "number": 2, "revision": "v1-bbbbbbbbbbbb", "from": "v1-aaaaaaaaaaaa", "by": "alice",
            "images": [{"container": "podinfod", "from": "podinfo:6.0.0", "to": "podinfo:6.0.1"}],
            "startedAt": "2026-03-01T11:59:02Z",
        },
    })
}

/// The controller's record of a request.
pub fn answer_to(id: &str, outcome: &str, message: &str) -> Value {
    json!({"lastRequest": {
        "id": id, "verb": "promote", "by": "alice", "at": "2026-03-01T12:00:00Z", "outcome": outcome, "message": message,
    }})
}

/// A status in which the release has ended.
pub fn ended(phase: &str, outcome: &str) -> Value {
    json!({
        "phase": phase, "canaryWeight": 0,
        "release": {"outcome": outcome, "endedAt": "2026-03-01T12:00:34Z", "message": ""},
    })
}
