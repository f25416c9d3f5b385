//! A real Alertmanager: what it makes of a release.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use canary_tests::clock::now;
use canary_tests::cluster::{Cluster, Namespace};
use canary_tests::control_plane::free_port;
use canary_tests::fixtures::load::get;
use canary_tests::fixtures::prometheus::Answer;
use canary_tests::tools::require;
use serde_json::{Value, json};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);
const CONFIG: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// Ends with the value.
struct Alertmanager {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Alertmanager {
    async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, CONFIG)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let child = Command::new(require("prometheus-alertmanager")?)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let started = Self {
            child,
            address,
            _folder: folder,
        };
        let start = now();
        while get(&started.address, "alertmanager", "/-/ready")
            .await
            .is_err()
        {
            ensure!(start.elapsed() < LIMIT, "Alertmanager does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(started)
    }

    /// Names of the alerts that fire, in order.
    async fn firing(&self) -> Result<Vec<String>> {
        let reply = get(&self.address, "alertmanager", "/api/v2/alerts?active=true").await;
        let reply = reply.ok().context("no answer")?;
        let alerts: Vec<Value> = serde_json::from_slice(&reply.body)?;
        let mut names: Vec<String> = alerts
            .iter()
            .filter(|alert| alert["labels"]["canary"] == "podinfo")
            .map(|alert| {
                alert["labels"]["alertname"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        names.sort();
        Ok(names)
    }

    async fn until(&self, expected: &[&str]) -> Result<()> {
        let start = now();
        loop {
            let firing = self.firing().await?;
            if firing == expected {
                return Ok(());
            }
            ensure!(
                start.elapsed() < LIMIT,
                "{firing:?} fire, and not {expected:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn prepare(test: &Namespace<'_>, alertmanager: &Alertmanager) -> Result<()> {
    test.create_as_admin(&json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "am"},
        "spec": {"type": "alertmanager", "address": format!("http://{}", alertmanager.address)},
    }))
    .await?;
    test.create_with(|canary| {
        canary["spec"]["analysis"]["alerts"] =
            json!([{"name": "am", "providerRef": {"name": "am"}}]);
    })
    .await?;
    test.phase("Initialized").await?;
    Ok(())
}

#[tokio::test]
async fn an_alert_fires_while_a_release_goes_on_and_after_it_failed_until_the_next() -> Result<()> {
    let alertmanager = Alertmanager::start().await?;
    let cluster = Cluster::start(&[]).await?;
    let test = cluster.namespace("alertmanager").await?;
    prepare(&test, &alertmanager).await?;
    alertmanager.until(&[]).await?;

    test.set_image("6.0.1").await?;
    alertmanager.until(&["CanaryReleasing"]).await?;
    test.phase("Succeeded").await?;
    alertmanager.until(&[]).await?;

    test.prometheus.answer("", Answer::value(50.0));
    test.set_image("6.0.2").await?;
    test.phase("Failed").await?;
    alertmanager.until(&["CanaryReleaseFailed"]).await?;

    test.prometheus.answer("", Answer::value(100.0));
    test.set_image("6.0.3").await?;
    alertmanager.until(&["CanaryReleasing"]).await?;
    test.phase("Succeeded").await?;
    alertmanager.until(&[]).await?;
    Ok(())
}
