//! Whatever is missing or refused closes the ways forward only.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace, deployment, route};
use serde_json::{Value, json};

use super::{
    at_first_step, at_rest, bob_rolls_back, condition, only_forward_is_closed,
    release_to_first_step, success_rate, taken, told, unchecked, until_checks_pass,
};
use crate::setup::image;

/// What befalls a release at its first step, and how people read of it.
struct Harm {
    name: &'static str,
    reason: &'static str,
    told: &'static str,
}

// === impl Harm ===

impl Harm {
    /// Of two releases that it befalls, a person rolls back the one, and the other goes on once it is mended.
    async fn closes_only_the_way_forward(
        &self,
        befall: impl AsyncFn(&Namespace<'_>) -> Result<()>,
        mend: impl AsyncFn(&Namespace<'_>) -> Result<()>,
    ) -> Result<()> {
        let plane = &unchecked().await?.plane;
        let (back, on) = tokio::try_join!(
            at_first_step(plane, self.name),
            at_first_step(plane, self.name)
        )?;
        for test in [&back, &on] {
            befall(test).await?;
            only_forward_is_closed(test, self.reason, self.told).await?;
        }
        bob_rolls_back(&back).await?;
        mend(&on).await?;
        let canary = on.phase("Succeeded").await?;
        assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
        Ok(())
    }
}

async fn spec(test: &Namespace<'_>, change: &Value) -> Result<()> {
    test.patch("canaries/podinfo", &json!({"spec": change}))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_spec_that_is_not_valid_closes_only_the_way_forward() -> Result<()> {
    let harm = Harm {
        name: "invalid",
        reason: "Invalid",
        told: "spec.service.port",
    };
    harm.closes_only_the_way_forward(
        async |test| spec(test, &json!({"service": {"port": 0}})).await,
        async |test| spec(test, &json!({"service": {"port": 80}})).await,
    )
    .await
}

#[tokio::test]
async fn another_provider_that_is_not_supported_closes_only_the_way_forward() -> Result<()> {
    let harm = Harm {
        name: "provider",
        reason: "Invalid",
        told: "istio",
    };
    harm.closes_only_the_way_forward(
        async |test| spec(test, &json!({"provider": "istio"})).await,
        async |test| spec(test, &json!({"provider": "apisix"})).await,
    )
    .await
}

#[tokio::test]
async fn a_generated_name_that_somebody_takes_closes_only_the_way_forward() -> Result<()> {
    let harm = Harm {
        name: "name-taken",
        reason: "NameTaken",
        told: "Service podinfo-canary.",
    };
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo-canary"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 80, "targetPort": 9898}]},
    });
    harm.closes_only_the_way_forward(
        async |test| taken(test, "services/podinfo-canary", &foreign).await,
        async |test| test.delete("services/podinfo-canary").await,
    )
    .await
}

#[tokio::test]
async fn a_route_of_somebody_else_in_place_of_the_generated_one_is_left_alone() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "route-taken").await?;
    let mut foreign = route();
    foreign["metadata"]["name"] = json!("podinfo-podinfo-canary");
    foreign["spec"]["http"][0]["match"]["hosts"] = json!(["other.example.com"]);
    taken(&test, "apisixroutes/podinfo-podinfo-canary", &foreign).await?;
    let message = test.condition("Ready", "False", "NameTaken").await?;
    assert!(
        message.contains("ApisixRoute podinfo-podinfo-canary."),
        "{message}"
    );
    let before = test.get("apisixroutes/podinfo-podinfo-canary").await?;

    // Nothing of ours sends anybody to the canary: going back has nothing to write.
    let output = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    test.phase("Failed").await?;
    let after = test.get("apisixroutes/podinfo-podinfo-canary").await?;
    assert_eq!(
        (&after["spec"], &after["metadata"]["labels"]),
        (&before["spec"], &before["metadata"]["labels"])
    );
    Ok(())
}

#[tokio::test]
async fn a_target_that_stops_all_pods_at_each_change_closes_only_the_way_forward() -> Result<()> {
    let harm = Harm {
        name: "recreate",
        reason: "StrategyRecreate",
        told: "strategy Recreate",
    };
    let strategy = async |test: &Namespace<'_>, strategy: Value| -> Result<()> {
        let change = json!({"spec": {"strategy": strategy}});
        test.patch("deployments/podinfo", &change).await?;
        Ok(())
    };
    harm.closes_only_the_way_forward(
        async |test| strategy(test, json!({"type": "Recreate", "rollingUpdate": null})).await,
        async |test| strategy(test, json!({"type": "RollingUpdate"})).await,
    )
    .await
}

#[tokio::test]
async fn a_source_route_that_is_gone_closes_only_the_way_forward() -> Result<()> {
    let harm = Harm {
        name: "source-gone",
        reason: "RouteInvalid",
        told: "not found",
    };
    harm.closes_only_the_way_forward(
        async |test| test.delete("apisixroutes/podinfo").await,
        async |test| {
            test.create(&route()).await?;
            Ok(())
        },
    )
    .await
}

#[tokio::test]
async fn a_source_route_that_is_deleted_and_created_again_at_once_changes_nothing() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "source-again").await?;
    let generated = test.record("apisixroutes/podinfo-podinfo-canary").await?;
    test.delete("apisixroutes/podinfo").await?;
    test.create(&route()).await?;
    // What comes after it is seen by the same watch, later.
    success_rate(&test, 100.0);
    let canary = test.phase("Succeeded").await?;
    assert_eq!(generated.weights(), [(80, 20), (60, 40), (100, 0)]);
    assert_eq!(condition(&canary, "Ready"), None, "{canary:#}");
    Ok(())
}

#[tokio::test]
async fn a_second_canary_for_the_target_is_refused_and_the_first_goes_on() -> Result<()> {
    let plane = &unchecked().await?.plane;
    let (back, on) = tokio::try_join!(
        at_first_step(plane, "second-canary"),
        at_first_step(plane, "second-canary")
    )?;
    for test in [&back, &on] {
        let mut second = test.canary();
        second["metadata"]["name"] = json!("second");
        test.create(&second).await?;
        test.until("canaries/second", |canary| {
            condition(canary, "Ready")
                .is_some_and(|message| message.contains("releases podinfo already"))
        })
        .await?;
    }
    bob_rolls_back(&back).await?;
    until_checks_pass(&on).await?;
    on.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn with_everything_missing_at_once_a_person_rolls_back() -> Result<()> {
    let plane = &unchecked().await?.plane;
    let test = at_rest(plane, "everything", |_| ()).await?;
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaler"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 1, "maxReplicas": 2,
        },
    });
    test.create(&autoscaler).await?;
    let reference = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "scaler",
    });
    spec(&test, &json!({"autoscalerRef": reference})).await?;
    test.until("horizontalpodautoscalers/scaler-primary", |_| true)
        .await?;
    release_to_first_step(&test).await?;

    test.delete("horizontalpodautoscalers/scaler").await?;
    test.delete("apisixroutes/podinfo").await?;
    let recreate = json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": null}}});
    test.patch("deployments/podinfo", &recreate).await?;
    spec(&test, &json!({"service": {"port": 0}, "provider": "istio"})).await?;
    let parts = [
        "HorizontalPodAutoscaler scaler.",
        "APISIX route podinfo.",
        "strategy Recreate",
        "spec.service.port",
        "istio",
    ];
    test.until("canaries/podinfo", |canary| {
        let message = condition(canary, "Ready").unwrap_or_default();
        parts.iter().all(|part| message.contains(part))
    })
    .await?;
    assert_eq!(test.weights().await?, (80, 20));
    bob_rolls_back(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    assert_eq!(told(&test, "Rolling back").await?, 1);
    Ok(())
}

fn configuration(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"say": name},
    })
}

#[tokio::test]
async fn a_configuration_that_changes_its_name_in_mid_release_starts_the_analysis_anew()
-> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "config-renamed").await?;
    for name in ["first", "second"] {
        test.create(&configuration(name)).await?;
        let mut pod = deployment()["spec"]["template"]["spec"].clone();
        pod["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": name}}]);
        let change = json!({"spec": {"template": {"spec": pod}}});
        let route = test.record("apisixroutes/podinfo-podinfo-canary").await?;
        test.patch("deployments/podinfo", &change).await?;
        eventually("another analysis", LIMIT, async || {
            Ok((route.weights() == [(80, 20), (100, 0), (80, 20)]).then_some(()))
        })
        .await?;
    }
    success_rate(&test, 100.0);
    test.phase("Succeeded").await?;
    let copy = test.get("configmaps/second-primary").await?;
    assert_eq!(copy["data"]["say"], "second");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.0");
    let from = &primary["spec"]["template"]["spec"]["containers"][0]["envFrom"][0];
    assert_eq!(from["configMapRef"]["name"], "second-primary");
    Ok(())
}
