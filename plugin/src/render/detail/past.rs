//! Releases that have ended.

use super::Screen;
use crate::render::layout::{Line, Row, Tone};
use crate::render::words::{self, age};

impl Screen<'_> {
    /// How the last release ended, while none runs.
    pub(super) fn last(&self) -> Vec<Row> {
        let Some(release) = self.release().filter(|_| !self.report.running) else {
            return Vec::new();
        };
        let mut items = vec![
            Line::plain(format!("release {}", release.number)),
            Line::plain(words::images(&release.images, self.theme.glyphs)),
            Line::plain(format!("by {}", release.by.as_deref().unwrap_or("unknown"))),
        ];
        if let Some(outcome) = release.outcome {
            let (said, tone) = words::outcome(outcome);
            let took = release.ended_at.map_or(String::new(), |end| {
                format!(
                    " after {}, {} ago",
                    age(release.started_at, end),
                    age(end, self.now)
                )
            });
            items.push(Line::new().with(tone, said).with(Tone::Plain, took));
        }
        let mut rows = vec![Row::new("last", items)];
        if !release.message.is_empty() {
            rows.push(Row::new("", vec![Line::plain(&release.message)]));
        }
        rows
    }

    /// What is rarely asked for.
    pub(super) fn wide(&self) -> Vec<Row> {
        let report = self.report;
        let mut rows = vec![Row::new(
            "target",
            vec![
                Line::plain(&report.target),
                Line::plain(format!("provider {}", report.provider)),
                Line::plain(format!("strategy {}", report.strategy)),
            ],
        )];
        if let Some(release) = self.release() {
            let from = if release.from.is_empty() {
                "none"
            } else {
                &release.from
            };
            rows.push(Row::new(
                "revision",
                vec![Line::plain(format!(
                    "{from} {} {}",
                    self.theme.glyphs.arrow, release.revision
                ))],
            ));
        }
        for (index, record) in report.history.iter().enumerate() {
            let (said, tone) = words::outcome(record.outcome);
            let items = vec![
                Line::plain(format!("release {}", record.number)),
                Line::plain(words::images(&record.images, self.theme.glyphs)),
                Line::new()
                    .with(tone, said)
                    .with(Tone::Plain, format!(" at {} %", record.weight)),
                Line::plain(format!("by {}", record.by.as_deref().unwrap_or("unknown"))),
                Line::plain(format!("{} ago", age(record.ended_at, self.now))),
                Line::plain(&record.message),
            ];
            rows.push(Row::new(if index == 0 { "history" } else { "" }, items));
        }
        rows
    }
}
