//! The mark of what was generated: everything has it, nothing else is believed, and what an older version or
//! Flagger left gets it once. Who may set it is in `policies/marks.rs`.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, deployment, route};
use canary_tests::server::{ACCOUNT, NAMESPACE};
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{initialized_with, namespace};

const MARK: &str = "kubectl-canary.dev/generated";
const BY: &str = "kubectl-canary.dev/triggered-by";

/// Resources of which a Canary generates some.
const RESOURCES: [&str; 8] = [
    "deployments",
    "services",
    "configmaps",
    "secrets",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "apisixroutes",
    "controllerrevisions",
];

/// A Canary whose release generates one object of each kind; it is not yet created.
async fn of_every_kind(test: &Namespace<'_>) -> Result<()> {
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = json!([
        {"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "token"}},
    ]);
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "podinfo"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99},
            }}],
        },
    });
    for object in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "b"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"}, "data": {"a": "Yg=="}}),
        autoscaler,
        json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "podinfo"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "podinfo"}}},
        }),
        target,
        route(),
        test.canary(),
    ] {
        test.create(&object).await?;
    }
    test.phase("Initialized").await?;
    test.until("horizontalpodautoscalers/podinfo-primary", |_| true)
        .await?;
    Ok(())
}

/// What names the Canary as its owner, as `resource/name`, with its mark.
pub async fn owned(test: &Namespace<'_>) -> Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for resource in RESOURCES {
        for object in test.list(resource).await? {
            let owners = object["metadata"]["ownerReferences"].as_array();
            let ours = |owner: &Value| owner["kind"] == "Canary";
            if owners.is_some_and(|owners| owners.iter().any(ours)) {
                let name = object["metadata"]["name"].as_str().unwrap();
                let mark = object["metadata"]["labels"][MARK].clone();
                found.push((format!("{resource}/{name}"), mark));
            }
        }
    }
    Ok(found)
}

async fn uid(test: &Namespace<'_>) -> Result<Value> {
    Ok(test.get("canaries/podinfo").await?["metadata"]["uid"].clone())
}

#[tokio::test]
async fn everything_that_is_generated_has_the_mark_and_no_pod_has_it() -> Result<()> {
    let test = namespace("marked").await?;
    of_every_kind(&test).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let (all, uid) = (owned(&test).await?, uid(&test).await?);
    for resource in RESOURCES {
        let of_kind = |(name, _): &&(String, Value)| name.starts_with(resource);
        assert!(all.iter().any(|it| of_kind(&it)), "no {resource}: {all:?}");
    }
    for (name, mark) in &all {
        assert_eq!(*mark, uid, "{name}");
    }
    let primary = test.get("deployments/podinfo-primary").await?;
    assert!(!primary["spec"].to_string().contains(MARK), "{primary:#}");
    for service in test.list("services").await? {
        assert!(!service["spec"].to_string().contains(MARK), "{service:#}");
    }
    Ok(())
}

#[tokio::test]
async fn an_owner_that_somebody_writes_changes_nothing() -> Result<()> {
    let test = initialized_with("owner", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("60s");
    })
    .await?;
    let owners = json!([{
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo",
        "uid": uid(&test).await?, "controller": true,
    }]);
    let mut mine = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}});
    mine["metadata"]["ownerReferences"] = owners.clone();
    let mine = test.create(&mine).await?;

    // On the target itself it does not hide who changes it.
    let mut change = json!({"metadata": {
        "ownerReferences": owners, "annotations": {BY: "bob"},
    }});
    change["spec"]["template"]["metadata"]["annotations"] = json!({"a": "b"});
    let target = test.patch("deployments/podinfo", &change).await?;
    assert_eq!(target["metadata"]["annotations"][BY], ALICE);
    let started = |canary: &Value| canary["status"]["release"]["by"] == ALICE;
    test.until("canaries/podinfo", started).await?;
    test.phase("Progressing").await?;

    for (name, mark) in owned(&test).await? {
        let forged = ["configmaps/mine", "deployments/podinfo"].contains(&name.as_str());
        assert_eq!(mark.is_null(), forged, "{name}");
    }
    assert_eq!(test.get("configmaps/mine").await?, mine);
    Ok(())
}

/// As the version before the mark left everything: only the server may take it away.
async fn without_marks(test: &Namespace<'_>) -> Result<Vec<String>> {
    let server = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let mut names = Vec::new();
    for (name, _) in owned(test).await? {
        let drop = json!({"metadata": {"labels": {MARK: null}}}).to_string();
        let patch = ["patch", &name, "--type=merge", "-p", &drop];
        test.kubectl(&server, &patch).await?.ok()?;
        names.push(name);
    }
    Ok(names)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_version_left_is_marked_by_one_write_each_and_no_pod_moves() -> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = Namespace::new(alone.plane, "upgrade").await?;
    of_every_kind(&test).await?;
    server.process().kill()?;
    let names = without_marks(&test).await?;
    let canary = test.record("canaries/podinfo").await?;
    let workloads = [
        test.record("deployments/podinfo").await?,
        test.record("deployments/podinfo-primary").await?,
    ];
    let seen = alone.requests()?.len();

    server.restart()?;
    let uid = uid(&test).await?;
    // What is recorded is looked at when the next release is.
    let recorded = |name: &str| name.starts_with("controllerrevisions");
    eventually("marks", LIMIT, async || {
        let all = owned(&test).await?;
        let mut due = all.iter().filter(|(name, _)| !recorded(name));
        Ok(due.all(|(_, mark)| *mark == uid).then_some(()))
    })
    .await?;
    // Nothing follows; an idle server is watched for as long elsewhere.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let requests = alone.requests()?;
    let writes = requests[seen..].iter().filter(|it| it.writes());
    let written: Vec<&str> = writes.map(|it| it.object.as_str()).collect();
    for name in names.iter().filter(|name| !recorded(name)) {
        let count = written.iter().filter(|it| *it == name).count();
        assert_eq!(count, 1, "{name}: {written:?}");
    }
    assert_eq!(canary.phases(), ["Initialized"]);
    for workload in &workloads {
        let template = |it: &Value| Some(it["spec"]["template"].clone());
        assert_eq!(workload.changes(template).len(), 1);
        assert_eq!(
            workload
                .changes(|it| it["metadata"]["generation"].as_i64())
                .len(),
            1
        );
    }

    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    for (name, mark) in owned(&test).await? {
        assert_eq!(mark, uid, "{name}");
    }
    Ok(())
}
