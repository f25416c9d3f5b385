//! What the API server says of our webhooks: its own histogram of the calls.
//!
//! A change costs the API server far more than it costs us: each of its own policies that is about Deployments
//! is asked once for each `CanaryPolicy`, and makes of both objects what CEL reads, each time anew. With twenty
//! that takes it longer than the hundred changes a second of this measure leave it on a small machine, so that
//! they are made without those policies; our webhooks, whose time it is, are asked for all twenty. What the
//! policies cost is a figure of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::Semaphore;

use super::apps::Apps;
use super::herd::HERD;
use super::pace::{Pace, open_loop};
use crate::clock::now;
use crate::control_plane::ControlPlane;

const METRIC: &str = "apiserver_admission_webhook_admission_duration_seconds_";
/// All of our entries are named so.
const OURS: &str = r#".kubectl-canary.dev""#;
/// A bucket that the API server has.
const LE: &str = r#"le="0.025""#;

/// Bindings of the API server's policies that look at Deployments, among others.
const ENFORCERS: [&str; 8] = [
    "canary-policy-deployments-deny",
    "canary-policy-deployments-deny-each",
    "canary-policy-deployments-warn",
    "canary-policy-deployments-audit",
    "canary-policy-generated-deny",
    "canary-policy-generated-deny-each",
    "canary-policy-generated-warn",
    "canary-policy-generated-audit",
];
/// For the API server to learn of it.
const LEARNED: Duration = Duration::from_secs(5);
const ALONE: usize = 50;

/// What came of the changes.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub calls: Calls,
    pub changes: usize,
    pub changes_per_second: f64,
}

/// Calls of our webhooks so far, or between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    pub count: f64,
    pub seconds: f64,
    /// Of at most 25 ms.
    pub within: f64,
}

/// Takes the API server's own policies about Deployments away.
pub async fn without_policies(plane: &ControlPlane) -> Result<()> {
    let kind = ["delete", "validatingadmissionpolicybinding"];
    let arguments: Vec<_> = kind.into_iter().chain(ENFORCERS).collect();
    plane.kubectl(&arguments).await?.ok()?;
    tokio::time::sleep(LEARNED).await;
    Ok(())
}

/// How long changes take for who makes them, one after the other.
pub async fn one_by_one(apps: &Apps) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for number in 0..ALONE {
        let start = now();
        apps.try_image(number, "app:alone").await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Changes templates by server-side dry-run, of one Canary after another; what the API server measured.
pub async fn under_changes(plane: &ControlPlane, apps: &Apps, pace: Pace) -> Result<Asked> {
    let before = Calls::so_far(plane).await?;
    let (apps, room) = (apps.clone(), Arc::new(Semaphore::new(at_once()?)));
    let load = open_loop(pace, move |number| {
        let (apps, room) = (apps.clone(), room.clone());
        async move {
            let _room = room.acquire().await?;
            let image = format!("app:dry-run-{number}");
            apps.try_image(number % HERD, &image).await
        }
    })
    .await?;
    let changes = load.calls.len();
    // One that no webhook answered in time is in the histogram too.
    let failed = load.calls.iter().filter(|call| call.value.is_err()).count();
    ensure!(
        failed * 100 <= changes,
        "{failed} of {changes} changes failed or were not stamped"
    );
    let calls = Calls::so_far(plane).await? - before;
    ensure!(
        calls.count >= 2.0 * changes as f64,
        "each of {changes} changes is shown to both webhooks, which were asked {} times",
        calls.count
    );
    Ok(Asked {
        calls,
        changes,
        changes_per_second: changes as f64 / load.took.as_secs_f64(),
    })
}

/// Changes that the API server is given at once: one for each CPU. What it is given beyond that waits within it
/// for a CPU, and its histogram calls that our time.
fn at_once() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}

// === impl Calls ===

impl Calls {
    async fn so_far(plane: &ControlPlane) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let metrics = plane.client().await?.request_text(request).await?;
        Self::read(&metrics).context("a metric without a value")
    }

    fn read(metrics: &str) -> Option<Self> {
        let mut calls = Self::default();
        for line in metrics.lines().filter(|line| line.contains(OURS)) {
            let Some(series) = line.strip_prefix(METRIC) else {
                continue;
            };
            let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
            if series.starts_with("count{") {
                calls.count += value;
            } else if series.starts_with("sum{") {
                calls.seconds += value;
            } else if series.contains(LE) {
                calls.within += value;
            }
        }
        Some(calls)
    }

    pub fn mean_ms(self) -> f64 {
        self.seconds / self.count * 1000.0
    }

    pub fn within_percent(self) -> f64 {
        self.within / self.count * 100.0
    }
}

impl std::ops::Sub for Calls {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            count: self.count - before.count,
            seconds: self.seconds - before.seconds,
            within: self.within - before.within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_all_our_webhooks_are_added_up_and_others_left_out() {
        let series = |kind: &str, name: &str, le: &str, value: &str| {
            format!("{METRIC}{kind}{{name=\"{name}\",operation=\"UPDATE\"{le}}} {value}\n")
        };
        let (mutate, validate) = (
            "deployments.mutate.kubectl-canary.dev",
            "deployments.validate.kubectl-canary.dev",
        );
        let metrics = [
            series("count", mutate, "", "10"),
            series("sum", mutate, "", "0.02"),
            series("bucket", mutate, ",le=\"0.005\"", "8"),
            series("bucket", mutate, ",le=\"0.025\"", "9"),
            series("count", validate, "", "10"),
            series("sum", validate, "", "0.02"),
            series("bucket", validate, ",le=\"0.025\"", "10"),
            series("count", "other.example.com", "", "100"),
        ]
        .concat();
        let calls = Calls::read(&metrics).unwrap();
        assert!((calls.count - 20.0).abs() < f64::EPSILON);
        assert!((calls.mean_ms() - 2.0).abs() < 1e-9);
        assert!((calls.within_percent() - 95.0).abs() < 1e-9);
    }
}
