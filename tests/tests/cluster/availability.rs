//! Two servers behind one address, as a Service has it, under a steady stream of changes: what the API
//! server misses of its webhook while certificates rotate, servers are replaced, and one dies.
//!
//! The changes are of Deployments with our label and without a Canary: each is reviewed, and nothing is
//! released.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "availability/stream.rs"]
mod stream;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::{eventually, now};
use canary_tests::cluster::{LIMIT, QUICK, asked};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::balancer::Balancer;
use canary_tests::server::{NAMESPACE, Server};
use serde_json::Value;

use crate::alone::Alone;
use stream::{Missed, Stream};

/// From a changed readiness to a changed EndpointSlice in every kube-proxy.
const LAG: Duration = Duration::from_millis(500);
const A_SECOND: u64 = stream::RATE;

/// Servers behind a balancer.
struct Service {
    balancer: Balancer,
    servers: Vec<(SocketAddr, Server)>,
    args: Vec<String>,
    plane: &'static ControlPlane,
}

impl Service {
    /// Two, which the API server asks; further arguments are for each.
    async fn start(alone: &Alone, args: &[&str]) -> Result<Self> {
        let balancer = Balancer::start(LAG).await?;
        let url = format!("--admission-url=https://{}", balancer.address());
        let all = QUICK.iter().copied().chain(args.iter().copied());
        let mut service = Self {
            args: all.map(str::to_owned).chain([url]).collect(),
            balancer,
            servers: Vec::new(),
            plane: alone.plane,
        };
        service.add().await?;
        service.add().await?;
        asked(alone.plane).await?;
        Ok(service)
    }

    /// One more, which is waited for.
    async fn add(&mut self) -> Result<()> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let server = Server::beside(self.plane, &args)?;
        let address = server.admission_address()?;
        self.balancer.add(address)?;
        self.servers.push((address, server));
        self.until_ready().await
    }

    async fn until_ready(&self) -> Result<()> {
        let all: Vec<SocketAddr> = self.servers.iter().map(|(address, _)| *address).collect();
        self.balancer.until_ready(&all, LIMIT).await
    }

    /// The oldest is told to end, and has ended when this returns.
    async fn retire(&mut self) -> Result<()> {
        let (_, mut server) = self.servers.remove(0);
        let ended = tokio::task::spawn_blocking(move || server.process().terminate());
        ended.await??;
        self.until_ready().await
    }

    /// As a Deployment with `maxSurge: 1` and `maxUnavailable: 0` replaces its pods.
    async fn roll(&mut self) -> Result<()> {
        for _ in 0..2 {
            self.add().await?;
            self.retire().await?;
        }
        Ok(())
    }
}

/// With time enough for an answer: here it counts whether there is one, and a busy machine must not be
/// taken for a review that was lost.
async fn failure_policy(plane: &ControlPlane, policy: &str) -> Result<()> {
    for kind in ["mutating", "validating"] {
        let name = format!("{kind}webhookconfiguration/canary-webhook");
        let live = plane.kubectl(&["get", &name, "-o", "json"]).await?.ok()?;
        let mut live: Value = serde_json::from_str(&live)?;
        for webhook in live["webhooks"].as_array_mut().unwrap() {
            webhook["failurePolicy"] = policy.into();
            webhook["timeoutSeconds"] = 10.into();
        }
        let replace = ["replace", "-f", "-"];
        let admin = plane.admin_kubeconfig();
        let live = live.to_string();
        plane.kubectl_with(admin, &replace, &live).await?.ok()?;
    }
    // Known to the API server a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

/// What the Secret with the certificates holds; null if it is not there.
async fn secret(plane: &ControlPlane) -> Result<Value> {
    let get = ["-n", NAMESPACE, "get", "secret", "canary-webhook-tls"];
    let get = [&get[..], &["--ignore-not-found", "-o", "json"]].concat();
    let text = plane.kubectl(&get).await?.ok()?;
    let secret: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(secret["data"].clone())
}

/// What `event` costs, by `Ignore` and by `Fail`.
async fn cost(
    alone: &Alone,
    what: &str,
    mut event: impl AsyncFnMut() -> Result<()>,
) -> Result<Vec<Missed>> {
    let mut all = Vec::new();
    for policy in ["Ignore", "Fail"] {
        failure_policy(alone.plane, policy).await?;
        let stream = Stream::start(alone, policy).await?;
        event().await?;
        let missed = stream.end().await?;
        println!("{what}, {policy}: {missed:?}");
        all.push(missed);
    }
    Ok(all)
}

fn assert_nothing_lost(all: &[Missed]) {
    for missed in all {
        assert_eq!((missed.failed_open, missed.refused), (0, 0), "{missed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_rotations_of_ca_and_certificate_cost_no_review() -> Result<()> {
    let alone = Alone::turn().await?;
    let forget = ["-n", NAMESPACE, "delete", "secret", "canary-webhook-tls"];
    let _service = Service::start(&alone, &["--ca-trusted-after=2s"]).await?;
    let missed = cost(&alone, "two rotations", async || {
        for _ in 0..2 {
            // The quickest way to a new CA, and by it to a new certificate.
            let before = secret(alone.plane).await?;
            alone.plane.kubectl(&forget).await?.ok()?;
            eventually("another certificate", LIMIT, async || {
                let now = secret(alone.plane).await?;
                let same = |key: &str| now[key] == before[key];
                Ok((now.is_object() && !same("ca.key") && !same("tls.crt")).then_some(()))
            })
            .await?;
        }
        // Until it has been used.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    })
    .await?;
    assert_nothing_lost(&missed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rolling_restart_costs_no_review() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut service = Service::start(&alone, &[]).await?;
    let missed = cost(&alone, "rolling restart", async || service.roll().await).await?;
    assert_nothing_lost(&missed);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_one_of_two_is_killed_reviews_of_less_than_a_second_are_missed() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut service = Service::start(&alone, &[]).await?;
    let stream = Stream::start(&alone, "killed").await?;
    let (_, mut server) = service.servers.remove(0);
    server.process().kill()?;
    service.until_ready().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let missed = stream.end().await?;
    println!("SIGKILL of one of two: {missed:?}");
    assert!(missed.failed_open <= A_SECOND, "{missed:?}");
    assert_eq!(missed.refused, 0, "{missed:?}");
    Ok(())
}

/// SIGTERM, without waiting for what comes of it.
fn tell_to_end(server: &mut Server) -> Result<()> {
    let pid = server.process().pid().to_string();
    let kill = ["-c", r#"kill -s TERM "$0""#, &pid];
    let status = std::process::Command::new("sh").args(kill).status()?;
    assert!(status.success());
    Ok(())
}

#[tokio::test]
async fn told_to_end_a_server_is_not_ready_at_once_and_answers_until_the_delay_is_over()
-> Result<()> {
    let alone = Alone::turn().await?;
    let service = Service::start(&alone, &["--shutdown-delay=3s"]).await?;
    let Service { mut servers, .. } = service;
    let (address, mut server) = servers.remove(0);
    let client = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .build()?;
    let get = async |path: &str| {
        let answer = client.get(format!("https://{address}{path}")).send().await;
        answer.map(|answer| answer.status().as_u16())
    };
    assert_eq!(get("/readyz").await?, 200);
    tell_to_end(&mut server)?;
    let told = now();
    eventually("not to be ready", LIMIT, async || {
        Ok((get("/readyz").await? == 503).then_some(()))
    })
    .await?;
    assert!(
        told.elapsed() < Duration::from_secs(1),
        "{:?}",
        told.elapsed()
    );
    while told.elapsed() < Duration::from_millis(2500) {
        assert_eq!(get("/healthz").await?, 200);
    }
    eventually("its end", LIMIT, async || {
        Ok(server.process().check().err())
    })
    .await?;
    let took = told.elapsed();
    assert!((3..=5).contains(&took.as_secs()), "{took:?}");
    Ok(())
}

#[tokio::test]
async fn told_twice_to_end_a_server_waits_for_nobody() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = Server::beside(alone.plane, &["--shutdown-delay=60s"])?;
    server.logged("leading", LIMIT).await?;
    tell_to_end(&mut server)?;
    server.logged("shutting down", LIMIT).await?;
    let told = now();
    tell_to_end(&mut server)?;
    eventually("its end", LIMIT, async || {
        Ok(server.process().check().err())
    })
    .await?;
    assert!(
        told.elapsed() < Duration::from_secs(2),
        "{:?}",
        told.elapsed()
    );
    Ok(())
}
