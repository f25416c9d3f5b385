//! The user's Canary with what stands around and below it: two Deployments, ReplicaSets, and pods that change.
//!
//! ```text
//!  GET, list ─► the objects as they are        watch of pods ─► each change of them, without end
//! ```
//!
//! Ages are whole days and a half, so that what is shown is the same at any time of the day.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::fake::{Call, FakeApi, canary, event, not_found, progressing, status};

/// What is there, and who may not see it.
#[derive(Clone)]
pub struct World {
    pub canary: Value,
    pub pods: watch::Sender<Vec<Value>>,
    /// Whether the primary's Deployment is there already.
    pub primary: watch::Sender<bool>,
    /// Resources that this user may not list.
    pub forbidden: Vec<&'static str>,
}

// === impl World ===

impl World {
    /// A release at its first step: two pods of the primary are well, one of two of the canary is not.
    pub fn new() -> Self {
        let mut status = progressing();
        status["release"]["startedAt"] = json!(days_ago(3));
        status["release"]["nextCheckAt"] = json!("2999-01-01T00:00:00Z");
        status["release"]["checks"] = json!([
            {"name": "request-success-rate", "value": 99.5, "min": 99.0, "verdict": "Passed", "at": days_ago(3),
             "recent": [100.0, 99.9, 99.5]},
        ]);
        let mut canary = canary(&status);
        canary["metadata"]["creationTimestamp"] = json!(days_ago(9));
        canary["spec"]["analysis"]["metrics"] =
            json!([{"name": "request-success-rate", "thresholdRange": {"min": 99}}]);
        let pods = vec![
            pod("podinfo-primary-5d8f", "x2x4z", &running()),
            pod("podinfo-primary-5d8f", "b7k9q", &running()),
            pod("podinfo-7c9d", "aaaaa", &running()),
            pod("podinfo-7c9d", "bbbbb", &waiting("ImagePullBackOff")),
        ];
        Self {
            canary,
            pods: watch::Sender::new(pods),
            primary: watch::Sender::new(true),
            forbidden: Vec::new(),
        }
    }

    pub fn serve(&self) -> FakeApi {
        let world = Arc::new(self.clone());
        let script = move |call: &Call, _: &_| world.answer(call);
        FakeApi::scripted(self.canary.clone(), Box::new(script), Vec::new())
    }

    fn answer(&self, call: &Call) -> Option<Response> {
        let path = call.path.as_str();
        let resource = ["deployments", "replicasets", "pods"]
            .into_iter()
            .find(|resource| path.contains(&format!("/{resource}")))?;
        if self.forbidden.contains(&resource) {
            let said = format!(
                "{resource} is forbidden: User \"dora\" cannot list resource \"{resource}\""
            );
            return Some(status(403, "Forbidden", &said, ""));
        }
        let items = match resource {
            "deployments" => self.deployments(),
            "replicasets" => replica_sets(),
            _ => self.pods.borrow().clone(),
        };
        if let Some((_, name)) = path.split_once("/deployments/") {
            let found = items
                .into_iter()
                .find(|item| item["metadata"]["name"] == name);
            return Some(match found {
                Some(found) => axum::Json(found).into_response(),
                None => not_found("deployments.apps", name),
            });
        }
        if !call.query.contains("watch=true") {
            let items: Vec<_> = items
                .into_iter()
                .filter(|item| selected(item, &call.query))
                .collect();
            let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
            return Some(axum::Json(list).into_response());
        }
        Some(match resource {
            "pods" => changes(self.pods.subscribe(), Clone::clone),
            "deployments" if call.query.contains("podinfo-primary") => {
                changes(self.primary.subscribe(), |there| {
                    there.then(primary).into_iter().collect()
                })
            }
            _ => Body::from_stream(stream::pending::<Result<String, std::io::Error>>())
                .into_response(),
        })
    }

    fn deployments(&self) -> Vec<Value> {
        let there = *self.primary.borrow();
        there.then(primary).into_iter().chain([target()]).collect()
    }
}

/// By its name, as watches of single objects ask for it.
fn selected(item: &Value, query: &str) -> bool {
    let Some((_, name)) = query.split_once("metadata.name%3D") else {
        return true;
    };
    item["metadata"]["name"] == name.split('&').next().unwrap_or_default()
}

/// An event for each of these objects: as a watch finds them, and whenever they change.
fn changes<T: Send + Sync + 'static>(
    mut source: watch::Receiver<T>,
    objects: fn(&T) -> Vec<Value>,
) -> Response {
    source.mark_changed();
    let changes = stream::unfold(source, move |mut source| async move {
        source.changed().await.ok()?;
        let lines: Vec<String> = objects(&source.borrow_and_update())
            .iter()
            .map(|object| event("MODIFIED", object))
            .collect();
        Some((Ok::<_, std::io::Error>(lines.concat()), source))
    });
    Body::from_stream(changes.boxed()).into_response()
}

pub fn days_ago(days: i64) -> String {
    #[allow(
        clippy::disallowed_methods,
        reason = "the program under test has the real clock"
    )]
    let now = Timestamp::now();
    let then = now - SignedDuration::from_hours(24 * days + 12);
    then.round(jiff::Unit::Second).unwrap().to_string()
}

fn primary() -> Value {
    deployment("podinfo-primary", "1", 2, "podinfo:6.0.0")
}

fn target() -> Value {
    deployment("podinfo", "2", 1, "podinfo:6.0.1")
}

fn deployment(name: &str, revision: &str, ready: i64, image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": "test", "uid": format!("uid-{name}"), "creationTimestamp": days_ago(9),
            "generation": 2, "resourceVersion": "1",
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}},
        },
        "status": {"readyReplicas": ready, "replicas": 2, "updatedReplicas": 2, "observedGeneration": 2},
    })
}

fn replica_sets() -> Vec<Value> {
    let set = |owner: &str,
               hash: &str,
               revision: &str,
               (ready, desired): (i64, i64),
               image: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": format!("{owner}-{hash}"), "namespace": "test", "uid": format!("uid-{owner}-{hash}"),
                "creationTimestamp": days_ago(5), "resourceVersion": "1",
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": owned_by("Deployment", owner),
            },
            "spec": {
                "replicas": desired, "selector": {},
                "template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}},
            },
            "status": {"readyReplicas": ready, "replicas": desired},
        })
    };
    vec![
        set("podinfo-primary", "5d8f", "1", (2, 2), "podinfo:6.0.0"),
        set("podinfo", "7c9d", "2", (1, 2), "podinfo:6.0.1"),
        set("podinfo", "65fb", "1", (0, 0), "podinfo:6.0.0"),
    ]
}

/// A pod of that ReplicaSet, with this status.
pub fn pod(set: &str, suffix: &str, status: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{set}-{suffix}"), "namespace": "test", "uid": format!("uid-{set}-{suffix}"),
            "creationTimestamp": days_ago(5), "resourceVersion": "1", "ownerReferences": owned_by("ReplicaSet", set),
        },
        "spec": {"containers": [{"name": "podinfod"}]},
        "status": status,
    })
}

fn owned_by(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true}])
}

pub fn running() -> Value {
    container(true, &json!({"running": {}}))
}

pub fn waiting(reason: &str) -> Value {
    container(
        false,
        &json!({"waiting": {"reason": reason, "message": "it is not there"}}),
    )
}

fn container(ready: bool, state: &Value) -> Value {
    json!({
        "phase": if ready { "Running" } else { "Pending" },
        "containerStatuses": [{"name": "podinfod", "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state}],
    })
}
