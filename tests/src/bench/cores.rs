//! CPUs that this process may use, and giving one of them up for a while: with all that it has started, or an
//! API server that collects its garbage would be measured too.
//!
//! They are moved and not stopped: a server that leads would lose its Lease, and end.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::tools::require;

/// At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

/// While it lives, these processes keep off a CPU.
pub struct Aside(Cores, Vec<u32>);

// === impl Cores ===

impl Cores {
    pub fn of_this_process() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")
            .context("the CPUs of this process are read from Linux's /proc")?;
        Self::read(&status).context("Cpus_allowed_list of /proc/self/status")
    }

    fn read(status: &str) -> Option<Self> {
        let mut lines = status.lines();
        let allowed = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut cores = Vec::new();
        for range in allowed.trim().split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
            cores.extend(first..=last);
        }
        (!cores.is_empty()).then_some(Self(cores))
    }

    pub fn first(&self) -> usize {
        self.0.first().copied().unwrap_or_default()
    }

    /// Moves every thread of this process and of its children, but for `measured`, to the others; with one
    /// CPU there is nowhere to go.
    pub async fn leave_first(self, measured: u32) -> Result<Aside> {
        let mut processes = children(std::process::id())?;
        processes.retain(|process| *process != measured);
        processes.push(std::process::id());
        let rest = Self(self.0.iter().skip(1).copied().collect());
        // Whatever fails on the way: dropped, it gives the CPU back.
        let aside = Aside(self, processes);
        if !rest.0.is_empty() {
            for process in &aside.1 {
                run(rest.give(*process)?, "").await?.ok()?;
            }
        }
        Ok(aside)
    }

    fn give(&self, process: u32) -> Result<Command> {
        let list: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        let mut command = Command::new(require("taskset")?);
        command
            .args(["--all-tasks", "--cpu-list", "--pid", &list.join(",")])
            .arg(process.to_string());
        Ok(command)
    }
}

/// Each thread of a process knows the children that it has started.
fn children(process: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let list = std::fs::read_to_string(thread?.path().join("children"));
        // A thread that has ended meanwhile.
        let list = list.unwrap_or_default();
        found.extend(
            list.split(' ')
                .filter_map(|pid| pid.trim().parse::<u32>().ok()),
        );
    }
    Ok(found)
}

impl Drop for Aside {
    fn drop(&mut self) {
        for process in &self.1 {
            // The rest of the run is slower then, and nothing worse.
            let command = self.0.give(*process);
            let _ = command.and_then(|mut command| Ok(command.output()?));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_known_while_it_runs() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        assert!(children(std::process::id()).unwrap().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(std::process::id()).unwrap().contains(&child.id()));
    }

    #[test]
    fn ranges_and_single_cpus_are_read() {
        let read = |list: &str| Cores::read(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n"));
        assert_eq!(read("0-1"), Some(Cores(vec![0, 1])));
        assert_eq!(read("2,4-6"), Some(Cores(vec![2, 4, 5, 6])));
        assert_eq!(read("x"), None);
    }
}
