//! Two servers: one leads, and what happens when it stops, dies or goes.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::LIMIT;

use crate::alone::{Alone, Request};

const STEPS: [(i64, i64); 4] = [(100, 0), (80, 20), (60, 40), (100, 0)];
const FOLLOWS: &str = "another process leads";

#[tokio::test]
async fn a_leader_that_was_stopped_writes_nothing_once_another_leads() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut old = alone.server("leading").await?;
    let test = alone.at_rest("stopped", "2s").await?;
    let certificate = alone.requests()?.pop().unwrap().certificate;
    assert_ne!(certificate, "");
    let writes_of_old = async || {
        let all = alone.requests()?;
        let mut of_old = all.into_iter();
        let is_it = |request: &Request| request.certificate == certificate && request.writes();
        anyhow::Ok(of_old.by_ref().filter(is_it).collect::<Vec<_>>())
    };
    let mut new = alone.server(FOLLOWS).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;

    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    old.process().stop()?;
    new.logged("leading", LIMIT).await?;
    let before = writes_of_old().await?;
    assert!(!before.is_empty());
    // In the middle of the release: the old one has something to do, too.
    old.process().cont()?;

    eventually("the old leader to end", LIMIT, async || {
        Ok(old.process().check().err())
    })
    .await?;
    test.phase("Succeeded").await?;
    assert_eq!(writes_of_old().await?, before);
    assert_eq!(route.weights(), STEPS);
    let others = alone.requests()?;
    let others = others
        .iter()
        .filter(|request| request.certificate != certificate);
    assert!(others.filter(|request| request.writes()).count() > 5);
    Ok(())
}

#[tokio::test]
async fn when_the_leader_is_killed_another_goes_on_within_fifteen_seconds() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut old = alone.server("leading").await?;
    let test = alone.at_rest("killed", "1s").await?;
    let mut new = alone.server(FOLLOWS).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    old.process().kill()?;
    let killed = now();
    new.logged("leading", LIMIT).await?;
    let took = killed.elapsed();
    assert!(took <= Duration::from_secs(15), "{took:?}");
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), STEPS);
    Ok(())
}

#[tokio::test]
async fn a_leader_that_is_told_to_end_hands_over_at_once() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut old = alone.server("leading").await?;
    let test = alone.at_rest("terminated", "1s").await?;
    let mut new = alone.server(FOLLOWS).await?;
    old.process().terminate()?;
    let ended = now();
    new.logged("leading", LIMIT).await?;
    let took = ended.elapsed();
    assert!(took <= Duration::from_secs(2), "{took:?}");
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    Ok(())
}
