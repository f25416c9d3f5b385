//! `kubectl canary install`, `upgrade`, `uninstall`: what a platform team does without kustomize or Helm.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "install/removal.rs"]
mod removal;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use canary_tests::control_plane::ControlPlane;
use canary_tests::crds::documents;
use canary_tests::plugin::plugin;
use canary_tests::process::Output;
use canary_tests::tools::folder;
use serde_json::{Value, json};

/// One with a simulated node and no definitions.
async fn bare() -> Result<ControlPlane> {
    ControlPlane::options().without_crds().start().await
}

async fn admin(plane: &ControlPlane, args: &[&str]) -> Result<Output> {
    plugin(plane.admin_kubeconfig(), args).await
}

/// An object as kubectl names it; none if it is not there.
async fn find(plane: &ControlPlane, object: &str) -> Result<Option<Value>> {
    let mut words = vec!["get", "--ignore-not-found", "-o", "json"];
    words.extend(object.split(' '));
    let found = plane.kubectl(&words).await?;
    // A resource that nobody defines is not there either.
    if found
        .stderr
        .contains("the server doesn't have a resource type")
    {
        return Ok(None);
    }
    let text = found.ok()?;
    Ok((!text.trim().is_empty())
        .then(|| serde_json::from_str(&text))
        .transpose()?)
}

async fn get(plane: &ControlPlane, object: &str) -> Result<Value> {
    find(plane, object).await?.context(object.to_owned())
}

const SERVER: &str = "deployment canary-webhook -n canary-system";

fn server_args(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["args"]
}

#[tokio::test]
async fn an_installation_is_ready_when_the_command_ends_and_keeps_its_settings_when_upgraded()
-> Result<()> {
    let plane = bare().await?;
    let flags = ["install", "--metrics-server=http://metrics.example.com"];
    let said = admin(&plane, &flags).await?.ok()?;
    for line in [
        "customresourcedefinition.apiextensions.k8s.io/canaries.flagger.app serverside-applied",
        "deployment.apps/canary-webhook serverside-applied",
        "kubectl-canary is ready",
    ] {
        assert!(said.contains(line), "{line} is not in:\n{said}");
    }
    let deployment = get(&plane, SERVER).await?;
    assert_eq!(deployment["status"]["availableReplicas"], 2);
    assert_eq!(
        server_args(&deployment),
        &json!(["--metrics-server=http://metrics.example.com"])
    );

    let again = admin(&plane, &["install"]).await?;
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("installed already") && again.stderr.contains("upgrade"),
        "{}",
        again.stderr
    );

    // What it applied itself, and what the API server filled in, is no conflict.
    admin(&plane, &["upgrade"]).await?.ok()?;

    set_image(&plane, "registry.example.com:5000/canary-webhook:0.0.9").await?;
    let conflicting = admin(&plane, &["upgrade", "--replicas=3"]).await?;
    assert_eq!(conflicting.code, Some(1));
    assert!(
        conflicting.stderr.contains("--force-conflicts"),
        "{}",
        conflicting.stderr
    );
    let upgrade = [
        "upgrade",
        "--replicas=3",
        "--force-conflicts",
        "--",
        "--log-level=debug",
    ];
    admin(&plane, &upgrade).await?.ok()?;
    let deployment = get(&plane, SERVER).await?;
    assert_eq!(deployment["status"]["availableReplicas"], 3);
    assert_eq!(
        server_args(&deployment),
        &json!([
            "--metrics-server=http://metrics.example.com",
            "--log-level=debug"
        ])
    );
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str();
    let image = image.context("image")?;
    assert!(
        image.starts_with("registry.example.com:5000/canary-webhook:") && !image.ends_with("0.0.9"),
        "{image}"
    );
    Ok(())
}

async fn set_image(plane: &ControlPlane, image: &str) -> Result<()> {
    let container = format!("canary-webhook={image}");
    let namespace = "--namespace=canary-system";
    let set = [
        "set",
        "image",
        "deployment/canary-webhook",
        &container,
        namespace,
    ];
    plane.kubectl(&set).await?.ok()?;
    Ok(())
}

/// By kind and name, without definitions and namespaces.
fn by_name(yaml: &str) -> Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for object in documents(yaml)? {
        let mut object = serde_json::to_value(object)?;
        let kind = object["kind"].as_str().context("kind")?.to_owned();
        if kind.starts_with("ValidatingAdmissionPolicy") {
            // kustomize takes it for a kind with namespaces.
            object["metadata"]
                .as_object_mut()
                .context("metadata")?
                .remove("namespace");
        }
        if kind != "CustomResourceDefinition" && kind != "Namespace" {
            unfold(&mut object);
            let name = format!("{kind}/{}", object["metadata"]["name"]);
            all.push((name, object));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// kustomize doubles line breaks inside of folded text, where white space means nothing.
fn unfold(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.split_whitespace().collect::<Vec<_>>().join(" "),
        Value::Array(all) => all.iter_mut().for_each(unfold),
        Value::Object(map) => map.values_mut().for_each(unfold),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_installed_is_what_kustomize_renders() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let overlay = folder("manifests/apisix").display().to_string();
    let rendered = by_name(&plane.kubectl(&["kustomize", &overlay]).await?.ok()?)?;
    let flags = [
        "install",
        "--dry-run",
        "--namespace=apisix",
        "--mesh-provider=apisix",
        "--metrics-server=http://flagger-prometheus.apisix:9090",
    ];
    let printed = by_name(&admin(plane, &flags).await?.ok()?)?;
    let names = |all: &[(String, Value)]| -> Vec<String> {
        all.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&printed), names(&rendered));
    for ((name, printed), (_, rendered)) in printed.iter().zip(&rendered) {
        assert_eq!(printed, rendered, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn flagger_s_definition_is_replaced_and_its_controller_must_not_run() -> Result<()> {
    let plane = bare().await?;
    let text = std::fs::read_to_string(folder("manifests/crds.yaml"))?;
    let canaries = documents(&text)?
        .into_iter()
        .find(|definition| definition.metadata.name.as_deref() == Some("canaries.flagger.app"));
    let mut theirs = serde_json::to_value(canaries.context("canaries.flagger.app")?)?;
    theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "properties": {"spec": {"type": "object"}}});
    let words = ["apply", "--server-side", "--field-manager=helm", "-f", "-"];
    let theirs = theirs.to_string();
    plane
        .kubectl_with(plane.admin_kubeconfig(), &words, &theirs)
        .await?
        .ok()?;
    let flagger = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: flagger, namespace: default, labels: {app.kubernetes.io/name: flagger}}
spec:
  replicas: 1
  selector: {matchLabels: {app: flagger}}
  template:
    metadata: {labels: {app: flagger}}
    spec: {containers: [{name: flagger, image: flagger:1.44.0}]}
";
    plane.apply(flagger).await?;

    let refused = admin(&plane, &["install"]).await?;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("deployment default/flagger")
            && refused
                .stderr
                .contains("scale deployment/flagger --replicas=0"),
        "{}",
        refused.stderr
    );
    assert!(find(&plane, SERVER).await?.is_none());

    let scale = [
        "scale",
        "deployment/flagger",
        "--replicas=0",
        "-n",
        "default",
    ];
    plane.kubectl(&scale).await?.ok()?;
    eventually("Flagger's pods to be gone", LIMIT, async || {
        let flagger = get(&plane, "deployment flagger -n default").await?;
        Ok(flagger["status"]["replicas"].is_null().then_some(()))
    })
    .await?;
    admin(&plane, &["install"]).await?.ok()?;
    let definition = get(&plane, "crd canaries.flagger.app").await?;
    assert!(definition.to_string().contains("\"lastRequest\""));
    Ok(())
}
