//! The applications that are released: a Deployment, an `ApisixRoute` and a Canary each.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use super::{CHANGED, herd};
use crate::clock::{eventually, now};
use crate::control_plane::ControlPlane;

pub const NAMESPACE: &str = "bench";
/// What runs before a change, and after it was set back.
pub const BASE: &str = "app:base";

const PERSON: &str = "person";
const STAMP: &str = "kubectl-canary.dev/triggered-by";
const AT_A_TIME: usize = 16;

#[derive(Clone)]
pub struct Apps {
    deployments: Api<Deployment>,
    routes: Api<DynamicObject>,
    canaries: Api<DynamicObject>,
}

// === impl Apps ===

impl Apps {
    /// For a person who may edit, and is nobody's administrator.
    pub async fn new(plane: &ControlPlane) -> Result<Self> {
        let namespaces: Api<Namespace> = Api::all(plane.client().await?);
        let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } }))?;
        namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        plane.apply(RIGHTS).await?;
        let client = plane.client_for(PERSON, &[]).await?;
        let dynamic = |group: &str, version: &str, kind: &str| {
            let kind = GroupVersionKind::gvk(group, version, kind);
            let resource = ApiResource::from_gvk(&kind);
            Api::namespaced_with(client.clone(), NAMESPACE, &resource)
        };
        Ok(Self {
            deployments: Api::namespaced(client.clone(), NAMESPACE),
            routes: dynamic("apisix.apache.org", "v2", "ApisixRoute"),
            canaries: dynamic("flagger.app", "v1beta1", "Canary"),
        })
    }

    /// Deployments and routes, with their pods Ready.
    pub async fn create(&self, numbers: Range<usize>) -> Result<()> {
        futures::stream::iter(numbers)
            .map(|number| self.create_one(number))
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn create_one(&self, number: usize) -> Result<()> {
        let (name, params) = (name(number), PostParams::default());
        let mut deployment = deployment(&name);
        if number >= CHANGED {
            deployment = herd::grown(deployment);
        }
        let deployment = serde_json::from_value(deployment)?;
        self.deployments.create(&params, &deployment).await?;
        let route = serde_json::from_value(route(&name))?;
        self.routes.create(&params, &route).await?;
        let what = format!("deployment {name}");
        eventually(&what, Duration::from_secs(60), async || {
            let live = self.deployments.get(&name).await?;
            let wanted = live.spec.and_then(|spec| spec.replicas);
            let ready = live.status.and_then(|status| status.ready_replicas);
            Ok((ready.unwrap_or_default() >= wanted.unwrap_or(1)).then_some(()))
        })
        .await
    }

    /// Creates a Canary; the time is that of the answer.
    pub async fn adopt(&self, number: usize) -> Result<Instant> {
        let canary = serde_json::from_value(canary(&name(number)))?;
        self.canaries
            .create(&PostParams::default(), &canary)
            .await?;
        Ok(now())
    }

    /// Changes the image as `kubectl set image` does; the time is that of the answer.
    pub async fn set_image(&self, number: usize, image: &str) -> Result<Instant> {
        self.patch(number, image, &PatchParams::default()).await
    }

    /// The same by a server-side dry-run: everybody is asked, and nothing is stored.
    pub async fn try_image(&self, number: usize, image: &str) -> Result<()> {
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        self.patch(number, image, &params).await?;
        Ok(())
    }

    async fn patch(&self, number: usize, image: &str, params: &PatchParams) -> Result<Instant> {
        let patch = json!({ "spec": { "template": { "spec": { "containers": [
            { "name": "app", "image": image },
        ] } } } });
        let (name, patch) = (name(number), Patch::Strategic(patch));
        let patched = self.deployments.patch(&name, params, &patch).await;
        let stored = patched.with_context(|| format!("image {image}"))?;
        let answered = now();
        let stamps = stored.metadata.annotations.unwrap_or_default();
        ensure!(
            stamps.get(STAMP).is_some_and(|by| by == PERSON),
            "the webhook was not asked: there is no stamp on {name}"
        );
        Ok(answered)
    }
}

pub fn name(number: usize) -> String {
    format!("app-{number}")
}

/// The generated route.
pub fn route_name(number: usize) -> String {
    let name = name(number);
    format!("{name}-{name}-canary")
}

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: person}
rules:
- {apiGroups: [apps], resources: [deployments], verbs: [get, create, patch]}
- {apiGroups: [apisix.apache.org], resources: [apisixroutes], verbs: [create]}
- {apiGroups: [flagger.app], resources: [canaries], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: person}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: person}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: person}]
";

fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [
                    { "name": "app", "image": BASE, "ports": [{ "name": "http", "containerPort": 9898 }] },
                ] },
            },
        },
    })
}

fn route(name: &str) -> Value {
    json!({
        "apiVersion": "apisix.apache.org/v2",
        "kind": "ApisixRoute",
        "metadata": { "name": name },
        "spec": { "http": [{
            "name": "method",
            "match": { "hosts": [format!("{name}.example.com")], "methods": ["GET"], "paths": ["/*"] },
            "backends": [{ "serviceName": name, "servicePort": 80 }],
        }] },
    })
}

/// The user's scenario without its load test: five steps of 10 s and two checks.
fn canary(name: &str) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": name },
        "spec": {
            "provider": "apisix",
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": name },
            "progressDeadlineSeconds": 60,
            "service": { "port": 80, "targetPort": 9898 },
            "analysis": {
                "interval": "10s",
                "threshold": 10,
                "maxWeight": 50,
                "stepWeight": 10,
                "metrics": [
                    { "name": "request-success-rate", "thresholdRange": { "min": 99 }, "interval": "1m" },
                    { "name": "request-duration", "thresholdRange": { "max": 500 }, "interval": "30s" },
                ],
            },
        },
    })
}
