//! What a user applies, as JSON that a test changes where it differs.

use serde_json::{Value, json};

/// The target: one pod of podinfo 6.0.0.
pub fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "podinfo"}},
            "template": {
                "metadata": {"labels": {"app": "podinfo"}},
                "spec": {"containers": [{
                    "name": "podinfod", "image": "stefanprodan/podinfo:6.0.0",
                    "ports": [{"name": "http", "containerPort": 9898}],
                }]},
            },
        },
    })
}

/// The user's route to the apex Service.
pub fn route() -> Value {
    json!({
        "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": "podinfo"},
        "spec": {"http": [{
            "name": "method",
            "match": {"hosts": ["app.example.com"], "methods": ["GET"], "paths": ["/*"]},
            "backends": [{"serviceName": "podinfo", "servicePort": 80}],
        }]},
    })
}

/// A Canary with two steps of a second, and both built-in checks asked of `prometheus`.
pub fn canary(prometheus: &str) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo"},
        "spec": {
            "provider": "apisix",
            "metricsServer": prometheus,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "routeRef": {"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "podinfo"},
            "progressDeadlineSeconds": 60,
            "service": {"port": 80, "targetPort": 9898},
            "analysis": {
                "interval": "1s", "threshold": 3, "maxWeight": 40, "stepWeight": 20,
                "metrics": [
                    {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
                    {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "30s"},
                ],
            },
        },
    })
}
