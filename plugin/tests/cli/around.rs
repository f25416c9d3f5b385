//! An API server with everything that stands around a Canary: objects by resource, found by name and by label.

use std::collections::BTreeMap;

use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::doctor::open;
use crate::fake::{Call, FakeApi, FakeState, Reaction, canary, not_found, progressing, status};
use crate::world::{pod, running};

/// The user's Canary `podinfo` in a release at weight 20, with what belongs to it.
#[derive(Clone)]
pub struct Around {
    pub canary: Value,
    pub objects: BTreeMap<&'static str, Vec<Value>>,
    /// Resources that this user may not list.
    pub forbidden: Vec<&'static str>,
}

// === impl Around ===

impl Around {
    pub fn new() -> Self {
        let mut status = progressing();
        status["canaryWeight"] = json!(20);
        let mut canary = canary(&status);
        canary["spec"]["provider"] = json!("apisix");
        canary["spec"]["routeRef"] =
            json!({"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "podinfo"});
        let backends = |all: &[(&str, i64)]| -> Vec<Value> {
            all.iter()
                .map(|(name, weight)| json!({"serviceName": name, "servicePort": 80, "weight": weight}))
                .collect()
        };
        let split = [("podinfo-primary", 80), ("podinfo-canary", 20)];
        let objects = BTreeMap::from([
            (
                "deployments",
                vec![deployment("podinfo"), deployment("podinfo-primary")],
            ),
            (
                "services",
                vec![
                    marked(service("podinfo", "podinfo-primary")),
                    marked(service("podinfo-primary", "podinfo-primary")),
                    marked(service("podinfo-canary", "podinfo")),
                ],
            ),
            (
                "apisixroutes",
                vec![
                    route("podinfo", &backends(&[("podinfo", 100)])),
                    marked(route("podinfo-podinfo-canary", &backends(&split))),
                ],
            ),
            (
                "pods",
                vec![
                    of("podinfo-primary", "a", &ready()),
                    of("podinfo-primary", "b", &ready()),
                    of("podinfo", "c", &ready()),
                    of("podinfo", "d", &ready()),
                ],
            ),
            ("replicasets", vec![set("podinfo"), set("podinfo-primary")]),
        ]);
        Self {
            canary,
            objects,
            forbidden: Vec::new(),
        }
    }

    pub fn condition(&mut self, type_: &str, reason: &str, message: &str) -> &mut Self {
        let value = if type_ == "Ready" { "False" } else { "True" };
        self.canary["status"]["conditions"] = json!([
            {"type": "Promoted", "status": "Unknown", "reason": "Progressing", "message": "New revision detected."},
            {"type": type_, "status": value, "reason": reason, "message": message},
        ]);
        self
    }

    pub fn add(&mut self, resource: &'static str, object: Value) -> &mut Self {
        self.objects.entry(resource).or_default().push(object);
        self
    }

    pub fn remove(&mut self, resource: &'static str, name: &str) -> &mut Self {
        let all = self.objects.entry(resource).or_default();
        all.retain(|it| it["metadata"]["name"] != name);
        self
    }

    pub fn get(&mut self, resource: &'static str, name: &str) -> &mut Value {
        let all = self.objects.entry(resource).or_default();
        all.iter_mut()
            .find(|it| it["metadata"]["name"] == name)
            .unwrap()
    }

    pub fn serve(&self) -> FakeApi {
        self.reacting(Vec::new())
    }

    /// With a controller that answers a request in this way.
    pub fn reacting(&self, reactions: Vec<Reaction>) -> FakeApi {
        let around = self.clone();
        let script = move |call: &Call, state: &FakeState| around.answer(call, state);
        FakeApi::scripted(self.canary.clone(), Box::new(script), reactions)
    }

    fn answer(&self, call: &Call, state: &FakeState) -> Option<Response> {
        let Some((_, path)) = call.path.split_once("/namespaces/test/") else {
            return open(call, state);
        };
        let (resource, name) = path.split_once('/').unwrap_or((path, ""));
        if resource == "canaries" || call.method != Method::GET {
            return open(call, state);
        }
        if self.forbidden.contains(&resource) {
            let said = format!(
                "{resource} is forbidden: User \"dora\" cannot list resource \"{resource}\""
            );
            return Some(status(403, "Forbidden", &said, ""));
        }
        let all = self.objects.get(resource).cloned().unwrap_or_default();
        if !name.is_empty() {
            let found = all.into_iter().find(|it| it["metadata"]["name"] == name);
            return Some(match found {
                Some(found) => axum::Json(found).into_response(),
                None => not_found(resource, name),
            });
        }
        let items: Vec<Value> = all
            .into_iter()
            .filter(|it| asked(it, &call.query))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
        Some(axum::Json(list).into_response())
    }
}

/// By `fieldSelector=metadata.name=x` and `labelSelector=a=b,c=d`, as URLs have them.
fn asked(object: &Value, query: &str) -> bool {
    let query = query.replace("%3D", "=").replace("%2C", ",");
    query.split('&').all(|part| {
        let Some((key, selector)) = part.split_once('=') else {
            return true;
        };
        let mut pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
        match key {
            "fieldSelector" => pairs.all(|(_, name)| object["metadata"]["name"] == name),
            "labelSelector" => pairs.all(|(key, value)| object["metadata"]["labels"][key] == value),
            _ => true,
        }
    })
}

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": "test", "uid": format!("uid-{name}"), "generation": 2, "resourceVersion": "1",
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "podinfod", "image": "podinfo:6.0.1"}]},
            },
        },
        "status": {"readyReplicas": 2, "replicas": 2, "updatedReplicas": 2, "observedGeneration": 2},
    })
}

fn set(owner: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{owner}-1"), "namespace": "test", "uid": format!("uid-{owner}-1"), "resourceVersion": "1",
            "labels": {"app": owner}, "annotations": {"deployment.kubernetes.io/revision": "1"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": owner, "uid": format!("uid-{owner}"), "controller": true}],
        },
        "spec": {"replicas": 2, "selector": {}},
        "status": {"readyReplicas": 2, "replicas": 2},
    })
}

/// A pod of that Deployment.
pub fn of(deployment: &str, suffix: &str, status: &Value) -> Value {
    let mut pod = pod(&format!("{deployment}-1"), suffix, status);
    pod["metadata"]["labels"] = json!({"app": deployment});
    pod
}

fn ready() -> Value {
    let mut status = running();
    status["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    status
}

pub fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "test"},
        "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": 80}]},
    })
}

pub fn route(name: &str, backends: &[Value]) -> Value {
    json!({
        "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": name, "namespace": "test"},
        "spec": {"http": [{"name": "main", "backends": backends}]},
    })
}

pub fn scaler(name: &str, scales: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, "namespace": "test"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": scales}, "maxReplicas": 3},
    })
}

/// Generated for the Canary.
pub fn marked(mut object: Value) -> Value {
    object["metadata"]["labels"]["kubectl-canary.dev/generated"] = json!("uid-1");
    object
}
