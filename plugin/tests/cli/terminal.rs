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
use crate::run::{addressed, command, wait_until};
use crate::world::{World, pod, running, waiting};

pub struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: std::thread::JoinHandle<()>,
    /// What is written here is typed.
    keys: File,
}

impl Terminal {
    pub fn run(api: &FakeApi, words: &[&str], columns: u16) -> Self {
        Self::with(api, words, (columns, 24), &[])
    }

    /// Of so many columns and rows, and with more in its environment.
    pub fn with(api: &FakeApi, words: &[&str], size: (u16, u16), env: &[(&str, &str)]) -> Self {
        Self::started(api, words, size, env, false)
    }

    /// With a keyboard too, and what is said on standard error.
    fn with_keyboard(api: &FakeApi, words: &[&str], columns: u16) -> Self {
        Self::whole(api, words, columns, &[])
    }

    /// The same, and with more in its environment.
    pub fn whole(api: &FakeApi, words: &[&str], columns: u16, env: &[(&str, &str)]) -> Self {
        Self::started(api, words, (columns, 24), env, true)
    }

    fn started(
        api: &FakeApi,
        words: &[&str],
        (columns, rows): (u16, u16),
        env: &[(&str, &str)],
        keyboard: bool,
    ) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: rows,
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
        let words = addressed(&api.address, words);
        let mut command = command(&words);
        if keyboard {
            command.stdin(slave.try_clone().unwrap());
            command.stderr(slave.try_clone().unwrap());
        }
        command.env("TERM", "xterm").envs(env.iter().copied());
        let child = command.stdout(slave).spawn().unwrap();
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
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut ended = None;
        // Longer than any verb under test waits for: one that asks would wait for ever.
        for _ in 0..6000 {
            ended = self.child.try_wait().unwrap();
            if ended.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let Some(ended) = ended else {
            self.child.kill().unwrap();
            panic!("it has not ended within a minute: {}", self.text());
        };
        let code = ended.code();
        self.reader.join().unwrap();
        (
            code,
            String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned(),
        )
    }
}

/// Of the alternate screen.
pub const ENTER: &str = "\u{1b}[?1049h";
pub const LEAVE: &str = "\u{1b}[?1049l";

/// What stands on the normal screen after all of it.
fn left_behind(shown: &str) -> String {
    let (_, left) = shown.rsplit_once(LEAVE).unwrap();
    anstream::adapter::strip_str(left)
        .to_string()
        .replace('\r', "")
}

/// What the alternate screen shows last: each frame begins at its top.
fn last_frame(shown: &str) -> String {
    let (frames, _) = shown.rsplit_once(LEAVE).unwrap_or((shown, ""));
    let frame = frames.rsplit("\u{1b}[H").next().unwrap();
    anstream::adapter::strip_str(frame)
        .to_string()
        .replace('\r', "")
}

fn interrupt(terminal: &Terminal) {
    let id = terminal.child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
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
    assert!(shown.starts_with(ENTER), "{shown:?}");
    assert!(shown.contains("\u{1b}[?25h"), "the cursor is back");
    let last = left_behind(&shown);
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
    interrupt(&terminal);
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(130));
    for (set, reset) in [
        (ENTER, LEAVE),
        ("\u{1b}[?25l", "\u{1b}[?25h"),
        ("\u{1b}[?7l", "\u{1b}[?7h"),
    ] {
        assert!(
            shown.find(set) < shown.find(reset),
            "{reset:?} is missing: {shown:?}"
        );
    }
    assert!(left_behind(&shown).contains("Progressing"), "{shown:?}");
}

#[test]
fn the_tree_is_fed_by_watches_and_asks_for_nothing_again() {
    let world = World::new();
    let api = world.serve();
    let terminal = Terminal::with(&api, &["status", "podinfo", "-w"], (100, 40), &[]);
    terminal.wait_for("ImagePullBackOff");
    wait_until(|| watches_of_pods(&api) == 2);
    let mut pods = world.pods.borrow().clone();
    pods[3]["status"] = waiting("CrashLoopBackOff");
    world.pods.send_replace(pods.clone());
    terminal.wait_for("CrashLoopBackOff");
    pods[3]["status"] = running();
    world.pods.send_replace(pods);
    // One second and more, in which the countdown goes on.
    std::thread::sleep(Duration::from_millis(1500));
    let frame = last_frame(&terminal.text());
    assert!(!frame.contains("CrashLoopBackOff"), "{frame}");
    let lists = api
        .urls()
        .iter()
        .filter(|url| url.contains("/pods?") && !url.contains("watch=true"))
        .count();
    assert_eq!(
        lists, 4,
        "one to begin with and one of the watch, of each Deployment"
    );
    assert_eq!(watches_of_pods(&api), 2);
    interrupt(&terminal);
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn the_release_that_a_change_starts_is_shown_with_its_pods() {
    let api = World::new().serve();
    let image = [
        "set",
        "image",
        "deployment/podinfo",
        "podinfod=podinfo:6.0.2",
    ];
    let terminal = Terminal::with(&api, &image, (100, 40), &[]);
    wait_until(|| !api.patches().is_empty());
    api.state
        .merge(&json!({"status": {"release": {"number": 3}}}));
    terminal.wait_for("ImagePullBackOff");
    interrupt(&terminal);
    assert_eq!(terminal.end().0, Some(130));
}

#[test]
fn a_deployment_that_comes_into_being_later_gets_its_branch_and_its_pods() {
    let world = World::new();
    world.primary.send_replace(false);
    let api = world.serve();
    let terminal = Terminal::with(&api, &["status", "podinfo", "-w"], (100, 40), &[]);
    terminal.wait_for("podinfo-7c9d-aaaaa");
    let watched = || {
        let watch = |url: &String| url.contains("podinfo-primary") && url.contains("watch=true");
        api.urls().iter().any(watch)
    };
    wait_until(watched);
    assert!(!terminal.text().contains("podinfo-primary-5d8f"));
    world.primary.send_replace(true);
    terminal.wait_for("podinfo-primary-5d8f-x2x4z");
    interrupt(&terminal);
    assert_eq!(terminal.end().0, Some(130));
}

fn watches_of_pods(api: &FakeApi) -> usize {
    let watch = |url: &&String| url.contains("/pods?") && url.contains("watch=true");
    api.urls().iter().filter(watch).count()
}

#[test]
fn a_picture_that_is_too_high_is_folded_and_says_what_is_cropped() {
    let world = World::new();
    let crowd = (0..200).map(|number| pod("podinfo-7c9d", &format!("{number:05}"), &running()));
    world.pods.send_replace(crowd.collect());
    let api = world.serve();
    let rows = |rows: u16, text: &str| {
        let terminal = Terminal::with(&api, &["status", "podinfo", "-w"], (80, rows), &[]);
        terminal.wait_for(text);
        interrupt(&terminal);
        let (_, shown) = terminal.end();
        assert!(
            last_frame(&shown).lines().count() <= usize::from(rows),
            "{shown:?}"
        );
        shown
    };
    rows(18, "more Running");
    let shown = rows(10, "more lines");
    assert!(
        left_behind(&shown).contains("… 190 more Running"),
        "the whole of it stays: {shown:?}"
    );
}

#[test]
fn a_dumb_terminal_gets_a_line_for_each_change() {
    let api = FakeApi::new(canary(&progressing()));
    let dumb = [("TERM", "dumb")];
    let terminal = Terminal::with(&api, &["status", "podinfo", "-w"], (80, 24), &dumb);
    terminal.wait_for("weight 10");
    api.state
        .merge(&json!({"status": ended("Succeeded", "Promoted")}));
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0));
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
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
    interrupt(&terminal);
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
