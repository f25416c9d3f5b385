//! All Canaries, one line each.

use jiff::Timestamp;

use super::grid;
use super::layout::{Line, Tone};
use super::style::Theme;
use super::words;
use crate::report::CanaryReport;

/// A column, how it is filled, and how readily it is given up on a narrow terminal (0: never).
struct Column {
    title: &'static str,
    expendable: u8,
    wide: bool,
    cell: fn(&CanaryReport, &Theme, Timestamp) -> Line,
}

const NAMESPACE: Column = Column {
    title: "NAMESPACE",
    expendable: 0,
    wide: false,
    cell: |report, _, _| Line::plain(&report.metadata.namespace),
};

const COLUMNS: [Column; 9] = [
    Column {
        title: "NAME",
        expendable: 0,
        wide: false,
        cell: |report, _, _| Line::plain(&report.metadata.name),
    },
    Column {
        title: "STATUS",
        expendable: 0,
        wide: false,
        cell: status,
    },
    Column {
        title: "WEIGHT",
        expendable: 0,
        wide: false,
        cell: |report, _, _| Line::plain(report.traffic.canary.to_string()),
    },
    Column {
        title: "STEP",
        expendable: 1,
        wide: false,
        cell: step,
    },
    Column {
        title: "FAILED",
        expendable: 2,
        wide: false,
        cell: failed,
    },
    Column {
        title: "RELEASE",
        expendable: 4,
        wide: false,
        cell: release,
    },
    Column {
        title: "SINCE",
        expendable: 3,
        wide: false,
        cell: since,
    },
    Column {
        title: "BY",
        expendable: 5,
        wide: true,
        cell: by,
    },
    Column {
        title: "REVISION",
        expendable: 6,
        wide: true,
        cell: revision,
    },
];

/// A header and a line for each report.
pub fn lines(
    reports: &[CanaryReport],
    theme: &Theme,
    now: Timestamp,
    namespaces: bool,
    wide: bool,
) -> Vec<Line> {
    let mut columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| wide || !column.wide)
        .collect();
    if namespaces {
        columns.insert(0, &NAMESPACE);
    }
    let columns = columns
        .into_iter()
        .map(|column| grid::Column {
            cells: filled(column, reports, theme, now),
            expendable: column.expendable,
        })
        .collect();
    grid::lines(columns, theme.width)
}

fn filled(column: &Column, reports: &[CanaryReport], theme: &Theme, now: Timestamp) -> Vec<Line> {
    let title = Line::new().with(Tone::Label, column.title);
    [title]
        .into_iter()
        .chain(
            reports
                .iter()
                .map(|report| (column.cell)(report, theme, now)),
        )
        .collect()
}

fn status(report: &CanaryReport, theme: &Theme, _: Timestamp) -> Line {
    let (icon, phase, tone) = words::phase(report, theme.glyphs);
    let mark = if report.troubles().next().is_some() {
        " !"
    } else {
        ""
    };
    Line::new()
        .with(tone, format!("{icon} {phase}"))
        .with(Tone::Bad, mark)
}

fn step(report: &CanaryReport, _: &Theme, _: Timestamp) -> Line {
    Line::plain(report.progress.as_ref().map_or("-".to_owned(), |progress| {
        format!("{}/{}", progress.current, progress.of)
    }))
}

fn failed(report: &CanaryReport, _: &Theme, _: Timestamp) -> Line {
    let tone = if report.failed_checks > 0 {
        Tone::Bad
    } else {
        Tone::Plain
    };
    Line::new().with(
        tone,
        format!("{}/{}", report.failed_checks, report.threshold),
    )
}

fn release(report: &CanaryReport, theme: &Theme, _: Timestamp) -> Line {
    let Some(release) = &report.release else {
        return Line::plain("-");
    };
    let images = words::images(&release.images, theme.glyphs);
    Line::plain(format!("{} {images}", release.number).trim_end())
}

fn since(report: &CanaryReport, _: &Theme, now: Timestamp) -> Line {
    let begun = report
        .release
        .as_ref()
        .map(|release| release.ended_at.unwrap_or(release.started_at));
    let since = begun.or(report.last_transition_time);
    Line::plain(since.map_or("-".to_owned(), |since| words::age(since, now)))
}

fn by(report: &CanaryReport, _: &Theme, _: Timestamp) -> Line {
    let by = report
        .release
        .as_ref()
        .map(|release| release.by.as_deref().unwrap_or("unknown"));
    Line::plain(by.unwrap_or("-"))
}

fn revision(report: &CanaryReport, _: &Theme, _: Timestamp) -> Line {
    Line::plain(
        report
            .release
            .as_ref()
            .map_or("-", |release| release.revision.as_str()),
    )
}
