//! The user's scenario, played once: a release that succeeds, and one that is rolled back.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use canary_tests::clock::now;
use canary_tests::cluster::Recorder;
use canary_tests::fixtures::load::{Counts, Load, Plan, Report};
use canary_tests::scenario;
use canary_tests::stage::Stage;
use canary_tests::tools::{binary, folder};
use clap::Parser;
use serde_json::Value;

/// The canary's pods, as whoever routes to them is told.
const CANARY_PODS: &str = "/apis/discovery.k8s.io/v1/namespaces/test/endpointslices?watch=true\
    &labelSelector=kubernetes.io/service-name=podinfo-canary";
/// Seconds from a pod's fault to the kubelet's word of it, and from there to the gateway.
const NOTICED: usize = 3;

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
    /// Leave the cluster there until Ctrl-C, to try things by hand.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // A drop, not an exit: it is the drop that cleans up.
    tokio::select! {
        played = play(&args) => match played {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
        _ = tokio::signal::ctrl_c() => {
            println!("\ninterrupted: everything is being removed");
            ExitCode::from(130)
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
    let played = demo.releases().await;
    if args.keep {
        if let Err(error) = &played {
            eprintln!("error: {error:#}");
        }
        demo.keep().await?;
    }
    played
}

/// What became of the requests; the details stand below their sum.
fn told(what: &str, traffic: &Counts) -> String {
    let text = traffic.to_string();
    format!("{what:<18} {}", text.replace('\n', &format!("\n{:19}", "")))
}

async fn set_up(simulated: bool) -> Result<Stage> {
    match Stage::missing_for_real() {
        None if !simulated => {
            println!("A real node in namespaces of its own; nothing on this machine changes.");
            println!("It takes half a minute to boot.");
            Stage::real().await
        }
        reason => {
            let reason = reason.unwrap_or_else(|| "as asked".to_owned());
            println!("A real API server with simulated pods ({reason}); the requests are real.");
            println!("It takes half a minute to boot.");
            Stage::simulated().await
        }
    }
}

/// What a release did to the requests.
struct Released {
    traffic: Counts,
    /// Requests lost around moments when a pod of the canary that was to stay was not ready.
    lost_while_unready: u64,
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

    /// One that is good and one that is not.
    async fn releases(&self) -> Result<()> {
        let good = self.release("6.0.1", false).await?;
        let bad = self.release("6.0.2", true).await?;
        println!();
        println!("{}", told("6.0.1 promoted", &good.traffic));
        println!("{}", told("6.0.2 rolled back", &bad.traffic));
        let lost = good.traffic.lost() + bad.traffic.lost();
        let unready = bad.lost_while_unready;
        if good.lost_while_unready > 0 || lost > unready {
            bail!("{lost} requests were lost, {unready} of them by podinfo 6.0.2 itself");
        }
        self.say("no request was lost by a release; errors are podinfo 6.0.2's own answers");
        if unready > 0 {
            self.say(&format!(
                "{unready} met podinfo 6.0.2 while it failed its own probes: it answers them with errors, too"
            ));
        }
        Ok(())
    }

    /// Leaves everything as it is until somebody ends it.
    async fn keep(&self) -> Result<()> {
        let plane = self.stage.plane();
        let plugin = binary("kubectl-canary")?;
        let programs = [plane.tools(), plugin.parent().unwrap_or(Path::new("."))];
        let programs = programs.map(|folder| folder.display().to_string());
        println!("\nThe cluster stays until Ctrl-C. In another terminal:\n");
        println!("export KUBECONFIG={}", plane.admin_kubeconfig().display());
        println!("export PATH={}:$PATH", programs.join(":"));
        println!("kubectl canary status -n test");
        std::future::pending().await
    }

    /// A new image under load, followed to its end; answers with what became of the requests.
    async fn release(&self, version: &str, faulty: bool) -> Result<Released> {
        self.stage.publish(version, faulty).await?;
        println!();
        let client = self.stage.plane().client().await?;
        let pods = Recorder::start(&client, CANARY_PODS).await?;
        let start = now();
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
        let report = load.stop().await;
        Ok(Released {
            traffic: report.total(),
            lost_while_unready: lost_while_unready(&report, &pods.versions(), start),
        })
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

/// What was lost within moments of a canary's pod that stopped being ready by itself. A pod that is taken
/// away is terminating; what is lost then is the release's fault.
fn lost_while_unready(report: &Report, slices: &[(Instant, Value)], start: Instant) -> u64 {
    let mut was_ready = false;
    let mut blamed = vec![false; report.per_second.len()];
    for (at, slice) in slices {
        let endpoints = slice["endpoints"].as_array().cloned().unwrap_or_default();
        let is = |endpoint: &Value, condition: &str| endpoint["conditions"][condition] == true;
        was_ready |= endpoints.iter().any(|endpoint| is(endpoint, "ready"));
        let failing = |endpoint: &Value| !is(endpoint, "ready") && !is(endpoint, "terminating");
        if was_ready && endpoints.iter().any(failing) {
            let second = at.saturating_duration_since(start).as_secs() as usize;
            let around = second.saturating_sub(NOTICED)..=second + NOTICED;
            for (number, blamed) in blamed.iter_mut().enumerate() {
                *blamed |= around.contains(&number);
            }
        }
    }
    let seconds = report.per_second.iter().zip(blamed);
    seconds
        .filter(|(_, blamed)| *blamed)
        .map(|(counts, _)| counts.lost())
        .sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Twenty seconds, in each of which one request was lost.
    fn one_lost_a_second() -> Report {
        let second = Counts {
            gateway: [("no-endpoint".to_owned(), 1)].into(),
            ..Counts::default()
        };
        Report {
            per_second: vec![second; 20],
        }
    }

    fn lost(seen: &[(u64, bool, bool)]) -> u64 {
        let start = now();
        let slice = |&(second, ready, terminating): &(u64, bool, bool)| {
            let conditions = json!({"ready": ready, "terminating": terminating});
            let slice = json!({"endpoints": [{"conditions": conditions}]});
            (start + Duration::from_secs(second), slice)
        };
        let slices: Vec<_> = seen.iter().map(slice).collect();
        lost_while_unready(&one_lost_a_second(), &slices, start)
    }

    #[test]
    fn a_pod_that_fails_its_probes_is_to_blame_for_what_is_lost_around_it() {
        assert_eq!(lost(&[(1, true, false), (10, false, false)]), 7);
    }

    #[test]
    fn a_pod_that_is_not_ready_yet_or_is_taken_away_is_to_blame_for_nothing() {
        assert_eq!(
            lost(&[(1, false, false), (5, true, false), (10, false, true)]),
            0
        );
    }
}
