//! What the API server asks us and what it does without us: as few calls as possible, and nothing that
//! waits for one.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, asked, deployment};
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Output;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use crate::alone::Alone;

const MANAGED: &str = "kubectl-canary.dev/managed";

/// Calls of that webhook so far, by the API server's own count.
async fn calls(plane: &ControlPlane, webhook: &str) -> Result<u64> {
    let metrics = plane.kubectl(&["get", "--raw", "/metrics"]).await?.ok()?;
    let label = format!("name=\"{webhook}.kubectl-canary.dev\"");
    let counts = metrics
        .lines()
        .filter(|line| line.starts_with("apiserver_admission_webhook_request_total{"))
        .filter(|line| line.contains(&label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(counts.sum::<f64>() as u64)
}

/// kubectl as the administrator in a namespace.
async fn admin(plane: &ControlPlane, namespace: &str, args: &[&str]) -> Result<Output> {
    plane.kubectl(&[&["-n", namespace], args].concat()).await
}

async fn create(plane: &ControlPlane, namespace: &str, object: &Value) -> Result<()> {
    let mut object = object.clone();
    object["metadata"]["namespace"] = namespace.into();
    plane.apply(&object.to_string()).await
}

/// As the controller would have labelled it.
fn managed() -> Value {
    let mut target = deployment();
    target["metadata"]["labels"][MANAGED] = "true".into();
    target["spec"]["replicas"] = 0.into();
    target
}

#[tokio::test]
async fn edits_that_are_about_no_release_are_never_sent_to_us() -> Result<()> {
    let alone = Alone::turn().await?;
    let _server = alone.server("leading").await?;
    asked(alone.plane).await?;
    let test = alone.at_rest("silent", "1s").await?;
    let before = calls(alone.plane, "deployments.mutate").await?;
    for args in [
        &["scale", "deployment/podinfo", "--replicas=1"][..],
        &["scale", "deployment/podinfo", "--replicas=0"],
        &["label", "deployment/podinfo", "a=b"],
        &["annotate", "deployment/podinfo", "a=b"],
        &[
            "set",
            "image",
            "deployment/podinfo-primary",
            "podinfod=stefanprodan/podinfo:6.0.0",
        ],
    ] {
        test.kubectl(ALICE, args).await?.ok()?;
    }
    // Ours for them, and nobody's business there.
    for namespace in ["kube-system", "canary-system"] {
        create(alone.plane, namespace, &managed()).await?;
        let image = [
            "set",
            "image",
            "deployment/podinfo",
            "podinfod=stefanprodan/podinfo:6.0.1",
        ];
        admin(alone.plane, namespace, &image).await?.ok()?;
        admin(alone.plane, namespace, &["delete", "deployment/podinfo"])
            .await?
            .ok()?;
    }
    assert_eq!(calls(alone.plane, "deployments.mutate").await?, before);
    super::set_image(&test, ALICE, "6.0.1").await?;
    assert!(calls(alone.plane, "deployments.mutate").await? > before);
    Ok(())
}

#[tokio::test]
async fn what_was_stored_without_us_may_be_edited_but_not_made_worse() -> Result<()> {
    let alone = Alone::turn().await?;
    let test = Namespace::new(alone.plane, "ratchet").await?;
    let mut bad = test.canary();
    bad["spec"]["provider"] = "istio".into();
    // Nobody answers yet, so that it is stored.
    test.create(&bad).await?;
    let _server = alone.server("leading").await?;
    asked(alone.plane).await?;

    let label = test
        .kubectl(ALICE, &["label", "canary/podinfo", "a=b"])
        .await?;
    assert_eq!(label.code, Some(0), "{label:?}");
    assert!(
        label.stderr.contains("Warning: spec.provider: "),
        "{label:?}"
    );
    let worse = json!({"spec": {"analysis": {"stepWeight": 500}}}).to_string();
    let patch = ["patch", "canary/podinfo", "--type=merge", "-p", &worse];
    let refused = test.kubectl(ALICE, &patch).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("spec.analysis"), "{refused:?}");
    assert!(!refused.stderr.contains("spec.provider"), "{refused:?}");
    // And the controller refuses what admission did not see.
    test.until("canaries/podinfo", |canary| {
        let conditions = canary["status"]["conditions"].as_array();
        conditions.is_some_and(|all| {
            all.iter()
                .any(|it| it["type"] == "Ready" && it["status"] == "False")
        })
    })
    .await?;
    Ok(())
}

/// The registrations of an overlay, as they would be installed.
async fn registrations(plane: &ControlPlane, overlay: &str) -> Result<()> {
    let folder = folder(overlay).display().to_string();
    let all = plane.kubectl(&["kustomize", &folder]).await?.ok()?;
    let ours = all.split("\n---\n").filter(|document| {
        document.contains("\nkind: MutatingWebhookConfiguration")
            || document.contains("\nkind: ValidatingWebhookConfiguration")
    });
    let documents: Vec<&str> = ours.collect();
    assert_eq!(documents.len(), 2);
    // Replaced as a whole: what another overlay added must not stay.
    let replace = ["replace", "-f", "-"];
    let text = documents.join("\n---\n");
    plane
        .kubectl_with(plane.admin_kubeconfig(), &replace, &text)
        .await?
        .ok()?;
    Ok(())
}

#[tokio::test]
async fn with_fail_and_no_server_only_changes_of_releases_are_refused_and_a_namespace_still_goes()
-> Result<()> {
    let alone = Alone::turn().await?;
    let plane = alone.plane;
    let test = Namespace::new(plane, "fail").await?;
    let mut bystander = deployment();
    bystander["metadata"]["name"] = "bystander".into();
    for object in [&managed(), &bystander, &test.canary()] {
        create(plane, &test.name, object).await?;
    }
    registrations(plane, "manifests/fail-closed").await?;
    let image = |name: &str, tag: &str| {
        let target = format!("deployment/{name}");
        [
            "set".into(),
            "image".into(),
            target,
            format!("*=stefanprodan/podinfo:{tag}"),
        ]
    };
    eventually("Fail to be known", LIMIT, async || {
        let args = image("podinfo", "6.0.9");
        let args = args.each_ref().map(String::as_str);
        let dry = [&args[..], &["--dry-run=server"]].concat();
        Ok((admin(plane, &test.name, &dry).await?.code == Some(1)).then_some(()))
    })
    .await?;

    let refused = image("podinfo", "6.0.1");
    let refused = admin(plane, &test.name, &refused.each_ref().map(String::as_str)).await?;
    assert!(
        refused.stderr.contains("failed calling webhook"),
        "{refused:?}"
    );
    let bystander = image("bystander", "6.0.1");
    for args in [
        &bystander.each_ref().map(String::as_str)[..],
        &["scale", "deployment/podinfo", "--replicas=1"],
        &["label", "deployment/podinfo", "a=b"],
    ] {
        admin(plane, &test.name, args).await?.ok()?;
    }
    // Its controllers delete Canary and target one by one, and are not held up.
    let wait = ["delete", "namespace", &test.name, "--timeout=30s"];
    plane.kubectl(&wait).await?.ok()?;
    registrations(plane, "manifests/base").await
}
