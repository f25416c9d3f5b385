//! A right that is taken from the server in mid-release.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace};
use canary_tests::control_plane::ControlPlane;
use serde_json::{Value, json};

use super::{at_first_step, bob_rolls_back, condition, failed, only_forward_is_closed, told};
use crate::alone::Alone;

const ROLE: &str = "/apis/rbac.authorization.k8s.io/v1/clusterroles/canary-webhook-workloads";

/// The server may only read that resource from now on.
async fn take_writes(plane: &ControlPlane, resource: &str) -> Result<()> {
    let client = plane.client().await?;
    let mut role: Value = client
        .request(http::Request::get(ROLE).body(Vec::new())?)
        .await?;
    let mut found = false;
    for rule in role["rules"].as_array_mut().into_iter().flatten() {
        if rule["resources"] == json!([resource]) {
            rule["verbs"] = json!(["get", "list", "watch"]);
            found = true;
        }
    }
    assert!(found, "{role:#}");
    let put = http::Request::put(ROLE).body(serde_json::to_vec(&role)?)?;
    client.request::<Value>(put).await?;
    // Bindings are known a moment after they are stored.
    let account = "--as=system:serviceaccount:canary-system:canary-webhook";
    let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
    let part = format!("--subresource={part}");
    eventually("the right to be gone", LIMIT, async || {
        let asked = ["auth", "can-i", "patch", resource, &part, "-A", account];
        let answer = plane.kubectl(&asked).await?;
        Ok((answer.stdout.trim() == "no").then_some(()))
    })
    .await
}

async fn give_back(plane: &ControlPlane) -> Result<()> {
    plane.apply_file("manifests/base/rbac.yaml").await
}

/// Two releases; of the one a person goes back, the other goes on once the right is there again.
async fn closes_only_the_way_forward(
    alone: &Alone,
    resource: &str,
    [back, on]: [&Namespace<'_>; 2],
    needs_it: impl AsyncFn(&Namespace<'_>) -> Result<()>,
) -> Result<()> {
    take_writes(alone.plane, resource).await?;
    for test in [back, on] {
        needs_it(test).await?;
        only_forward_is_closed(test, "Forbidden", resource).await?;
    }
    bob_rolls_back(back).await?;
    give_back(alone.plane).await?;
    let canary = on.phase("Succeeded").await?;
    assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
    Ok(())
}

#[tokio::test]
async fn without_the_right_on_services_only_the_way_forward_is_closed() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let (back, on) = tokio::try_join!(
        at_first_step(alone.plane, "no-right"),
        at_first_step(alone.plane, "no-right")
    )?;
    let label = json!({"spec": {"service": {"canary": {"labels": {"team": "web"}}}}});
    let needs_it = async |test: &Namespace<'_>| {
        test.patch("canaries/podinfo", &label).await?;
        Ok(())
    };
    closes_only_the_way_forward(&alone, "services", [&back, &on], needs_it).await
}

#[tokio::test]
async fn without_the_right_on_autoscalers_only_the_way_forward_is_closed() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let (back, on) = tokio::try_join!(
        at_first_step(alone.plane, "no-right-hpa"),
        at_first_step(alone.plane, "no-right-hpa")
    )?;
    // The primary's copy of it cannot be made.
    let needs_it = async |test: &Namespace<'_>| {
        let autoscaler = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "podinfo"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "minReplicas": 1, "maxReplicas": 2,
            },
        });
        test.create(&autoscaler).await?;
        Ok(())
    };
    closes_only_the_way_forward(&alone, "horizontalpodautoscalers", [&back, &on], needs_it).await
}

#[tokio::test]
async fn a_canary_that_cannot_be_scaled_away_gets_no_traffic_and_is_told_of_once() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let test = at_first_step(alone.plane, "no-scale").await?;
    take_writes(alone.plane, "deployments").await?;
    take_writes(alone.plane, "deployments/scale").await?;
    let before = alone.requests()?.len();
    let threshold = json!({"spec": {"analysis": {"threshold": 1}}});
    test.patch("canaries/podinfo", &threshold).await?;
    let message = test.condition("Ready", "False", "Forbidden").await?;
    assert!(message.contains("deployments/scale"), "{message}");
    assert_eq!(test.weights().await?, (100, 0));
    eventually("more tries", LIMIT, async || {
        let tries = alone.requests()?.into_iter().skip(before);
        let scales = tries.filter(|it| it.verb == "patch" && it.object == "deployments/podinfo");
        Ok((scales.count() >= 5).then_some(()))
    })
    .await?;
    give_back(alone.plane).await?;
    failed(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    for part in ["Rolling back", "Canary failed!"] {
        assert_eq!(told(&test, part).await?, 1, "{:?}", test.events().await?);
    }
    Ok(())
}

#[tokio::test]
async fn without_the_right_on_statuses_the_threshold_rolls_back_and_nothing_is_said_twice()
-> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let test = at_first_step(alone.plane, "no-status").await?;
    take_writes(alone.plane, "canaries/status").await?;
    let failed_checks = &test.get("canaries/podinfo").await?["status"]["failedChecks"];
    // Those that are still to come are counted nowhere but in the server.
    let threshold = failed_checks.as_i64().unwrap() + 3;
    let threshold = json!({"spec": {"analysis": {"threshold": threshold}}});
    test.patch("canaries/podinfo", &threshold).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(test.weights().await?, (100, 0));
    give_back(alone.plane).await?;
    failed(&test).await?;
    let canary = test
        .until("canaries/podinfo", |canary| {
            condition(canary, "Ready").is_none()
        })
        .await?;
    assert_eq!(canary["status"]["phase"], "Failed", "{canary:#}");
    for part in ["Rolling back", "Canary failed!"] {
        assert_eq!(told(&test, part).await?, 1, "{:?}", test.events().await?);
    }
    Ok(())
}

#[tokio::test]
async fn without_the_right_on_statuses_a_persons_rollback_is_routed_and_stays() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    let test = at_first_step(alone.plane, "no-status").await?;
    take_writes(alone.plane, "canaries/status").await?;
    let asked = ["rollback", "podinfo", "--timeout", "3s"];
    let output = test.plugin(BOB, &asked).await?;
    assert_ne!(
        output.code,
        Some(0),
        "nobody has said that it is done: {output:?}"
    );
    assert!(output.stderr.contains("the request stays"), "{output:?}");
    assert_eq!(test.weights().await?, (100, 0));
    give_back(alone.plane).await?;
    failed(&test).await
}
