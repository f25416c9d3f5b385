//! CPUs that this process may use, and giving one of them up for a while.

use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;
use crate::tools::require;

/// At least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores(Vec<usize>);

/// While it lives, this process keeps off a CPU.
pub struct Aside(Cores);

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

    /// Moves every thread of this process to the others; with one CPU there is nowhere to go.
    pub async fn leave_first(self) -> Result<Aside> {
        let rest = Self(self.0.iter().skip(1).copied().collect());
        if !rest.0.is_empty() {
            run(rest.take()?, "").await?.ok()?;
        }
        Ok(Aside(self))
    }

    fn take(&self) -> Result<Command> {
        let list: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        let mut command = Command::new(require("taskset")?);
        command
            .args(["--all-tasks", "--cpu-list", "--pid", &list.join(",")])
            .arg(std::process::id().to_string());
        Ok(command)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // The rest of the run is slower then, and nothing worse.
        let _ = self.0.take().and_then(|mut command| Ok(command.output()?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_cpus_are_read() {
        let read = |list: &str| Cores::read(&format!("Name:\tx\nCpus_allowed_list:\t{list}\n"));
        assert_eq!(read("0-1"), Some(Cores(vec![0, 1])));
        assert_eq!(read("2,4-6"), Some(Cores(vec![2, 4, 5, 6])));
        assert_eq!(read("x"), None);
    }
}
