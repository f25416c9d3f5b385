//! The namespaces that a node lives in, and the cable that leads there.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::NAME;
use crate::clock::eventually;
use crate::guard::Lab;
use crate::tools::require;

pub(super) fn is_root(own: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    own.uid() == 0
}

/// A folder in every cgroup hierarchy (one on cgroup v2, one a controller on v1).
pub(super) fn create_cgroups(name: &str) -> Result<()> {
    for line in std::fs::read_to_string("/proc/mounts")?.lines() {
        let mut words = line.split(' ').skip(1);
        let (Some(path), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        if matches!(kind, "cgroup" | "cgroup2") && path.starts_with("/sys/fs/cgroup") {
            let folder = Path::new(path).join(name);
            std::fs::create_dir(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
            outrank(&folder)?;
        }
    }
    Ok(())
}

/// All pods together weigh no more than one process outside, e.g. a compiler's: more, or their answers
/// are late and measured as such. Only the hierarchy of the CPU has one of the files.
fn outrank(cgroup: &Path) -> Result<()> {
    for (file, most) in [("cpu.shares", "262144"), ("cpu.weight", "10000")] {
        let file = cgroup.join(file);
        if file.exists() {
            std::fs::write(&file, most)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
    }
    Ok(())
}

/// The first process of the namespaces. It collects the dead, and takes everybody with it when it goes.
const INIT: &str = r#"
set -e
for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 lab "$folder"; done
mkdir -p /run/netns /var/lib/kubelet
ip link set lo up
hostname "$1"
: > "$0"
while :; do sleep 1; done
"#;

/// Starts it, and answers with its process id as the machine sees it.
pub(super) async fn start_init(lab: &mut Lab) -> Result<u32> {
    let ready = lab.folder().join("init-ready");
    let mut unshare = lab.command(&require("unshare")?);
    unshare
        .args(["--net", "--mount", "--pid", "--ipc", "--uts"])
        .args(["--fork", "--kill-child", "--mount-proc", "sh", "-c", INIT])
        .arg(&ready)
        .arg(NAME);
    let mut outer = lab.spawn("init", unshare)?;
    let children = format!("/proc/{0}/task/{0}/children", outer.pid());
    let start = eventually(
        "the node's namespaces",
        Duration::from_secs(10),
        async || {
            outer.check()?;
            if !ready.exists() {
                return Ok(None);
            }
            Ok(std::fs::read_to_string(&children)?.trim().parse().ok())
        },
    )
    .await?;
    lab.keep(outer);
    Ok(start)
}

/// Lays a cable between the machine and the namespaces; answers with the address inside.
pub(super) fn connect(lab: &Lab, init: u32) -> Result<Ipv4Addr> {
    let ip = require("ip")?;
    let run_ip = |arguments: &str, inside: bool| -> Result<String> {
        let mut command = if inside {
            let mut command = Command::new("nsenter");
            command
                .args(["--target", &init.to_string(), "--net", "--"])
                .arg(&ip);
            command
        } else {
            Command::new(&ip)
        };
        let output = command.args(arguments.split(' ')).output()?;
        if !output.status.success() {
            bail!(
                "ip {arguments}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (outside, inside) = free_subnet(&run_ip("-o -4 addr show", false)?, init)?;
    let cable = lab.cable();
    run_ip(
        &format!("link add {cable} type veth peer name eth0 netns {init}"),
        false,
    )?;
    run_ip(&format!("addr add {outside}/30 dev {cable}"), false)?;
    run_ip(&format!("link set {cable} up"), false)?;
    run_ip(&format!("addr add {inside}/30 dev eth0"), true)?;
    run_ip("link set eth0 up", true)?;
    run_ip(&format!("route add default via {outside}"), true)?;
    // Routing between pods and Services; the namespace's own switch, not the machine's.
    let mut forward = Command::new("nsenter");
    forward
        .args(["--target", &init.to_string(), "--net", "--"])
        .args(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    ensure!(forward.status()?.success(), "cannot switch on forwarding");
    Ok(inside)
}

/// The two addresses of a /30 in the range for benchmarks (RFC 2544) that nobody here uses.
fn free_subnet(addresses: &str, seed: u32) -> Result<(Ipv4Addr, Ipv4Addr)> {
    let base = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    (0..32_768)
        .map(|step| base + (seed + step) % 32_768 * 4)
        .map(|subnet| (Ipv4Addr::from(subnet + 1), Ipv4Addr::from(subnet + 2)))
        .find(|(outside, _)| !addresses.contains(&format!(" {outside}/")))
        .context("no free subnet in 198.18.0.0/15")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_in_use_is_passed_over() {
        let (first, _) = free_subnet("", 7).unwrap();
        let in_use = format!("2: eth0    inet {first}/30 scope global eth0");

        let (outside, inside) = free_subnet(&in_use, 7).unwrap();

        assert_ne!(outside, first);
        assert_eq!(u32::from(inside), u32::from(outside) + 1);
    }
}
