//! Nothing rests on the webhook: a release starts without it, and without the server once it is back.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::{Duration, Instant};

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{BOB, LIMIT, Namespace, QUICK, Recorder, deployment};
use canary_tests::server::Server;
use futures::future::try_join_all;
use serde_json::{Value, json};

use crate::alone::Alone;

/// From the update as it is stored to Progressing.
const AT_ONCE: Duration = Duration::from_secs(1);
/// What the API server waits for an answer of a webhook.
const TIMEOUT: Duration = Duration::from_secs(3);
/// From the user's request to its answer.
const ADMITTED: Duration = Duration::from_millis(3500);
/// Measured at once, so that one hiccup of the machine does not judge the server.
const CANARIES: usize = 3;

/// A Canary at rest, watched together with its target.
struct Watched {
    test: Namespace<'static>,
    target: Recorder,
    canary: Recorder,
}

/// How long it took what the webhook did not see.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// The API server, to answer the update.
    admitted: Duration,
    /// The controller, from the update as a watch told it to Progressing as a watch told it.
    started: Duration,
}

// === impl Watched ===

impl Watched {
    async fn several(alone: &Alone, name: &str) -> Result<Vec<Self>> {
        try_join_all((0..CANARIES).map(|_| Self::start(alone, name))).await
    }

    async fn start(alone: &Alone, name: &str) -> Result<Self> {
        let test = alone.at_rest(name, "1s").await?;
        Ok(Self {
            target: test.record("deployments/podinfo").await?,
            canary: test.record("canaries/podinfo").await?,
            test,
        })
    }

    /// Changes the image until the webhook is seen to be missed: the API server learns of a registration
    /// a moment after it is stored.
    async fn released_unseen(&self, minor: &str) -> Result<Took> {
        let mut version = 0;
        eventually("a change that the webhook did not see", LIMIT, async || {
            version += 1;
            self.release(&format!("{minor}.{version}")).await
        })
        .await
    }

    /// None if the webhook saw the change.
    async fn release(&self, version: &str) -> Result<Option<Took>> {
        let mut containers = deployment()["spec"]["template"]["spec"]["containers"].clone();
        containers[0]["image"] = format!("stefanprodan/podinfo:{version}").into();
        let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let asked = now();
        self.test.patch("deployments/podinfo", &change).await?;
        let admitted = asked.elapsed();
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
        let took = Took {
            admitted,
            started: seen_at.saturating_duration_since(stored_at),
        };
        Ok((!stamped(&stored)).then_some(took))
    }
}

/// Releases all, and answers the middle of each figure.
async fn released_unseen(all: &[Watched], minor: &str) -> Result<Took> {
    let each = try_join_all(all.iter().map(|watched| watched.released_unseen(minor))).await?;
    println!("{minor}: {each:?}");
    let middle = |read: fn(&Took) -> Duration| {
        let mut figures: Vec<Duration> = each.iter().map(read).collect();
        figures.sort_unstable();
        figures[CANARIES / 2]
    };
    Ok(Took {
        admitted: middle(|took| took.admitted),
        started: middle(|took| took.started),
    })
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

// More than one thread, so that what a watch tells is noted when it arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_packets_to_the_webhook_are_dropped_an_update_is_admitted_in_time_and_released_at_once()
-> Result<()> {
    let alone = Alone::turn().await?;
    let (_server, mut relay) = alone.behind_relay().await?;
    let watched = Watched::several(&alone, "dropped").await?;
    relay.drop_packets().await?;
    let took = released_unseen(&watched, "6.1").await?;
    assert!(took.admitted >= TIMEOUT, "nothing was dropped: {took:?}");
    assert!(took.admitted <= ADMITTED, "{took:?}");
    assert!(took.started <= AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_webhook_that_is_silent_or_refuses_connections_a_release_starts_at_once()
-> Result<()> {
    let alone = Alone::turn().await?;
    let (_server, relay) = alone.behind_relay().await?;
    let watched = Watched::several(&alone, "silent").await?;
    relay.fall_silent();
    let silent = released_unseen(&watched, "6.1").await?;
    assert!(silent.admitted >= TIMEOUT, "it answered: {silent:?}");
    assert!(silent.admitted <= ADMITTED, "silent: {silent:?}");
    assert!(silent.started <= AT_ONCE, "silent: {silent:?}");

    relay.close().await;
    let refused = released_unseen(&watched, "6.2").await?;
    assert!(refused.admitted < TIMEOUT, "refused: {refused:?}");
    assert!(refused.started <= AT_ONCE, "refused: {refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_ca_bundle_that_does_not_fit_a_release_starts_at_once() -> Result<()> {
    let alone = Alone::turn().await?;
    // Behind this address answers the API server itself, with a certificate of another authority. A wrong
    // bundle in the registration would be the same to it, but is not the server's to leave there.
    let url = format!("--admission-url={}", alone.plane.url());
    let mut server = Server::beside(alone.plane, &[QUICK.as_slice(), &[&url]].concat())?;
    server.logged("leading", LIMIT).await?;
    let watched = Watched::several(&alone, "ca").await?;
    let took = released_unseen(&watched, "6.1").await?;
    assert!(took.started <= AT_ONCE, "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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

/// The person was told that the request stays.
#[tokio::test]
async fn a_rollback_asked_for_while_no_server_was_there_is_carried_out_whatever_others_ask_meanwhile()
-> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("promised", "60m").await?;
    test.set_image("6.0.1").await?;
    let first_step = |canary: &Value| canary["status"]["canaryWeight"] == 20;
    test.until("canaries/podinfo", first_step).await?;
    server.process().kill()?;

    let rollback = test
        .plugin(BOB, &["rollback", "podinfo", "--timeout", "1s"])
        .await?;
    assert_eq!(rollback.code, Some(3), "{rollback:?}");
    let promised = "the request stays, and is carried out as soon as the server can";
    assert!(rollback.stderr.contains(promised), "{rollback:?}");
    for words in [
        ["promote", "podinfo", "--full"].as_slice(),
        &["pause", "podinfo"],
    ] {
        let answer = test.plugin(BOB, words).await?;
        assert_eq!(answer.code, Some(1), "{answer:?}");
        let why = "asked to roll back";
        assert!(answer.stderr.contains(why), "{answer:?}");
    }

    server.restart()?;
    let canary = test.phase("Failed").await?;
    assert_eq!(canary["status"]["release"]["outcome"], "RolledBack");
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}
