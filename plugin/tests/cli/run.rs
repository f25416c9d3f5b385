//! Starts the binary as kubectl would, away from the tester's own kubeconfig.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::fake::FakeApi;

pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-canary"));
    command
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("LANG", "C.UTF-8")
        .args(words);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The words, on this server and in namespace `test`.
pub fn on(api: &FakeApi, words: &[&str]) -> Ran {
    at(&api.address, words)
}

pub fn at(server: &str, words: &[&str]) -> Ran {
    run(&mut command(&addressed(server, words)))
}

/// The words, on this server, and in namespace `test` where they name none.
pub fn addressed<'a>(server: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    let namespace: &[&str] = if words.contains(&"-n") {
        &[]
    } else {
        &["-n", "test"]
    };
    [words, namespace, &["--server", server]].concat()
}

#[allow(
    clippy::disallowed_methods,
    reason = "how long a process ran is what is tested"
)]
pub fn run(command: &mut Command) -> Ran {
    let begun = Instant::now();
    ran(&command.output().unwrap(), begun.elapsed())
}

fn ran(output: &Output, took: Duration) -> Ran {
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout.clone()).unwrap(),
        stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        took,
    };
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

pub fn start(api: &FakeApi, words: &[&str]) -> Child {
    command(&addressed(&api.address, words)).spawn().unwrap()
}

pub fn finish(child: Child) -> Ran {
    ran(&child.wait_with_output().unwrap(), Duration::ZERO)
}

impl Ran {
    /// One line of cause and at most one of hint: what every failure is.
    pub fn failed(&self, code: i32, cause: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        let lines: Vec<&str> = self
            .stderr
            .lines()
            .filter(|line| !line.starts_with("hint: "))
            .collect();
        let error = lines.last().unwrap_or(&"");
        assert!(
            error.starts_with("error: ") && error.contains(cause),
            "{}",
            self.stderr
        );
        assert!(
            self.stderr
                .lines()
                .filter(|line| line.starts_with("hint: "))
                .count()
                <= 1,
            "{}",
            self.stderr
        );
    }

    pub fn said(&self, stdout: &str) {
        assert_eq!(
            (self.code, self.stdout.as_str()),
            (0, stdout),
            "{}",
            self.stderr
        );
    }
}

/// Long enough for a machine that does much else.
pub fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..1500 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not come to pass within 30 s");
}
