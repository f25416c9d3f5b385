//! The port of the pods changes together with `spec.service.targetPort`: what leads to the primary leads to the
//! port that its pods have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use canary_tests::cluster::{BOB, Namespace, Recorder, Traffic, deployment, route};
use serde_json::{Value, json};

use super::nothing_lost;
use crate::setup::{initialized, initialized_with, namespace};

const TO_PRIMARY: [&str; 2] = ["podinfo", "podinfo-primary"];

/// A Canary at rest whose Services name the port `http`, with so many pods.
async fn by_name(name: &str, replicas: i64, host: &str) -> Result<Namespace<'static>> {
    let test = namespace(name).await?;
    let (mut target, mut own, mut canary) = (deployment(), route(), test.canary());
    target["spec"]["replicas"] = json!(replicas);
    own["spec"]["http"][0]["match"]["hosts"] = json!([host]);
    canary["spec"]["service"]["targetPort"] = json!("http");
    for object in [&target, &own, &canary] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    Ok(test)
}

/// A new image, with these ports.
async fn release(test: &Namespace<'_>, ports: Value) -> Result<()> {
    let image = "stefanprodan/podinfo:6.0.1";
    let container = json!({"name": "podinfod", "image": image, "ports": ports});
    let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    test.patch("deployments/podinfo", &patch).await?;
    Ok(())
}

async fn set_target_port(test: &Namespace<'_>, port: &Value) -> Result<()> {
    let patch = json!({"spec": {"service": {"targetPort": port}}});
    test.patch("canaries/podinfo", &patch).await?;
    Ok(())
}

/// All at once, as one `kubectl apply` does it.
async fn rename(test: &Namespace<'_>, number: i64) -> Result<()> {
    set_target_port(test, &json!("web")).await?;
    release(test, json!([{"name": "web", "containerPort": number}])).await
}

async fn leads_to(test: &Namespace<'_>, service: &str, port: &Value) -> Result<()> {
    let service = format!("services/{service}");
    test.until(&service, |it| it["spec"]["ports"][0]["targetPort"] == *port)
        .await?;
    Ok(())
}

async fn primary_leads_to(test: &Namespace<'_>, port: &Value) -> Result<()> {
    for service in TO_PRIMARY {
        leads_to(test, service, port).await?;
    }
    Ok(())
}

async fn nothing_pending(test: &Namespace<'_>) -> Result<()> {
    let pending = |canary: &Value| {
        let conditions = canary["status"]["conditions"].to_string();
        conditions.contains("SpecPending")
    };
    test.until("canaries/podinfo", |canary| !pending(canary))
        .await?;
    Ok(())
}

async fn promoted(test: &Namespace<'_>) -> Result<()> {
    test.phase("Succeeded").await?;
    primary_leads_to(test, &json!("web")).await?;
    leads_to(test, "podinfo-canary", &json!("web")).await?;
    nothing_pending(test).await
}

/// For how long altogether no slice of a Service had a ready address with a port.
fn outage(endpoints: &Recorder) -> Duration {
    let versions = endpoints.versions().into_iter();
    let mut events: Vec<(Instant, String, bool)> = versions
        .map(|(at, slice)| {
            let name = slice["metadata"]["name"].as_str().unwrap().to_owned();
            let mut all = slice["endpoints"].as_array().into_iter().flatten();
            let ready = all.any(|one| one["conditions"]["ready"] == true);
            let ports = slice["ports"].as_array().is_some_and(|it| !it.is_empty());
            (at, name, ready && ports)
        })
        .collect();
    let removals = endpoints.removals().into_iter();
    events.extend(removals.map(|(at, name)| (at, name, false)));
    events.sort();
    let (mut slices, mut since, mut total) = (BTreeMap::new(), None, Duration::ZERO);
    // The first versions are the list of what there was.
    for (at, name, serves) in events {
        slices.insert(name, serves);
        if slices.values().any(|serves| *serves) {
            total += since.take().map_or(Duration::ZERO, |since| at - since);
        } else {
            since.get_or_insert(at);
        }
    }
    since.map_or(total, |since| total + since.elapsed())
}

async fn watched(test: &Namespace<'_>) -> Result<[Recorder; 2]> {
    let [apex, primary] = TO_PRIMARY;
    Ok([
        test.record_endpoints(apex).await?,
        test.record_endpoints(primary).await?,
    ])
}

fn always_served(endpoints: &[Recorder]) {
    for (service, endpoints) in TO_PRIMARY.iter().zip(endpoints) {
        assert!(!endpoints.versions().is_empty());
        assert_eq!(outage(endpoints), Duration::ZERO, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_apply_renames_the_port_of_pods_and_canary_and_the_primary_serves_all_along()
-> Result<()> {
    const HOST: &str = "target-port.example.com";
    let test = by_name("target-port", 1, HOST).await?;
    let endpoints = watched(&test).await?;
    let traffic = Traffic::start(&test, HOST).await?;
    rename(&test, 9898).await?;
    let said = test.condition("SpecPending", "True", "PrimaryPort").await?;
    let expected = "followed once the primary's pods have that port: spec.service.targetPort web";
    assert_eq!(said, expected);
    // Both names are of this number.
    primary_leads_to(&test, &json!(9898)).await?;
    leads_to(&test, "podinfo-canary", &json!("web")).await?;
    promoted(&test).await?;
    always_served(&endpoints);
    nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_port_that_also_gets_another_number_costs_nobody_behind_the_gateway_a_request()
-> Result<()> {
    const HOST: &str = "target-port-moved.example.com";
    let test = by_name("target-port-moved", 4, HOST).await?;
    let endpoints = watched(&test).await?;
    let traffic = Traffic::start(&test, HOST).await?;
    rename(&test, 8080).await?;
    test.condition("SpecPending", "True", "PrimaryPort").await?;
    primary_leads_to(&test, &json!("http")).await?;
    test.phase("Promoting").await?;
    promoted(&test).await?;
    // People who come by the Service itself find one of two ports: the change takes a moment.
    for endpoints in &endpoints {
        let outage = outage(endpoints);
        println!("no ready address with a port for {outage:?}");
        assert!(outage < Duration::from_secs(1), "{outage:?}");
    }
    nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test]
async fn the_deployment_may_come_before_its_canary() -> Result<()> {
    let test = by_name("target-port-later", 1, "target-port-later.example.com").await?;
    let endpoints = watched(&test).await?;
    release(&test, json!([{"name": "web", "containerPort": 9898}])).await?;
    test.phase("Progressing").await?;
    primary_leads_to(&test, &json!("http")).await?;
    set_target_port(&test, &json!("web")).await?;
    promoted(&test).await?;
    always_served(&endpoints);
    Ok(())
}

#[tokio::test]
async fn the_primary_keeps_its_port_after_a_rollback_and_that_is_said_until_the_canary_names_it()
-> Result<()> {
    let test = initialized_with("target-port-back", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("60s");
    })
    .await?;
    let endpoints = watched(&test).await?;
    set_target_port(&test, &json!(8080)).await?;
    release(&test, json!([{"name": "http", "containerPort": 8080}])).await?;
    test.condition("SpecPending", "True", "PrimaryPort").await?;
    test.until("canaries/podinfo", |it| it["status"]["canaryWeight"] == 20)
        .await?;
    let output = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    test.phase("Failed").await?;
    let said = test.condition("SpecPending", "True", "PrimaryPort").await?;
    assert!(said.ends_with("spec.service.targetPort 8080"), "{said}");
    let status = test.plugin(BOB, &["status", "podinfo"]).await?;
    assert!(status.stdout.contains("SpecPending"), "{status:?}");
    assert!(status.stdout.contains("container port"), "{status:?}");
    primary_leads_to(&test, &json!(9898)).await?;
    set_target_port(&test, &json!(9898)).await?;
    nothing_pending(&test).await?;
    always_served(&endpoints);
    Ok(())
}

#[tokio::test]
async fn at_rest_a_port_that_the_template_has_is_followed_at_once_and_no_other() -> Result<()> {
    let test = initialized("target-port-rest").await?;
    let endpoints = watched(&test).await?;
    set_target_port(&test, &json!("http")).await?;
    primary_leads_to(&test, &json!("http")).await?;
    set_target_port(&test, &json!("web")).await?;
    test.condition("SpecPending", "True", "PrimaryPort").await?;
    primary_leads_to(&test, &json!("http")).await?;
    leads_to(&test, "podinfo-canary", &json!("web")).await?;
    // The Deployment comes a while later.
    release(&test, json!([{"name": "web", "containerPort": 9898}])).await?;
    promoted(&test).await?;
    always_served(&endpoints);
    Ok(())
}

#[tokio::test]
async fn a_discovered_port_that_the_new_template_has_not_stays_until_the_promotion() -> Result<()> {
    let test = namespace("target-port-found").await?;
    let http = json!({"name": "http", "containerPort": 9898});
    let ports = |number: i64| json!([http, {"name": "metrics", "containerPort": number}]);
    let mut target = deployment();
    target["spec"]["template"]["spec"]["containers"][0]["ports"] = ports(9797);
    let mut canary = test.canary();
    canary["spec"]["service"]["portDiscovery"] = json!(true);
    for object in [&target, &route(), &canary] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    let has = async |service: &str, wanted: &[i64]| {
        let service = format!("services/{service}");
        test.until(&service, |it| super::ports(it) == wanted).await
    };
    release(&test, ports(9796)).await?;
    has("podinfo-canary", &[80, 9796]).await?;
    let said = test.condition("SpecPending", "True", "PrimaryPort").await?;
    assert!(said.ends_with("spec.service.portDiscovery 9796"), "{said}");
    for service in TO_PRIMARY {
        has(service, &[80, 9797]).await?;
    }
    test.phase("Succeeded").await?;
    for service in TO_PRIMARY {
        has(service, &[80, 9796]).await?;
    }
    nothing_pending(&test).await
}
