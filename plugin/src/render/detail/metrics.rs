//! What the checks of a release said.

use canary_core::status::{Phase, Verdict};

use super::Screen;
use crate::render::layout::{Line, Row, Tone, indent};
use crate::render::words::{number, range};
use crate::report::Check;

impl Screen<'_> {
    /// A table of its own; on a narrow terminal two lines for each metric.
    pub(super) fn metrics(&self) -> Vec<Line> {
        let shown = self.report.running || self.report.phase == Phase::Failed;
        let cells: Vec<[Line; 4]> = self
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
        let widths = [widest(0), widest(1), widest(2)];
        let columns = self.theme.columns();
        let narrow = indent(columns) + widths.iter().sum::<usize>() + widest(3) + 9 > columns;
        let mut lines = Vec::new();
        for (index, [name, value, range, verdict]) in cells.into_iter().enumerate() {
            let label = if index == 0 { "metrics" } else { "" };
            if narrow {
                let items = vec![name, Line::new()];
                lines.extend(Row::new(label, items).lines(columns));
                lines.extend(Row::new("", vec![value, range, verdict]).lines(columns));
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
                            verdict,
                        ],
                    )
                    .lines(columns),
                );
            }
        }
        lines
    }

    fn metric(&self, check: &Check) -> [Line; 4] {
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
        ]
    }
}

fn error(message: &str) -> String {
    if message.is_empty() {
        "error".to_owned()
    } else {
        format!("error: {message}")
    }
}
