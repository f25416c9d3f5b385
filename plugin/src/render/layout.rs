//! Lines of spans, and how they fit into a width.

/// What a piece of text is; it only underlines what the words already say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Label,
    Strong,
    Good,
    Bad,
    Busy,
}

/// A piece of text and its tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub text: String,
    pub tone: Tone,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<Span>);

/// A label, and items that flow behind it over as many lines as they need.
pub struct Row {
    label: &'static str,
    items: Vec<Line>,
    /// Begins at the margin: what the whole is about.
    title: bool,
}

const GAP: usize = 3;
/// Labels stand in a column of this width, except on a terminal that is too narrow for it.
const LABEL: usize = 11;

// === impl Line ===

impl Line {
    pub fn new() -> Self {
        Self::default()
    }

    /// Texts of the cluster must not steer the terminal.
    #[must_use]
    pub fn with(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        let text = text
            .as_ref()
            .chars()
            .map(|c| if steers(c) { ' ' } else { c })
            .collect();
        self.0.push(Span { text, tone });
        self
    }

    pub fn plain(text: impl AsRef<str>) -> Self {
        Self::new().with(Tone::Plain, text)
    }

    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    pub fn width(&self) -> usize {
        self.0.iter().map(|span| span.text.chars().count()).sum()
    }

    #[must_use]
    pub fn padded(self, width: usize) -> Self {
        let missing = width.saturating_sub(self.width());
        if missing == 0 {
            self
        } else {
            self.with(Tone::Plain, " ".repeat(missing))
        }
    }

    /// Without the padding behind the last text.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while self
            .0
            .last()
            .is_some_and(|span| span.text.trim().is_empty())
        {
            self.0.pop();
        }
        self
    }

    #[must_use]
    pub fn joined(mut self, mut other: Self) -> Self {
        self.0.append(&mut other.0);
        self
    }

    #[must_use]
    pub fn cropped(&self, width: usize, ellipsis: &str) -> Self {
        if self.width() <= width {
            return self.clone();
        }
        let mut room = width.saturating_sub(ellipsis.chars().count());
        let mut kept = Self::new();
        for span in &self.0 {
            let text: String = span.text.chars().take(room).collect();
            room -= text.chars().count();
            kept = kept.with(span.tone, text);
        }
        kept.with(Tone::Plain, ellipsis)
    }

    /// The words on as many lines as they need.
    pub fn wrapped(&self, width: usize) -> Vec<Self> {
        self.flowed(width, width)
    }

    /// The same where the first line has less room, for something stands there already.
    fn flowed(&self, first: usize, rest: usize) -> Vec<Self> {
        let words = self
            .0
            .iter()
            .flat_map(|span| span.text.split_whitespace().map(|word| (span.tone, word)));
        let mut lines = vec![Self::new()];
        for (tone, word) in words {
            let (opening, length) = (lines.len() == 1, word.chars().count());
            let room = if opening { first } else { rest };
            let Some(last) = lines.last_mut() else { break };
            match last.width() {
                // What fits only into the second line, where there is more room, is left to that.
                0 if !opening || length <= room || length > rest => last.append(tone, word),
                used if used > 0 && used + 1 + length <= room => {
                    last.append(tone, &format!(" {word}"));
                }
                _ => lines.push(Self::new().with(tone, word)),
            }
        }
        lines
    }

    /// Text of one tone stays in one piece.
    fn append(&mut self, tone: Tone, text: &str) {
        match self.0.last_mut().filter(|span| span.tone == tone) {
            Some(span) => span.text.push_str(text),
            None => *self = std::mem::take(self).with(tone, text),
        }
    }
}

/// Control characters, and those that turn the direction of writing: what stands there must be what is read.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// === impl Row ===

impl Row {
    pub fn new(label: &'static str, items: Vec<Line>) -> Self {
        Self {
            label,
            items,
            title: false,
        }
    }

    pub fn title(items: Vec<Line>) -> Self {
        Self {
            label: "",
            items,
            title: true,
        }
    }

    pub fn lines(self, columns: usize) -> Vec<Line> {
        let indent = indent(columns);
        let mut lines: Vec<Line> = Vec::new();
        let mut current = if self.title {
            Line::new()
        } else {
            label(self.label, indent)
        };
        let mut begun = false;
        for item in self.items.into_iter().filter(|item| item.width() > 0) {
            if begun && current.width() + GAP + item.width() > columns {
                lines.push(std::mem::replace(&mut current, label("", indent)));
                begun = false;
            }
            if begun {
                current = current.with(Tone::Plain, " ".repeat(GAP));
            }
            current = place(current, item, columns, indent, &mut lines);
            begun = true;
        }
        if begun {
            lines.push(current);
        }
        lines
    }
}

/// An item that is longer than a line is wrapped at its words.
fn place(current: Line, item: Line, columns: usize, indent: usize, lines: &mut Vec<Line>) -> Line {
    if current.width() + item.width() <= columns {
        return current.joined(item);
    }
    let room = |used: usize| columns.saturating_sub(used).max(10);
    let mut parts = item.flowed(room(current.width()), room(indent)).into_iter();
    let mut last = current.joined(parts.next().unwrap_or_default());
    for part in parts {
        lines.push(std::mem::replace(&mut last, label("", indent).joined(part)));
    }
    last
}

/// The column where texts begin.
pub fn indent(columns: usize) -> usize {
    if columns < 60 { 2 } else { LABEL }
}

/// On a narrow terminal the label opens its own line by a single word and a colon.
fn label(text: &str, indent: usize) -> Line {
    if text.is_empty() {
        return Line::plain(" ".repeat(indent));
    }
    let line = Line::new().with(Tone::Label, text);
    if indent == LABEL {
        line.padded(LABEL)
    } else {
        line.with(Tone::Plain, " ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &[Line]) -> Vec<String> {
        lines
            .iter()
            .map(|line| line.spans().iter().map(|span| span.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn items_flow_onto_the_next_line_where_they_do_not_fit() {
        let row = || {
            Row::new(
                "step",
                vec![
                    Line::plain("a".repeat(30)),
                    Line::plain("b".repeat(30)),
                    Line::plain("c"),
                ],
            )
        };
        let lines = text(&row().lines(70));
        assert_eq!(
            lines,
            [
                format!("step       {}", "a".repeat(30)),
                format!("           {}   c", "b".repeat(30))
            ]
        );
        assert_eq!(text(&row().lines(100)).len(), 1);
    }

    #[test]
    fn a_long_item_is_wrapped_at_words_and_loses_none() {
        let words = "one two three four five six seven eight nine ten".repeat(3);
        let lines = Row::new("attention", vec![Line::plain(&words)]).lines(40);
        assert!(
            lines.iter().all(|line| line.width() <= 40),
            "{:?}",
            text(&lines)
        );
        let joined = text(&lines)
            .join(" ")
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(joined, words);
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let line = Line::plain("a\u{1b}[31mb\nc\u{202e}d\u{9b}e");
        assert_eq!(text(&[line]), ["a [31mb c d e"]);
    }

    #[test]
    fn a_cropped_line_has_exactly_the_width() {
        let line = Line::plain("abcdef").with(Tone::Good, "ghi");
        assert_eq!(text(&[line.cropped(5, "…")]), ["abcd…"]);
        assert_eq!(line.cropped(9, "…"), line);
        assert_eq!(line.cropped(0, "…").width(), 1);
    }
}
