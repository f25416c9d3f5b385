//! The primary's `PodDisruptionBudget`: its pods are evicted no sooner than the target's would be.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{LIMIT, Namespace, QUICK, deployment, install, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use serde_json::{Value, json};

use crate::selectors::{create, phase};
use crate::setup::{namespace, owner};

const COPY: &str = "poddisruptionbudgets/podinfo-primary";

fn budget(name: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "labels": {"team": "web"}},
        "spec": {"minAvailable": 1, "selector": selector},
    })
}

fn of_target() -> Value {
    json!({"matchLabels": {"app": "podinfo"}})
}

/// A Canary at rest of two pods, beside these budgets.
async fn covered(name: &str, budgets: &[Value]) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    for budget in budgets {
        test.create_as_admin(budget).await?;
    }
    let mut target = deployment();
    target["spec"]["replicas"] = json!(2);
    target["spec"]["template"]["metadata"]["labels"]["tier"] = json!("front");
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    test.until("deployments/podinfo-primary", |it| {
        it["status"]["readyReplicas"] == 2
    })
    .await?;
    Ok(test)
}

/// A budget whose controller has counted its pods.
async fn counted(test: &Namespace<'_>, budget: &str) -> Result<()> {
    let counted = |it: &Value| {
        it["status"]["currentHealthy"] == 2
            && it["status"]["observedGeneration"] == it["metadata"]["generation"]
    };
    test.until(budget, counted).await?;
    Ok(())
}

async fn primary_pods(test: &Namespace<'_>) -> Result<Vec<String>> {
    let pods = test.list("pods").await?;
    let names = pods
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter_map(|pod| pod["metadata"]["name"].as_str());
    let primary = names.filter(|name| name.starts_with("podinfo-primary-"));
    Ok(primary.map(str::to_owned).collect())
}

/// Asks for the eviction of a pod; why not, if it is refused.
async fn evict(test: &Namespace<'_>, pod: &str) -> Result<Result<(), (u16, String)>> {
    let eviction =
        json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
    let path = test.path(&format!("pods/{pod}/eviction"));
    let request = http::Request::post(path).body(serde_json::to_vec(&eviction)?)?;
    let client = test.plane.client().await?;
    match client.request::<Value>(request).await {
        Ok(_) => Ok(Ok(())),
        Err(kube::Error::Api(status)) => Ok(Err((status.code, status.message.clone()))),
        Err(error) => Err(error.into()),
    }
}

fn uncovered(canary: &Value) -> Option<&str> {
    let all = canary["status"]["conditions"].as_array()?;
    let found = all.iter().find(|it| it["type"] == "PrimaryUncovered")?;
    found["message"].as_str()
}

#[tokio::test]
async fn of_two_primary_pods_one_is_evicted_and_the_second_is_not() -> Result<()> {
    let test = covered("evicted", &[budget("podinfo", &of_target())]).await?;
    counted(&test, COPY).await?;
    let copy = test.get(COPY).await?;
    assert_eq!(owner(&copy), "Canary/podinfo");
    assert_eq!(copy["metadata"]["labels"]["team"], "web");
    let mark = &copy["metadata"]["labels"]["kubectl-canary.dev/generated"];
    let uid = &test.get("canaries/podinfo").await?["metadata"]["uid"];
    assert_eq!(mark, uid);

    // Nothing takes the place of the pod that is evicted.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"},
        "spec": {"hard": {"pods": "0"}},
    });
    test.create_as_admin(&quota).await?;
    test.until("resourcequotas/full", |it| {
        it["status"]["used"]["pods"] == "2"
    })
    .await?;
    let pods = primary_pods(&test).await?;
    let [first, second] = pods.as_slice() else {
        anyhow::bail!("two pods: {pods:?}");
    };
    assert_eq!(evict(&test, first).await?, Ok(()));
    let refused = evict(&test, second).await?;
    let (code, why) = refused.err().context("the second goes nowhere")?;
    assert_eq!(code, 429, "{why}");
    Ok(())
}

#[tokio::test]
async fn a_copy_follows_its_source_and_goes_with_it() -> Result<()> {
    let source = json!({
        "matchLabels": {"app": "podinfo"},
        "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["podinfo", "other"]},
            {"key": "tier", "operator": "Exists"},
        ],
    });
    let test = covered("follows", &[budget("podinfo", &source)]).await?;
    let copy = test.until(COPY, |_| true).await?;
    let expected = json!({
        "matchLabels": {"app": "podinfo-primary"},
        "matchExpressions": [
            {"key": "app", "operator": "In", "values": ["podinfo-primary"]},
            {"key": "tier", "operator": "Exists"},
        ],
    });
    assert_eq!(copy["spec"]["selector"], expected);

    let source = "poddisruptionbudgets/podinfo";
    let other = json!({"spec": {"minAvailable": null, "maxUnavailable": 1}});
    test.patch_as_admin(source, &other).await?;
    test.until(COPY, |copy| {
        copy["spec"]["maxUnavailable"] == 1 && copy["spec"]["minAvailable"].is_null()
    })
    .await?;

    // Renamed, as one is: the old one goes, and a new one comes.
    test.create_as_admin(&budget("web", &of_target())).await?;
    let why = test
        .condition("PrimaryUncovered", "True", "NoDisruptionBudget")
        .await?;
    assert!(why.contains("podinfo, web"), "{why}");
    test.gone(COPY).await?;
    delete(&test, "podinfo").await?;
    test.until("poddisruptionbudgets/web-primary", |_| true)
        .await?;
    test.until("canaries/podinfo", |canary| uncovered(canary).is_none())
        .await?;
    delete(&test, "web").await?;
    test.gone("poddisruptionbudgets/web-primary").await?;
    Ok(())
}

async fn delete(test: &Namespace<'_>, budget: &str) -> Result<()> {
    let deleted = test
        .kubectl_as_admin(&["delete", "pdb", budget], "")
        .await?;
    deleted.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_copy_makes_way_for_a_budget_that_covers_the_primary_so_that_its_pods_can_be_evicted()
-> Result<()> {
    let test = covered("way", &[budget("podinfo", &of_target())]).await?;
    test.until(COPY, |_| true).await?;
    let of_primary = json!({"matchLabels": {"app": "podinfo-primary"}});
    test.create_as_admin(&budget("by-hand", &of_primary))
        .await?;
    test.gone(COPY).await?;
    counted(&test, "poddisruptionbudgets/by-hand").await?;
    let pods = primary_pods(&test).await?;
    let pod = pods.first().context("a pod")?;
    // With two of them it is a 500: "does not support more than one pod disruption budget".
    let evicted = eventually("the eviction", LIMIT, async || {
        match evict(&test, pod).await? {
            Ok(()) => Ok(Some(Ok(()))),
            Err((429, _)) => Ok(None),
            Err(error) => Ok(Some(Err(error))),
        }
    })
    .await?;
    assert_eq!(evicted, Ok(()));

    delete(&test, "by-hand").await?;
    test.until(COPY, |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn a_budget_that_covers_both_sides_is_left_alone_and_one_that_cannot_be_copied_is_told_of()
-> Result<()> {
    let both = budget("podinfo", &json!({"matchLabels": {"tier": "front"}}));
    let test = covered("both-sides", &[both]).await?;
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(uncovered(&canary), None);
    assert!(test.find(COPY).await?.is_none());

    let not_in = json!({"spec": {"selector": {
        "matchLabels": {"tier": "front"},
        "matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["podinfo-primary"]}],
    }}});
    test.patch_as_admin("poddisruptionbudgets/podinfo", &not_in)
        .await?;
    let why = test
        .condition("PrimaryUncovered", "True", "NoDisruptionBudget")
        .await?;
    assert!(
        why.contains("PodDisruptionBudget podinfo") && why.contains("app=podinfo-primary"),
        "{why}"
    );
    assert!(test.find(COPY).await?.is_none());
    // It hinders nothing.
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn a_budget_of_the_copys_name_that_is_somebody_elses_is_told_of_and_left_alone() -> Result<()>
{
    let other = budget("podinfo-primary", &json!({"matchLabels": {"app": "other"}}));
    let test = covered(
        "taken-budget",
        &[budget("podinfo", &of_target()), other.clone()],
    )
    .await?;
    let why = test
        .condition("PrimaryUncovered", "True", "NoDisruptionBudget")
        .await?;
    assert!(why.contains("belongs to somebody else"), "{why}");
    let after = test.get(COPY).await?;
    assert_eq!(after["spec"]["selector"], other["spec"]["selector"]);
    Ok(())
}

/// Leaves the server these verbs on budgets; without any it has no right at all.
async fn allow(plane: &ControlPlane, verbs: &[&str]) -> Result<()> {
    let get = [
        "get",
        "clusterrole",
        "canary-webhook-workloads",
        "-o",
        "json",
    ];
    let mut role: Value = serde_json::from_str(&plane.kubectl(&get).await?.ok()?)?;
    let rules = role["rules"].as_array_mut().context("rules")?;
    let of_budgets = |rule: &Value| rule["resources"] == json!(["poddisruptionbudgets"]);
    if verbs.is_empty() {
        rules.retain(|rule| !of_budgets(rule));
    }
    for rule in rules.iter_mut().filter(|rule| of_budgets(rule)) {
        rule["verbs"] = json!(verbs);
    }
    let (replace, role) = (["replace", "-f", "-"], role.to_string());
    let replaced = plane.kubectl_with(plane.admin_kubeconfig(), &replace, &role);
    replaced.await?.ok()?;
    Ok(())
}

/// A release beside a budget.
async fn released(plane: &ControlPlane, name: &str) -> Result<()> {
    let test = Namespace::new(plane, name).await?;
    test.create_as_admin(&budget("podinfo", &of_target()))
        .await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    assert!(test.find(COPY).await?.is_none());
    if name == "read-only" {
        let why = test
            .condition("PrimaryUncovered", "True", "NoDisruptionBudget")
            .await?;
        assert!(
            why.contains("not allowed to create poddisruptionbudgets"),
            "{why}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_the_right_a_primary_has_no_budget_and_all_else_goes_on() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    allow(&plane, &["get", "list", "watch"]).await?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    released(&plane, "read-only").await?;

    server.process().kill()?;
    allow(&plane, &[]).await?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    released(&plane, "no-right").await
}

/// Of the budget that covers these pods.
async fn of_primary(test: &Namespace<'_>, name: &str) -> Result<(Value, Value)> {
    let budget = test.get(&format!("poddisruptionbudgets/{name}")).await?;
    let values = &budget["spec"]["selector"]["matchExpressions"][0]["values"];
    Ok((values.clone(), json!(owner(&budget))))
}

#[tokio::test]
async fn one_budget_of_two_targets_has_a_copy_for_each_primary() -> Result<()> {
    let test = namespace("two-of-one-budget").await?;
    let both = json!({"matchExpressions": [
        {"key": "app", "operator": "In", "values": ["podinfo", "web"]},
    ]});
    test.create_as_admin(&budget("pb", &both)).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    create(&test, "web", &json!({"app": "web"})).await?;
    phase(&test, "web", "Initialized").await?;

    let first = (json!(["podinfo-primary"]), json!("Canary/podinfo"));
    let second = (json!(["web-primary"]), json!("Canary/web"));
    let own = "poddisruptionbudgets/pb-web-primary";
    test.until(own, |_| true).await?;
    assert_eq!(of_primary(&test, "pb-primary").await?, first);
    assert_eq!(of_primary(&test, "pb-web-primary").await?, second);
    // It is handed over: it stays whose it is.
    let adopt = json!({"metadata": {"annotations": {"kubectl-canary.dev/adopt": "true"}}});
    test.patch_as_admin("poddisruptionbudgets/pb-primary", &adopt)
        .await?;
    let image = json!({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}});
    test.patch("deployments/web", &image).await?;
    phase(&test, "web", "Succeeded").await?;
    assert_eq!(of_primary(&test, "pb-primary").await?, first);
    assert_eq!(of_primary(&test, "pb-web-primary").await?, second);
    for name in ["podinfo", "web"] {
        let canary = test.get(&format!("canaries/{name}")).await?;
        assert_eq!(uncovered(&canary), None, "{name}");
    }
    Ok(())
}
