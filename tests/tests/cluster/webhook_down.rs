//! Nothing rests on the webhook: a release starts without it, and without the server once it is back.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::{Duration, Instant};

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, Namespace, Recorder, asked};
use canary_tests::control_plane::{ControlPlane, free_port};
use serde_json::{Value, json};

use crate::alone::Alone;

const AT_ONCE: Duration = Duration::from_secs(1);

/// What the API server is told about our webhook from now on.
async fn misdirect(plane: &ControlPlane, field: &str, value: &str) -> Result<()> {
    for kind in ["mutating", "validating"] {
        let name = format!("{kind}webhookconfiguration/canary-webhook");
        let stored = plane.kubectl(&["get", &name, "-o", "json"]).await?.ok()?;
        let mut stored: Value = serde_json::from_str(&stored)?;
        for webhook in stored["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"][field] = json!(value);
        }
        let text = stored.to_string();
        let admin = plane.admin_kubeconfig();
        let replaced = plane.kubectl_with(admin, &["replace", "-f", "-"], &text);
        replaced.await?.ok()?;
    }
    Ok(())
}

/// A Canary at rest, watched together with its target.
struct Watched {
    test: Namespace<'static>,
    target: Recorder,
    canary: Recorder,
}

impl Watched {
    async fn start(alone: &Alone, name: &str) -> Result<Self> {
        let test = alone.at_rest(name, "1s").await?;
        Ok(Self {
            target: test.record("deployments/podinfo").await?,
            canary: test.record("canaries/podinfo").await?,
            test,
        })
    }

    /// Changes the image until the webhook is seen to be missed: the API server learns of a registration
    /// a moment after it is stored. Answers how long it took from the update as stored to Progressing.
    async fn start_without_stamp(&self, minor: &str) -> Result<Duration> {
        let mut version = 0;
        eventually("a change that the webhook did not see", LIMIT, async || {
            version += 1;
            self.release(&format!("{minor}.{version}")).await
        })
        .await
    }

    /// None if the webhook saw the change.
    async fn release(&self, version: &str) -> Result<Option<Duration>> {
        self.test.set_image(version).await?;
        let in_phase = |canary: &Value, phase: &str| {
            let status = &canary["status"];
            let images = status["release"]["images"].to_string();
            images.contains(version) && status["phase"] == phase
        };
        let ended = |canary: &Value| in_phase(canary, "Succeeded");
        self.test.until("canaries/podinfo", ended).await?;

        let is_new = |target: &Value| target["spec"].to_string().contains(version);
        let (stored_at, stored) = first(&self.target, is_new);
        let started = |canary: &Value| in_phase(canary, "Progressing");
        let (seen_at, _) = first(&self.canary, started);
        let took = seen_at.saturating_duration_since(stored_at);
        Ok((!stamped(&stored)).then_some(took))
    }
}

fn first(recorder: &Recorder, wanted: impl Fn(&Value) -> bool) -> (Instant, Value) {
    let mut versions = recorder.versions().into_iter();
    versions.find(|(_, version)| wanted(version)).unwrap()
}

/// The stamp speaks of the stored template only if the webhook saw it.
fn stamped(target: &Value) -> bool {
    let stamp = &target["metadata"]["annotations"]["kubectl-canary.dev/triggered-revision"];
    let revision = canary_core::revision::revision(&target["spec"]["template"]);
    *stamp == json!(revision)
}

#[tokio::test]
async fn with_the_webhook_out_of_reach_a_release_starts_at_once() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let watched = Watched::start(&alone, "unreachable").await?;

    let refused = format!("https://127.0.0.1:{}/mutate", free_port()?);
    misdirect(alone.plane, "url", &refused).await?;
    let took = watched.start_without_stamp("6.1").await?;
    assert!(took <= AT_ONCE, "refused port: {took:?}");

    // Connections are taken, and nothing is ever answered: the API server waits its three seconds.
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = format!("https://{}/mutate", silent.local_addr()?);
    misdirect(alone.plane, "url", &address).await?;
    let took = watched.start_without_stamp("6.2").await?;
    assert!(took <= AT_ONCE, "packets dropped: {took:?}");
    Ok(())
}

#[tokio::test]
async fn with_a_wrong_ca_bundle_a_release_starts_at_once() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let watched = Watched::start(&alone, "ca").await?;
    // The API server's own authority, in base64 as kubeconfigs have it: a valid one, and not ours.
    let view = ["config", "view", "--raw", "--flatten", "-o"];
    let path = "jsonpath={.clusters[0].cluster.certificate-authority-data}";
    let other = alone
        .plane
        .kubectl(&[view.as_slice(), &[path]].concat())
        .await?;
    misdirect(alone.plane, "caBundle", &other.ok()?).await?;
    let took = watched.start_without_stamp("6.1").await?;
    assert!(took <= AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test]
async fn a_change_made_while_the_server_was_dead_is_released_once_it_is_back() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("dead", "1s").await?;
    server.process().kill()?;
    test.set_image("6.0.1").await?;
    let canary = test.record("canaries/podinfo").await?;
    let seen = server.log().len();

    server.restart()?;
    let synced = eventually("caches", LIMIT, async || {
        let is_it = |line: &Value| line["msg"] == "caches are synced";
        let log = server.log();
        Ok(log[seen..].iter().any(is_it).then(now))
    });
    let synced = synced.await?;
    test.phase("Succeeded").await?;

    let progressing = |canary: &Value| canary["status"]["phase"] == "Progressing";
    let (at, _) = first(&canary, progressing);
    let took = at.saturating_duration_since(synced);
    assert!(took <= AT_ONCE, "{took:?}");
    Ok(())
}
