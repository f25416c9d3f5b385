//! An explanation on a screen: the answer, then a row for each paragraph.

use canary_core::status::Verdict;

use super::layout::{Line, Row, Tone, indent};
use super::style::Theme;
use super::words;
use crate::report::explain::{Explanation, MetricFact};

/// Text with a newline after each line. Queries and links are the only lines that may be longer than the
/// terminal: they are for copying, and it folds them.
pub fn text(explanation: &Explanation, theme: &Theme) -> String {
    let columns = theme.columns();
    let whole = Theme {
        width: None,
        ..*theme
    };
    let answer = Line::new().with(Tone::Strong, &explanation.answer);
    let mut text = theme.paint(&answer.wrapped(columns));
    for paragraph in &explanation.paragraphs {
        let labels = std::iter::once(paragraph.about).chain(std::iter::repeat(""));
        for (label, line) in labels.zip(&paragraph.lines) {
            let row = Row::new(label, vec![Line::plain(line)]);
            text.push_str(&theme.paint(&row.lines(columns)));
        }
    }
    let labels = std::iter::once("metrics").chain(std::iter::repeat(""));
    for (label, metric) in labels.zip(&explanation.metrics) {
        let lines = Row::new(label, measured(metric, theme)).lines(columns);
        text.push_str(&theme.paint(&lines));
        for line in asked(metric) {
            let line = Line::plain(" ".repeat(indent(columns))).with(Tone::Plain, line);
            text.push_str(&whole.paint(&[line]));
        }
    }
    let labels = std::iter::once("next").chain(std::iter::repeat(""));
    for (label, command) in labels.zip(&explanation.commands) {
        let command = Line::new().with(Tone::Strong, command);
        text.push_str(&theme.paint(&Row::new(label, vec![command]).lines(columns)));
    }
    text
}

fn measured(metric: &MetricFact, theme: &Theme) -> Vec<Line> {
    let glyphs = theme.glyphs;
    let (icon, said, tone) = match metric.verdict {
        None => (glyphs.neutral, "not checked yet".to_owned(), Tone::Label),
        Some(Verdict::Passed) => (glyphs.good, "passed".to_owned(), Tone::Good),
        Some(Verdict::Failed) => (glyphs.bad, "failed".to_owned(), Tone::Bad),
        Some(Verdict::NoValues) => (glyphs.bad, "no values".to_owned(), Tone::Bad),
        Some(Verdict::Error) => (glyphs.bad, format!("error: {}", metric.message), Tone::Bad),
    };
    let value = metric.value.map_or("-".to_owned(), words::number);
    vec![
        Line::plain(&metric.name),
        Line::plain(value),
        Line::plain(words::range(metric.min, metric.max, glyphs)),
        Line::new().with(tone, format!("{icon} {said}")),
    ]
}

/// The question of a metric that did not pass: what passed needs no second look.
fn asked(metric: &MetricFact) -> Vec<String> {
    if matches!(metric.verdict, None | Some(Verdict::Passed)) {
        return Vec::new();
    }
    let mut lines = match (&metric.query, &metric.query_unknown) {
        (Some(query), _) => written(query),
        (None, Some(why)) => vec![format!("its query is not known: {why}")],
        (None, None) => return Vec::new(),
    };
    let link = metric.link.as_ref().map(|link| format!("open: {link}"));
    let server = metric.server.as_ref();
    lines.extend(link.or(server.map(|server| format!("at: {server}"))));
    lines
}

/// A query as it was sent, line by line: a comment ends with its line.
fn written(query: &str) -> Vec<String> {
    let lines: Vec<&str> = query.lines().map(str::trim_end).collect();
    let first = lines.iter().position(|line| !line.is_empty());
    let last = lines.iter().rposition(|line| !line.is_empty());
    let lines = first
        .zip(last)
        .and_then(|(first, last)| lines.get(first..=last));
    match lines.unwrap_or_default() {
        [only] => vec![format!("query: {}", only.trim_start())],
        lines => std::iter::once("query:".to_owned())
            .chain(lines.iter().map(|line| format!("  {line}")))
            .collect(),
    }
}
