//! Overlays and what they promise.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, QUICK, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use super::{apply, define_certificates, helm, kustomize, objects};

const USER: &str = "system:serviceaccount:canary-system:canary-webhook";

#[tokio::test]
async fn every_overlay_is_accepted_by_the_api_server() {
    let plane = super::bare().await;
    plane.apply_file("manifests/crds.yaml").await.unwrap();
    define_certificates(&plane).await.unwrap();
    for overlay in ["fail-closed", "namespaced", "cert-manager"] {
        let applied = apply(&plane, &format!("manifests/{overlay}"))
            .await
            .unwrap();
        assert!(
            applied.contains("deployment.apps/canary-webhook"),
            "{applied}"
        );
    }
    let get = ["-n", "canary-system", "get", "certificates", "-o", "name"];
    let certificates = plane.kubectl(&get).await.unwrap().ok().unwrap();
    assert_eq!(certificates.lines().count(), 2, "{certificates}");
}

#[tokio::test]
async fn components_add_up_in_any_namespace() {
    // Paths of resources are relative to the file.
    let parent = folder("target");
    let overlay = tempfile::tempdir_in(&parent).unwrap();
    let text = "
namespace: elsewhere
resources: [../../manifests/base]
components: [../../manifests/components/cert-manager, ../../manifests/components/fail-closed, ../../manifests/components/namespaced]
transformers: [../../manifests/namespace, ../../manifests/components/namespaced/watched]
patches:
  - target: {kind: Deployment}
    patch: |
      - {op: replace, path: /spec/template/spec/containers/0/env/0, value: {name: CANARY_NAMESPACE, value: shop}}
";
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    let name = overlay.path().file_name().unwrap().to_str().unwrap();
    let rendered = kustomize(&format!("target/{name}")).await;
    assert!(!rendered.contains("canary-system"), "{rendered}");
    assert!(!rendered.contains("WATCHED"), "{rendered}");
    let objects = objects(&rendered);
    let webhooks: Vec<&Value> = objects
        .iter()
        .filter_map(|object| object["webhooks"].as_array())
        .flatten()
        .collect();
    assert_eq!(webhooks.len(), 8);
    for webhook in webhooks {
        let selector = &webhook["namespaceSelector"];
        assert_eq!(
            selector["matchLabels"]["kubernetes.io/metadata.name"],
            "shop"
        );
        assert_eq!(selector["matchExpressions"][0]["values"][0], "elsewhere");
        let rule = &webhook["rules"][0];
        // What the server checks again when it reads a MetricTemplate need not be closed.
        let open = rule["operations"] == json!(["DELETE"])
            || rule["resources"] == json!(["canarypolicies"])
            || rule["resources"] == json!(["metrictemplates"]);
        let policy = if open { "Ignore" } else { "Fail" };
        assert_eq!(webhook["failurePolicy"], policy, "{}", webhook["name"]);
    }
    let binding = objects
        .iter()
        .find(|object| object["kind"] == "RoleBinding" && object["metadata"]["namespace"] == "shop")
        .unwrap();
    assert_eq!(binding["subjects"][0]["namespace"], "elsewhere");
    let certificate = objects
        .iter()
        .find(|object| {
            object["metadata"]["name"] == "canary-webhook" && object["kind"] == "Certificate"
        })
        .unwrap();
    assert_eq!(
        certificate["spec"]["dnsNames"][0],
        "canary-webhook.elsewhere.svc"
    );
}

#[tokio::test]
async fn the_pods_pass_pod_security_restricted_in_the_namespace_that_enforces_it() {
    let plane = super::bare().await;
    apply(&plane, "manifests").await.unwrap();
    let prometheus = helm(
        &[
            "template",
            "c",
            "chart",
            "-n=canary-system",
            "--set=prometheus.install=true",
            "-s=templates/prometheus.yaml",
        ],
        None,
    )
    .await
    .ok()
    .unwrap();
    plane.apply(&prometheus).await.unwrap();
    let mut templates = Vec::new();
    for text in [kustomize("manifests/base").await, prometheus] {
        let found = objects(&text)
            .into_iter()
            .filter(|object| object["kind"] == "Deployment");
        templates.extend(found.map(|object| object["spec"]["template"].clone()));
    }
    assert_eq!(templates.len(), 2);
    let create = [
        "create",
        "--dry-run=server",
        "-n",
        "canary-system",
        "-f",
        "-",
    ];
    for template in templates {
        let mut pod = template;
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"]["name"] = "as-the-template".into();
        let ask = async |pod: &Value| {
            plane
                .kubectl_with(plane.admin_kubeconfig(), &create, &pod.to_string())
                .await
                .unwrap()
        };
        ask(&pod).await.ok().unwrap();

        let context = pod["spec"]["containers"][0]["securityContext"]
            .as_object_mut()
            .unwrap();
        context.remove("capabilities");
        let refused = ask(&pod).await.ok().unwrap_err().to_string();
        assert!(
            refused.contains("violates PodSecurity \"restricted:latest\""),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn restricted_to_a_namespace_it_releases_there_and_has_no_right_on_secrets_elsewhere()
-> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let test = Namespace::new(&plane, "watched").await?;
    let other = Namespace::new(&plane, "other").await?;
    let everywhere = ["delete", "clusterrolebinding", "canary-webhook-workloads"];
    plane.kubectl(&everywhere).await?.ok()?;
    let namespace = format!("namespace={}", test.name);
    let value = format!("--set={namespace}");
    let template = ["template", "c", "chart", "-n=canary-system", &value];
    let rendered = helm(&template, None).await.ok()?;
    let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let applied = plane.kubectl_with(plane.admin_kubeconfig(), &apply, &rendered);
    applied.await?.ok()?;

    for (namespace, answer) in [
        (test.name.as_str(), "yes"),
        (other.name.as_str(), "no"),
        ("kube-system", "no"),
    ] {
        for (verb, resource) in [
            ("list", "secrets"),
            ("get", "secrets"),
            ("watch", "configmaps"),
            ("patch", "deployments"),
        ] {
            let ask = ["auth", "can-i", verb, resource, "-n", namespace, "--as"];
            let told = plane.kubectl(&[ask.as_slice(), &[USER]].concat()).await?;
            assert_eq!(
                told.stdout.trim(),
                answer,
                "{verb} {resource} in {namespace}"
            );
        }
    }

    let flag = format!("--{namespace}");
    let mut server = Server::beside(&plane, &[QUICK.as_slice(), &[&flag]].concat())?;
    server.logged("leading", LIMIT).await?;
    for namespace in [&other, &test] {
        namespace.create_all().await?;
    }
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let left_alone = other.get("canaries/podinfo").await?;
    assert_eq!(left_alone["status"], Value::Null);
    let log = server.log();
    let failed: Vec<_> = log
        .iter()
        .filter(|line| line.to_string().contains("cannot watch"))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

#[tokio::test]
async fn fail_closed_refuses_changes_while_nobody_answers_and_lets_everything_go() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let overlay = folder("manifests/fail-closed").display().to_string();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "-k",
        &overlay,
    ];
    plane.kubectl(&apply).await?.ok()?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(&plane, "closed").await?;
    let create = ["create", "--dry-run=server", "-f", "-"];
    let canary = test.canary().to_string();
    eventually("the webhook to answer", LIMIT, async || {
        let created = test.kubectl_with(ALICE, &create, &canary).await?;
        Ok((created.code == Some(0)).then_some(()))
    })
    .await?;
    // For a finalizer, which somebody has to remove.
    test.create_with(|canary| canary["spec"]["revertOnDeletion"] = true.into())
        .await?;
    test.phase("Initialized").await?;
    server.process().kill()?;

    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let set_image = ["set", "image", "deployment/podinfo", image];
    let refused = test.kubectl(ALICE, &set_image).await?.stderr;
    assert!(refused.contains("failed calling webhook"), "{refused}");
    let edit = json!({"spec": {"analysis": {"threshold": 4}}});
    let refused = test.patch("canaries/podinfo", &edit).await.unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("failed calling webhook"), "{refused}");

    let label = json!({"metadata": {"labels": {"team": "web"}}});
    test.patch("deployments/podinfo", &label).await?;
    let scale = ["scale", "deployment/podinfo", "--replicas=1"];
    test.kubectl(ALICE, &scale).await?.ok()?;
    test.delete("canaries/podinfo").await?;
    let without = json!({"metadata": {"finalizers": null}});
    test.patch("canaries/podinfo", &without).await?;
    test.gone("canaries/podinfo").await?;
    let delete = ["delete", "namespace", &test.name, "--timeout=40s"];
    plane.kubectl(&delete).await?.ok()?;
    Ok(())
}
