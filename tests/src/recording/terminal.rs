//! A pseudo-terminal, and what is shown on it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::Parser;

use super::{Frame, settled};
use crate::clock::now;

const PROMPT: &str = "\u{1b}[32m$\u{1b}[0m ";
/// So many keys at once, so that typing has fewer frames than letters.
const KEYS: usize = 4;
const KEYS_TAKE: Duration = Duration::from_millis(75);

/// A terminal of its own, which is recorded from the beginning.
pub struct Terminal {
    /// What commands read from and write to.
    tty: File,
    reader: JoinHandle<Vec<Frame>>,
}

// === impl Terminal ===

impl Terminal {
    /// Of so many rows and columns.
    pub fn start(rows: u16, columns: u16) -> Result<Self> {
        let some = |number: u16| NonZeroU16::new(number).context("a terminal has rows and columns");
        let parser = Parser::new(some(rows)?, some(columns)?, 0);
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size)?;
        let path = ptsname(&master, Vec::new())?;
        let path = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        let tty = OpenOptions::new().read(true).write(true).open(path)?;
        let reader = std::thread::spawn(move || frames(File::from(master), parser));
        Ok(Self { tty, reader })
    }

    /// Shows a prompt, waits a moment as a reader would, and types a line.
    pub async fn types(&mut self, line: &str) -> Result<()> {
        self.prompts()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let letters: Vec<char> = line.chars().collect();
        for some in letters.chunks(KEYS) {
            let some: String = some.iter().collect();
            self.tty.write_all(some.as_bytes())?;
            tokio::time::sleep(KEYS_TAKE).await;
        }
        self.tty.write_all(b"\n")?;
        Ok(())
    }

    /// Shows a prompt.
    pub fn prompts(&mut self) -> Result<()> {
        Ok(self.tty.write_all(PROMPT.as_bytes())?)
    }

    /// Runs a command to its end.
    pub async fn runs(&self, mut command: Command) -> Result<ExitStatus> {
        command
            .stdin(self.tty.try_clone()?)
            .stdout(self.tty.try_clone()?)
            .stderr(self.tty.try_clone()?);
        let program = Path::new(command.get_program()).display().to_string();
        let mut command = tokio::process::Command::from(command);
        let status = command.kill_on_drop(true).status().await;
        status.with_context(|| format!("cannot run {program}"))
    }

    /// Everything that was shown.
    pub fn ends(self) -> Result<Vec<Frame>> {
        // The reader's end: nobody can write any more.
        drop(self.tty);
        let frames = self.reader.join();
        Ok(settled(
            frames.map_err(|_| anyhow!("the terminal's reader"))?,
        ))
    }
}

fn frames(mut master: File, mut parser: Parser) -> Vec<Frame> {
    let start = now();
    let mut frames = Vec::new();
    let mut buffer = [0; 4096];
    // The end of the other side is an error here (EIO).
    while let Ok(read @ 1..) = master.read(&mut buffer) {
        parser.process(&buffer[..read]);
        frames.push(Frame::of(parser.screen(), start.elapsed()));
    }
    frames
}
