//! Plays a short release in a terminal, and writes what was seen as an animated SVG: the picture in README.md.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, Cluster, LIMIT, canary, deployment, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::prometheus::{Answer, Prometheus};
use canary_tests::recording::svg::{Caption, animated};
use canary_tests::recording::{Frame, Terminal};
use canary_tests::tools::binary;
use clap::Parser;
use serde_json::{Value, json};

const ROWS: u16 = 30;
/// Room for all columns of the tree, however long the hashes are, so that each recording has them; and kubectl's
/// warning is folded between two words.
const COLUMNS: u16 = 103;
/// How long the end stays before the picture begins anew.
const END: Duration = Duration::from_secs(6);
/// What a README may weigh.
const BYTES: usize = 200 * 1024;

const SET_IMAGE: &str =
    "kubectl -n test set image deployment/podinfo podinfod=stefanprodan/podinfo:6.0.1";
const WATCH: &str = "kubectl canary status podinfo -n test --watch";

const TITLE: &str = "A canary release in a terminal";
const DESCRIPTION: &str = "A terminal. kubectl sets the image of the Deployment podinfo from 6.0.0 to 6.0.1, \
    and is told that this starts a canary release. kubectl canary status podinfo --watch then follows it: 10, \
    20, 30, 40 and 50 percent of the traffic go to 6.0.1 while success rate and duration of its requests are \
    checked every three seconds; then it is promoted, and all traffic is on 6.0.1. A real API server and the \
    real programs, recorded; pods and metrics are simulated.";

/// Success rate in percent and duration in milliseconds of the canary's requests, a pair for each check.
const MEASURED: [(f64, f64); 6] = [
    (100.0, 38.0),
    (99.91, 47.0),
    (99.95, 41.0),
    (100.0, 52.0),
    (99.87, 44.0),
    (99.96, 40.0),
];
const INTERVAL: Duration = Duration::from_secs(3);

/// Plays a short release in a terminal, and writes it as an animated SVG.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Where the picture goes.
    file: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // A drop, not an exit: it is the drop that cleans up.
    tokio::select! {
        recorded = record(&args.file) => match recorded {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}

async fn record(file: &Path) -> Result<()> {
    println!("a control plane with simulated pods is starting");
    let cluster = Cluster::start(&[]).await?;
    let prometheus = Prometheus::start().await?;
    prometheus.answer("", Answer::value(100.0));
    prometheus.answer("vector(1)", Answer::value(1.0));
    set_up(&cluster.plane, &prometheus.url()).await?;
    println!("recording a release, which takes half a minute");
    let frames = tokio::select! {
        frames = play(&cluster.plane) => frames?,
        () = measure(&prometheus) => bail!("the metrics ended before the release did"),
    };
    let last = frames.last().context("nothing was shown")?;
    let caption = Caption {
        title: TITLE,
        description: DESCRIPTION,
        columns: COLUMNS,
        end: last.at + END,
    };
    let svg = animated(&frames, &caption);
    if svg.len() > BYTES {
        bail!("{} bytes are more than {BYTES}", svg.len());
    }
    std::fs::write(file, &svg).with_context(|| format!("cannot write {}", file.display()))?;
    println!(
        "{}: {} frames, {:.0} s, {} KiB",
        file.display(),
        frames.len(),
        caption.end.as_secs_f64(),
        svg.len() / 1024
    );
    Ok(())
}

/// podinfo 6.0.0 at rest in the namespace `test`, where alice edits.
async fn set_up(plane: &ControlPlane, prometheus: &str) -> Result<()> {
    let mut deployment = deployment();
    deployment["spec"]["replicas"] = json!(2);
    let mut canary = canary(prometheus);
    let analysis = &mut canary["spec"]["analysis"];
    analysis["interval"] = json!(format!("{}s", INTERVAL.as_secs()));
    analysis["stepWeight"] = json!(10);
    analysis["maxWeight"] = json!(50);
    let group = "rbac.authorization.k8s.io";
    let binding = |role: &str| {
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": role},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": ALICE}],
        })
    };
    let objects = [
        deployment,
        route(),
        canary,
        binding("edit"),
        binding("canary-operator"),
    ];
    plane
        .kubectl(&["create", "namespace", "test"])
        .await?
        .ok()?;
    for mut object in objects {
        object["metadata"]["namespace"] = json!("test");
        plane.apply(&object.to_string()).await?;
    }
    eventually("the canary to be at rest", LIMIT, async || {
        let words = ["-n", "test", "get", "canary/podinfo", "-o", "json"];
        let shown = plane.kubectl(&words).await?.ok()?;
        let canary: Value = serde_json::from_str(&shown)?;
        Ok((canary["status"]["phase"] == "Initialized").then_some(()))
    })
    .await
}

/// Types the two commands, and runs them.
async fn play(plane: &ControlPlane) -> Result<Vec<Frame>> {
    let mut terminal = Terminal::start(ROWS, COLUMNS)?;
    for line in [SET_IMAGE, WATCH] {
        terminal.types(line).await?;
        let status = terminal.runs(command(plane, line)?).await?;
        if !status.success() {
            bail!("{line}: {status}");
        }
    }
    terminal.prompts()?;
    // What was written last is shown a moment later.
    tokio::time::sleep(Duration::from_millis(200)).await;
    terminal.ends()
}

/// As alice runs it: `kubectl canary` is found along her PATH.
fn command(plane: &ControlPlane, line: &str) -> Result<Command> {
    let plugin = binary("kubectl-canary")?;
    let folder = plugin.parent().context("a program is in a folder")?;
    let mut words = line.split(' ');
    let mut command = Command::new(plane.tools().join(words.next().unwrap_or_default()));
    command
        .args(words)
        .env_clear()
        .env("PATH", folder)
        .env("TERM", "xterm-256color")
        .env("LANG", "C.UTF-8")
        .env("KUBECONFIG", plane.kubeconfig_for(ALICE, &[])?)
        .env("KUBECACHEDIR", plane.lab().folder().join("kubectl"))
        .env("KUBERC", "off");
    Ok(command)
}

/// Another value for each check, as in life.
async fn measure(prometheus: &Prometheus) {
    for (rate, milliseconds) in MEASURED.iter().cycle().take(100) {
        prometheus.answer("apisix_http_status", Answer::value(*rate));
        prometheus.answer("apisix_http_latency", Answer::value(*milliseconds));
        tokio::time::sleep(INTERVAL).await;
    }
}
