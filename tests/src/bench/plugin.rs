//! How fast the plugin answers to a person who waits for it.
//!
//! ```text
//!  person ──exec──► kubectl-canary ──TLS──► API server ──► audit log: which requests
//!     └── from the start of the process to its end, or to its first byte
//! ```

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::apps::NAMESPACE;
use super::report::{Report, at_most, percentile};
use crate::clock::{eventually, now};
use crate::control_plane::ControlPlane;
use crate::plugin::plugin_of;

const RUNS: usize = 30;
const LIMIT: Duration = Duration::from_secs(30);
const MIB: f64 = 1024.0 * 1024.0;
const READER: &str = "reader";

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
- {apiGroups: [flagger.app], resources: [canaries], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
";

/// Measures with so many Canaries in the namespace.
pub(super) async fn measure(
    plane: &ControlPlane,
    canaries: usize,
    report: &mut Report,
) -> Result<()> {
    eprintln!("kubectl canary status of {canaries} Canaries, and its help");
    let program = small()?;
    let times = help(&program).await?;
    let median = percentile(&times, 50);
    report.add("help_ms", median, times.len(), at_most(10.0, RUNS));
    let bytes = std::fs::metadata(&program)?.len();
    report.add("plugin_mib", bytes as f64 / MIB, 1, at_most(15.0, 1));

    plane.apply(RIGHTS).await?;
    let kubeconfig = plane.kubeconfig_for(READER, &[])?;
    // The rights are known a moment after they are stored, and whoever looks again waits for no cache to fill.
    eventually("the reader's rights", LIMIT, async || {
        status(&program, &kubeconfig, canaries).await.map(Some)
    })
    .await?;
    let before = requests(plane)?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        times.push(status(&program, &kubeconfig, canaries).await?);
    }
    let each = (requests(plane)? - before) as f64 / RUNS as f64;
    ensure!(each >= 1.0, "the audit log has {each} requests a run");
    let (median, count) = (percentile(&times, 50), times.len());
    report.add("status_all_ms", median, count, at_most(300.0, RUNS));
    report.add("status_all_requests", each, count, at_most(2.0, RUNS));
    Ok(())
}

/// The build that people get, beside this one.
fn small() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("target/release/canary-bench")?;
    let program = target.join("small/kubectl-canary");
    ensure!(
        program.is_file(),
        "kubectl-canary is not built: cargo build --profile small -p kubectl-canary"
    );
    Ok(program)
}

/// How long the table of all Canaries takes; it has to have them all.
async fn status(program: &Path, kubeconfig: &Path, canaries: usize) -> Result<Duration> {
    let start = now();
    let printed = plugin_of(program, kubeconfig, &["status", "-n", NAMESPACE]).await?;
    let took = start.elapsed();
    let lines = printed.ok()?.lines().count();
    ensure!(
        lines == canaries + 1,
        "{lines} lines for {canaries} Canaries and a header"
    );
    Ok(took)
}

/// From the start to the first byte.
async fn help(program: &Path) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let start = now();
        let mut child = Command::new(program)
            .arg("--help")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut stdout = child.stdout.take().context("stdout is piped")?;
        stdout.read_u8().await.context("no help")?;
        times.push(start.elapsed());
        tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await?;
        ensure!(child.wait().await?.success(), "--help fails");
    }
    Ok(times)
}

/// What the reader has asked for so far. A log that has grown too long is continued in another file.
fn requests(plane: &ControlPlane) -> Result<usize> {
    let log = plane.audit_log();
    let folder = log.parent().context("a folder")?;
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("audit") && name.ends_with(".log") {
            count += asked(&std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(count)
}

fn asked(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains(READER))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["user"]["username"] == READER)
        .filter(|event| event["stage"] == "ResponseComplete")
        .count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_readers_own_requests_are_counted_and_each_once() {
        let line = |user: &str, stage: &str| {
            json!({"stage": stage, "user": {"username": user}, "verb": "list"}).to_string()
        };
        let log = [
            line(READER, "ResponseComplete"),
            line(READER, "ResponseStarted"),
            line("readers", "ResponseComplete"),
            "reader, half a li".to_owned(),
        ];
        assert_eq!(asked(&log.join("\n")), 1);
    }
}
