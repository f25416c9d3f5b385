//! What text may look like here.

use anstyle::{AnsiColor, Style};

use super::layout::{Line, Tone};

/// What the output can show.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    pub color: bool,
    pub glyphs: &'static Glyphs,
    /// Columns of the terminal; none where output goes into a pipe or file.
    pub width: Option<usize>,
}

/// The few characters beyond ASCII, and what stands for them.
#[derive(Debug)]
pub struct Glyphs {
    pub arrow: &'static str,
    pub at_least: &'static str,
    pub at_most: &'static str,
    pub full: &'static str,
    pub empty: &'static str,
    pub good: &'static str,
    pub bad: &'static str,
    pub busy: &'static str,
    pub waiting: &'static str,
    pub neutral: &'static str,
    pub unknown: &'static str,
    pub ellipsis: &'static str,
    /// Of a tree: before an object, before the last one, and beside what is below.
    pub branch: &'static str,
    pub last: &'static str,
    pub stem: &'static str,
    /// Heights of a small chart, from low to high.
    pub heights: [&'static str; 8],
}

pub static UNICODE: Glyphs = Glyphs {
    arrow: "→",
    at_least: "≥",
    at_most: "≤",
    full: "█",
    empty: "░",
    good: "✔",
    bad: "✖",
    busy: "◌",
    waiting: "◷",
    neutral: "•",
    unknown: "?",
    ellipsis: "…",
    branch: "├─ ",
    last: "└─ ",
    stem: "│  ",
    heights: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
};

pub static ASCII: Glyphs = Glyphs {
    arrow: "->",
    at_least: ">=",
    at_most: "<=",
    full: "#",
    empty: ".",
    good: "+",
    bad: "x",
    busy: "~",
    waiting: "=",
    neutral: "-",
    unknown: "?",
    ellipsis: "..",
    branch: "|- ",
    last: "`- ",
    stem: "|  ",
    heights: ["_", ".", ",", "-", "~", "=", "^", "#"],
};

// === impl Theme ===

impl Theme {
    pub fn new(color: bool, utf8: bool, width: Option<usize>) -> Self {
        Self {
            color,
            glyphs: if utf8 { &UNICODE } else { &ASCII },
            width,
        }
    }

    /// The columns to lay out for.
    pub fn columns(&self) -> usize {
        self.width.unwrap_or(100).max(20)
    }

    /// Text with a newline after each line, no line longer than the terminal is wide.
    pub fn paint(&self, lines: &[Line]) -> String {
        lines
            .iter()
            .map(|line| self.paint_line(line) + "\n")
            .collect()
    }

    pub fn paint_line(&self, line: &Line) -> String {
        let line = match self.width {
            Some(width) => line.cropped(width, self.glyphs.ellipsis),
            None => line.clone(),
        };
        let mut text = String::new();
        for span in line.spans() {
            let said = if self.is_ascii() {
                ascii(&span.text)
            } else {
                span.text.clone()
            };
            let style = style(span.tone);
            if self.color && style != Style::new() && !said.is_empty() {
                text.extend([
                    style.render().to_string().as_str(),
                    &said,
                    &style.render_reset().to_string(),
                ]);
            } else {
                text.push_str(&said);
            }
        }
        text.trim_end().to_owned()
    }

    fn is_ascii(&self) -> bool {
        std::ptr::eq(self.glyphs, &raw const ASCII)
    }
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Label => Style::new().dimmed(),
        Tone::Strong => Style::new().bold(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Busy => AnsiColor::Cyan.on_default(),
    }
}

/// Texts of the cluster may hold what this terminal cannot show.
fn ascii(text: &str) -> String {
    text.replace('→', "->")
        .chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect()
}
