//! A cluster that another process holds, for tests of what is left when that process is killed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::tools::binary;

/// A running `canary-lab`.
#[derive(Debug)]
pub struct Held {
    child: Child,
    folder: PathBuf,
}

impl Held {
    /// Starts it with those arguments, and returns when the cluster is up.
    pub fn start(args: &[&str]) -> Result<Self> {
        let mut child = Command::new(binary("canary-lab")?)
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start canary-lab")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("it prints")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let kubeconfig = line.trim().strip_prefix("export KUBECONFIG=");
        let folder = kubeconfig.and_then(|path| Path::new(path).parent());
        Ok(Self {
            folder: folder
                .with_context(|| format!("no kubeconfig in {line:?}"))?
                .to_owned(),
            child,
        })
    }

    /// Where the cluster keeps its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// SIGKILL: it cannot clean up.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A test that failed before it killed it; its watchdog cleans up.
        let _ = self.kill();
    }
}
