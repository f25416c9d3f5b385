//! Our server as a child process beside the control plane, as it runs outside a cluster.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::clock::eventually;
use crate::control_plane::{ControlPlane, free_port};
use crate::fixtures::relay::Relay;
use crate::guard::Lab;
use crate::process::Process;
use crate::tools::{binary, require};

/// A running `canary-webhook`, and how to start it again.
#[derive(Debug)]
pub struct Server {
    lab: Arc<Lab>,
    name: String,
    build: Build,
    args: Vec<String>,
    metrics: String,
    process: Process,
}

/// Which build of the server is run, and where.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// None: the one beside this program.
    pub program: Option<PathBuf>,
    /// The only CPU that it may use; none: all of them.
    pub core: Option<usize>,
}

/// Where the manifests put the server, and as whom it runs.
pub const NAMESPACE: &str = "canary-system";
/// Its `ServiceAccount`.
pub const ACCOUNT: &str = "canary-webhook";

/// Rights and policies: what holds without a server.
pub async fn grant(plane: &ControlPlane) -> Result<()> {
    for file in [
        "namespace",
        "serviceaccount",
        "rbac",
        "policies",
        "canary-policies",
    ] {
        plane
            .apply_file(&format!("manifests/base/{file}.yaml"))
            .await?;
    }
    Ok(())
}

/// What a user installs, but for the pods: rights, policies and webhook registrations.
pub async fn register(plane: &ControlPlane) -> Result<()> {
    grant(plane).await?;
    plane.apply_file("manifests/base/webhooks.yaml").await
}

impl Server {
    /// Starts it beside a control plane where [`register`] was called, with the rights that the manifests
    /// give and free ports of its own; further arguments come last.
    pub fn beside(plane: &ControlPlane, args: &[&str]) -> Result<Self> {
        Self::of_build(plane, Build::default(), args)
    }

    /// The same of another build, or on one CPU.
    pub fn of_build(plane: &ControlPlane, build: Build, args: &[&str]) -> Result<Self> {
        let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, ACCOUNT)?;
        let (admission, metrics) = (free_port()?, free_port()?);
        let own = [
            format!("--own-user=system:serviceaccount:{NAMESPACE}:{ACCOUNT}"),
            format!("--identity=server-{admission}"),
            format!("--admission-address=127.0.0.1:{admission}"),
            format!("--admission-url=https://127.0.0.1:{admission}"),
            format!("--port={metrics}"),
        ];
        let all: Vec<&str> = own
            .iter()
            .map(String::as_str)
            .chain(args.iter().copied())
            .collect();
        let mut server = Self::start_build(plane.lab(), build, &kubeconfig, &all)?;
        server.metrics = format!("http://127.0.0.1:{metrics}/metrics");
        Ok(server)
    }

    /// The same behind a relay, which is the only way that the API server knows to its webhook.
    pub fn behind_relay(plane: &ControlPlane, args: &[&str]) -> Result<(Self, Relay)> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let relay = Relay::to(address)?;
        let address = format!("--admission-address={address}");
        let url = format!("--admission-url=https://{}", relay.address());
        let all = [args, &[&address, &url]].concat();
        Ok((Self::beside(plane, &all)?, relay))
    }

    /// Starts it with a kubeconfig and further arguments. It is not waited for: see [`Self::logged`].
    pub fn start(lab: &Arc<Lab>, kubeconfig: &Path, args: &[&str]) -> Result<Self> {
        Self::start_build(lab, Build::default(), kubeconfig, args)
    }

    fn start_build(lab: &Arc<Lab>, build: Build, kubeconfig: &Path, args: &[&str]) -> Result<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("server-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let args: Vec<String> = [format!("--kubeconfig={}", kubeconfig.display())]
            .into_iter()
            .chain(args.iter().map(|&argument| argument.to_owned()))
            .collect();
        Ok(Self {
            process: spawn(lab, &name, &build, &args)?,
            lab: Arc::clone(lab),
            name,
            build,
            args,
            metrics: String::new(),
        })
    }

    /// Its metrics as text; only of one started by [`Self::beside`].
    pub async fn metrics(&self) -> Result<String> {
        Ok(reqwest::get(&self.metrics).await?.text().await?)
    }

    /// Where it answers admission reviews; empty unless an argument says so.
    pub fn admission_url(&self) -> &str {
        let url = |argument: &'_ String| argument.starts_with("--admission-url=");
        let argument = self.args.iter().rev().find(|argument| url(argument));
        argument
            .and_then(|argument| argument.split_once('='))
            .map_or("", |(_, url)| url)
    }

    /// Where it listens for admission reviews, whatever is before it.
    pub fn admission_address(&self) -> Result<SocketAddr> {
        let address = |argument: &String| argument.starts_with("--admission-address=");
        let argument = self.args.iter().rev().find(|argument| address(argument));
        let address = argument.and_then(|argument| argument.split_once('='));
        Ok(address.map_or("", |(_, address)| address).parse()?)
    }

    /// Its process: to kill, stop, continue, and to read what it printed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL if it still runs, and a new process with the same arguments; the log goes on.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = spawn(&self.lab, &self.name, &self.build, &self.args)?;
        Ok(())
    }

    /// Its log so far, a JSON object a line; a line that is none (a panic) becomes `{"msg": line}`.
    pub fn log(&self) -> Vec<Value> {
        self.process
            .log()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|_| serde_json::json!({ "msg": line }))
            })
            .collect()
    }

    /// Waits for a line whose `msg` contains `text`, and returns it.
    pub async fn logged(&mut self, text: &str, limit: Duration) -> Result<Value> {
        let what = format!("a log line with {text:?}");
        let log = || self.log();
        let found = eventually(&what, limit, async || {
            Ok(log()
                .into_iter()
                .find(|line| line["msg"].as_str().is_some_and(|msg| msg.contains(text))))
        })
        .await;
        match found {
            Ok(line) => Ok(line),
            Err(error) => {
                self.process.check()?;
                Err(error.context(self.process.log_tail(15)))
            }
        }
    }
}

fn spawn(lab: &Lab, name: &str, build: &Build, args: &[String]) -> Result<Process> {
    let program = match &build.program {
        Some(program) => program.clone(),
        None => binary("canary-webhook")?,
    };
    let mut command: Command = match build.core {
        None => lab.command(&program),
        // From the start: a server sizes itself by the CPUs that it may use.
        Some(core) => {
            let mut command = lab.command(&require("taskset")?);
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    };
    command.args(args);
    lab.spawn(name, command)
}
