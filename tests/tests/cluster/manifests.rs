//! What a user applies: the whole of `manifests/`, once and again, into any namespace.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::process::Command;

use anyhow::Result;
use canary_tests::control_plane::ControlPlane;
use canary_tests::crds::documents;
use canary_tests::process::{Output, run};
use canary_tests::tools::{Level, folder, tools};
use serde_json::Value;

#[path = "manifests/chart.rs"]
mod chart;
#[path = "manifests/overlays.rs"]
mod overlays;
#[path = "manifests/values.rs"]
mod values;

async fn bare() -> ControlPlane {
    ControlPlane::options()
        .simulated_nodes(0)
        .without_crds()
        .start()
        .await
        .unwrap()
}

async fn apply(plane: &ControlPlane, inside: &str) -> Result<String> {
    let path = folder(inside).display().to_string();
    plane
        .kubectl(&["apply", "--server-side", "-k", &path])
        .await?
        .ok()
}

/// The kinds of cert-manager.
pub async fn define_certificates(plane: &ControlPlane) -> Result<()> {
    let folder = plane.tools().join("cert-manager-crds");
    let folder = folder.display().to_string();
    let apply = ["apply", "--server-side", "-f", &folder];
    plane.kubectl(&apply).await?.ok()?;
    Ok(())
}

/// What kustomize makes of a folder of the project.
pub async fn kustomize(inside: &str) -> String {
    let mut kubectl = Command::new(tools(Level::ControlPlane).unwrap().join("kubectl"));
    kubectl.arg("kustomize").arg(folder(inside));
    run(kubectl, "").await.unwrap().ok().unwrap()
}

/// Helm, kept away from the user's own configuration; the chart is `chart` in its folder.
async fn helm(args: &[&str], plane: Option<&ControlPlane>) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut helm = Command::new(tools(Level::ControlPlane).unwrap().join("helm"));
    helm.args(args)
        .current_dir(folder("manifests"))
        .env("HELM_CONFIG_HOME", home.path())
        .env("HELM_CACHE_HOME", home.path())
        .env("HELM_DATA_HOME", home.path())
        .env_remove("KUBECONFIG");
    if let Some(plane) = plane {
        helm.env("KUBECONFIG", plane.admin_kubeconfig());
    }
    run(helm, "").await.unwrap()
}

/// The objects of a text, as plain JSON.
pub fn objects(text: &str) -> Vec<Value> {
    let plain = |object| serde_json::to_value(object).unwrap();
    documents(text).unwrap().into_iter().map(plain).collect()
}

#[tokio::test]
async fn one_command_installs_everything_and_may_be_repeated() {
    let plane = bare().await;
    for _ in 0..2 {
        let applied = apply(&plane, "manifests").await.unwrap();
        for object in [
            "customresourcedefinition.apiextensions.k8s.io/canaries.flagger.app",
            "deployment.apps/canary-webhook",
            "networkpolicy.networking.k8s.io/canary-webhook",
            "mutatingwebhookconfiguration.admissionregistration.k8s.io/canary-webhook",
            "validatingadmissionpolicybinding.admissionregistration.k8s.io/canary-decisions",
        ] {
            assert!(applied.contains(object), "{object} is not in:\n{applied}");
        }
    }
}

#[tokio::test]
async fn another_namespace_leaves_no_trace_of_the_default_one() {
    let plane = bare().await;
    let rendered = kustomize("manifests/apisix").await;
    assert!(!rendered.contains("canary-system"), "{rendered}");
    let ours = "system:serviceaccount:apisix:canary-webhook";
    let base = kustomize("manifests/base").await;
    assert_eq!(
        rendered.matches(ours).count(),
        base.matches("system:serviceaccount:canary-system:canary-webhook")
            .count(),
        "each webhook and policy that leaves out our own user still does"
    );
    assert!(
        !rendered.contains("kind: Namespace\n"),
        "removing it must not remove a namespace with others in it"
    );
    let create = ["create", "namespace", "apisix"];
    plane.kubectl(&create).await.unwrap().ok().unwrap();
    plane.apply_file("manifests/crds.yaml").await.unwrap();
    apply(&plane, "manifests/apisix").await.unwrap();
    let get = [
        "get",
        "-n",
        "apisix",
        "deployment,service,serviceaccount,role",
        "-o",
        "name",
    ];
    let installed = plane.kubectl(&get).await.unwrap().ok().unwrap();
    assert_eq!(
        installed.matches("/canary-webhook").count(),
        4,
        "{installed}"
    );
}
