//! What the server has to keep while it answers: a thousand Canaries in one namespace, and twenty policies.
//!
//! The Canaries are real ones, adopted by the server to the end: each has its primary with a Ready (simulated)
//! pod, Services and routes. Their Deployments are as long as people write them, for the reviews of them hold
//! all of it twice. They have no pods of their own, as after any adoption; a thousand that come and go would
//! keep the cluster, and who waits, busy for minutes.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Bench;
use super::changes;
use crate::clock::eventually;

/// Canaries that the server keeps while it answers reviews.
pub const HERD: usize = 1000;
pub const POLICIES: usize = 20;

/// Created at once; the server adopts them as fast as it can.
const AT_A_TIME: usize = 32;
/// For the controllers of the API server to finish what adoption left to them.
const SETTLE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60);

/// Adds Canaries, and then the policies: all of them apply to all Canaries, and none has anything against
/// what the bench does.
pub(super) async fn add(bench: &Bench, numbers: Range<usize>) -> Result<()> {
    bench.apps.create(numbers.clone()).await?;
    changes::adopt(&bench.apps, &bench.sights, numbers, AT_A_TIME).await?;
    bench.plane.apply(&policies()).await?;
    let ready = "--for=condition=Ready";
    bench
        .plane
        .kubectl(&["wait", ready, "--timeout=60s", "--all", "canarypolicies"])
        .await?
        .ok()?;
    tokio::time::sleep(SETTLE).await;
    eventually("the API server to ask all policies", LIMIT, async || {
        bench.apps.try_image(0, "app:asked").await?;
        Ok(Some(()))
    })
    .await
}

/// Every rule somewhere. The windows are there to be read and asked, and never open.
fn policies() -> String {
    let mut all = String::new();
    for number in 0..POLICIES {
        let rules = match number % 4 {
            0 => {
                "images: {allowedRegistries: [docker.io/library/, registry.example.com/], disallowedTags: [latest]}"
            }
            1 => {
                "release: {minInterval: 1s, maxConcurrentPerNamespace: 1000, onRunningRelease: Deny, freezeWindows: [\
                 {name: leap-day, schedule: '0 3 29 2 *', duration: 1m, timeZone: Europe/Berlin}, \
                 {name: long-ago, start: '2020-01-01T00:00:00Z', end: '2020-01-02T00:00:00Z'}]}"
            }
            2 => "canary: {required: true, maxStepWeight: 50, maxWeight: 50, minMetrics: 1}",
            _ => {
                "approvals: {promote: {requireReason: true, notByAuthor: true}}, \
                 protect: {generated: true, lockDuringPromotion: true}"
            }
        };
        // Writing to a String cannot fail.
        let _ = write!(
            all,
            "---
apiVersion: policy.kubectl-canary.dev/v1alpha1
kind: CanaryPolicy
metadata: {{name: policy-{number}}}
spec: {{{rules}}}
"
        );
    }
    all
}

/// A Deployment with all that a careful team writes into one: about 3 KiB, and as much again of
/// managedFields. Without pods.
pub fn grown(mut deployment: Value) -> Value {
    deployment["spec"]["replicas"] = json!(0);
    let probe = |path: &str| {
        json!({
            "httpGet": { "path": path, "port": "http", "scheme": "HTTP" },
            "initialDelaySeconds": 5, "timeoutSeconds": 5, "periodSeconds": 10, "failureThreshold": 3,
        })
    };
    let env: Vec<Value> = (0..12)
        .map(|number| json!({ "name": format!("SETTING_{number}"), "value": format!("value of setting {number}") }))
        .collect();
    let template = &mut deployment["spec"]["template"];
    template["metadata"]["annotations"] = json!({
        "prometheus.io/scrape": "true", "prometheus.io/port": "9797", "example.com/owner": "team-of-the-application",
    });
    let container = &mut template["spec"]["containers"][0];
    container["env"] = json!(env);
    container["command"] = json!([
        "./app",
        "--port=9898",
        "--port-metrics=9797",
        "--grpc-port=9999",
        "--grpc-service-name=app",
        "--level=info",
        "--random-delay=false",
        "--random-error=false",
    ]);
    container["ports"] = json!([
        { "name": "http", "containerPort": 9898, "protocol": "TCP" },
        { "name": "http-metrics", "containerPort": 9797, "protocol": "TCP" },
        { "name": "grpc", "containerPort": 9999, "protocol": "TCP" },
    ]);
    container["livenessProbe"] = probe("/healthz");
    container["readinessProbe"] = probe("/readyz");
    container["startupProbe"] = probe("/startupz");
    container["resources"] = json!({
        "limits": { "cpu": "2", "memory": "512Mi" }, "requests": { "cpu": "100m", "memory": "64Mi" },
    });
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
        "runAsUser": 10001, "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    container["volumeMounts"] = json!([
        { "name": "data", "mountPath": "/data" }, { "name": "cache", "mountPath": "/cache" },
    ]);
    template["spec"]["volumes"] = json!([
        { "name": "data", "emptyDir": {} }, { "name": "cache", "emptyDir": { "sizeLimit": "64Mi" } },
    ]);
    template["spec"]["affinity"] = json!({ "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 100, "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": { "matchLabels": { "example.com/owner": "team-of-the-application" } },
        } }],
    } });
    deployment
}

/// Which of them reviews are recorded of.
pub fn recorded(all: usize) -> Vec<usize> {
    (0..RECORDED).map(|number| all - 1 - number).collect()
}

const RECORDED: usize = 50;

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;

    use super::*;

    #[test]
    fn the_policies_and_the_deployments_are_what_their_names_say() {
        let read = crate::crds::documents(&policies()).unwrap();
        assert_eq!(read.len(), POLICIES);
        let deployment =
            json!({ "spec": { "template": { "metadata": {}, "spec": { "containers": [{}] } } } });
        let read: Deployment = serde_json::from_value(grown(deployment)).unwrap();
        let length = serde_json::to_string(&read).unwrap().len();
        assert!(length > 2000, "{length}");
    }
}
