//! The chart installs what kustomize installs: rendered by a real Helm, and applied by it.

use std::collections::BTreeMap;

use canary_tests::control_plane::ControlPlane;
use serde_json::{Value, json};

use super::{helm, kustomize, objects};

/// By kind, namespace and name; without what Helm adds to each, and without a Namespace, which is the
/// business of `helm install --create-namespace`.
fn installed(text: &str) -> BTreeMap<String, Value> {
    let mut installed = BTreeMap::new();
    for mut object in objects(text) {
        if object["kind"] == "Namespace" {
            continue;
        }
        let labels = object.pointer_mut("/metadata/labels");
        if let Some(labels) = labels.and_then(Value::as_object_mut) {
            for label in [
                "helm.sh/chart",
                "app.kubernetes.io/managed-by",
                "app.kubernetes.io/instance",
                "app.kubernetes.io/version",
            ] {
                labels.remove(label);
            }
            if labels.is_empty() {
                object["metadata"].as_object_mut().unwrap().remove("labels");
            }
        }
        // kustomize gives these a namespace, not knowing that they are the cluster's; nobody reads it.
        let kind = object["kind"].as_str().unwrap_or_default();
        if kind.starts_with("ValidatingAdmissionPolicy") {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.remove("namespace");
        }
        unfold(&mut object);
        let (kind, metadata) = (&object["kind"], &object["metadata"]);
        let key = format!("{kind} {} {}", metadata["namespace"], metadata["name"]);
        assert!(
            installed.insert(key.clone(), object).is_none(),
            "{key} twice"
        );
    }
    installed
}

/// CEL does not mind white space, and kustomize folds long expressions in its own way; it also writes `1.0`
/// as `1`.
fn unfold(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().into(),
        Value::String(text) if text.contains('\n') => {
            *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        Value::Array(values) => values.iter_mut().for_each(unfold),
        Value::Object(fields) => fields.values_mut().for_each(unfold),
        _ => (),
    }
}

async fn rendered(namespace: &str, values: &[&str]) -> String {
    let template = ["template", "canary", "chart", "--namespace", namespace];
    helm(&[template.as_slice(), values].concat(), None)
        .await
        .ok()
        .unwrap()
}

async fn assert_same(namespace: &str, values: &[&str], inside: &str) {
    let chart = installed(&rendered(namespace, values).await);
    let kustomized = installed(&kustomize(inside).await);
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&chart), names(&kustomized), "{inside}");
    for (name, object) in &kustomized {
        assert_eq!(
            chart[name], *object,
            "{inside}: {name}; `make manifests` copies manifests/base into the chart"
        );
    }
}

#[tokio::test]
async fn the_chart_installs_what_kustomize_installs() {
    assert_same("canary-system", &["--include-crds"], "manifests").await;
    assert_same("canary-system", &["--set=crd.create=true"], "manifests").await;
}

#[tokio::test]
async fn each_overlay_is_a_value_of_the_chart() {
    let apisix = [
        "--set=meshProvider=apisix",
        "--set=metricsServer=http://flagger-prometheus.apisix:9090",
    ];
    assert_same("apisix", &apisix, "manifests/apisix").await;
    for (value, inside) in [
        ("--set=failurePolicy=Fail", "manifests/fail-closed"),
        ("--set=certManager.enabled=true", "manifests/cert-manager"),
        ("--set=namespace=default", "manifests/namespaced"),
    ] {
        assert_same("canary-system", &[value], inside).await;
    }
}

async fn bundles(plane: &ControlPlane) -> String {
    let get = [
        "get",
        "mutatingwebhookconfiguration,validatingwebhookconfiguration",
        "canary-webhook",
        "--ignore-not-found",
        "-o=jsonpath={.items[*].webhooks[*].clientConfig.caBundle}",
    ];
    plane.kubectl(&get).await.unwrap().ok().unwrap()
}

#[tokio::test]
async fn helm_installs_upgrades_without_the_servers_ca_bundle_and_leaves_the_definitions() {
    let plane = super::bare().await;
    let release = |verb: &'static str, more: &'static [&'static str]| {
        let words = [verb, "canary", "chart", "--namespace=canary-system"];
        [words.as_slice(), more].concat()
    };
    let install = release("install", &["--create-namespace"]);
    let notes = helm(&install, Some(&plane)).await.ok().unwrap();
    assert!(notes.contains("watches all namespaces"), "{notes}");
    for kind in ["Mutating", "Validating"] {
        publish(&plane, kind).await;
    }
    let published = bundles(&plane).await;
    assert!(!published.is_empty());

    let upgrade = release("upgrade", &["--set=podLabels.team=web"]);
    helm(&upgrade, Some(&plane)).await.ok().unwrap();
    assert_eq!(bundles(&plane).await, published, "the server's own field");

    let uninstall = ["uninstall", "canary", "--namespace=canary-system"];
    helm(&uninstall, Some(&plane)).await.ok().unwrap();
    assert_eq!(bundles(&plane).await, "");
    let get = ["get", "crd", "canaries.flagger.app", "-o", "name"];
    plane.kubectl(&get).await.unwrap().ok().unwrap();
}

/// As the server does: caBundle alone, by its own field manager.
async fn publish(plane: &ControlPlane, kind: &str) {
    let kind = format!("{kind}WebhookConfiguration");
    let get = ["get", &kind, "canary-webhook", "-o", "json"];
    let live = plane.kubectl(&get).await.unwrap().ok().unwrap();
    let live: Value = serde_json::from_str(&live).unwrap();
    let webhooks = live["webhooks"].as_array().unwrap().iter();
    let ca = plane.authority().pem();
    let ca = json!(k8s_openapi::ByteString(ca.as_bytes().to_vec()));
    let own = |webhook: &Value| json!({"name": webhook["name"], "clientConfig": {"caBundle": ca}});
    let applied = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": "canary-webhook"},
        "webhooks": webhooks.map(own).collect::<Vec<_>>(),
    });
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=kubectl-canary-ca",
        "-f",
        "-",
    ];
    plane
        .kubectl_with(plane.admin_kubeconfig(), &apply, &applied.to_string())
        .await
        .unwrap()
        .ok()
        .unwrap();
}
