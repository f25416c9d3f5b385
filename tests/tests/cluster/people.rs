//! What people ask for with the plugin, and what becomes of it.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB, Cluster, Namespace};
use canary_tests::fixtures::hooks::{Hooks, Reply};
use canary_tests::plugin::plugin;
use canary_tests::process::Output;
use serde_json::{Value, json};

use crate::setup::{at_first_step, image, initialized, initialized_with};

#[track_caller]
fn done(output: &Output, said: &str) {
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains(said), "{output:?}");
}

fn last_request(canary: &Value) -> (&str, &str, &str) {
    let record = &canary["status"]["lastRequest"];
    let text = |field: &str| record[field].as_str().unwrap_or_default();
    (text("verb"), text("by"), text("outcome"))
}

#[tokio::test]
async fn promote_takes_the_next_step_without_waiting_for_its_check() -> Result<()> {
    let test = at_first_step("promote").await?;
    let reason = ["promote", "podinfo", "--reason", "looks fine"];
    let output = test.plugin(BOB, &reason).await?;
    done(&output, &format!("podinfo.{}: ", test.name));
    assert_eq!(test.weights().await?, (60, 40));
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(last_request(&canary), ("promote", "bob", "Done"));
    assert_eq!(canary["status"]["lastRequest"]["reason"], "looks fine");
    test.event("of bob").await?;
    Ok(())
}

#[tokio::test]
async fn promote_full_ends_when_the_primary_runs_the_new_version() -> Result<()> {
    let test = at_first_step("promote-full").await?;
    let output = test.plugin(BOB, &["promote", "podinfo", "--full"]).await?;
    done(&output, "release 1 promoted");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    assert_eq!(test.weights().await?, (100, 0));
    assert_eq!(
        test.get("canaries/podinfo").await?["status"]["phase"],
        "Succeeded"
    );
    Ok(())
}

#[tokio::test]
async fn rollback_ends_when_all_traffic_is_on_the_primary() -> Result<()> {
    let test = at_first_step("rollback-asked").await?;
    let output = test
        .plugin(BOB, &["rollback", "podinfo", "--reason", "errors"])
        .await?;
    done(&output, "rolled back, all traffic goes to the primary");
    assert_eq!(test.weights().await?, (100, 0));
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Failed");
    let id = format!("podinfo.{}", test.name);
    let event = test.event("Rolling back").await?;
    assert_eq!(
        event,
        format!("Rolling back {id} on request of bob: errors")
    );
    Ok(())
}

#[tokio::test]
async fn a_paused_release_stays_where_it_is_until_it_is_resumed() -> Result<()> {
    let test = initialized_with("paused", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("2s");
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    let output = test.plugin(BOB, &["pause", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    test.condition("Paused", "True", "Requested").await?;
    // Longer than the step would have lasted.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(route.weights(), [(80, 20)]);
    let output = test.plugin(ALICE, &["status", "podinfo"]).await?;
    done(&output, "paused");

    let output = test.plugin(BOB, &["resume", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    test.phase("Succeeded").await?;
    assert_eq!(route.weights(), [(80, 20), (60, 40), (100, 0)]);
    Ok(())
}

#[tokio::test]
async fn status_watch_ends_with_the_release_and_tells_how() -> Result<()> {
    let test = initialized("watch").await?;
    let watch = ["status", "podinfo", "--watch", "-n", &test.name];
    let kubeconfig = test.kubeconfig(ALICE)?;
    let (watched, released) = tokio::join!(plugin(&kubeconfig, &watch), test.set_image("6.0.1"));
    released?;
    let watched = watched?;
    assert_eq!(watched.code, Some(0), "{watched:?}");
    assert!(watched.stdout.contains("Succeeded"), "{watched:?}");
    Ok(())
}

#[tokio::test]
async fn status_tells_the_release_to_people_and_to_programs() -> Result<()> {
    let test = at_first_step("status").await?;
    let output = test.plugin(ALICE, &["status", "podinfo"]).await?;
    for part in [
        "Progressing",
        "by alice",
        "6.0.0",
        "6.0.1",
        "primary",
        "80 %",
        "20 %",
        "1 of 2",
    ] {
        assert!(
            output.stdout.contains(part),
            "{part} is missing in\n{}",
            output.stdout
        );
    }
    let output = test
        .plugin(ALICE, &["status", "podinfo", "-o", "json"])
        .await?;
    let report: Value = serde_json::from_str(&output.ok()?)?;
    assert_eq!(report["kind"], "CanaryReport");
    assert_eq!(report["phase"], "Progressing");
    Ok(())
}

#[tokio::test]
async fn a_request_for_an_older_revision_is_superseded() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::status(403));
    let test = initialized_with("older", |canary| {
        canary["spec"]["analysis"]["webhooks"] = json!([{
            "name": "gate", "type": "confirm-rollout", "url": hooks.url("/gate"),
        }]);
    })
    .await?;
    test.set_image("6.0.1").await?;
    let waiting = test.phase("Waiting").await?;
    let uid = waiting["metadata"]["uid"].as_str().unwrap_or_default();
    let request = format!("promote v1-000000000000 {uid} 0001");
    let annotate = format!("kubectl-canary.dev/request={request}");
    let output = test
        .kubectl(BOB, &["annotate", "canary/podinfo", &annotate])
        .await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let canary = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["lastRequest"]["id"] == "0001"
        })
        .await?;
    assert_eq!(last_request(&canary), ("promote", "bob", "Superseded"));
    assert_eq!(canary["status"]["phase"], "Waiting");
    Ok(())
}

#[tokio::test]
async fn a_revision_that_changes_while_the_plugin_asks_ends_it_with_exit_code_6() -> Result<()> {
    let hooks = Hooks::start().await?;
    hooks.reply("/gate", Reply::status(403));
    let Cluster { mut server, plane } = Cluster::start(&[]).await?;
    let test = Namespace::new(&plane, "meanwhile").await?;
    test.create_with(|canary| {
        canary["spec"]["analysis"]["webhooks"] = json!([{
            "name": "gate", "type": "confirm-rollout", "url": hooks.url("/gate"), "retries": 0,
        }]);
    })
    .await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("Waiting").await?;
    // The request and the new revision are there when it looks again.
    server.process().stop()?;
    let kubeconfig = test.kubeconfig(BOB)?;
    let promote = ["promote", "podinfo", "-n", &test.name];
    let change = async {
        let request = "kubectl-canary.dev/request";
        test.until("canaries/podinfo", |canary| {
            canary["metadata"]["annotations"][request].is_string()
        })
        .await?;
        test.set_image("6.0.2").await?;
        server.process().cont()
    };
    let (output, changed) = tokio::join!(plugin(&kubeconfig, &promote), change);
    changed?;
    let output = output?;
    assert_eq!(output.code, Some(6), "{output:?}");
    assert!(output.stderr.contains("came too late"), "{output:?}");
    // Neither the revision that was asked for nor the new one is promoted by it.
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    let waiting = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["release"]["number"] == 2
        })
        .await?;
    assert_eq!(waiting["status"]["phase"], "Waiting");
    Ok(())
}

#[tokio::test]
async fn nobody_asks_in_another_persons_name() -> Result<()> {
    let test = at_first_step("forged").await?;
    let canary = test.get("canaries/podinfo").await?;
    let uid = canary["metadata"]["uid"].as_str().unwrap_or_default();
    let revision = canary["status"]["release"]["revision"]
        .as_str()
        .unwrap_or_default();
    let forged = [
        "annotate".to_owned(),
        "canary/podinfo".to_owned(),
        format!("kubectl-canary.dev/request=pause {revision} {uid} 0001"),
        "kubectl-canary.dev/requested-by=alice".to_owned(),
    ];
    let args: Vec<&str> = forged.iter().map(String::as_str).collect();
    test.kubectl(BOB, &args).await?.ok()?;
    let canary = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["lastRequest"]["id"] == "0001"
        })
        .await?;
    assert_eq!(last_request(&canary), ("pause", "bob", "Done"));
    let by = &canary["metadata"]["annotations"]["kubectl-canary.dev/requested-by"];
    assert_eq!(by, "bob");
    Ok(())
}
