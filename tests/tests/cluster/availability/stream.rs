//! A steady stream of changes that are reviewed. They are dry runs, which take the same way through
//! admission, so that what is measured is not what a small machine can store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, canary, deployment};
use canary_tests::control_plane::ControlPlane;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;

use crate::alone::Alone;

/// Changes a second.
pub const RATE: u64 = 100;
const TARGETS: u64 = 5;
const AT_ONCE: usize = 50;

/// What the stream met with.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missed {
    pub sent: u64,
    /// How long that took: on a busy machine it is less than the rate.
    pub within: Duration,
    /// By the API server's own count.
    pub reviewed: u64,
    /// By the API server's own count.
    pub failed_open: u64,
    pub refused: u64,
    /// Of all requests, the longest.
    pub slowest: Duration,
}

/// Changes in the background, until they are told to end.
pub struct Stream {
    plane: &'static ControlPlane,
    /// Reviewed, and failed open.
    before: (u64, u64),
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sending: JoinHandle<Missed>,
}

/// Fewer have proved nothing.
const ENOUGH: u64 = 3 * RATE;

impl Stream {
    pub async fn start(alone: &Alone, name: &str) -> Result<Self> {
        let namespace = alone.plane.namespace(&name.to_lowercase()).await?;
        let client = alone.plane.client().await?;
        for number in 0..TARGETS {
            let mut target = deployment();
            target["metadata"]["name"] = format!("target-{number}").into();
            target["metadata"]["labels"] = json!({"kubectl-canary.dev/managed": "true"});
            target["spec"]["replicas"] = 0.into();
            let labels = json!({"app": target["metadata"]["name"]});
            target["spec"]["selector"]["matchLabels"] = labels.clone();
            target["spec"]["template"]["metadata"]["labels"] = labels;
            let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments");
            let request = http::Request::post(path).body(serde_json::to_vec(&target)?)?;
            client.request::<Value>(request).await?;
            // The label of a target that no Canary names is taken off. This one waits for its route for ever.
            let mut canary = canary("http://127.0.0.1:1");
            canary["metadata"]["name"] = target["metadata"]["name"].clone();
            canary["spec"]["targetRef"]["name"] = target["metadata"]["name"].clone();
            let path = format!("/apis/flagger.app/v1beta1/namespaces/{namespace}/canaries");
            let request = http::Request::post(path).body(serde_json::to_vec(&canary)?)?;
            client.request::<Value>(request).await?;
        }
        let (ended, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        Ok(Self {
            plane: alone.plane,
            before: counts(alone.plane).await?,
            sending: tokio::spawn(send(client, namespace, ended.clone(), sent.clone())),
            ended,
            sent,
        })
    }

    /// Ends it once there were enough, and says what was missed.
    pub async fn end(self) -> Result<Missed> {
        eventually("enough changes", LIMIT, async || {
            Ok((self.sent.load(Ordering::Relaxed) > ENOUGH).then_some(()))
        })
        .await?;
        self.ended.store(true, Ordering::Relaxed);
        let mut missed = self.sending.await?;
        let (reviewed, failed_open) = counts(self.plane).await?;
        missed.reviewed = reviewed - self.before.0;
        missed.failed_open = failed_open - self.before.1;
        // Nor has a stream that ran past the webhook.
        assert!(
            missed.reviewed + missed.failed_open >= missed.sent,
            "{missed:?}"
        );
        Ok(missed)
    }
}

async fn send(
    client: kube::Client,
    namespace: String,
    ended: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Missed {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / RATE as u32);
    // A pause of this process must not become a burst that nobody would send.
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let began = now();
    let (mut sent, slowest) = (0, Arc::new(AtomicU64::new(0)));
    let mut refused = 0;
    let mut requests = JoinSet::new();
    while !ended.load(Ordering::Relaxed) {
        tick.tick().await;
        // A machine that is too slow for the rate gets fewer, not a queue that no answer outruns.
        if requests.len() >= AT_ONCE
            && let Some(answered) = requests.join_next().await
        {
            refused += u64::from(was_refused(answered));
        }
        sent += 1;
        count.store(sent, Ordering::Relaxed);
        let (client, slowest, name) = (client.clone(), slowest.clone(), sent % TARGETS);
        let path =
            format!("/apis/apps/v1/namespaces/{namespace}/deployments/target-{name}?dryRun=All");
        let annotations = json!({"change": sent.to_string()});
        let change = json!({"spec": {"template": {"metadata": {"annotations": annotations}}}});
        requests.spawn(async move {
            let request = http::Request::patch(path)
                .header("content-type", "application/merge-patch+json")
                .body(serde_json::to_vec(&change)?)?;
            let start = now();
            let answer = client.request::<Value>(request).await;
            let took = start.elapsed().as_millis() as u64;
            slowest.fetch_max(took, Ordering::Relaxed);
            answer?;
            anyhow::Ok(())
        });
        while let Some(answered) = requests.try_join_next() {
            refused += u64::from(was_refused(answered));
        }
    }
    let within = began.elapsed();
    while let Some(answered) = requests.join_next().await {
        refused += u64::from(was_refused(answered));
    }
    Missed {
        sent,
        within,
        refused,
        slowest: Duration::from_millis(slowest.load(Ordering::Relaxed)),
        ..Missed::default()
    }
}

/// Only what the API server says counts: one that cannot be reached has refused nothing.
fn was_refused(answered: Result<Result<()>, tokio::task::JoinError>) -> bool {
    let Err(error) = answered.unwrap() else {
        return false;
    };
    println!("not stored: {error:#}");
    matches!(error.downcast_ref(), Some(kube::Error::Api(_)))
}

/// Reviews of targets that were answered so far, and those that were gone on without.
async fn counts(plane: &ControlPlane) -> Result<(u64, u64)> {
    let metrics = plane.kubectl(&["get", "--raw", "/metrics"]).await?.ok()?;
    let count = |metric: &str, label: &str| {
        let lines = metrics.lines().filter(|line| {
            line.starts_with(metric) && line.contains("deployments.mutate") && line.contains(label)
        });
        let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        counts.sum::<f64>() as u64
    };
    Ok((
        count(
            "apiserver_admission_webhook_request_total{",
            r#"code="200""#,
        ),
        count("apiserver_admission_webhook_fail_open_count{", ""),
    ))
}
