//! Our server as a child process beside the control plane, as it runs outside a cluster.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::clock::eventually;
use crate::guard::Lab;
use crate::process::Process;
use crate::tools::binary;

/// A running `canary-webhook`, and how to start it again.
#[derive(Debug)]
pub struct Server {
    lab: Arc<Lab>,
    name: String,
    args: Vec<String>,
    process: Process,
}

impl Server {
    /// Starts it with a kubeconfig and further arguments. It is not waited for: see [`Self::logged`].
    pub fn start(lab: &Arc<Lab>, kubeconfig: &Path, args: &[&str]) -> Result<Self> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let name = format!("server-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let args: Vec<String> = [format!("--kubeconfig={}", kubeconfig.display())]
            .into_iter()
            .chain(args.iter().map(|&argument| argument.to_owned()))
            .collect();
        Ok(Self {
            process: spawn(lab, &name, &args)?,
            lab: Arc::clone(lab),
            name,
            args,
        })
    }

    /// Its process: to kill, stop, continue, and to read what it printed.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// SIGKILL if it still runs, and a new process with the same arguments; the log goes on.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = spawn(&self.lab, &self.name, &self.args)?;
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

fn spawn(lab: &Lab, name: &str, args: &[String]) -> Result<Process> {
    let mut command: Command = lab.command(&binary("canary-webhook")?);
    command.args(args);
    lab.spawn(name, command)
}
