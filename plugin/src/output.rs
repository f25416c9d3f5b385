//! Standard output: whether it is a terminal, how wide, and how to draw on it.

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::args::Color;
use crate::env::Env;
use crate::exit::Error;
use crate::render::Theme;

/// Where a command's result goes.
pub struct Output {
    color: bool,
    utf8: bool,
    pub terminal: bool,
}

/// A picture that is drawn over itself. The cursor comes back when it is dropped.
#[derive(Default)]
pub struct Screen {
    drawn: usize,
    size: Option<(usize, usize)>,
}

// === impl Output ===

impl Output {
    pub fn new(color: Color, env: &Env) -> Self {
        let stdout = std::io::stdout();
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => AutoStream::choice(&stdout) != ColorChoice::Never,
        };
        Self {
            color,
            utf8: env.is_utf8(),
            terminal: stdout.is_terminal(),
        }
    }

    /// Asked anew for each picture: a terminal may change its size.
    pub fn theme(&self) -> Theme {
        Theme::new(
            self.color,
            self.utf8,
            size().filter(|_| self.terminal).map(|(columns, _)| columns),
        )
    }

    pub fn print(&self, text: &str) -> Result<(), Error> {
        write(text)
    }

    pub fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| Error::Api(error.to_string()))?;
        write(&(text + "\n"))
    }

    /// One object on one line.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Api(error.to_string()))?;
        write(&(text + "\n"))
    }

    pub fn yaml(&self, value: &impl Serialize) -> Result<(), Error> {
        write(&serde_yaml::to_string(value).map_err(|error| Error::Api(error.to_string()))?)
    }
}

// === impl Screen ===

impl Screen {
    /// Draws over what was drawn before; what does not fit into the terminal's height is left out.
    pub fn draw(&mut self, text: &str) -> Result<(), Error> {
        let size = size();
        let height = size.map_or(24, |(_, rows)| rows);
        let mut frame = String::from("\x1b[?25l");
        if self.drawn > 0 {
            // Lines of another width have been folded anew: where they begin is not known.
            let back = if size == self.size {
                format!("\x1b[{}F", self.drawn)
            } else {
                "\x1b[2J\x1b[H".to_owned()
            };
            frame.push_str(&back);
        }
        let lines: Vec<&str> = text.lines().take(height.saturating_sub(1).max(1)).collect();
        for line in &lines {
            frame.push_str(line);
            frame.push_str("\x1b[K\n");
        }
        frame.push_str("\x1b[J");
        self.drawn = lines.len();
        self.size = size;
        write(&frame)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.drawn > 0 {
            let _ = write("\x1b[?25h");
        }
    }
}

pub fn write(text: &str) -> Result<(), Error> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

fn size() -> Option<(usize, usize)> {
    terminal_size::terminal_size()
        .map(|(columns, rows)| (usize::from(columns.0), usize::from(rows.0)))
}

/// Ctrl-C, or the polite signal of a pipeline that is cancelled.
pub async fn interrupted() {
    #[cfg(unix)]
    if let Ok(mut terminate) =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
    {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}
