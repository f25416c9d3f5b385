//! What the server used so far.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::apps;
use super::sights::Sights;
use crate::clock::now;
use crate::server::Server;

/// Linux counts a process's time in these for whoever asks, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);
/// The first weight of a release.
const FIRST: i64 = 10;
/// Releases take 50 s to their promotion, and begin within 15 s.
const WINDOW: Duration = Duration::from_secs(15);
/// Status and Event of a step follow its route.
const REST_OF_STEP: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(90);

#[derive(Clone, Debug)]
pub struct Usage {
    pub at: Instant,
    /// Requests to the API server but watches and Leases.
    pub requests: f64,
    pub cpu: Duration,
    pub rss_mib: f64,
}

/// What steps of several releases used together.
#[derive(Debug)]
pub struct Steps {
    pub requests: f64,
    pub count: usize,
}

// === impl Usage ===

impl Usage {
    pub async fn of(server: &mut Server) -> Result<Self> {
        let pid = server.process().pid();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .context("the server's use of CPU and memory is read from Linux's /proc")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(Self {
            at: now(),
            requests: requests(&server.metrics().await?),
            cpu: cpu(&stat).context("/proc/PID/stat")?,
            rss_mib: rss_mib(&status).context("/proc/PID/status")?,
        })
    }
}

/// What the steps use that releases make within [`WINDOW`], once all have begun and before the first is promoted.
pub async fn of_steps(
    server: &mut Server,
    sights: &Sights,
    releases: usize,
    from: usize,
) -> Result<Steps> {
    for number in 0..releases {
        let route = apps::route_name(number);
        let has_begun = |weight: &i64| *weight == FIRST;
        sights.weights.wait(&route, from, LIMIT, has_begun).await?;
    }
    let (before, first) = between_steps(server, sights).await?;
    tokio::time::sleep(WINDOW).await;
    let (after, last) = between_steps(server, sights).await?;
    Ok(Steps {
        requests: after.requests - before.requests,
        count: last - first,
    })
}

/// A moment at which no release is in the middle of a step: the usage until then, and the writes of routes.
async fn between_steps(server: &mut Server, sights: &Sights) -> Result<(Usage, usize)> {
    let until = now() + LIMIT;
    while now() < until {
        let writes = sights.weights.len();
        tokio::time::sleep(REST_OF_STEP).await;
        let usage = Usage::of(server).await?;
        if sights.weights.len() == writes {
            return Ok((usage, writes));
        }
    }
    bail!("for {LIMIT:?} there was always a release in the middle of a step")
}

fn requests(metrics: &str) -> f64 {
    let counted = metrics.lines().filter(|line| {
        line.starts_with("canary_api_requests_total{")
            && !line.contains(r#"verb="watch""#)
            && !line.contains(r#"kind="leases""#)
    });
    counted
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// User and system time: fields 14 and 15, the first two after the name in brackets being 3 and 4.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * (user + system))
}

fn rss_mib(status: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_and_leases_are_left_out() {
        let metrics = "\
            # TYPE canary_api_requests counter\n\
            canary_api_requests_total{verb=\"watch\",kind=\"services\"} 2\n\
            canary_api_requests_total{verb=\"update\",kind=\"leases\"} 7\n\
            canary_api_requests_total{verb=\"create\",kind=\"events\"} 3\n\
            canary_api_requests_total{verb=\"patch\",kind=\"canaries/status\"} 4\n";
        assert!((requests(metrics) - 7.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
    }
}
