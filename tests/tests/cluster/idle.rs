//! Canaries at rest cost nothing.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::{Namespace, deployment, route};
use canary_tests::server::Server;
use serde_json::{Value, json};

use crate::alone::Alone;

const CANARIES: usize = 20;

/// Target, Canary and route.
fn objects(test: &Namespace<'_>, name: &str) -> [Value; 3] {
    let (mut target, mut canary, mut route) = (deployment(), test.canary(), route());
    for object in [&mut target, &mut canary, &mut route] {
        object["metadata"]["name"] = name.into();
    }
    target["spec"]["selector"]["matchLabels"] = json!({"app": name});
    target["spec"]["template"]["metadata"]["labels"] = json!({"app": name});
    route["spec"]["http"][0]["backends"][0]["serviceName"] = name.into();
    canary["spec"]["targetRef"]["name"] = name.into();
    canary["spec"]["routeRef"]["name"] = name.into();
    [target, canary, route]
}

/// Requests as the server counts them, but watches and Leases.
async fn counted(server: &Server) -> Result<Vec<String>> {
    let metrics = server.metrics().await?;
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("canary_api_requests_total"))
        .filter(|line| !line.contains(r#"verb="watch""#) && !line.contains(r#"kind="leases""#));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    Ok(lines)
}

#[tokio::test]
async fn twenty_canaries_at_rest_need_watches_and_a_lease_only() -> Result<()> {
    let alone = Alone::turn().await?;
    let server = alone.server("leading").await?;
    let test = Namespace::new(alone.plane, "idle").await?;
    let names: Vec<String> = (0..CANARIES)
        .map(|number| format!("app-{number}"))
        .collect();
    for name in &names {
        for object in &objects(&test, name) {
            test.create(object).await?;
        }
    }
    for name in &names {
        let canary = format!("canaries/{name}");
        test.until(&canary, |canary| canary["status"]["phase"] == "Initialized")
            .await?;
    }
    // One that waits for its route is at rest, too.
    for object in &objects(&test, "held")[..2] {
        test.create(object).await?;
    }
    test.until("canaries/held", |canary| {
        let told = canary["status"]["conditions"].to_string();
        told.contains("RouteInvalid")
    })
    .await?;
    // Pods that adoption scaled down are still leaving.
    tokio::time::sleep(Duration::from_secs(5)).await;

    let (before, seen) = (counted(&server).await?, alone.requests()?.len());
    assert!(!before.is_empty() && seen > CANARIES);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(counted(&server).await?, before);
    assert_eq!(alone.requests()?[seen..], []);
    Ok(())
}
