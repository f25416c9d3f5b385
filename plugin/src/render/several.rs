//! What is about to be done to several Canaries, for a person to agree to.

use super::change;
use super::layout::{Line, Tone};
use super::style::Theme;
use crate::report::CanaryReport;

/// `what` is the verb, `server` where it is done.
pub fn lines(what: &str, server: &str, reports: &[CanaryReport], theme: &Theme) -> Vec<Line> {
    let count = reports.len();
    let noun = if count == 1 { "Canary" } else { "Canaries" };
    let head = Line::new()
        .with(Tone::Strong, format!("{what} {count} {noun}"))
        .with(Tone::Plain, format!(" at {server}:"));
    let each = reports
        .iter()
        .map(|report| Line::plain(format!("  {}", change::line(report, theme))));
    [head].into_iter().chain(each).collect()
}
