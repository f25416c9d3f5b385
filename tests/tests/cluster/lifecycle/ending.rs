//! A Canary that is deleted.

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace};
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{image, initialized, initialized_with, namespace};

#[tokio::test]
async fn deletion_says_what_stops_and_leaves_the_target_at_rest() -> Result<()> {
    let test = initialized("deleted").await?;
    let output = test.kubectl("alice", &["delete", "canary/podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("Warning:"), "{output:?}");
    test.gone("canaries/podinfo").await?;
    // The garbage collector takes what the Canary owned.
    test.gone("deployments/podinfo-primary").await?;
    test.gone("apisixroutes/podinfo-podinfo-canary").await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );
    Ok(())
}

#[tokio::test]
async fn deletion_with_revert_gives_the_traffic_back_to_the_target() -> Result<()> {
    let test = initialized_with("reverted", |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 1);
    assert_eq!(
        target["status"]["readyReplicas"], 1,
        "it serves before the primary goes"
    );
    assert_eq!(image(&target), "stefanprodan/podinfo:6.0.1");
    let id = format!("podinfo.{}", test.name);
    test.event(&format!("Terminated canary {id}")).await?;
    Ok(())
}

#[tokio::test]
async fn the_finalizer_that_flagger_left_is_handled_too() -> Result<()> {
    let test = initialized("finalizer").await?;
    let finalizers = json!({"metadata": {"finalizers": ["finalizer.flagger.app"]}});
    test.patch("canaries/podinfo", &finalizers).await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await
}

#[tokio::test]
async fn a_namespace_with_a_canary_in_it_can_be_deleted() -> Result<()> {
    let test = initialized_with("namespace", |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    let delete = ["delete", "namespace", &test.name, "--timeout=60s"];
    test.plane.kubectl(&delete).await?.ok()?;
    Ok(())
}

const MANAGED: &str = "kubectl-canary.dev/managed";
const ORIGINAL: &str = "kubectl-canary.dev/original-service";

/// The apex Service is the user's own, and was there before.
async fn with_own_service(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    test.create(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 80, "targetPort": 9898}]},
    }))
    .await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["metadata"]["labels"][MANAGED], "true");
    Ok(test)
}

fn is_unmarked(target: &Value) -> bool {
    target["metadata"]["labels"][MANAGED].is_null()
}

#[tokio::test]
async fn the_users_own_service_and_the_target_are_theirs_alone_once_the_canary_is_gone()
-> Result<()> {
    let test = with_own_service("own-apex").await?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let service = test
        .until("services/podinfo", |it| {
            it["spec"]["selector"] == json!({"app": "podinfo"})
        })
        .await?;
    assert!(test.find("deployments/podinfo-primary").await?.is_none());
    let annotations = &service["metadata"]["annotations"];
    for key in [ORIGINAL, "kustomize.toolkit.fluxcd.io/reconcile"] {
        assert!(annotations[key].is_null(), "{annotations:#}");
    }
    test.until("deployments/podinfo", is_unmarked).await?;
    Ok(())
}

#[tokio::test]
async fn a_primary_that_is_orphaned_goes_on_serving_through_the_users_own_service() -> Result<()> {
    let test = with_own_service("orphaned-apex").await?;
    let delete = ["delete", "canary", "podinfo", "--cascade=orphan"];
    test.kubectl(ALICE, &delete).await?.ok()?;
    // The target is looked after before the Services are.
    test.until("deployments/podinfo", is_unmarked).await?;
    let service = test.get("services/podinfo").await?;
    assert_eq!(
        service["spec"]["selector"],
        json!({"app": "podinfo-primary"})
    );
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(primary["status"]["readyReplicas"], 1);
    Ok(())
}

/// The garbage collector takes the owner off a primary while our server may not know of the deletion yet. It is a
/// matter of milliseconds who is told first, so several Canaries go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_orphaned_is_given_back_to_a_canary_that_goes() -> Result<()> {
    let orphaned = (0..8).map(|index| async move {
        let test = with_own_service(&format!("left-behind-{index}")).await?;
        let delete = ["delete", "canary", "podinfo", "--cascade=orphan"];
        test.kubectl(ALICE, &delete).await?.ok()?;
        test.until("deployments/podinfo", is_unmarked).await?;
        for object in [
            "deployments/podinfo-primary",
            "services/podinfo-primary",
            "services/podinfo-canary",
            "apisixroutes/podinfo-podinfo-canary",
        ] {
            let metadata = test.get(object).await?["metadata"].clone();
            let owned = metadata["ownerReferences"].as_array();
            assert!(owned.is_none_or(Vec::is_empty), "{object}: {metadata:#}");
            assert!(metadata["deletionTimestamp"].is_null(), "{metadata:#}");
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(orphaned).await?;
    Ok(())
}

#[tokio::test]
async fn a_deletion_that_waits_for_the_target_says_so() -> Result<()> {
    let test = initialized_with("waits-for-target", |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    // No pod of it can be made.
    test.create_as_admin(&json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"},
        "spec": {"hard": {"pods": "1"}},
    }))
    .await?;
    let delete = ["delete", "canary", "podinfo", "--wait=false"];
    test.kubectl(ALICE, &delete).await?.ok()?;
    let message = test.condition("Ready", "False", "Reverting").await?;
    let expected = "the deletion waits until deployment podinfo can serve";
    assert!(message.contains(expected), "{message}");
    let explained = test.plugin(ALICE, &["explain", "podinfo"]).await?;
    let flat = explained
        .stdout
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(flat.contains(expected), "{explained:?}");
    let quota = ["delete", "resourcequota", "full"];
    test.kubectl_as_admin(&quota, "").await?.ok()?;
    test.gone("canaries/podinfo").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_canary_left_while_no_server_ran_is_put_in_order_by_the_next_one() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("left-behind", "60s").await?;
    server.process().kill()?;
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    assert!(!is_unmarked(&test.get("deployments/podinfo").await?));
    server.restart()?;
    test.until("deployments/podinfo", is_unmarked).await?;
    Ok(())
}
