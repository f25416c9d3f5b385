//! Reviews go through the router as the API server sends them: JSON in, JSON out. What belongs
//! here needs no cluster; the same rules on a real API server are in the workspace's `tests/`.

mod answer;
mod http;
mod manifests;
mod mutate;
mod policy;
mod requests;
mod sentence;
mod templates;
mod validate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::StatusCode;
use axum::Router;
use axum::body::{Body, to_bytes};
use canary_core::canary::Canary;
use jiff::Timestamp;
use json_patch::Patch;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use futures::future::BoxFuture;

use super::{AdmissionMetrics, Config, Flood, Request, Right, Rights, State, View, router};
use crate::caches::{Labels, Stated};
use crate::clock::Cpu;
use crate::health::Health;

const NOW: &str = "2026-12-24T12:00:00Z";
const OWN_USER: &str = "system:serviceaccount:canary-system:canary-webhook";

/// A cluster as the caches see it.
#[derive(Default)]
struct World {
    canaries: Vec<Arc<Canary>>,
    strategies: BTreeMap<String, String>,
    policies: Vec<Arc<Stated>>,
    /// Why nobody may adopt yet.
    shared: Option<String>,
    /// What is to be said of other Services.
    stranded: Option<String>,
    /// Labels that a Service selects.
    served: Option<Labels>,
    synced: bool,
    /// Every question panics.
    broken: bool,
    /// What every question takes.
    slow: Duration,
    /// What every question takes by the server's clock, in milliseconds.
    takes: u64,
    clock: AtomicU64,
    /// What the API server says about rights; none: a policy asks.
    rights: Option<Result<bool, String>>,
}

impl View for World {
    fn canaries_for(&self, namespace: &str, target: &str) -> Vec<Arc<Canary>> {
        let mut found = self.canaries(namespace);
        found.retain(|canary| canary.target_name() == target);
        found
    }

    fn others_releasing(&self, namespace: &str, canary: Option<&str>) -> usize {
        let mut others = self.canaries(namespace);
        others.retain(|other| {
            other.metadata.name.as_deref() != canary && canary_core::policy::is_releasing(other)
        });
        others.len()
    }

    fn target_strategy(&self, _namespace: &str, name: &str) -> Option<String> {
        self.strategies.get(name).cloned()
    }

    fn policies(&self, _namespace: &str) -> Vec<Arc<Stated>> {
        self.policies.clone()
    }

    fn is_served(&self, _namespace: &str, labels: &Labels) -> bool {
        self.served.as_ref() == Some(labels)
    }

    fn shared_selector(&self, _namespace: &str, _canary: &Canary) -> Option<String> {
        self.shared.clone()
    }

    fn other_services(&self, _namespace: &str, _canary: &Canary) -> Option<String> {
        self.stranded.clone()
    }

    fn now(&self) -> Timestamp {
        NOW.parse().unwrap()
    }

    fn synced(&self) -> bool {
        self.synced
    }
}

impl World {
    fn canaries(&self, namespace: &str) -> Vec<Arc<Canary>> {
        assert!(!self.broken, "the cache is broken");
        std::thread::sleep(self.slow);
        self.clock.fetch_add(self.takes, Ordering::Relaxed);
        let there = |canary: &&Arc<Canary>| canary.namespace_name() == namespace;
        self.canaries.iter().filter(there).cloned().collect()
    }

    fn of(canaries: impl IntoIterator<Item = Value>) -> Self {
        let read = |value| Arc::new(serde_json::from_value(value).unwrap());
        Self {
            canaries: canaries.into_iter().map(read).collect(),
            synced: true,
            ..Self::default()
        }
    }

    fn with_strategy(mut self, deployment: &str, strategy: &str) -> Self {
        self.strategies
            .insert(deployment.to_owned(), strategy.to_owned());
        self
    }

    fn serve(self) -> Server {
        let mut registry = Registry::default();
        let health = Arc::new(Health::default());
        let flood = Arc::new(Flood::of_this_process());
        let world = Arc::new(self);
        let clock = world.clone();
        let elapsed =
            Arc::new(move || Duration::from_millis(7 + clock.clock.load(Ordering::Relaxed)));
        let router = router(State {
            view: world.clone(),
            rights: world,
            health: health.clone(),
            config: Arc::new(Config {
                own_user: OWN_USER.to_owned(),
                own_namespace: "canary-system".to_owned(),
                default_provider: "apisix".to_owned(),
            }),
            metrics: AdmissionMetrics::register(&mut registry),
            flood: flood.clone(),
            elapsed: elapsed.clone(),
            // Nothing keeps it from its CPU.
            cpu: Cpu {
                thread: elapsed.clone(),
                process: elapsed,
            },
        });
        Server {
            router,
            registry,
            health,
            flood,
        }
    }
}

impl Rights for World {
    fn asked(&self) -> bool {
        self.rights.is_some()
    }

    fn allowed<'a>(&'a self, _: &'a Request, _: Right) -> BoxFuture<'a, Result<bool, String>> {
        let answer = self.rights.clone().unwrap_or(Ok(false));
        Box::pin(std::future::ready(answer))
    }
}

struct Server {
    router: Router,
    registry: Registry,
    health: Arc<Health>,
    flood: Arc<Flood>,
}

impl Server {
    async fn send(&self, path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = ::http::Request::post(path)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The `response` of a review that was understood.
    async fn ask(&self, path: &str, review: &Value) -> Reply {
        let (status, body) = self.send(path, review.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        assert_eq!(body["response"]["uid"], review["request"]["uid"]);
        Reply(body["response"].clone())
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

struct Reply(Value);

impl Reply {
    fn allowed(&self) -> bool {
        self.0["allowed"].as_bool().unwrap()
    }

    fn patch(&self) -> Patch {
        let bytes: Vec<u8> = match &self.0["patch"] {
            Value::Null => return Patch::default(),
            // kube writes the bytes as base64 or as a list; both are read by its own type.
            patch => serde_json::from_value(patch.clone()).unwrap(),
        };
        serde_json::from_slice(&bytes).unwrap()
    }

    /// `object` as the API server would go on with it.
    fn applied_to(&self, object: &Value) -> Value {
        let mut object = object.clone();
        json_patch::patch(&mut object, &self.patch()).unwrap();
        object
    }

    fn warning(&self) -> &str {
        match self.0["warnings"].as_array().map(Vec::as_slice) {
            None | Some([]) => "",
            Some([only]) => only.as_str().unwrap(),
            Some(several) => panic!("more than one warning: {several:?}"),
        }
    }
}

/// A Deployment that a Canary manages.
fn deployment(image: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "podinfo",
            "namespace": "test",
            "labels": {"app": "podinfo", "kubectl-canary.dev/managed": "true"},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "podinfo"}},
            "template": {
                "metadata": {"labels": {"app": "podinfo"}},
                "spec": {
                    "containers": [{"name": "podinfod", "image": image}],
                    "fieldOfANewerServer": {"kept": [1, 2.5, null]},
                },
            },
        },
    })
}

/// A Canary that has been initialized.
fn canary() -> Value {
    let mut canary: Value =
        serde_yaml::from_str(include_str!("../../../tests/seed/podinfo-canary.yaml")).unwrap();
    canary["metadata"]["uid"] = json!("4f4e2b7e-0000-4000-8000-000000000001");
    canary["metadata"]["creationTimestamp"] = json!("2026-01-02T03:04:05Z");
    canary["status"] = json!({"phase": "Initialized"});
    canary
}

fn review(operation: &str, user: &str, old: Option<&Value>, new: Option<&Value>) -> Value {
    let object = new.or(old).unwrap();
    let (group, version) = object["apiVersion"]
        .as_str()
        .unwrap()
        .split_once('/')
        .unwrap();
    let kind = object["kind"].as_str().unwrap();
    let resource = match kind {
        "Canary" => "canaries",
        "MetricTemplate" => "metrictemplates",
        _ => "deployments",
    };
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "name": object["metadata"]["name"],
            "namespace": object["metadata"]["namespace"],
            "operation": operation,
            "userInfo": {"username": user, "groups": ["system:authenticated"]},
            "object": new,
            "oldObject": old,
            "dryRun": false,
        },
    })
}

fn update(user: &str, old: &Value, new: &Value) -> Value {
    review("UPDATE", user, Some(old), Some(new))
}

/// `object` after `change`.
fn with(object: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = object.clone();
    change(&mut object);
    object
}
