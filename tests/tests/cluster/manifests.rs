//! What a user applies: the whole of `manifests/`, once and again, into any namespace.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::control_plane::ControlPlane;
use canary_tests::tools::folder;

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

#[tokio::test]
async fn one_command_installs_everything_and_may_be_repeated() {
    let plane = bare().await;
    for _ in 0..2 {
        let applied = apply(&plane, "manifests").await.unwrap();
        for object in [
            "customresourcedefinition.apiextensions.k8s.io/canaries.flagger.app",
            "deployment.apps/canary-webhook",
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
    let overlay = folder("manifests/apisix").display().to_string();
    let rendered = plane
        .kubectl(&["kustomize", &overlay])
        .await
        .unwrap()
        .ok()
        .unwrap();
    assert!(!rendered.contains("canary-system"), "{rendered}");
    assert_eq!(
        rendered
            .matches("system:serviceaccount:apisix:canary-webhook")
            .count(),
        5,
        "three webhooks and two policies leave out our own user"
    );
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
