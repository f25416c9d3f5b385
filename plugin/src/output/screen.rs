//! A picture that is drawn over itself, on a screen of its own.
//!
//! ```text
//!  normal screen ──► alternate screen: frame, frame, frame … ──► normal screen, with the last picture on it
//! ```
//!
//! Whatever ends the command ends the alternate screen too: it is left when the value is dropped.

use super::{size, write};
use crate::exit::Error;

/// The alternate screen, without a cursor, and lines that are too long cut rather than wrapped: text of the
/// cluster may be wider than it has characters.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Of a terminal that does not say how high it is.
const ROWS: usize = 24;

/// What is drawn.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The picture, folded so that it fits if it can be.
    pub picture: String,
    /// What stays below it whatever is cropped.
    pub note: String,
    /// The picture as it remains when the command has ended.
    pub whole: String,
}

#[derive(Default)]
pub struct Screen {
    /// What is left behind; none before the first frame.
    whole: Option<String>,
    size: Option<(usize, usize)>,
}

// === impl Screen ===

impl Screen {
    /// Lines that there is room for, beside this note.
    pub fn rows(note: &str) -> usize {
        let rows = size().map_or(ROWS, |(_, rows)| rows);
        rows.saturating_sub(note.lines().count()).max(1)
    }

    /// Draws over what was drawn before.
    pub fn draw(&mut self, frame: Frame, ellipsis: &str) -> Result<(), Error> {
        let size = size();
        let mut text = String::new();
        if self.whole.is_none() {
            text.push_str(ENTER);
        } else if size != self.size {
            // Lines of another width have been folded anew: nothing is where it was.
            text.push_str("\x1b[2J");
        }
        text.push_str("\x1b[H");
        let mut lines = cropped(&frame.picture, Self::rows(&frame.note), ellipsis);
        lines.extend(frame.note.lines().map(str::to_owned));
        // No newline behind the last one, which would scroll a full screen.
        text.push_str(&lines.join("\x1b[K\n"));
        text.push_str("\x1b[K\x1b[J");
        self.whole = Some(frame.whole);
        self.size = size;
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(whole) = self.whole.take() {
            let _ = write(&format!("{LEAVE}{whole}"));
        }
    }
}

/// The lines that fit, the last of which says what does not.
fn cropped(text: &str, rows: usize, ellipsis: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.len() > rows {
        let hidden = lines.len() + 1 - rows;
        lines.truncate(rows - 1);
        let plural = if hidden == 1 { "" } else { "s" };
        lines.push(format!("{ellipsis} {hidden} more line{plural}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_is_too_high_says_in_its_last_line_how_much_is_missing() {
        assert_eq!(cropped("a\nb\nc\n", 3, "…"), ["a", "b", "c"]);
        assert_eq!(
            cropped("a\nb\nc\nd\n", 3, "…"),
            ["a", "b", "… 2 more lines"]
        );
        assert_eq!(cropped("a\nb\n", 1, ".."), [".. 2 more lines"]);
        assert_eq!(cropped("", 1, ".."), [""; 0]);
    }
}
