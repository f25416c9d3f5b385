//! What a user installs: the chart, by a real Helm, with the image that `make image` makes, into a namespace
//! that enforces Pod Security. (The play installs the same by kustomize.)

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use canary_tests::clock::{eventually, now};
use canary_tests::node::Node;
use canary_tests::process::run;
use canary_tests::scenario;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use crate::play::acts::analysis;
use crate::play::machine;
use crate::play::site::Site;

const NAMESPACE: &str = "canary-system";

/// Helm against the node, kept away from the user's own configuration.
async fn helm(node: &Node, args: &[&str]) -> Result<String> {
    let plane = node.plane();
    let home = plane.lab().folder().join("helm");
    let mut helm = Command::new(plane.tools().join("helm"));
    helm.args(args)
        .args(["--namespace", NAMESPACE])
        .current_dir(folder("manifests"))
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .env("HELM_CONFIG_HOME", &home)
        .env("HELM_CACHE_HOME", &home)
        .env("HELM_DATA_HOME", &home);
    let output = run(helm, "").await?;
    output.ok().with_context(|| format!("helm {args:?}"))
}

async fn install(node: &Node) -> Result<()> {
    let label = [
        "label",
        "namespace",
        NAMESPACE,
        "pod-security.kubernetes.io/enforce=restricted",
    ];
    let plane = node.plane();
    plane
        .kubectl(&["create", "namespace", NAMESPACE])
        .await?
        .ok()?;
    plane.kubectl(&label).await?.ok()?;
    let install = [
        "upgrade",
        "--install",
        "flagger",
        "chart",
        "--set=meshProvider=apisix",
        // Not the chart's own: Debian's Prometheus cannot ask Kubernetes for pods.
        "--set=metricsServer=http://flagger-prometheus.apisix:9090",
        "--wait",
        "--timeout=90s",
    ];
    let told = helm(node, &install).await;
    if told.is_err() {
        let get = ["-n", NAMESPACE, "get", "pods,events"];
        eprintln!("{}", plane.kubectl(&get).await?.stdout);
    }
    told.map(drop)
}

/// The API server asks the webhook by its Service: nothing else says that a Canary for istio is refused.
async fn asked(node: &Node) -> Result<()> {
    let mut canary: Value = serde_yaml::from_str(&scenario::user_yaml("podinfo-canary.yaml")?)?;
    canary["spec"]["provider"] = "istio".into();
    let create = ["create", "--dry-run=server", "-f", "-"];
    let plane = node.plane();
    eventually(
        "the webhook to be asked",
        Duration::from_secs(30),
        async || {
            let admin = plane.admin_kubeconfig();
            let answer = plane
                .kubectl_with(admin, &create, &canary.to_string())
                .await?;
            Ok(answer
                .stderr
                .contains("istio is not supported yet")
                .then_some(()))
        },
    )
    .await
}

#[tokio::test]
async fn what_helm_installs_releases_and_goes_again_and_no_request_is_lost() -> Result<()> {
    let _machine = machine().await;
    let start = now();
    let node = Node::start().await?;
    scenario::prepare(&node).await?;
    node.import_archive(&scenario::server_image()?).await?;
    println!("surroundings: {:?}", start.elapsed());
    install(&node).await?;
    asked(&node).await?;
    println!("installed: {:?}", start.elapsed());

    let site = Site::new(&node, "test", "podinfo").await?;
    let route = folder("tests/seed/podinfo-apisixroute.yaml");
    site.kubectl(&format!("apply -f {}", route.display()))
        .await?;
    let steps = json!({"stepWeight": 50, "threshold": 10});
    site.adopt(|canary| analysis(canary, &steps)).await?;
    let load = site.load("/api/info", 30);
    let image = "-n test set image deployment/podinfo podinfod=stefanprodan/podinfo:6.0.1";
    let words: Vec<&str> = image.split(' ').collect();
    let set = node.plane().kubectl(&words).await?;
    ensure!(
        set.stderr.contains("starts as a canary release"),
        "the webhook warns: {set:?}"
    );
    site.kubectl("wait canary/podinfo --for=jsonpath={.status.phase}=Succeeded --timeout=180s")
        .await?;
    println!("promoted: {:?}", start.elapsed());
    let canary = site.get("canaries", "podinfo").await?;
    let checks = canary["status"]["release"]["checks"]
        .as_array()
        .map_or(0, Vec::len);
    ensure!(checks > 0, "Prometheus was asked: {}", canary["status"]);

    helm(&node, &["uninstall", "flagger", "--wait"]).await?;
    let answer = site.ask("/api/info").await?.body;
    let answer = String::from_utf8_lossy(&answer);
    ensure!(answer.contains("6.0.1"), "{answer}");
    let counts = load.stop().await.total();
    ensure!(
        counts.lost() == 0,
        "release and removal lose nothing: {counts}"
    );
    site.get("canaries", "podinfo").await?;
    println!("uninstalled: {:?}", start.elapsed());
    Ok(())
}
