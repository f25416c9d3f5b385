//! The certificate, and how the API server learns of it.

use std::time::Duration;

use canary_tests::clock::now;
use canary_tests::control_plane::ControlPlane;
use canary_webhook::tls::{WebhookTarget, certificate, publish_ca};
use serde_json::Value;

use super::{SERVER, STAGE, TARGET, installed, own_client, stage, today};

#[tokio::test]
async fn the_shipped_rights_are_enough_for_certificate_and_ca_bundle() {
    let plane = STAGE.get_or_try_init(stage).await.unwrap();
    let server = own_client(plane).await.unwrap();
    let names = ["127.0.0.1".to_owned()];
    let first = certificate(&server, SERVER.0, &names, today())
        .await
        .unwrap();
    let second = certificate(&server, SERVER.0, &names, today())
        .await
        .unwrap();
    assert_eq!(first.chain_pem, second.chain_pem, "kept in the Secret");
}

/// `clientConfig` of every webhook, in the order of the manifests.
async fn client_configs(plane: &ControlPlane) -> Vec<Value> {
    let mut configs = Vec::new();
    for kind in [
        "mutatingwebhookconfiguration",
        "validatingwebhookconfiguration",
    ] {
        let get = ["get", kind, "canary-webhook", "-o", "json"];
        let live = plane.kubectl(&get).await.unwrap().ok().unwrap();
        let live: Value = serde_json::from_str(&live).unwrap();
        let webhooks = live["webhooks"].as_array().unwrap().clone();
        configs.extend(
            webhooks
                .into_iter()
                .map(|webhook| webhook["clientConfig"].clone()),
        );
    }
    configs
}

#[tokio::test]
async fn the_ca_bundle_survives_that_the_manifests_are_applied_again() {
    let plane = installed().await.unwrap();
    let server = own_client(&plane).await.unwrap();
    let names = ["canary-webhook.canary-system.svc".to_owned()];
    let made = certificate(&server, SERVER.0, &names, today())
        .await
        .unwrap();
    let publish = async || {
        publish_ca(&server, &made.ca_pem, &WebhookTarget::Service)
            .await
            .unwrap();
    };

    publish().await;
    let published = client_configs(&plane).await;
    assert_eq!(published.len(), 3);
    for config in &published {
        assert_eq!(config["service"]["name"], "canary-webhook");
        assert!(
            config["caBundle"]
                .as_str()
                .is_some_and(|bundle| !bundle.is_empty())
        );
    }
    publish().await;
    for apply in [
        &["apply", "-f"][..],
        &[
            "apply",
            "--server-side",
            "--field-manager=argocd",
            "--force-conflicts",
            "-f",
        ],
    ] {
        let manifest = canary_tests::tools::folder("manifests/base/webhooks.yaml");
        let args = [apply, &[manifest.to_str().unwrap()]].concat();
        plane.kubectl(&args).await.unwrap().ok().unwrap();
        assert_eq!(client_configs(&plane).await, published, "{apply:?}");
    }

    // Nobody answers behind that Service: the change is stored all the same, and in time.
    let create = ["create", "-n", "default", "-f", "-"];
    plane
        .kubectl_with(plane.admin_kubeconfig(), &create, TARGET)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let start = now();
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let set = ["set", "image", "-n", "default", "deployment/podinfo", image];
    plane.kubectl(&set).await.unwrap().ok().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn without_registration_the_server_says_what_to_apply() {
    let plane = ControlPlane::options()
        .simulated_nodes(0)
        .start()
        .await
        .unwrap();
    let admin = plane.client().await.unwrap();
    let error = publish_ca(&admin, "PEM", &WebhookTarget::Service)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("apply manifests/base/webhooks.yaml"),
        "{error}"
    );
}
