//! Standard output: whether it is a terminal, how wide, and how to draw on it.

mod screen;

use std::io::{IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

pub use self::screen::{Frame, Screen};
use crate::args::Color;
use crate::args::format::Machine;
use crate::env::Env;
use crate::exit::Error;
use crate::render::{Theme, steers};

/// Where a command's result goes.
pub struct Output {
    color: bool,
    utf8: bool,
    pub terminal: bool,
    /// Whether a picture can be drawn over itself.
    pub redraws: bool,
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
            redraws: stdout.is_terminal() && !env.is_dumb(),
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

    /// For programs.
    pub fn machine(&self, format: &Machine, value: &impl Serialize) -> Result<(), Error> {
        match format {
            Machine::Json => self.json(value),
            Machine::Yaml => self.yaml(value),
            Machine::JsonPath(template) => {
                let value =
                    serde_json::to_value(value).map_err(|error| Error::Api(error.to_string()))?;
                let text = template.fill(&value);
                write(&if self.terminal { harmless(&text) } else { text })
            }
        }
    }

    pub fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        let text =
            serde_json::to_string_pretty(value).map_err(|error| Error::Api(error.to_string()))?;
        write(&(escaped(&text) + "\n"))
    }

    /// One object on one line.
    pub fn json_line(&self, value: &impl Serialize) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Api(error.to_string()))?;
        write(&(escaped(&text) + "\n"))
    }

    pub fn yaml(&self, value: &impl Serialize) -> Result<(), Error> {
        write(&serde_yaml::to_string(value).map_err(|error| Error::Api(error.to_string()))?)
    }
}

/// JSON, with whatever could steer a terminal written as an escape: the serializer does that for the first
/// 32 characters only. Outside of strings it has none of them but newlines.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && steers(c) {
            text.extend(["\\u", &format!("{:04x}", u32::from(c))]);
        } else {
            text.push(c);
        }
    }
    text
}

/// Text, with whatever could steer the terminal made visible.
fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        c if steers(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_what_steers_a_terminal() {
        let value = serde_json::json!({"text": "a\u{9b}31m\u{202e}b\u{1b}\n→"});
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(|c: char| c != '\n' && steers(c)), "{text:?}");
        assert!(text.contains('→'), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
