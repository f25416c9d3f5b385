//! On a terminal: drawn over itself, as wide as it is, and left as it was found.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::fake::{FakeApi, canary, ended, progressing};
use crate::run::command;

struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
    /// What is written here is typed.
    keys: File,
}

impl Terminal {
    fn run(api: &FakeApi, words: &[&str], columns: u16) -> Self {
        Self::started(api, words, columns, false)
    }

    /// With a keyboard too, and what is said on standard error.
    fn with_keyboard(api: &FakeApi, words: &[&str], columns: u16) -> Self {
        Self::started(api, words, columns, true)
    }

    fn started(api: &FakeApi, words: &[&str], columns: u16, keyboard: bool) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap();
        let words = [words, &["--server", &api.address, "-n", "test"]].concat();
        let mut command = command(&words);
        if keyboard {
            command.stdin(slave.try_clone().unwrap());
            command.stderr(slave.try_clone().unwrap());
        }
        let child = command.env("TERM", "xterm").stdout(slave).spawn().unwrap();
        drop(command);
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = shown.clone();
        let mut master = File::from(master);
        let keys = master.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of the other side is an error here (EIO).
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                seen.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            child,
            shown,
            reader,
            keys,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        for _ in 0..1500 {
            if self.text().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("`{text}` did not show within 30 s: {}", self.text());
    }

    /// Exit code, and everything that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        self.reader.join().unwrap();
        (
            code,
            String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned(),
        )
    }
}

/// What the terminal shows after all of it: each frame goes back over the one before.
fn last_frame(shown: &str) -> String {
    let frame = shown.rsplit("\u{1b}[?25l").next().unwrap();
    anstream::adapter::strip_str(frame)
        .to_string()
        .replace('\r', "")
}

#[test]
fn a_watch_is_drawn_over_itself_and_counts_down() {
    let mut status = progressing();
    status["release"]["nextCheckAt"] = json!("2999-01-01T00:00:00Z");
    let api = FakeApi::new(canary(&status));
    let terminal = Terminal::run(&api, &["status", "podinfo", "-w"], 80);
    terminal.wait_for("canary 10 %");
    api.state.merge(&json!({"status": {"canaryWeight": 20}}));
    terminal.wait_for("canary 20 %");
    api.state
        .merge(&json!({"status": ended("Succeeded", "Promoted")}));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0));
    assert!(
        shown.contains("\u{1b}[36m◌ Progressing"),
        "colour on a terminal"
    );
    assert!(shown.ends_with("\u{1b}[?25h"), "the cursor is back");
    let last = last_frame(&shown);
    assert!(
        last.contains("✔ Succeeded")
            && !last.contains("Progressing")
            && !last.contains("waiting for"),
        "{last}"
    );
}

#[test]
fn ctrl_c_leaves_the_terminal_as_it_was() {
    let api = FakeApi::new(canary(&progressing()));
    let terminal = Terminal::run(&api, &["status", "podinfo", "-w"], 80);
    terminal.wait_for("Progressing");
    let id = terminal.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130));
    assert!(shown.ends_with("\u{1b}[?25h"), "{shown:?}");
}

#[test]
fn a_narrow_terminal_is_never_overrun() {
    let api = FakeApi::new(canary(&progressing()));
    for words in [
        &["status", "podinfo"][..],
        &["status", "-A"],
        &["status", "podinfo", "-o", "wide"],
    ] {
        let (code, shown) = Terminal::run(&api, words, 40).end();
        assert_eq!(code, Some(0));
        for line in anstream::adapter::strip_str(&shown).to_string().lines() {
            assert!(line.chars().count() <= 40, "{line}");
        }
    }
}

#[test]
fn at_rest_it_says_what_it_waits_for() {
    let mut status = progressing();
    status["phase"] = json!("Initialized");
    let api = FakeApi::new(canary(&status));
    let terminal = Terminal::run(&api, &["status", "podinfo", "-w"], 80);
    terminal.wait_for("waiting for the next release");
    api.state
        .merge(&json!({"status": {"phase": "Progressing"}}));
    terminal.wait_for("Progressing");
    api.state
        .merge(&json!({"status": ended("Failed", "RolledBack")}));
    assert_eq!(terminal.end().0, Some(2));
}

#[test]
fn all_canaries_are_followed_until_somebody_ends_it() {
    let api = FakeApi::new(canary(&progressing()));
    let terminal = Terminal::run(&api, &["status", "-w"], 80);
    terminal.wait_for("podinfo");
    api.state.merge(&json!({"status": {"phase": "Promoting"}}));
    terminal.wait_for("Promoting");
    api.state.delete();
    terminal.wait_for("No canaries found");
    let id = terminal.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn several_are_shown_and_done_when_somebody_agrees() {
    for (answer, code) in [("y\n", Some(0)), ("\n", Some(1))] {
        let api = FakeApi::reacting(
            canary(&progressing()),
            vec![Box::new(|id| {
                crate::fake::answer_to(id, "Done", "paused at weight 10")
            })],
        );
        let mut terminal = Terminal::with_keyboard(&api, &["pause", "-A"], 120);
        terminal.wait_for("go on? [y/N]");
        assert!(api.patches().is_empty(), "nothing before the answer");
        terminal.keys.write_all(answer.as_bytes()).unwrap();
        let (ended, shown) = terminal.end();
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert_eq!(ended, code, "{shown}");
        assert!(shown.contains("pause 1 Canary at http://"), "{shown}");
        assert!(
            shown.contains("podinfo.test  Progressing  release 2  6.0.0 → 6.0.1  weight 10"),
            "{shown}"
        );
        assert_eq!(api.patches().len(), usize::from(code == Some(0)), "{shown}");
    }
}
