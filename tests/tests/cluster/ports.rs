//! A port of the Services changes under load: both are served until the route has followed, and no request is
//! lost whatever the gateway's lag.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "ports/target.rs"]
mod target;

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::{LIMIT, Namespace, Traffic, deployment, route};
use canary_tests::server::Server;
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{initialized, namespace};

const ROUTE: &str = "apisixroutes/podinfo-podinfo-canary";
const SERVICES: [&str; 3] = [
    "services/podinfo",
    "services/podinfo-primary",
    "services/podinfo-canary",
];

/// The numbers of a Service's ports.
fn ports(service: &Value) -> Vec<i64> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let mut ports: Vec<i64> = ports.filter_map(|port| port["port"].as_i64()).collect();
    ports.sort_unstable();
    ports
}

async fn all_have(test: &Namespace<'_>, wanted: &[i64]) -> Result<()> {
    for service in SERVICES {
        test.until(service, |service| ports(service) == wanted)
            .await?;
    }
    Ok(())
}

fn named(route: &Value) -> &Value {
    &route["spec"]["http"][0]["backends"][0]["servicePort"]
}

/// The user's route with another port, by number or by name.
fn to_port(mut route: Value, port: &Value) -> Value {
    route["spec"]["http"][0]["backends"][0]["servicePort"] = port.clone();
    json!({"spec": route["spec"]})
}

/// A server that waits for as long as a gateway of that lag needs, and a Canary at rest.
async fn with_lag(
    alone: &Alone,
    host: &str,
    lag: Duration,
    port: &Value,
) -> Result<(Server, Namespace<'static>, Value)> {
    let drain = format!("--drain={}ms", lag.as_millis() + 1500);
    let mut server = Server::beside(alone.plane, &["--min-interval=1s", &drain])?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(alone.plane, "ports").await?;
    let mut own = route();
    own["spec"]["http"][0]["match"]["hosts"] = json!([host]);
    own["spec"]["http"][0]["backends"][0]["servicePort"] = port.clone();
    let mut canary = test.canary();
    canary["spec"]["analysis"]["interval"] = json!("60s");
    for object in [&deployment(), &own, &canary] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    Ok((server, test, own))
}

async fn nothing_lost(traffic: Traffic) {
    let report = traffic.stop().await;
    let total = report.total();
    println!("{report}");
    let least = 50 * (report.per_second.len() as u64 - 1);
    assert!(total.requests >= least, "{report}");
    assert_eq!((total.lost(), total.errors()), (0, 0), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_port_of_the_services_changes_in_mid_release_and_no_request_is_lost() -> Result<()> {
    const HOST: &str = "port-midway.example.com";
    let alone = Alone::turn().await?;
    let lag = Duration::from_secs(1);
    let (_server, test, own) = with_lag(&alone, HOST, lag, &json!(80)).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |it| it["status"]["canaryWeight"] == 20)
        .await?;
    let traffic = Traffic::behind(&test, HOST, lag).await?;

    let change = json!({"spec": {"service": {"port": 8080}}});
    test.patch("canaries/podinfo", &change).await?;
    all_have(&test, &[80, 8080]).await?;
    let said = test.condition("Ready", "False", "RoutePort").await?;
    assert!(said.contains("names port 80 of Service podinfo"), "{said}");
    let by_name = test.get(ROUTE).await?;
    assert_eq!(*named(&by_name), "http", "the name got the new number");
    test.patch("apisixroutes/podinfo", &to_port(own, &json!(8080)))
        .await?;
    test.until(ROUTE, |route| *named(route) == 8080).await?;
    all_have(&test, &[8080]).await?;
    let weights = test.weights().await?;
    assert_eq!(weights, (80, 20), "the release stands where it stood");
    nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_gateway_loses_no_request_either_and_a_route_that_names_it_by_name_needs_no_change()
-> Result<()> {
    const HOST: &str = "port-by-name.example.com";
    let alone = Alone::turn().await?;
    let lag = Duration::from_secs(5);
    let (_server, test, own) = with_lag(&alone, HOST, lag, &json!("http")).await?;
    let traffic = Traffic::behind(&test, HOST, lag).await?;

    let change = |port: i64| json!({"spec": {"service": {"port": port}}});
    test.patch("canaries/podinfo", &change(8080)).await?;
    all_have(&test, &[8080]).await?;
    assert_eq!(*named(&test.get(ROUTE).await?), "http");
    // And back, now by number: the route is the first that says so.
    tokio::time::sleep(lag).await;
    let by_number = to_port(own, &json!(8080));
    test.patch("apisixroutes/podinfo", &by_number).await?;
    test.until(ROUTE, |route| *named(route) == 8080).await?;
    test.patch("canaries/podinfo", &change(80)).await?;
    all_have(&test, &[80, 8080]).await?;
    let back = to_port(test.get("apisixroutes/podinfo").await?, &json!(80));
    test.patch("apisixroutes/podinfo", &back).await?;
    test.until(ROUTE, |route| *named(route) == 80).await?;
    all_have(&test, &[80]).await?;
    nothing_lost(traffic).await;
    Ok(())
}

#[tokio::test]
async fn a_route_that_names_a_port_which_nobody_has_changes_nothing_and_is_said() -> Result<()> {
    let test = initialized("no-such-port").await?;
    let own = test.get("apisixroutes/podinfo").await?;
    test.patch("apisixroutes/podinfo", &to_port(own.clone(), &json!(9999)))
        .await?;
    let said = test.condition("Ready", "False", "RoutePort").await?;
    assert!(
        said.contains("port 9999") && said.contains("go on to port 80"),
        "{said}"
    );
    assert_eq!(*named(&test.get(ROUTE).await?), 80);
    all_have(&test, &[80]).await?;
    test.patch("apisixroutes/podinfo", &to_port(own, &json!(80)))
        .await?;
    test.until("canaries/podinfo", |canary| {
        !canary["status"]["conditions"]
            .to_string()
            .contains("RoutePort")
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn a_canary_whose_route_names_another_port_is_not_adopted_until_they_agree() -> Result<()> {
    let test = namespace("port-adopted").await?;
    test.create_with(|canary| canary["spec"]["service"]["port"] = json!(81))
        .await?;
    test.condition("Ready", "False", "RoutePort").await?;
    assert!(test.find("deployments/podinfo-primary").await?.is_none());
    let change = json!({"spec": {"service": {"port": 80}}});
    test.patch("canaries/podinfo", &change).await?;
    test.phase("Initialized").await?;
    Ok(())
}
