//! A namespace with room for what runs and no more.

use anyhow::Result;
use canary_tests::cluster::{BOB, Cluster, Namespace};
use serde_json::{Value, json};

use super::{at_rest, success_rate, until_copied};
use crate::setup::image;

/// At rest in a namespace that holds so many pods, of which one runs.
async fn with_room(name: &str, pods: usize, deadline: i64) -> Result<Namespace<'static>> {
    let plane = &Cluster::shared().await?.plane;
    let test = at_rest(plane, name, |canary| {
        canary["spec"]["progressDeadlineSeconds"] = json!(deadline);
    })
    .await?;
    let none_of_target = |target: &Value| target["status"]["replicas"].as_i64().unwrap_or(0) == 0;
    test.until("deployments/podinfo", none_of_target).await?;
    grant(&test, pods).await?;
    Ok(test)
}

async fn grant(test: &Namespace<'_>, pods: usize) -> Result<()> {
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "room", "namespace": test.name}, "spec": {"hard": {"pods": pods.to_string()}},
    });
    test.plane.apply(&quota.to_string()).await?;
    test.until("resourcequotas/room", |quota| {
        quota["status"]["hard"]["pods"] == pods.to_string().as_str()
            && quota["status"]["used"]["pods"].is_string()
    })
    .await?;
    Ok(())
}

/// Names of the primary's pods and ReplicaSets in use.
async fn running(test: &Namespace<'_>) -> Result<(Vec<String>, Vec<String>)> {
    let names = |objects: Vec<Value>, of: fn(&Value) -> bool| {
        let mine = objects.into_iter().filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            name.starts_with("podinfo-primary-") && of(object)
        });
        mine.filter_map(|object| object["metadata"]["name"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let pods = names(test.list("pods").await?, |_| true);
    let sets = names(test.list("replicasets").await?, |set| {
        set["spec"]["replicas"] != 0
    });
    Ok((pods, sets))
}

/// Promoted, and the primary has no room for a pod more.
async fn stuck_in_promotion(name: &str, deadline: i64) -> Result<(Namespace<'static>, Before)> {
    let test = with_room(name, 2, deadline).await?;
    let before = Before {
        running: running(&test).await?,
        primary: test.get("deployments/podinfo-primary").await?,
    };
    success_rate(&test, 100.0);
    test.set_image("6.0.1").await?;
    until_copied(&test).await?;
    Ok((test, before))
}

struct Before {
    running: (Vec<String>, Vec<String>),
    primary: Value,
}

/// The primary has what it had, no pod of it has moved, and the canary is gone.
async fn assert_as_before(test: &Namespace<'_>, before: &Before) -> Result<()> {
    test.until("canaries/podinfo", |canary| {
        let status = &canary["status"];
        status["phase"] == "Failed" && status["release"]["recovering"] == false
    })
    .await?;
    assert_eq!(test.weights().await?, (100, 0));
    let primary = test
        .until("deployments/podinfo-primary", |primary| {
            primary["status"]["readyReplicas"] == 1 && primary["status"]["replicas"] == 1
        })
        .await?;
    assert_eq!(
        primary["spec"]["template"], before.primary["spec"]["template"],
        "a template of its own needs a pod of its own"
    );
    assert_eq!(running(test).await?, before.running);
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0 && target["status"]["replicas"].as_i64().unwrap_or(0) == 0
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_promotion_without_room_for_another_pod_goes_back_without_one() -> Result<()> {
    let (test, before) = stuck_in_promotion("room-deadline", 5).await?;
    test.event("failed, primary not ready").await?;
    assert_as_before(&test, &before).await?;
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(
        status["release"]["outcome"], "PromotionFailed",
        "{status:#}"
    );
    Ok(())
}

#[tokio::test]
async fn a_person_takes_a_promotion_back_without_room_for_another_pod() -> Result<()> {
    let (test, before) = stuck_in_promotion("room-bob", 600).await?;
    let output = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_as_before(&test, &before).await?;
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(status["release"]["outcome"], "RolledBack", "{status:#}");
    Ok(())
}

/// Somebody wants two pods of the new version, the quota holds exactly these and the primary's one.
#[tokio::test]
async fn a_promotion_without_room_leaves_the_primary_the_size_that_it_had() -> Result<()> {
    let test = with_room("room-size", 3, 5).await?;
    let before = Before {
        running: running(&test).await?,
        primary: test.get("deployments/podinfo-primary").await?,
    };
    success_rate(&test, 100.0);
    let sizes = test.record("deployments/podinfo-primary").await?;
    let release = json!({"spec": {"replicas": 2, "template": {"spec": {"containers": [
        {"name": "podinfod", "image": "stefanprodan/podinfo:6.0.1"},
    ]}}}});
    test.patch("deployments/podinfo", &release).await?;
    test.event("failed, primary not ready").await?;
    assert_as_before(&test, &before).await?;
    assert_eq!(
        sizes.changes(|primary| primary["spec"]["replicas"].as_i64()),
        [1, 2, 1]
    );
    Ok(())
}

#[tokio::test]
async fn with_a_quota_of_exactly_what_runs_a_release_ends_at_its_deadline_and_can_be_retried()
-> Result<()> {
    let test = with_room("room-none", 1, 5).await?;
    let before = running(&test).await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    success_rate(&test, 100.0);
    test.set_image("6.0.1").await?;
    super::failed(&test).await?;
    let event = test.event("Rolling back").await?;
    assert!(event.contains("progress deadline exceeded"), "{event}");
    assert_eq!(route.weights(), [(100, 0)]);
    assert_eq!(running(&test).await?, before);

    grant(&test, 3).await?;
    test.plugin(BOB, &["retry", "podinfo"]).await?.ok()?;
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    Ok(())
}
