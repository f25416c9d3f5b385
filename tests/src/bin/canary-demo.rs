//! The user's scenario, played once: a release that succeeds, and one that is rolled back.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use canary_tests::clock::now;
use canary_tests::fixtures::load::{Counts, Load, Plan};
use canary_tests::scenario;
use canary_tests::stage::Stage;
use canary_tests::tools::{binary, folder};
use clap::Parser;

/// Plays the user's scenario: a release that succeeds, and one that is rolled back.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Simulate the pods, also where real ones could run.
    #[arg(long)]
    simulated: bool,
    /// Requests a second.
    #[arg(long, default_value_t = 50)]
    rate: u32,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse();
    // A drop, not an exit: it is the drop that cleans up.
    tokio::select! {
        played = play(&args) => played.map(|()| ExitCode::SUCCESS),
        _ = tokio::signal::ctrl_c() => {
            println!("\ninterrupted: everything is being removed");
            Ok(ExitCode::from(130))
        }
    }
}

async fn play(args: &Args) -> Result<()> {
    let start = now();
    let stage = set_up(args.simulated).await?;
    let demo = Demo {
        stage,
        start,
        rate: args.rate,
    };
    demo.say("the cluster is up: podinfo 6.0.0, a gateway, Prometheus, kubectl-canary");
    demo.apply().await?;
    let good = demo.release("6.0.1", false).await?;
    let bad = demo.release("6.0.2", true).await?;
    println!();
    println!("6.0.1 promoted     {good}");
    println!("6.0.2 rolled back  {bad}");
    match good.lost() + bad.lost() {
        0 => demo.say("no request was lost; errors are podinfo 6.0.2's own answers"),
        lost => bail!("{lost} requests were lost"),
    }
    Ok(())
}

async fn set_up(simulated: bool) -> Result<Stage> {
    match Stage::missing_for_real() {
        None if !simulated => {
            println!("A real node in namespaces of its own; nothing on this machine changes.");
            Stage::real().await
        }
        reason => {
            let reason = reason.unwrap_or_else(|| "as asked".to_owned());
            println!("A real API server with simulated pods ({reason}); the requests are real.");
            Stage::simulated().await
        }
    }
}

struct Demo {
    stage: Stage,
    start: Instant,
    rate: u32,
}

impl Demo {
    fn say(&self, text: &str) {
        let seconds = self.start.elapsed().as_secs();
        println!("[{}:{:02}] {text}", seconds / 60, seconds % 60);
    }

    /// What the user does first: the two files, as they are.
    async fn apply(&self) -> Result<()> {
        for file in ["podinfo-apisixroute.yaml", "podinfo-canary.yaml"] {
            let path = folder("tests/seed").join(file).display().to_string();
            self.kubectl(&["apply", "-f", &path], &format!("apply -f {file}"))
                .await?;
        }
        let wait =
            "-n test wait canary/podinfo --for=jsonpath={.status.phase}=Initialized --timeout=2m";
        self.kubectl_line(wait).await?;
        // The gateway is a second behind the cluster.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.say("Initialized: podinfo-primary serves, podinfo has no pods until it is changed");
        Ok(())
    }

    /// A new image under load, followed to its end; answers with what became of the requests.
    async fn release(&self, version: &str, faulty: bool) -> Result<Counts> {
        self.stage.publish(version, faulty).await?;
        println!();
        let load = Load::start(Plan {
            address: self.stage.gateway(),
            host: scenario::HOST.to_owned(),
            path: "/api/info".to_owned(),
            rate: self.rate,
            timeout: Duration::from_secs(5),
        });
        let image = format!("podinfod=stefanprodan/podinfo:{version}");
        self.kubectl_line(&format!("-n test set image deployment/podinfo {image}"))
            .await?;
        let code = self.watch().await?;
        let expected = if faulty { 2 } else { 0 };
        if code != Some(expected) {
            bail!("the release of {version} ended with exit code {code:?}, not {expected}");
        }
        // Long enough for a request that the last change could still lose.
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(load.stop().await.total())
    }

    /// Shows the release until it ends.
    async fn watch(&self) -> Result<Option<i32>> {
        println!("$ kubectl canary status podinfo -n test --watch");
        let status = self
            .command(&binary("kubectl-canary")?)
            .args(["status", "podinfo", "-n", "test", "--watch"])
            .status()
            .await?;
        Ok(status.code())
    }

    async fn kubectl_line(&self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        self.kubectl(&words, line).await
    }

    async fn kubectl(&self, args: &[&str], shown: &str) -> Result<()> {
        println!("$ kubectl {shown}");
        let kubectl = self.stage.plane().tools().join("kubectl");
        let status = self.command(&kubectl).args(args).status().await?;
        if !status.success() {
            bail!("kubectl {shown} failed");
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(program);
        command
            .env("KUBECONFIG", self.stage.plane().admin_kubeconfig())
            .env(
                "KUBECACHEDIR",
                self.stage.plane().lab().folder().join("kubectl"),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}
