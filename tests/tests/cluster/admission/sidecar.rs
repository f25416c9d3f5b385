//! Somebody else's webhook, which comes after ours and changes the pod template once more.

use anyhow::Result;
use axum::routing::post;
use axum::{Json, Router};
use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::webhook;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

/// Targets with this label get a sidecar.
pub const LABEL: &str = "sidecar";

/// Starts it, and waits until the API server asks it. Once for a control plane.
pub async fn register(plane: &ControlPlane) -> Result<()> {
    let router = Router::new().route("/sidecar", post(inject));
    let url = webhook::serve(plane, "sidecar", router)? + "/sidecar";
    plane
        .apply(&registration(&url, &plane.authority().pem()))
        .await?;
    let probe = labelled().to_string();
    eventually("the sidecar to be injected", LIMIT, async || {
        let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
        let admin = plane.admin_kubeconfig();
        let created = plane.kubectl_with(admin, &create, &probe).await?.ok()?;
        Ok(created.contains("\"name\": \"sidecar\"").then_some(()))
    })
    .await
}

fn labelled() -> Value {
    let mut target = canary_tests::cluster::deployment();
    target["metadata"] =
        json!({"name": "probe", "namespace": "default", "labels": {LABEL: "true"}});
    target
}

/// Its name sorts after ours, so it is called after ours.
fn registration(url: &str, ca_pem: &str) -> String {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "z-sidecar"},
        "webhooks": [{
            "name": "sidecar.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": url, "caBundle": ByteString(ca_pem.into())},
            "rules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
            }],
            "objectSelector": {"matchLabels": {LABEL: "true"}},
            "sideEffects": "None",
        }],
    })
    .to_string()
}

async fn inject(Json(review): Json<Value>) -> Json<Value> {
    let containers = &review["request"]["object"]["spec"]["template"]["spec"]["containers"];
    // The image follows the application's, so that each change of it is changed once more.
    let image = containers[0]["image"].clone();
    let sidecar = json!({"name": "sidecar", "image": image});
    let at = if containers[1].is_null() { "-" } else { "1" };
    let patch = json!([{
        "op": if at == "-" { "add" } else { "replace" },
        "path": format!("/spec/template/spec/containers/{at}"),
        "value": sidecar,
    }]);
    Json(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {
            "uid": review["request"]["uid"],
            "allowed": true,
            "patchType": "JSONPatch",
            "patch": ByteString(patch.to_string().into_bytes()),
        },
    }))
}
