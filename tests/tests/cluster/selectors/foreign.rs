//! Other workloads whose pods have the target's labels.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, deployment, route};
use serde_json::{Value, json};

use super::{canary_of, create, labelled, phase, selector};
use crate::bad_input::told;
use crate::setup::namespace;

/// One application of a chart that has several.
fn shop(component: &str) -> Value {
    json!({"app.kubernetes.io/name": "shop", "component": component})
}

/// Whose pods are behind a Service.
async fn behind(test: &Namespace<'_>, service: &str) -> Result<Vec<String>> {
    let mut pods = Vec::new();
    for slice in test.list("endpointslices").await? {
        if slice["metadata"]["labels"]["kubernetes.io/service-name"] == service {
            let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
            let names = endpoints
                .iter()
                .filter_map(|one| one["targetRef"]["name"].as_str().map(str::to_owned));
            pods.extend(names);
        }
    }
    Ok(pods)
}

#[tokio::test]
async fn one_canary_of_a_chart_has_its_own_pods_alone_behind_its_services() -> Result<()> {
    let test = namespace("chart").await?;
    let mut other = labelled("other", &shop("b"));
    other["spec"]["replicas"] = json!(3);
    test.create(&other).await?;
    test.until("deployments/other", |it| it["status"]["readyReplicas"] == 3)
        .await?;
    create(&test, "podinfo", &shop("a")).await?;
    test.phase("Initialized").await?;
    assert_eq!(selector(&test, "podinfo-canary").await?, shop("a"));

    let slow = json!({"spec": {"analysis": {"interval": "60s"}}});
    test.patch("canaries/podinfo", &slow).await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    for (service, workload) in [
        ("podinfo-canary", "podinfo-"),
        ("podinfo-primary", "podinfo-primary-"),
        ("podinfo", "podinfo-primary-"),
    ] {
        let pods = behind(&test, service).await?;
        let own = |pod: &String| pod.starts_with(workload);
        assert!(
            !pods.is_empty() && pods.iter().all(own),
            "{service}: {pods:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn two_canaries_of_a_chart_never_have_the_pods_of_each_other() -> Result<()> {
    let test = namespace("charts").await?;
    for (name, component) in [("podinfo", "a"), ("worker", "b")] {
        create(&test, name, &shop(component)).await?;
    }
    for name in ["podinfo", "worker"] {
        phase(&test, name, "Initialized").await?;
    }
    for name in ["podinfo", "worker"] {
        for service in [name.to_owned(), format!("{name}-primary")] {
            let pods = behind(&test, &service).await?;
            let own = format!("{name}-primary-");
            let own = |pod: &String| pod.starts_with(&own);
            assert!(
                !pods.is_empty() && pods.iter().all(own),
                "{service}: {pods:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_canary_that_would_serve_the_pods_of_another_deployment_is_refused_by_admission()
-> Result<()> {
    let test = namespace("refused").await?;
    test.create(&labelled("worker", &json!({"app": "podinfo"})))
        .await?;
    test.create(&deployment()).await?;
    let canary = test.canary().to_string();
    let dry = ["create", "--dry-run=server", "-f", "-"];
    // Its cache has both at some time.
    let refused = eventually("the refusal", LIMIT, async || {
        let output = test.kubectl_with(ALICE, &dry, &canary).await?;
        Ok(output.ok().err().map(|error| error.to_string()))
    })
    .await?;
    for part in [
        "deployment worker",
        "app=podinfo-primary",
        "kubectl-canary.dev/allow-shared-selector=true",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    let mut accepts = test.canary();
    accepts["metadata"]["annotations"] =
        json!({"kubectl-canary.dev/allow-shared-selector": "true"});
    test.create(&route()).await?;
    test.create(&accepts).await?;
    test.phase("Initialized").await?;
    Ok(())
}

/// A workload of another kind with the target's labels.
fn of_kind(version: &str, kind: &str, labels: &Value) -> Value {
    let mut pod = deployment()["spec"]["template"].clone();
    pod["metadata"]["labels"] = labels.clone();
    let mut object = json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": "other"},
        "spec": {"template": pod},
    });
    if kind == "Job" {
        object["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    } else {
        object["spec"]["selector"] = json!({"matchLabels": labels});
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!("other");
    }
    object
}

#[tokio::test]
async fn an_adoption_is_held_while_a_workload_of_another_kind_has_such_pods() -> Result<()> {
    for kind in ["StatefulSet", "DaemonSet"] {
        let test = namespace(&format!("held-{}", kind.to_lowercase())).await?;
        let labels = json!({"app": "podinfo", "tier": "db"});
        test.create(&of_kind("apps/v1", kind, &labels)).await?;
        test.create_all().await?;
        told(&test, &format!("{} other", kind.to_lowercase())).await?;
        test.condition("Ready", "False", "SharedSelector").await?;
        assert_eq!(test.find("deployments/podinfo-primary").await?, None);
        let target = test.get("deployments/podinfo").await?;
        assert_eq!(target["spec"]["replicas"], 1, "{kind}: it goes on serving");
        let accepts = json!({"metadata": {"annotations": {
            "kubectl-canary.dev/allow-shared-selector": "true",
        }}});
        test.patch("canaries/podinfo", &accepts).await?;
        test.phase("Initialized").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_job_with_the_deployments_labels_is_only_warned_of() -> Result<()> {
    let test = namespace("job").await?;
    let labels = json!({"app": "podinfo", "job": "migrate"});
    test.create(&of_kind("batch/v1", "Job", &labels)).await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    test.event("job other").await?;
    Ok(())
}

#[tokio::test]
async fn a_deployment_that_comes_later_stops_nobody_and_is_named_while_it_is_there() -> Result<()> {
    let test = namespace("later").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let worker = labelled("worker", &json!({"app": "podinfo", "tier": "worker"}));
    test.create(&worker).await?;
    test.until("deployments/worker", |it| {
        it["status"]["readyReplicas"] == 1
    })
    .await?;
    test.set_image("6.0.1").await?;
    let message = test
        .condition("SharedSelector", "True", "ForeignPods")
        .await?;
    assert!(message.contains("deployment worker"), "{message}");
    test.phase("Succeeded").await?;
    told(&test, "deployment worker").await?;
    let doctor = test.plugin(ALICE, &["doctor", "podinfo"]).await?;
    assert!(doctor.stdout.contains("deployment worker"), "{doctor:?}");

    test.delete("deployments/worker").await?;
    test.gone("deployments/worker").await?;
    test.set_image("6.0.2").await?;
    test.until("canaries/podinfo", |canary| {
        !canary["status"]["conditions"]
            .to_string()
            .contains("SharedSelector")
    })
    .await?;
    Ok(())
}

/// No template of theirs is watched: they are seen where they are.
#[tokio::test]
async fn pods_of_any_other_workload_behind_the_services_are_named_for_as_long_as_they_are_there()
-> Result<()> {
    let test = namespace("behind").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let labels = json!({"app": "podinfo-primary", "tier": "db"});
    test.create(&of_kind("apps/v1", "StatefulSet", &labels))
        .await?;
    let condition = ("SharedSelector", "True", "ForeignPods");
    let message = test
        .condition(condition.0, condition.1, condition.2)
        .await?;
    let named = "behind Service podinfo-primary are pods that are not of deployment podinfo-primary: other-0";
    assert!(message.contains(named), "{message}");
    let status = test.plugin(ALICE, &["status", "podinfo"]).await?;
    assert!(status.stdout.contains("other-0"), "{status:?}");
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;

    test.delete("statefulsets/other").await?;
    let mut bare = deployment()["spec"]["template"].clone();
    bare["apiVersion"] = json!("v1");
    bare["kind"] = json!("Pod");
    bare["metadata"]["name"] = json!("debug");
    test.create_as_admin(&bare).await?;
    test.until("canaries/podinfo", |canary| {
        let told = canary["status"]["conditions"].to_string();
        told.contains("not of deployment podinfo: debug") && !told.contains("other-0")
    })
    .await?;
    test.delete("pods/debug").await?;
    test.until("canaries/podinfo", |canary| {
        let told = canary["status"]["conditions"].to_string();
        !told.contains("SharedSelector")
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn who_serves_both_by_a_service_of_his_own_is_warned_and_two_such_canaries_are_held()
-> Result<()> {
    let test = namespace("own-service").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo"},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 9898}]},
    });
    test.create(&service).await?;
    test.create(&labelled("worker", &json!({"app": "shop"})))
        .await?;
    create(&test, "podinfo", &json!({"app": "shop"})).await?;
    test.phase("Initialized").await?;
    test.event("deployment worker").await?;

    // The other's selector would be the same: both would serve the pods of both.
    let [route, canary] = canary_of(&test, "worker");
    test.create(&route).await?;
    let canary = canary.to_string();
    let refused = test.kubectl_with(ALICE, &["create", "-f", "-"], &canary);
    let refused = refused.await?.ok().unwrap_err().to_string();
    assert!(refused.contains("of Canary podinfo"), "{refused}");
    Ok(())
}
