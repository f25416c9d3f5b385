//! What appears when a Canary does.

use anyhow::Result;
use canary_tests::cluster::{ALICE, deployment, route};
use serde_json::{Value, json};

use crate::setup::{initialized, namespace, owner};

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "podinfo"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "minReplicas": 2, "maxReplicas": 4,
            "metrics": [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 99},
            }}],
        },
    })
}

#[tokio::test]
async fn everything_a_release_needs_is_generated_and_owned_by_the_canary() -> Result<()> {
    let test = initialized("generated").await?;

    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(owner(&primary), "Canary/podinfo");
    let expected = json!({"app": "podinfo-primary"});
    assert_eq!(primary["spec"]["selector"]["matchLabels"], expected);
    assert_eq!(primary["spec"]["template"]["metadata"]["labels"], expected);
    assert_eq!(primary["status"]["readyReplicas"], 1);
    for (name, app) in [
        ("podinfo", "podinfo-primary"),
        ("podinfo-primary", "podinfo-primary"),
        ("podinfo-canary", "podinfo"),
    ] {
        let service = test.get(&format!("services/{name}")).await?;
        assert_eq!(owner(&service), "Canary/podinfo");
        assert_eq!(service["spec"]["selector"], json!({"app": app}), "{name}");
        let port = &service["spec"]["ports"][0];
        assert_eq!(
            (&port["port"], &port["targetPort"], &port["name"]),
            (&json!(80), &json!(9898), &json!("http")),
            "{name}"
        );
    }
    let generated = test.get("apisixroutes/podinfo-podinfo-canary").await?;
    assert_eq!(owner(&generated), "Canary/podinfo");
    let rule = &generated["spec"]["http"][0];
    assert_eq!(
        rule["backends"],
        json!([
            {"serviceName": "podinfo-primary", "servicePort": 80, "weight": 100},
            {"serviceName": "podinfo-canary", "servicePort": 80, "weight": 0},
        ])
    );
    assert_eq!(rule["match"], route()["spec"]["http"][0]["match"]);
    Ok(())
}

#[tokio::test]
async fn the_target_rests_and_the_canary_says_that_it_is_initialized() -> Result<()> {
    let test = initialized("initialized").await?;

    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 0);
    assert_eq!(
        target["metadata"]["labels"]["kubectl-canary.dev/managed"],
        "true"
    );
    assert!(target["metadata"]["ownerReferences"].is_null(), "{target}");
    let message = test.condition("Promoted", "True", "Initialized").await?;
    assert_eq!(message, "Deployment initialization completed.");
    let events = test.events().await?;
    let expected = [
        "all the metrics providers are available!".to_owned(),
        format!("Initialization done! podinfo.{}", test.name),
    ];
    let told: Vec<_> = events
        .iter()
        .filter(|text| !text.contains("not ready"))
        .collect();
    assert_eq!(told, expected.iter().collect::<Vec<_>>());

    let printed = test.kubectl(ALICE, &["get", "canaries"]).await?.ok()?;
    let mut lines = printed
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().unwrap_or_default();
    assert_eq!(header, ["NAME", "STATUS", "WEIGHT", "LASTTRANSITIONTIME"]);
    let row = lines.next().unwrap_or_default();
    assert_eq!(row[..3], ["podinfo", "Initialized", "0"], "{printed}");
    Ok(())
}

#[tokio::test]
async fn the_one_autoscaler_of_the_target_is_copied_though_nobody_named_it() -> Result<()> {
    let test = namespace("autoscaler").await?;
    test.create(&autoscaler()).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;

    let copy = test.get("horizontalpodautoscalers/podinfo-primary").await?;
    assert_eq!(owner(&copy), "Canary/podinfo");
    let mut expected = autoscaler()["spec"].clone();
    expected["scaleTargetRef"]["name"] = json!("podinfo-primary");
    for field in ["scaleTargetRef", "minReplicas", "maxReplicas", "metrics"] {
        assert_eq!(copy["spec"][field], expected[field], "{field}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_of_the_users_own_serves_the_primary_until_the_canary_is_deleted() -> Result<()> {
    let test = namespace("adopted").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "podinfo", "labels": {"team": "web"}},
        "spec": {
            "selector": {"app": "podinfo"},
            "ports": [{"name": "http", "port": 80, "targetPort": 9898},
                      {"name": "metrics", "port": 9797, "targetPort": 9797}],
        },
    });
    let before = test.create(&service).await?;
    test.create_with(|canary| canary["spec"]["revertOnDeletion"] = json!(true))
        .await?;
    test.phase("Initialized").await?;

    let adopted = test.get("services/podinfo").await?;
    assert_eq!(
        adopted["spec"]["selector"],
        json!({"app": "podinfo-primary"})
    );
    assert_eq!(adopted["spec"]["ports"], before["spec"]["ports"]);
    assert_eq!(adopted["metadata"]["labels"]["team"], "web");
    assert!(
        adopted["metadata"]["ownerReferences"].is_null(),
        "{adopted}"
    );

    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    let restored = test.get("services/podinfo").await?;
    assert_eq!(restored["spec"], before["spec"]);
    assert_eq!(
        restored["metadata"]["annotations"],
        before["metadata"]["annotations"]
    );
    Ok(())
}

#[tokio::test]
async fn marks_of_gitops_tools_are_not_copied() -> Result<()> {
    let test = namespace("gitops").await?;
    let mut target = deployment();
    target["metadata"]["labels"] = json!({
        "app.kubernetes.io/managed-by": "Helm",
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "argocd.argoproj.io/instance": "apps",
    });
    target["metadata"]["annotations"] = json!({
        "argocd.argoproj.io/tracking-id": "apps:apps/Deployment:test/podinfo",
        "meta.helm.sh/release-name": "podinfo",
    });
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initialized").await?;

    for object in [
        "deployments/podinfo-primary",
        "services/podinfo-primary",
        "apisixroutes/podinfo-podinfo-canary",
    ] {
        let metadata = test.get(object).await?["metadata"].clone();
        let marks = format!("{}{}", metadata["labels"], metadata["annotations"]);
        for mark in [
            "tracking-id",
            "argocd",
            "Helm",
            "release-name",
            "toolkit.fluxcd.io/name",
        ] {
            assert!(!marks.contains(mark), "{object} has {mark}: {marks}");
        }
    }
    Ok(())
}

/// As an older version copied them, or a person put them there.
#[tokio::test]
async fn what_tools_prune_by_goes_from_a_primary_that_has_it() -> Result<()> {
    let test = initialized("untracked").await?;
    let marks = json!({"metadata": {
        "labels": {"applyset.kubernetes.io/part-of": "applyset-1", "kapp.k14s.io/app": "1", "team": "web"},
        "annotations": {"config.k8s.io/owning-inventory": "1"},
    }});
    let before = test.get("deployments/podinfo-primary").await?;
    test.patch("deployments/podinfo-primary", &marks).await?;
    let after = test
        .until("deployments/podinfo-primary", |primary| {
            let metadata = &primary["metadata"];
            let marks = format!("{}{}", metadata["labels"], metadata["annotations"]);
            let left = ["applyset", "kapp", "owning-inventory"];
            metadata["labels"]["team"] == "web" && !left.iter().any(|mark| marks.contains(mark))
        })
        .await?;
    assert_eq!(after["spec"], before["spec"], "no pod moves");
    Ok(())
}
