//! Two servers: one leads, and what happens when it stops, dies or goes.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, Namespace, Recorder};
use canary_tests::server::Server;
use serde_json::Value;

use crate::alone::{Alone, Request};

const STEPS: [(i64, i64); 4] = [(100, 0), (80, 20), (60, 40), (100, 0)];

/// A leader, a Canary at rest, and a second server that waits.
struct Two {
    alone: Alone,
    old: Server,
    new: Server,
    /// By which the API server knows the leader.
    certificate: String,
    test: Namespace<'static>,
    route: Recorder,
}

// === impl Two ===

impl Two {
    async fn start(name: &str, interval: &str) -> Result<Self> {
        let alone = Alone::turn().await?;
        let old = alone.server("leading").await?;
        let test = alone.at_rest(name, interval).await?;
        let last = alone.requests()?.pop();
        let certificate = last.context("the leader has asked something")?.certificate;
        assert_ne!(certificate, "");
        Ok(Self {
            new: alone.server("another process leads").await?,
            route: test.record("apisixroutes/podinfo-podinfo-canary").await?,
            alone,
            old,
            certificate,
            test,
        })
    }

    /// A release in its first step.
    async fn released_to_twenty_percent(&self) -> Result<()> {
        self.test.set_image("6.0.1").await?;
        let first_step = |canary: &Value| canary["status"]["canaryWeight"] == 20;
        self.test.until("canaries/podinfo", first_step).await?;
        Ok(())
    }

    /// Waits until the second server leads.
    async fn taken_over(&mut self) -> Result<()> {
        self.new.logged("leading", LIMIT).await?;
        Ok(())
    }

    /// The release ends as if one server had done it all.
    async fn assert_undisturbed(&self) -> Result<()> {
        self.test.phase("Succeeded").await?;
        assert_eq!(self.route.weights(), STEPS);
        Ok(())
    }

    /// What the first leader has written so far, or everybody else.
    fn writes(&self, of_old: bool) -> Result<Vec<Request>> {
        let mut all = self.alone.requests()?;
        let is_it = |request: &Request| (request.certificate == self.certificate) == of_old;
        all.retain(|request| request.writes() && is_it(request));
        Ok(all)
    }
}

#[tokio::test]
async fn a_leader_that_was_stopped_writes_nothing_once_another_leads() -> Result<()> {
    let mut two = Two::start("stopped", "2s").await?;
    two.released_to_twenty_percent().await?;
    two.old.process().stop()?;
    two.taken_over().await?;
    let before = two.writes(true)?;
    assert!(!before.is_empty());
    // In the middle of the release: the old one has something to do, too.
    two.old.process().cont()?;

    eventually("the old leader to end", LIMIT, async || {
        Ok(two.old.process().check().err())
    })
    .await?;
    two.assert_undisturbed().await?;
    assert_eq!(two.writes(true)?, before);
    assert!(two.writes(false)?.len() > 5);
    Ok(())
}

#[tokio::test]
async fn when_the_leader_is_killed_another_goes_on_within_fifteen_seconds() -> Result<()> {
    let mut two = Two::start("killed", "1s").await?;
    two.released_to_twenty_percent().await?;
    two.old.process().kill()?;
    let killed = now();
    two.taken_over().await?;
    let took = killed.elapsed();
    assert!(took <= Duration::from_secs(15), "{took:?}");
    two.assert_undisturbed().await
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_at_once() -> Result<()> {
    let mut two = Two::start("terminated", "1s").await?;
    two.old.process().terminate()?;
    let ended = now();
    two.taken_over().await?;
    let took = ended.elapsed();
    assert!(took <= Duration::from_secs(2), "{took:?}");
    two.test.set_image("6.0.1").await?;
    two.assert_undisturbed().await
}

/// Who is started again has the name of the process before it, and takes its lease over at once.
#[tokio::test]
async fn of_two_servers_with_one_identity_one_ends_and_leaves_the_other_its_lease() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut first = alone.server_named("twin").await?;
    let mut second = alone.server_named("twin").await?;
    let told = "another process leads by this identity";
    first.logged(told, LIMIT).await?;
    eventually("the first of them to end", LIMIT, async || {
        Ok(first.process().check().err())
    })
    .await?;
    let test = alone.at_rest("twins", "1s").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    second.process().check()?;
    let messages = second.log();
    assert!(messages.iter().all(|line| line["msg"] != told));
    Ok(())
}
