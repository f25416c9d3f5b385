//! The tree below a Canary, of real ReplicaSets and (simulated) pods.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, deployment};
use serde_json::{Value, json};

use crate::setup::{at_first_step, initialized_with, namespace};

/// Reads everything but pods.
const DORA: &str = "dora";
const PODS: i64 = 200;
/// For so many pods to be made by a machine that does much else.
const CROWD_LIMIT: Duration = Duration::from_secs(240);

async fn report(test: &Namespace<'_>, user: &str) -> Result<Value> {
    let words = ["status", "podinfo", "-o", "json"];
    Ok(serde_json::from_str(
        &test.plugin(user, &words).await?.ok()?,
    )?)
}

#[tokio::test]
async fn a_release_shows_the_pods_of_both_sides() -> Result<()> {
    let test = at_first_step("tree").await?;
    let report = report(&test, ALICE).await?;
    let shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
    for (index, role, tag) in [(0, "primary", "6.0.0"), (1, "canary", "6.0.1")] {
        let workload = &report["workloads"][index];
        assert_eq!(workload["role"], role);
        assert_eq!(workload["status"], "Healthy", "{workload:#}");
        let set = &workload["replicaSets"][0];
        assert_eq!((&set["current"], &set["ready"]), (&json!(true), &json!(1)));
        let image = set["images"][0].as_str().unwrap_or_default();
        assert!(image.ends_with(tag), "{workload:#}");
        let pod = &set["pods"][0];
        assert_eq!(pod["status"], "Running", "{workload:#}");
        for name in [&workload["name"], &set["name"], &pod["name"]] {
            let name = name.as_str().context("a name")?;
            assert!(shown.contains(name), "{name} is missing in\n{shown}");
        }
    }
    Ok(())
}

/// A Canary that nobody acts on, with a primary of two hundred pods.
async fn crowd(name: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    test.create(&deployment()).await?;
    let mut primary = deployment();
    primary["metadata"]["name"] = json!("podinfo-primary");
    primary["spec"]["replicas"] = json!(PODS);
    let labels = json!({"app": "podinfo-primary"});
    primary["spec"]["selector"]["matchLabels"] = labels.clone();
    primary["spec"]["template"]["metadata"]["labels"] = labels;
    test.create(&primary).await?;
    let mut canary = test.canary();
    canary["spec"]["suspend"] = json!(true);
    test.create(&canary).await?;
    eventually("the pods of the primary", CROWD_LIMIT, async || {
        let primary = test.get("deployments/podinfo-primary").await?;
        Ok((primary["status"]["readyReplicas"] == PODS).then_some(()))
    })
    .await?;
    Ok(test)
}

#[tokio::test]
async fn of_200_pods_the_one_that_is_not_well_is_seen() -> Result<()> {
    let test = crowd("crowd").await?;
    let pods = test.list("pods?labelSelector=app=podinfo-primary").await?;
    let names: Vec<&str> = pods
        .iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    let last = names.iter().max().context("there are pods")?;
    let broken = json!({"status": {"containerStatuses": [{
        "name": "podinfod", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
    }]}});
    test.patch_as_admin(&format!("pods/{last}/status"), &broken)
        .await?;

    let shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
    let line = |part: &str| shown.lines().position(|line| line.contains(part));
    let broken = line(last).context("the broken pod is shown")?;
    assert!(line("CrashLoopBackOff") == Some(broken), "{shown}");
    let first = shown.lines().position(|line| line.contains("Running"));
    assert!(
        first > Some(broken),
        "what is not well comes first\n{shown}"
    );
    assert!(shown.contains("190 more Running"), "{shown}");
    assert!(shown.contains("restarts 3"), "{shown}");

    let report = report(&test, ALICE).await?;
    let all = report["workloads"][0]["replicaSets"][0]["pods"].as_array();
    assert_eq!(all.map(Vec::len), Some(PODS as usize));
    // So many are a burden to the tests that follow.
    test.delete("deployments/podinfo-primary").await
}

#[tokio::test]
async fn who_may_not_list_pods_sees_the_rest() -> Result<()> {
    let test = initialized_with("no-pods", |_| ()).await?;
    let group = "rbac.authorization.k8s.io";
    let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
    test.create_as_admin(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "no-pods"},
        "rules": [
            read("flagger.app", &["canaries"]),
            read("apps", &["deployments", "replicasets"]),
            read("apisix.apache.org", &["apisixroutes"]),
        ],
    }))
    .await?;
    test.create_as_admin(&json!({
        "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "no-pods"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "no-pods"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": DORA}],
    }))
    .await?;
    let shown = eventually("dora's rights", LIMIT, async || {
        let output = test.plugin(DORA, &["status", "podinfo"]).await?;
        let whole = output.code == Some(0) && !output.stdout.contains("cannot be read");
        Ok((whole && !output.stdout.contains("ReplicaSets and Pods")).then_some(output))
    })
    .await?;
    assert_eq!(shown.stderr, "");
    assert!(shown.stdout.contains("no right to list Pods"), "{shown:?}");
    let report = report(&test, DORA).await?;
    let primary = &report["workloads"][0];
    assert_eq!(primary["status"], "Healthy", "{primary:#}");
    assert_eq!(primary["replicaSets"][0]["ready"], 1, "{primary:#}");
    assert_eq!(primary["unread"][0]["forbidden"], true);
    Ok(())
}
