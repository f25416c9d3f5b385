//! The server's certificate, what happens to it and to what the API server knows of it.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, QUICK, asked};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::{NAMESPACE, Server};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::alone::Alone;

#[path = "certificates/cert_manager.rs"]
mod cert_manager;

const SECRET: &str = "canary-webhook-tls";
const KINDS: [&str; 2] = [
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
];

async fn json(plane: &ControlPlane, args: &[&str]) -> Result<Value> {
    let get = [&["get", "-o", "json"], args].concat();
    Ok(serde_json::from_str(&plane.kubectl(&get).await?.ok()?)?)
}

/// What the Secret holds; null if it is not there.
async fn kept(plane: &ControlPlane) -> Result<Value> {
    let list = json(plane, &["secrets", "-n", NAMESPACE]).await?;
    let secrets = list["items"].as_array().unwrap();
    let is_it = |secret: &&Value| secret["metadata"]["name"] == SECRET;
    Ok(secrets
        .iter()
        .find(is_it)
        .map_or(Value::Null, |secret| secret["data"].clone()))
}

/// Waits until the server has taken up so many certificates.
async fn served(server: &Server, count: usize, limit: Duration) -> Result<()> {
    let loads = |line: &&Value| line["msg"] == "serving a certificate";
    eventually("the certificate to be served", limit, async || {
        Ok((server.log().iter().filter(loads).count() == count).then_some(()))
    })
    .await
}

async fn forget(plane: &ControlPlane) -> Result<()> {
    let delete = [
        "-n",
        NAMESPACE,
        "delete",
        "secret",
        SECRET,
        "--ignore-not-found",
    ];
    plane.kubectl(&delete).await?.ok()?;
    Ok(())
}

/// `clientConfig` of every webhook.
async fn registered(plane: &ControlPlane) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for kind in KINDS {
        let live = json(plane, &[kind, "canary-webhook"]).await?;
        let webhooks = live["webhooks"].as_array().unwrap();
        all.extend(
            webhooks
                .iter()
                .map(|webhook| webhook["clientConfig"].clone()),
        );
    }
    Ok(all)
}

/// Writes `config` over `clientConfig` of every webhook.
async fn register(plane: &ControlPlane, config: impl Fn(&str) -> Value) -> Result<()> {
    for kind in KINDS {
        let mut live = json(plane, &[kind, "canary-webhook"]).await?;
        let path = kind.split("ing").next().unwrap();
        for webhook in live["webhooks"].as_array_mut().unwrap() {
            let path = if path == "mutat" {
                "mutate"
            } else {
                "validate"
            };
            webhook["clientConfig"] = config(path);
        }
        let admin = plane.admin_kubeconfig();
        let replace = ["replace", "-f", "-"];
        let live = live.to_string();
        plane.kubectl_with(admin, &replace, &live).await?.ok()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_secret_is_written_again_and_a_new_certificate_follows_when_it_is_trusted()
-> Result<()> {
    let alone = Alone::turn().await?;
    let trusted = [QUICK.as_slice(), &["--ca-trusted-after=3s"]].concat();
    let mut server = Server::beside(alone.plane, &trusted)?;
    server.logged("leading", LIMIT).await?;
    asked(alone.plane).await?;
    let before = kept(alone.plane).await?;

    forget(alone.plane).await?;
    let staged = eventually("the Secret", LIMIT, async || {
        let data = kept(alone.plane).await?;
        Ok((!data.is_null()).then_some(data))
    });
    let staged = staged.await?;
    assert_ne!(staged["ca.key"], before["ca.key"]);
    assert_eq!(
        staged["tls.crt"], before["tls.crt"],
        "nobody trusts another yet"
    );
    eventually("the new certificate", LIMIT, async || {
        // All the time reviews are answered.
        asked(alone.plane).await?;
        let data = kept(alone.plane).await?;
        Ok((data["tls.crt"] != before["tls.crt"]).then_some(()))
    })
    .await?;
    for config in registered(alone.plane).await? {
        assert_eq!(config["caBundle"], staged["ca.crt"], "old and new");
    }
    Ok(())
}

#[tokio::test]
async fn certificates_and_cas_that_come_of_age_are_replaced_again_and_again() -> Result<()> {
    let alone = Alone::turn().await?;
    forget(alone.plane).await?;
    let short = [
        "--ca-duration=24s",
        "--certificate-duration=10s",
        "--ca-trusted-after=2s",
    ];
    let mut server = Server::beside(alone.plane, &[QUICK.as_slice(), &short].concat())?;
    server.logged("leading", LIMIT).await?;
    let (mut authorities, mut leaves) = (Vec::new(), Vec::new());
    let note = |seen: &mut Vec<Value>, value: &Value| {
        if !value.is_null() && !seen.contains(value) {
            seen.push(value.clone());
        }
    };
    eventually("two rotations", 3 * LIMIT, async || {
        asked(alone.plane).await?;
        let data = kept(alone.plane).await?;
        note(&mut authorities, &data["ca.key"]);
        note(&mut leaves, &data["tls.crt"]);
        Ok((authorities.len() > 2 && leaves.len() > 4).then_some(()))
    })
    .await?;
    // The next server shall not have to do with certificates that live for seconds.
    drop(server);
    forget(alone.plane).await
}

#[tokio::test]
async fn what_somebody_breaks_in_our_registration_is_put_back() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let before = registered(alone.plane).await?;
    let other = alone.plane.authority().pem();
    for _ in 0..2 {
        let nowhere = "https://127.0.0.1:9";
        let bundle = ByteString(other.clone().into());
        register(
            alone.plane,
            |path| json!({"url": format!("{nowhere}/{path}"), "caBundle": bundle}),
        )
        .await?;
        let broken = now();
        eventually("the registration", LIMIT, async || {
            Ok((registered(alone.plane).await? == before).then_some(()))
        })
        .await?;
        let took = broken.elapsed();
        assert!(took <= Duration::from_secs(5), "{took:?}");
    }
    asked(alone.plane).await
}

#[tokio::test]
async fn a_certificate_of_somebody_elses_is_served_when_it_changes_and_nothing_is_written()
-> Result<()> {
    let alone = Alone::turn().await?;
    forget(alone.plane).await?;
    let issue = async |name: &str| {
        let identity = alone
            .plane
            .authority()
            .server(name, &["127.0.0.1".to_owned()])?;
        let pem = |path| anyhow::Ok(ByteString(std::fs::read(path)?));
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "data": {
                "tls.crt": pem(&identity.certificate)?,
                "tls.key": pem(&identity.key)?,
                "ca.crt": ByteString(alone.plane.authority().pem().into()),
            },
        });
        alone.plane.apply(&secret.to_string()).await?;
        kept(alone.plane).await
    };
    let flag = format!("--tls-secret={SECRET}");
    let mut server = Server::beside(alone.plane, &[QUICK.as_slice(), &[&flag]].concat())?;
    server.logged("leading", LIMIT).await?;
    // The certificate may come later than the server.
    let first = issue("first").await?;
    let (url, ca) = (
        server.admission_url().to_owned(),
        alone.plane.authority().pem(),
    );
    register(
        alone.plane,
        |path| json!({"url": format!("{url}/{path}"), "caBundle": ByteString(ca.clone().into())}),
    )
    .await?;
    asked(alone.plane).await?;
    let before = registered(alone.plane).await?;

    let second = issue("second").await?;
    assert_ne!(first["tls.crt"], second["tls.crt"]);
    served(&server, 2, LIMIT).await?;
    asked(alone.plane).await?;
    assert_eq!(kept(alone.plane).await?, second);
    assert_eq!(registered(alone.plane).await?, before);
    drop(server);
    forget(alone.plane).await
}

#[tokio::test]
async fn metrics_say_when_the_certificate_ends() -> Result<()> {
    let alone = Alone::turn().await?;
    let server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let metrics = server.metrics().await?;
    let name = "canary_admission_certificate_expiration_timestamp_seconds ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let until: i64 = line.unwrap().parse()?;
    assert!(until > 1_700_000_000, "{until}");
    Ok(())
}
