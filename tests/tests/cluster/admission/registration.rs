//! The certificate, and how the API server learns of it.

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, asked, deployment};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::{NAMESPACE, Server, grant, register};
use serde_json::Value;

use crate::alone::Alone;

async fn json(plane: &ControlPlane, args: &[&str]) -> Result<Value> {
    let get = [&["get", "-o", "json"], args].concat();
    Ok(serde_json::from_str(&plane.kubectl(&get).await?.ok()?)?)
}

#[tokio::test]
async fn the_certificate_is_kept_in_a_secret_by_the_shipped_rights() -> Result<()> {
    let alone = Alone::turn().await?;
    let kept = async || {
        let secret = ["secret", "-n", NAMESPACE, "canary-webhook-tls"];
        anyhow::Ok(json(alone.plane, &secret).await?["data"].clone())
    };
    let mut server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let first = kept().await?;
    assert!(first["tls.crt"].is_string(), "{first}");
    let before = server.log().len();
    server.restart()?;
    eventually("the second process to lead", LIMIT, async || {
        let leads = |line: &Value| {
            line["msg"]
                .as_str()
                .is_some_and(|msg| msg.contains("leading"))
        };
        Ok(server.log()[before..].iter().any(leads).then_some(()))
    })
    .await?;
    asked(alone.plane).await?;
    assert_eq!(kept().await?, first);
    Ok(())
}

/// `clientConfig` of every webhook, in the order of the manifests.
async fn client_configs(plane: &ControlPlane) -> Result<Vec<Value>> {
    let mut configs = Vec::new();
    for kind in [
        "mutatingwebhookconfiguration",
        "validatingwebhookconfiguration",
    ] {
        let live = json(plane, &[kind, "canary-webhook"]).await?;
        let webhooks = live["webhooks"].as_array().unwrap();
        configs.extend(
            webhooks
                .iter()
                .map(|webhook| webhook["clientConfig"].clone()),
        );
    }
    Ok(configs)
}

/// Waits until every webhook has a bundle.
async fn published(plane: &ControlPlane) -> Result<Vec<Value>> {
    eventually("a caBundle in every webhook", LIMIT, async || {
        let configs = client_configs(plane).await?;
        let bundle = |config: &Value| {
            config["caBundle"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        };
        Ok(configs.iter().all(bundle).then_some(configs))
    })
    .await
}

#[tokio::test]
async fn the_ca_bundle_survives_that_the_manifests_are_applied_again() -> Result<()> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    register(&plane).await?;
    // Reached by its Service, as in a cluster.
    let mut server = Server::beside(&plane, &["--admission-url="])?;
    let before = published(&plane).await?;
    assert_eq!(before.len(), 7);
    for config in &before {
        assert_eq!(config["service"]["name"], "canary-webhook");
    }
    // Nobody is left to repair it.
    server.process().kill()?;
    let argocd = [
        "--server-side",
        "--field-manager=argocd",
        "--force-conflicts",
    ];
    for how in [&[][..], &argocd] {
        let manifest = canary_tests::tools::folder("manifests/base/webhooks.yaml");
        let apply = [&["apply", "-f", manifest.to_str().unwrap()], how].concat();
        plane.kubectl(&apply).await?.ok()?;
        assert_eq!(client_configs(&plane).await?, before, "{apply:?}");
    }

    // Nobody answers behind that Service: the change is stored all the same, and in time.
    let mut target = deployment();
    target["metadata"]["labels"]["kubectl-canary.dev/managed"] = "true".into();
    plane.apply(&target.to_string()).await?;
    let start = now();
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let set = ["set", "image", "-n", "default", "deployment/podinfo", image];
    plane.kubectl(&set).await?.ok()?;
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn without_registration_the_server_says_what_to_apply() -> Result<()> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    grant(&plane).await?;
    let mut server = Server::beside(&plane, &[])?;
    let line = server.logged("manifests/base/webhooks.yaml", LIMIT).await?;
    let text = line["msg"].as_str().unwrap();
    assert!(
        text.contains("apply manifests/base/webhooks.yaml"),
        "{text}"
    );
    Ok(())
}
