//! A place for processes and files that goes away with the test, however the test ends.
//!
//! ```text
//!  test process ──pipe──► watchdog (sh)          end of the pipe: the test is over, or was killed
//!       │                    │ kill -KILL -group
//!       └─spawn─► process group: holder, etcd, kube-apiserver, …     rm -rf folder
//! ```
//!
//! Dropping the place, a panic, Ctrl-C and SIGKILL all take the same path: the write end of the pipe
//! closes, and the watchdog, which lives in a group of its own, cleans up.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};

use crate::process::Process;

/// $1 process group, $2 folder; and for a node $3 name of the cgroups, $4 network interface.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM QUIT
cat >/dev/null
kill -s KILL -- "-$1" 2>/dev/null
[ -n "$4" ] && ip link delete "$4" 2>/dev/null
tries=0
while [ -n "$3" ] && [ $tries -lt 50 ]; do
  find /sys/fs/cgroup -depth -type d -path "*/$3*" -exec rmdir {} + 2>/dev/null
  [ -z "$(find /sys/fs/cgroup -type d -name "$3" 2>/dev/null)" ] && break
  tries=$((tries + 1)); sleep 0.1
done
tries=0
until rm -rf "$2" 2>/dev/null || [ $tries -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// A temporary folder and a process group, both gone after the value is dropped.
#[derive(Debug)]
pub struct Lab {
    folder: PathBuf,
    name: String,
    holder: Child,
    watchdog: Child,
    // `Child::wait` would close it too, but the order matters: close, then wait.
    lifeline: Option<ChildStdin>,
    inside: Option<u32>,
    // Those that no part of the harness looks after.
    kept: Vec<Process>,
}

impl Lab {
    /// A new, empty place.
    pub fn new() -> Result<Self> {
        Self::create(false)
    }

    /// A new place that also owns the cgroups `/<name>` and the network interface [`Self::cable`].
    pub fn for_node() -> Result<Self> {
        Self::create(true)
    }

    fn create(node: bool) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("kubectl-canary-")
            .tempdir()
            .context("no temporary folder")?
            .keep();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // It holds the group's id for as long as the place lives; the others come and go.
        let holder = Command::new("sleep")
            .arg("2147483647")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sleep")?;
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(holder.id().to_string())
            .arg(&folder)
            .args(if node {
                vec![name.clone(), cable(&name)]
            } else {
                Vec::new()
            })
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        Ok(Self {
            lifeline: watchdog.stdin.take(),
            folder,
            name,
            holder,
            watchdog,
            inside: None,
            kept: Vec::new(),
        })
    }

    /// The folder for everything that belongs here.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A name that no other place on this machine has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the place's network interface: an interface's has at most 15 characters.
    pub fn cable(&self) -> String {
        cable(&self.name)
    }

    /// From now on commands run in the namespaces of that process.
    pub fn enter(&mut self, pid: u32) {
        self.inside = Some(pid);
    }

    /// Lets a process live as long as the place.
    pub fn keep(&mut self, process: Process) {
        self.kept.push(process);
    }

    /// A command that will run in the folder, and in the namespaces entered.
    pub fn command(&self, program: &Path) -> Command {
        let Some(pid) = self.inside else {
            let mut command = Command::new(program);
            command.current_dir(&self.folder);
            return command;
        };
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &pid.to_string()])
            .args(["--net", "--mount", "--pid", "--ipc", "--uts", "--"])
            .args(["sh", "-c", r#"cd "$0" && exec "$@""#])
            .arg(&self.folder)
            .arg(program);
        command
    }

    /// Keeps the logs of a test that failed, and says where.
    fn save_logs(&self) {
        let kept = crate::tools::folder("target/lab-logs").join(&self.name);
        let copied = std::fs::create_dir_all(&kept).and_then(|()| {
            for entry in std::fs::read_dir(&self.folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    std::fs::copy(&path, kept.join(path.file_name().unwrap_or_default()))?;
                }
            }
            Ok(())
        });
        match copied {
            Ok(()) => eprintln!("the logs of the failed test are in {}", kept.display()),
            Err(error) => eprintln!("cannot keep the logs in {}: {error}", kept.display()),
        }
    }

    /// Starts a command as a member of this place; what it prints goes to `<name>.log`.
    pub fn spawn(&self, name: &str, mut command: Command) -> Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .process_group(self.holder.id().cast_signed())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process::new(name, child, log))
    }
}

fn cable(name: &str) -> String {
    // The temporary folder's name ends in six random characters.
    format!("canary-{}", name.rsplit('-').next().unwrap_or_default())
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.save_logs();
        }
        drop(self.lifeline.take());
        // Nothing sensible can be done about a failure here: the watchdog has been told.
        let _ = self.watchdog.wait();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn alive(pid: u32) -> bool {
        // A zombie is dead: only its parent has not looked yet.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn dropping_the_place_leaves_neither_process_nor_folder() {
        let lab = Lab::new().unwrap();
        let folder = lab.folder().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo started; sleep 1000"]);
        let process = lab.spawn("stubborn", command).unwrap();
        while !process.log().contains("started") {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(alive(process.pid()));

        drop(lab);

        assert!(!folder.exists());
        assert!(!alive(process.pid()));
    }

    #[test]
    fn two_places_never_share_a_name() {
        let (one, other) = (Lab::new().unwrap(), Lab::new().unwrap());
        assert_ne!(one.name(), other.name());
    }
}
