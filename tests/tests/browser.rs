//! The dashboard as a person sees it: a real Chromium on `kubectl canary dashboard`, a real API server
//! behind it. What is done and seen there is written in `tests/browser/*.test.mjs`.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, Cluster, LIMIT};
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Process;
use canary_tests::tools::{binary, folder, require};
use serde_json::json;

/// Longer than any script takes.
const PLAY: Duration = Duration::from_secs(300);

/// A program that prints where it serves.
struct Serving {
    process: Process,
    url: String,
}

async fn serving(plane: &ControlPlane, command: Command, before: &str) -> Result<Serving> {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let name = format!("serving-{}", STARTED.fetch_add(1, Ordering::Relaxed));
    let mut process = plane.lab().spawn(&name, command)?;
    let url = eventually("an address to be printed", LIMIT, async || {
        process.check()?;
        let log = process.log();
        let line = log.lines().find_map(|line| line.strip_prefix(before));
        // The end of a line says that it is whole.
        Ok(line.filter(|_| log.contains('\n')).map(str::to_owned))
    })
    .await?;
    Ok(Serving { process, url })
}

async fn dashboard(plane: &ControlPlane, kubeconfig: &Path, args: &[&str]) -> Result<Serving> {
    let mut command = plane.lab().command(&binary("kubectl-canary")?);
    command
        .args(["dashboard", "--no-browser"])
        .args(args)
        .env("KUBECONFIG", kubeconfig);
    let mut serving = serving(plane, command, "http://").await?;
    serving.url.insert_str(0, "http://");
    Ok(serving)
}

/// The API server without credentials, for the script to change things.
async fn proxy(plane: &ControlPlane) -> Result<Serving> {
    let mut command = plane.lab().command(&plane.tools().join("kubectl"));
    command
        .args(["proxy", "--port=0"])
        .env("KUBECONFIG", plane.admin_kubeconfig());
    let mut serving = serving(plane, command, "Starting to serve on ").await?;
    serving.url.insert_str(0, "http://");
    Ok(serving)
}

/// Runs a script to its end; what it says is seen as it says it.
async fn play(script: &str, environment: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(require("node")?);
    command
        .current_dir(folder("tests/browser"))
        .args(["--test", "--test-reporter=spec", script])
        .env("CHROMIUM", require("chromium")?)
        .envs(environment.iter().copied());
    let mut command = tokio::process::Command::from(command);
    let mut script_runs = command.kill_on_drop(true).spawn()?;
    let status = tokio::time::timeout(PLAY, script_runs.wait())
        .await
        .with_context(|| format!("tests/browser/{script} does not end"))??;
    ensure!(status.success(), "tests/browser/{script}: {status}");
    Ok(())
}

#[tokio::test]
async fn the_search_finds_what_it_says() -> Result<()> {
    play("search.test.mjs", &[]).await
}

#[tokio::test]
async fn people_follow_and_steer_a_release_in_the_browser() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let plane = &cluster.plane;
    let test = cluster.namespace("browser").await?;
    test.create_with(|canary| {
        // Each step stands until somebody promotes.
        canary["spec"]["analysis"]["interval"] = json!("10m");
    })
    .await?;
    test.phase("Initialized").await?;
    let args = ["-n", &test.name];
    let (bob, alice) = (test.kubeconfig(BOB)?, test.kubeconfig(ALICE)?);
    let bobs = dashboard(plane, &bob, &args).await?;
    let alices = dashboard(plane, &alice, &args).await?;
    let readers = dashboard(plane, &bob, &[&args[..], &["--read-only"]].concat()).await?;
    let api = proxy(plane).await?;
    let pid = bobs.process.pid().to_string();
    play(
        "release.test.mjs",
        &[
            ("API_URL", api.url.as_str()),
            ("NAMESPACE", test.name.as_str()),
            ("BOB_URL", bobs.url.as_str()),
            ("BOB_PID", pid.as_str()),
            ("ALICE_URL", alices.url.as_str()),
            ("READER_URL", readers.url.as_str()),
        ],
    )
    .await
}

#[tokio::test]
async fn a_thousand_canaries_are_there_at_once() -> Result<()> {
    let plane = ControlPlane::options().simulated_nodes(0).start().await?;
    let namespace = plane.namespace("thousand").await?;
    let args = ["-n", &namespace];
    let served = dashboard(&plane, plane.admin_kubeconfig(), &args).await?;
    let api = proxy(&plane).await?;
    play(
        "thousand.test.mjs",
        &[
            ("API_URL", api.url.as_str()),
            ("NAMESPACE", namespace.as_str()),
            ("URL", served.url.as_str()),
        ],
    )
    .await
}
