//! The plugin as a user calls it.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::process::{Output, run};
use crate::tools::binary;

/// Runs `kubectl-canary` to its end with the rights of that kubeconfig.
pub async fn plugin(kubeconfig: &Path, args: &[&str]) -> Result<Output> {
    plugin_of(&binary("kubectl-canary")?, kubeconfig, args).await
}

/// The same of another build.
pub async fn plugin_of(program: &Path, kubeconfig: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(args).env("KUBECONFIG", kubeconfig);
    run(command, "").await
}
