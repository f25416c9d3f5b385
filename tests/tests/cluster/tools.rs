//! The plugin's tools on a real API server: `lint --dry-run=server`, `doctor`, `set image`, completion, `init`.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::io::Write as _;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, Cluster, LIMIT, Namespace};
use canary_tests::plugin::plugin;
use canary_tests::process::Output;
use serde_json::{Value, json};

use crate::setup::{image, initialized, namespace};

/// A file with this yaml; it is there as long as the value is.
fn file(yaml: &str) -> Result<tempfile::NamedTempFile> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(yaml.as_bytes())?;
    Ok(file)
}

async fn lint(test: &Namespace<'_>, user: &str, yaml: &str) -> Result<Output> {
    let file = file(yaml)?;
    let path = file.path().display().to_string();
    let mut output = test
        .plugin(user, &["lint", "--dry-run=server", "-f", &path])
        .await?;
    output.stdout = output.stdout.replace(&path, "FILE");
    Ok(output)
}

fn canary(test: &Namespace<'_>, replaced: (&str, &str)) -> String {
    let yaml = "\
apiVersion: flagger.app/v1beta1
kind: Canary
metadata:
  name: podinfo
spec:
  provider: apisix
  metricsServer: PROMETHEUS
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: podinfo}
  routeRef: {apiVersion: apisix.apache.org/v2, kind: ApisixRoute, name: podinfo}
  service: {port: 80, targetPort: 9898}
  analysis:
    interval: 10s
    threshold: 3
    stepWeight: 20
    maxWeight: 40
";
    assert!(yaml.contains(replaced.0));
    yaml.replace("PROMETHEUS", &test.prometheus.url())
        .replacen(replaced.0, replaced.1, 1)
}

#[tokio::test]
async fn lint_shows_what_the_api_server_says_beside_the_lines() -> Result<()> {
    let test = namespace("lint").await?;
    let output = lint(&test, ALICE, &canary(&test, ("", ""))).await?;
    assert_eq!(output.code, Some(0), "{output:?}");

    // The webhook's denial, the schema's, and that of an API server that knows no such kind.
    let output = lint(
        &test,
        ALICE,
        &canary(&test, ("provider: apisix", "provider: istio")),
    )
    .await?;
    assert_eq!(output.code, Some(2), "{output:?}");
    let denied = "FILE:1: error: ";
    let line = output.stdout.lines().find(|line| line.starts_with(denied));
    let line = line.with_context(|| format!("{output:?}"))?;
    assert!(line.contains("istio is not supported yet"), "{line}");

    let output = lint(
        &test,
        ALICE,
        &canary(&test, ("interval: 10s", "interval: soon")),
    )
    .await?;
    assert_eq!(output.code, Some(2), "{output:?}");
    let of_server = output
        .stdout
        .lines()
        .filter(|line| line.starts_with("FILE:12: spec.analysis.interval: error: "));
    assert!(of_server.count() >= 1, "{output:?}");

    let banana = "---\napiVersion: fruit.example.com/v1\nkind: Banana\nmetadata: {name: a}\n";
    let yaml = canary(&test, ("", "")) + banana;
    let output = lint(&test, ALICE, &yaml).await?;
    assert_eq!(output.code, Some(2), "{output:?}");
    assert!(
        output
            .stdout
            .contains("FILE:17: error: this API server has no kind Banana"),
        "{output:?}"
    );

    // Nothing of it was stored.
    assert!(test.find("canaries/podinfo").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn lint_tells_who_may_not_apply() -> Result<()> {
    let test = namespace("lint-viewer").await?;
    let output = lint(&test, "carol", &canary(&test, ("", ""))).await?;
    assert_eq!(output.code, Some(5), "{output:?}");
    Ok(())
}

async fn doctor(test: &Namespace<'_>, words: &[&str]) -> Result<(Option<i32>, Vec<Value>)> {
    let words = [&["doctor", "-n", &test.name, "-o", "json"], words].concat();
    let output = plugin(test.plane.admin_kubeconfig(), &words).await?;
    let report: Value =
        serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    Ok((output.code, checks))
}

/// The outcomes of the checks of that name.
fn outcomes<'a>(checks: &'a [Value], name: &str) -> Vec<&'a str> {
    let named = checks.iter().filter(|it| it["name"] == name);
    named.filter_map(|it| it["outcome"].as_str()).collect()
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_with_a_healthy_installation_and_canary() -> Result<()> {
    let test = initialized("doctor").await?;
    let (code, checks) = doctor(&test, &["podinfo"]).await?;
    let failed: Vec<_> = checks.iter().filter(|it| it["outcome"] == "fail").collect();
    assert_eq!((code, failed), (Some(0), vec![]), "{checks:#?}");
    for name in [
        "kubernetes",
        "crds",
        "controller",
        "webhook",
        "policies",
        "your rights",
        "canary",
        "target",
        "route",
        "service",
        "autoscaler",
    ] {
        assert_eq!(outcomes(&checks, name), ["ok"], "{name}: {checks:#?}");
    }
    assert_eq!(
        outcomes(&checks, "certificate"),
        ["ok", "ok"],
        "{checks:#?}"
    );

    // Who may read little sees little, and nothing of that is a failure.
    let output = test.plugin(BOB, &["doctor"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.contains("skip"), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn doctor_finds_a_server_that_is_down_and_a_canary_without_its_route() -> Result<()> {
    let mut cluster = Cluster::start(&[]).await?;
    cluster.server.process().kill()?;
    let test = cluster.namespace("doctor-broken").await?;
    let mut wrong = test.canary();
    wrong["spec"]["routeRef"]["name"] = json!("nowhere");
    test.create(&wrong).await?;
    let (code, checks) = doctor(&test, &["podinfo"]).await?;
    assert_eq!(code, Some(1), "{checks:#?}");
    for name in ["webhook", "target", "route"] {
        assert_eq!(outcomes(&checks, name), ["fail"], "{name}: {checks:#?}");
    }
    // A lease is held for a while after its holder is gone.
    eventually("the lease to be found stale", LIMIT, async || {
        let (_, checks) = doctor(&test, &[]).await?;
        Ok((outcomes(&checks, "controller") == ["fail"]).then_some(()))
    })
    .await?;
    test.plane
        .kubectl(&["delete", "validatingadmissionpolicy", "canary-decisions"])
        .await?
        .ok()?;
    let (_, checks) = doctor(&test, &[]).await?;
    assert_eq!(outcomes(&checks, "policies"), ["fail"], "{checks:#?}");
    Ok(())
}

#[tokio::test]
async fn set_image_ends_when_the_release_is_promoted() -> Result<()> {
    let test = initialized("set-image").await?;
    let words = [
        "set",
        "image",
        "deployment/podinfo",
        "podinfod=stefanprodan/podinfo:6.0.1",
    ];
    let output = test.plugin(ALICE, &words).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        output.stderr.contains("starts as a canary release"),
        "{output:?}"
    );
    assert!(output.stdout.contains("promoted"), "{output:?}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    let target = test.get("deployments/podinfo").await?;
    let managers = target["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        managers.iter().any(|it| it["manager"] == "kubectl-set"),
        "{managers:#?}"
    );
    let output = test.plugin(ALICE, &words).await?;
    assert_eq!(output.ok()?, "deployment.apps/podinfo unchanged\n");
    Ok(())
}

#[tokio::test]
async fn completion_offers_real_names_in_their_state() -> Result<()> {
    let test = initialized("completion").await?;
    let kubeconfig = test.kubeconfig(ALICE)?;
    // The budget is a person's; a machine that does much else may need a second key stroke.
    let offered = async |words: &[&str], expected: &str| {
        let words = [&["__complete", "-n", &test.name], words].concat();
        let what = format!("{words:?} to offer {expected:?}");
        eventually(&what, LIMIT, async || {
            let output = plugin(&kubeconfig, &words).await?.ok()?;
            Ok((output == expected).then_some(()))
        })
        .await
    };
    offered(&["status", ""], "podinfo\tInitialized\n:4\n").await?;
    let released = format!(
        "deployment/podinfo\treleased by Canary podinfo.{}\n:4\n",
        test.name
    );
    offered(&["set", "image", ""], &released).await?;
    let words = ["__complete", "-n", &test.name, "pause", ""];
    assert_eq!(plugin(&kubeconfig, &words).await?.ok()?, ":4\n");
    Ok(())
}

#[tokio::test]
async fn what_init_writes_can_be_applied_and_is_initialized() -> Result<()> {
    let test = namespace("init").await?;
    test.create(&canary_tests::cluster::deployment()).await?;
    test.create(&canary_tests::cluster::route()).await?;
    let output = test.plugin(ALICE, &["init", "deployment/podinfo"]).await?;
    assert!(
        output.stderr.contains("Deployment podinfo-primary"),
        "{output:?}"
    );
    let yaml = output.ok()?;
    let linted = lint(&test, ALICE, &yaml).await?;
    assert_eq!(linted.code, Some(0), "{linted:?}");
    let file = file(&yaml)?;
    let path = file.path().display().to_string();
    test.kubectl(ALICE, &["apply", "-f", &path]).await?.ok()?;
    test.phase("Initialized").await?;
    Ok(())
}
