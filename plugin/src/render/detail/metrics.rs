//! What the checks of a release said.

use canary_core::status::{Phase, Verdict};

use super::Screen;
use crate::render::layout::{Line, Row, Tone, indent};
use crate::render::style::Glyphs;
use crate::render::words::{number, range};
use crate::report::Check;

impl Screen<'_> {
    /// A table of its own; on a narrow terminal two lines for each metric.
    pub(super) fn metrics(&self) -> Vec<Line> {
        let shown = self.report.running || self.report.phase == Phase::Failed;
        let cells: Vec<[Line; 5]> = self
            .report
            .checks
            .iter()
            .filter(|_| shown)
            .map(|check| self.metric(check))
            .collect();
        let widest = |column: usize| {
            cells
                .iter()
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
        };
        let widths = [widest(0), widest(1), widest(2), widest(3)];
        let columns = self.theme.columns();
        let gaps = if widest(4) > 0 { 12 } else { 9 };
        let narrow = indent(columns) + widths.iter().sum::<usize>() + widest(4) + gaps > columns;
        let mut lines = Vec::new();
        for (index, [name, value, range, verdict, course]) in cells.into_iter().enumerate() {
            let label = if index == 0 { "metrics" } else { "" };
            if narrow {
                let items = vec![name, Line::new()];
                lines.extend(Row::new(label, items).lines(columns));
                lines.extend(Row::new("", vec![value, range, verdict, course]).lines(columns));
            } else {
                let missing = widths[1].saturating_sub(value.width());
                let value = Line::plain(" ".repeat(missing)).joined(value);
                lines.extend(
                    Row::new(
                        label,
                        vec![
                            name.padded(widths[0]),
                            value,
                            range.padded(widths[2]),
                            // Padding without anything behind it would be an item too many for the line.
                            if course.width() > 0 {
                                verdict.padded(widths[3])
                            } else {
                                verdict
                            },
                            course,
                        ],
                    )
                    .lines(columns),
                );
            }
        }
        lines
    }

    fn metric(&self, check: &Check) -> [Line; 5] {
        let glyphs = self.theme.glyphs;
        let value = check
            .last
            .as_ref()
            .and_then(|last| last.value)
            .map_or_else(|| "-".to_owned(), number);
        let range = range(check.min, check.max, glyphs);
        let verdict = match &check.last {
            None => Line::new().with(Tone::Label, format!("{} not checked yet", glyphs.neutral)),
            Some(last) => match last.verdict {
                Verdict::Passed => Line::new().with(Tone::Good, format!("{} passed", glyphs.good)),
                Verdict::Failed => Line::new().with(Tone::Bad, format!("{} failed", glyphs.bad)),
                Verdict::NoValues => {
                    Line::new().with(Tone::Bad, format!("{} no values", glyphs.bad))
                }
                Verdict::Error => Line::new().with(
                    Tone::Bad,
                    format!("{} {}", glyphs.bad, error(&last.message)),
                ),
            },
        };
        [
            Line::plain(&check.name),
            Line::plain(value),
            Line::plain(range),
            verdict,
            Line::new().with(Tone::Label, course(check, glyphs)),
        ]
    }
}

/// The course of the values of this release, from low to high; one value has none.
fn course(check: &Check, glyphs: &Glyphs) -> String {
    let values = check.last.as_ref().map_or(&[][..], |last| &last.recent);
    if values.len() < 2 {
        return String::new();
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let top = glyphs.heights.len() - 1;
    let height = |value: f64| match high - low {
        // All are the same: neither low nor high.
        span if span <= 0.0 => top / 2,
        span => (((value - low) / span) * top as f64).round() as usize,
    };
    let heights = values
        .iter()
        .map(|value| glyphs.heights[height(*value).min(top)]);
    heights.collect()
}

fn error(message: &str) -> String {
    if message.is_empty() {
        "error".to_owned()
    } else {
        format!("error: {message}")
    }
}
