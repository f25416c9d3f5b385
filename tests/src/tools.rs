//! The programs that the tests run against: those that `tests/tools/build.sh` builds and caches, those
//! of the operating system, and our own binaries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// What a test level needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// etcd, kube-apiserver, controller manager, scheduler, kubectl, kwok.
    ControlPlane,
    /// Also kubelet, kube-proxy, podinfo, hey and `CoreDNS`.
    Node,
}

/// The folder of the built programs; builds what is missing, once per process.
pub fn tools(level: Level) -> Result<&'static Path> {
    static CONTROL_PLANE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static NODE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let (cell, argument) = match level {
        Level::ControlPlane => (&CONTROL_PLANE, "control-plane"),
        Level::Node => (&NODE, "node"),
    };
    cell.get_or_init(|| build(argument).map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!("{error}"))
}

fn build(level: &str) -> Result<PathBuf> {
    let script = folder("tests/tools/build.sh");
    let output = Command::new(&script)
        .arg(level)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        bail!("tests/tools/build.sh {level} failed: its last lines above say why");
    }
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// A path inside the project.
pub fn folder(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .join(inside)
}

/// Programs of the operating system, with the Debian package that brings each.
const SYSTEM: [(&str, &str); 18] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/host-local", "containernetworking-plugins"),
    ("/usr/lib/cni/loopback", "containernetworking-plugins"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("ldd", "libc-bin"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("taskset", "util-linux"),
    ("prometheus", "prometheus"),
    ("prometheus-alertmanager", "prometheus-alertmanager"),
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("zsh", "zsh"),
    ("fish", "fish"),
];

/// The path of a program of the operating system, or what to install to have it.
pub fn require(program: &str) -> Result<PathBuf> {
    let found = if program.starts_with('/') {
        Some(PathBuf::from(program)).filter(|path| path.exists())
    } else {
        search(program)
    };
    found.ok_or_else(|| hint(program))
}

fn hint(program: &str) -> anyhow::Error {
    match SYSTEM.iter().find(|(name, _)| *name == program) {
        Some((_, package)) => {
            anyhow!("{program} is missing: install it (Debian: apt-get install {package})")
        }
        None => anyhow!("{program} is missing: install it and put it on the PATH"),
    }
}

/// Looks along PATH, and in the administrator's folders, which a user's PATH may lack.
fn search(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// One of our own binaries, from the target folder that this test program was built into.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // target/<profile>/deps/<test> or target/<profile>/<program>
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            anyhow!("{name} is not built: run cargo build --workspace with the same profile first")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_package_that_brings_it() {
        let nowhere = require("no-such-program").unwrap_err().to_string();
        assert_eq!(
            nowhere,
            "no-such-program is missing: install it and put it on the PATH"
        );
        assert_eq!(
            hint("nft").to_string(),
            "nft is missing: install it (Debian: apt-get install nftables)"
        );
        assert!(require("sh").unwrap().is_file());
    }
}
