//! A Deployment controller that looks at nothing for longer than a deadline.

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{LIMIT, Namespace};
use canary_tests::control_plane::ControlPlane;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::{at_first_step, at_rest, bob_rolls_back, condition, success_rate, told};
use crate::alone::Alone;
use crate::setup::image;

const CONTROLLERS: &str = "kube-controller-manager";
/// People are told after a minute.
const TOLD_LATE: Duration = Duration::from_secs(120);
/// Less than half of that minute.
const DEADLINE: i64 = 20;

/// The controller manager, which goes on when this is dropped, however the test ends.
struct Stopped<'a>(&'a ControlPlane);

// === impl Stopped ===

impl<'a> Stopped<'a> {
    fn stop(plane: &'a ControlPlane) -> Result<Self> {
        plane.stop(CONTROLLERS)?;
        Ok(Self(plane))
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let _ = self.0.cont(CONTROLLERS);
    }
}

async fn resting<'a>(alone: &'a Alone, name: &str) -> Result<Namespace<'a>> {
    at_rest(alone.plane, name, |canary| {
        canary["spec"]["progressDeadlineSeconds"] = json!(DEADLINE);
    })
    .await
}

async fn waits_unobserved(test: &Namespace<'_>) -> Result<Value> {
    let what = format!("{} to be told", test.name);
    eventually(&what, TOLD_LATE, async || {
        let canary = test.get("canaries/podinfo").await?;
        Ok(condition(&canary, "NotObserved")
            .is_some()
            .then_some(canary))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_and_nothing_is_put_back_because_nobody_looked() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let resting = |name: &'static str| resting(&alone, name);
    let rolling = try_join_all((0..5).map(|_| resting("behind-rolling"))).await?;
    // A step before their promotion.
    let promoting = try_join_all((0..5).map(|_| async {
        let test = resting("behind-promoting").await?;
        super::release_to_first_step(&test).await?;
        anyhow::Ok(test)
    }))
    .await?;

    let stopped = Stopped::stop(alone.plane)?;
    try_join_all(rolling.iter().map(|test| test.set_image("6.0.1"))).await?;
    for test in &promoting {
        success_rate(test, 100.0);
    }
    for (tests, phase) in [(&rolling, "Progressing"), (&promoting, "Promoting")] {
        for test in tests {
            let canary = waits_unobserved(test).await?;
            assert_eq!(canary["status"]["phase"], phase, "{canary:#}");
            assert_eq!(told(test, "Rolling back").await?, 0);
            assert_eq!(told(test, "failed, primary not ready").await?, 0);
        }
    }
    for test in &promoting {
        let primary = test.get("deployments/podinfo-primary").await?;
        assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
        assert_eq!(test.weights().await?, (60, 40));
    }

    drop(stopped);
    for test in rolling.iter().chain(&promoting) {
        let canary = test.phase("Succeeded").await?;
        assert_eq!(condition(&canary, "NotObserved"), None, "{canary:#}");
        assert_eq!(canary["status"]["release"]["number"], 1);
        let about = "has not looked";
        assert_eq!(told(test, about).await?, 1, "{:?}", test.events().await?);
    }
    Ok(())
}

#[tokio::test]
async fn while_nobody_looks_a_person_rolls_back_all_the_same() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let test = at_first_step(alone.plane, "behind-bob").await?;
    let _stopped = Stopped::stop(alone.plane)?;
    // So that there is something to look at.
    let change = json!({"spec": {"minReadySeconds": 1}});
    test.patch("deployments/podinfo", &change).await?;
    test.until("deployments/podinfo", |target| {
        target["status"]["observedGeneration"].as_i64() < target["metadata"]["generation"].as_i64()
    })
    .await?;
    bob_rolls_back(&test).await?;
    eventually("the canary to be scaled away", LIMIT, async || {
        let target = test.get("deployments/podinfo").await?;
        Ok((target["spec"]["replicas"] == 0).then_some(()))
    })
    .await
}
