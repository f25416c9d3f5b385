//! Names in a Canary's spec that change: what was generated for the old ones goes, in an order that loses no
//! request; in mid-release the old ones stay in force.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace, Traffic, deployment, route};
use serde_json::{Value, json};

use crate::setup::{at_first_step, image, initialized, namespace};

/// The user's route by another name and, where it matters, to another Service or for another host.
fn route_named(name: &str, service: &str, host: &str) -> Value {
    let mut route = route();
    route["metadata"]["name"] = json!(name);
    route["spec"]["http"][0]["match"]["hosts"] = json!([host]);
    route["spec"]["http"][0]["backends"][0]["serviceName"] = json!(service);
    route
}

fn autoscaler(name: &str) -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 4,
        },
    })
}

async fn promoted(test: &Namespace<'_>, version: &str) -> Result<Value> {
    let canary = test
        .until("canaries/podinfo", |canary| {
            canary["status"]["phase"] == "Succeeded"
                && canary["status"]["release"]["outcome"] == "Promoted"
        })
        .await?;
    let name = canary["spec"]["targetRef"]["name"].as_str().unwrap();
    let primary = test.get(&format!("deployments/{name}-primary")).await?;
    assert_eq!(image(&primary), format!("stefanprodan/podinfo:{version}"));
    Ok(canary)
}

/// Names of the kind that carry the mark of a Canary.
async fn generated(test: &Namespace<'_>, resource: &str) -> Result<Vec<String>> {
    let all = test.list(resource).await?;
    let marked = all
        .iter()
        .filter(|object| object["metadata"]["labels"]["kubectl-canary.dev/generated"].is_string());
    let names = marked.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}

async fn until_generated(test: &Namespace<'_>, resource: &str, wanted: &[&str]) -> Result<()> {
    let what = format!("{wanted:?} to be the generated {resource}");
    canary_tests::clock::eventually(&what, canary_tests::cluster::LIMIT, async || {
        Ok((generated(test, resource).await? == wanted).then_some(()))
    })
    .await
}

/// A verb of the plugin, by somebody who may.
async fn ask(test: &Namespace<'_>, verb: &[&str]) -> Result<()> {
    test.bind(ALICE, "canary-operator").await?;
    let done = test.plugin(ALICE, &[verb, &["podinfo"]].concat()).await?;
    assert_eq!(done.code, Some(0), "{done:?}");
    Ok(())
}

// --- routes

#[tokio::test]
async fn a_route_that_is_renamed_in_mid_release_leaves_no_second_split_behind() -> Result<()> {
    let test = at_first_step("route-renamed").await?;
    test.create(&route_named("shop", "podinfo", "app.example.com"))
        .await?;
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"routeRef": {"name": "shop"}}}),
    )
    .await?;
    until_generated(&test, "apisixroutes", &["shop-podinfo-canary"]).await?;
    let backends =
        test.get("apisixroutes/shop-podinfo-canary").await?["spec"]["http"][0]["backends"].clone();
    assert_eq!(
        (&backends[0]["weight"], &backends[1]["weight"]),
        (&json!(80), &json!(20))
    );
    ask(&test, &["promote", "--full"]).await?;
    promoted(&test, "6.0.1").await?;
    Ok(())
}

#[tokio::test]
async fn a_route_that_is_named_and_not_there_keeps_the_old_one_in_force_and_the_way_back_open()
-> Result<()> {
    let test = at_first_step("route-misnamed").await?;
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"routeRef": {"name": "typo"}}}),
    )
    .await?;
    let message = test
        .condition("SpecPending", "True", "ReleaseRunning")
        .await?;
    assert!(message.contains("spec.routeRef typo"), "{message}");
    assert_eq!(test.weights().await?, (80, 20));
    ask(&test, &["rollback"]).await?;
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn a_provider_without_routes_takes_the_generated_one_away_at_rest() -> Result<()> {
    let test = initialized("no-router").await?;
    let patch = json!({"spec": {"provider": "kubernetes", "analysis": {"iterations": 2, "maxWeight": null, "stepWeight": null}}});
    test.patch("canaries/podinfo", &patch).await?;
    until_generated(&test, "apisixroutes", &[]).await?;
    Ok(())
}

// --- autoscalers

#[tokio::test]
async fn an_autoscaler_that_is_renamed_or_removed_takes_its_copy_along() -> Result<()> {
    let test = namespace("hpa-renamed").await?;
    test.create(&autoscaler("web")).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let copies = "horizontalpodautoscalers";
    until_generated(&test, copies, &["web-primary"]).await?;
    test.delete(&format!("{copies}/web")).await?;
    test.create(&autoscaler("shop")).await?;
    until_generated(&test, copies, &["shop-primary"]).await?;
    test.delete(&format!("{copies}/shop")).await?;
    until_generated(&test, copies, &[]).await?;
    test.get("deployments/podinfo-primary").await?;
    Ok(())
}

#[tokio::test]
async fn an_autoscaler_that_is_renamed_while_its_canary_is_paused_is_followed() -> Result<()> {
    let test = namespace("hpa-paused").await?;
    test.create(&autoscaler("web")).await?;
    test.create_with(|canary| canary["spec"]["analysis"]["interval"] = json!("60s"))
        .await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    ask(&test, &["pause"]).await?;
    test.delete("horizontalpodautoscalers/web").await?;
    test.create(&autoscaler("shop")).await?;
    until_generated(&test, "horizontalpodautoscalers", &["shop-primary"]).await?;
    assert_eq!(test.weights().await?, (80, 20));
    Ok(())
}

// --- Services and targets

/// A Canary at rest whose host no other namespace has, and a load on it.
async fn under_load(name: &str, host: &str, lag: u64) -> Result<(Namespace<'static>, Traffic)> {
    let test = namespace(name).await?;
    test.create(&deployment()).await?;
    test.create(&route_named("podinfo", "podinfo", host))
        .await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    let traffic = Traffic::behind(&test, host, Duration::from_secs(lag)).await?;
    Ok((test, traffic))
}

async fn assert_nothing_lost(traffic: Traffic) {
    let report = traffic.stop().await;
    println!("{report}");
    let total = report.total();
    assert_eq!((total.lost(), total.errors()), (0, 0), "{report}");
}

async fn rename_the_route_under_load(lag: u64) -> Result<()> {
    let host = format!("renamed-{lag}.example.com");
    let (test, traffic) = under_load(&format!("route-load-{lag}"), &host, lag).await?;
    test.create(&route_named("shop", "podinfo", &host)).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"routeRef": {"name": "shop"}}}),
    )
    .await?;
    until_generated(&test, "apisixroutes", &["shop-podinfo-canary"]).await?;
    test.delete("apisixroutes/podinfo").await?;
    promoted(&test, "6.0.1").await?;
    assert_nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_is_renamed_costs_no_request_behind_a_gateway_a_second_late() -> Result<()> {
    rename_the_route_under_load(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_is_renamed_costs_no_request_behind_a_gateway_five_seconds_late() -> Result<()>
{
    rename_the_route_under_load(5).await
}

async fn rename_the_service_under_load(lag: u64) -> Result<()> {
    let host = format!("service-{lag}.example.com");
    let (test, traffic) = under_load(&format!("service-load-{lag}"), &host, lag).await?;
    // First the Canary, which keeps the old one until the route leads to the new one.
    test.patch(
        "canaries/podinfo",
        &json!({"spec": {"service": {"name": "shop"}}}),
    )
    .await?;
    let message = test.condition("Ready", "False", "RouteInvalid").await?;
    assert!(message.contains("shop"), "{message}");
    test.patch(
        "apisixroutes/podinfo",
        &json!({"spec": route_named("podinfo", "shop", &host)["spec"]}),
    )
    .await?;
    until_generated(&test, "apisixroutes", &["podinfo-shop-canary"]).await?;
    until_generated(&test, "services", &["shop", "shop-canary", "shop-primary"]).await?;
    test.set_image("6.0.1").await?;
    promoted(&test, "6.0.1").await?;
    assert_nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_renamed_costs_no_request_behind_a_gateway_a_second_late() -> Result<()> {
    rename_the_service_under_load(1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_renamed_costs_no_request_behind_a_gateway_five_seconds_late()
-> Result<()> {
    rename_the_service_under_load(5).await
}

#[tokio::test]
async fn names_that_change_in_mid_release_are_followed_once_it_has_ended() -> Result<()> {
    let test = at_first_step("names-midway").await?;
    let mut other = deployment();
    other["metadata"]["name"] = json!("web");
    other["spec"]["selector"]["matchLabels"] = json!({"app": "web"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "web"});
    test.create(&other).await?;
    let patch = json!({"spec": {"targetRef": {"name": "web"}, "service": {"name": "podinfo"}}});
    test.patch("canaries/podinfo", &patch).await?;
    let message = test
        .condition("SpecPending", "True", "ReleaseRunning")
        .await?;
    assert!(message.contains("spec.targetRef web"), "{message}");
    assert_eq!(test.weights().await?, (80, 20));
    ask(&test, &["promote", "--full"]).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Initialized" && canary["status"]["inForce"]["target"] == "web"
    })
    .await?;
    until_generated(&test, "deployments", &["web-primary"]).await?;
    // It is let go after its primary is deleted.
    test.until("deployments/podinfo", |old| {
        old["metadata"]["labels"]["kubectl-canary.dev/managed"].is_null()
    })
    .await?;
    Ok(())
}

async fn name_another_target_under_load(lag: u64) -> Result<()> {
    let host = format!("target-{lag}.example.com");
    let (test, traffic) = under_load(&format!("target-load-{lag}"), &host, lag).await?;
    let apex = test.record_endpoints("podinfo").await?;
    let mut other = deployment();
    other["metadata"]["name"] = json!("web");
    other["spec"]["selector"]["matchLabels"] = json!({"app": "web"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "web"});
    other["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("stefanprodan/podinfo:6.0.3");
    test.create(&other).await?;
    let patch = json!({"spec": {"targetRef": {"name": "web"}, "service": {"name": "podinfo"}}});
    test.patch("canaries/podinfo", &patch).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Initialized" && canary["status"]["inForce"]["target"] == "web"
    })
    .await?;
    until_generated(&test, "deployments", &["web-primary"]).await?;
    let primary = test.get("deployments/web-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.3");
    assert!(crate::selectors::always_ready(&apex));
    assert_nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_target_costs_no_request_behind_a_gateway_a_second_late() -> Result<()> {
    name_another_target_under_load(1).await
}

// --- copies of configuration

#[tokio::test]
async fn a_copy_of_configuration_that_nothing_refers_to_goes_after_the_promotion() -> Result<()> {
    let test = namespace("config-renamed").await?;
    let config = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": name}});
    let env = |name: &str| {
        json!({"spec": {"template": {"spec": {"containers": [{
            "name": "podinfod", "image": "stefanprodan/podinfo:6.0.0", "envFrom": [{"configMapRef": {"name": name}}],
        }]}}}})
    };
    test.create(&config("one")).await?;
    test.create(&config("two")).await?;
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] =
        json!([{"configMapRef": {"name": "one"}}]);
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;
    until_generated(&test, "configmaps", &["one-primary"]).await?;
    test.patch("deployments/podinfo", &env("two")).await?;
    promoted(&test, "6.0.0").await?;
    until_generated(&test, "configmaps", &["two-primary"]).await?;
    Ok(())
}
