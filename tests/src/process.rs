//! Child processes: those that stay, with a log and signals, and those that run to their end.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tokio::io::AsyncWriteExt;

/// A child that stays. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn new(name: &str, child: Child, log: PathBuf) -> Self {
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed so far.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The last lines of what it has printed, for error messages.
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// An error, with the log's last lines, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!(
                "{} ended ({status}); its log ends with:\n{}",
                self.name,
                self.log_tail(15)
            ),
        }
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits until it is gone.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal("TERM")?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: it is there, holds its connections, and does nothing.
    pub fn stop(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn cont(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        // The shell's own kill: /bin/kill is not everywhere.
        let status = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, signal])
            .arg(self.pid().to_string())
            .status()?;
        if !status.success() {
            bail!("{} is gone: no SIG{signal} sent", self.name);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either it is gone already, or the place that it belongs to kills it too.
        let _ = self.kill();
    }
}

/// What a command that ran to its end left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Output {
    /// What was printed, or an error with the complaint.
    pub fn ok(self) -> Result<String> {
        if self.code != Some(0) {
            bail!("exit code {:?}: {}{}", self.code, self.stderr, self.stdout);
        }
        Ok(self.stdout)
    }
}

/// Runs a command to its end, with `input` on its stdin.
pub async fn run(command: Command, input: &str) -> Result<Output> {
    let program = Path::new(command.get_program()).display().to_string();
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input may close it first: its exit code says enough.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await?;
    Ok(Output {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
