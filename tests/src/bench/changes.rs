//! What is done to the applications, and how long it took until a client saw it.

use std::ops::Range;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use futures::{StreamExt as _, TryStreamExt as _};

use super::apps::{self, Apps};
use super::sights::Sights;

/// Changes of each Canary's image: 30 Canaries make 210 of them.
const ROUNDS: usize = 7;
const LIMIT: Duration = Duration::from_secs(60);
const RELEASE_LIMIT: Duration = Duration::from_secs(120);
/// Changes come from people, not in one burst: about two a second, and as many that set one back. With more, two
/// CPUs are full with the API server's own work, and what is measured is its queue.
const CHANGES: Duration = Duration::from_secs(30);
/// Two releases begin in a second, and two are promoted in a second.
const STARTS: Duration = Duration::from_secs(15);
const WEIGHTS: [i64; 6] = [10, 20, 30, 40, 50, 0];

/// A release as a client saw it.
#[derive(Debug)]
pub struct Released {
    /// From the answer to the change to Succeeded.
    pub took: Duration,
    /// Between two writes of the route.
    pub dwells: Vec<Duration>,
}

/// Creates Canaries; how long each took to be Initialized.
pub async fn adopt(
    apps: &Apps,
    sights: &Sights,
    numbers: Range<usize>,
    at_a_time: usize,
) -> Result<Vec<Duration>> {
    futures::stream::iter(numbers)
        .map(|number| async move {
            let created = apps.adopt(number).await?;
            let is_it = |phase: &String| phase == "Initialized";
            let name = apps::name(number);
            let seen = sights.phases.wait(&name, 0, LIMIT, is_it).await?;
            Ok(seen.at.saturating_duration_since(created))
        })
        .buffer_unordered(at_a_time)
        .try_collect()
        .await
}

/// Changes images and sets them back, again and again; how long each change took to be Progressing.
pub async fn detect(apps: &Apps, sights: &Sights, count: usize) -> Result<Vec<Duration>> {
    let each = (0..count).map(|number| detect_one(apps, sights, number, count));
    Ok(try_join_all(each).await?.concat())
}

async fn detect_one(
    apps: &Apps,
    sights: &Sights,
    number: usize,
    count: usize,
) -> Result<Vec<Duration>> {
    let name = apps::name(number);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        tokio::time::sleep(moment(number + round, count, CHANGES)).await;
        let from = sights.phases.len();
        let answered = apps.set_image(number, &format!("app:{round}")).await?;
        let is_it = |phase: &String| phase == "Progressing";
        let seen = sights.phases.wait(&name, from, LIMIT, is_it).await?;
        times.push(seen.at.saturating_duration_since(answered));

        let from = sights.phases.len();
        apps.set_image(number, apps::BASE).await?;
        let at_rest = |phase: &String| phase == "Failed";
        sights.phases.wait(&name, from, LIMIT, at_rest).await?;
    }
    Ok(times)
}

/// Releases a new image everywhere.
pub async fn release(apps: &Apps, sights: &Sights, count: usize) -> Result<Vec<Released>> {
    let each = (0..count).map(|number| release_one(apps, sights, number, count));
    try_join_all(each).await
}

async fn release_one(
    apps: &Apps,
    sights: &Sights,
    number: usize,
    count: usize,
) -> Result<Released> {
    tokio::time::sleep(moment(number, count, STARTS)).await;
    let (phases, routes) = (sights.phases.len(), sights.weights.len());
    let answered = apps.set_image(number, "app:next").await?;
    let ended = |phase: &String| phase == "Succeeded" || phase == "Failed";
    let name = apps::name(number);
    let seen = sights.phases.wait(&name, phases, RELEASE_LIMIT, ended);
    let seen = seen.await?;
    ensure!(seen.value == "Succeeded", "the release of {name} failed");

    let written = sights.weights.of(&apps::route_name(number), routes);
    let weights: Vec<i64> = written.iter().map(|sight| sight.value).collect();
    ensure!(weights == WEIGHTS, "{name} was routed {weights:?}");
    // The last write is the promotion's: it waits for the primary, not for a dwell.
    let steps = &written[..WEIGHTS.len() - 1];
    Ok(Released {
        took: seen.at.saturating_duration_since(answered),
        dwells: steps.windows(2).map(|two| two[1].at - two[0].at).collect(),
    })
}

/// Another moment for each, spread evenly.
fn moment(number: usize, count: usize, over: Duration) -> Duration {
    over * (number * 7 % count) as u32 / count as u32
}
