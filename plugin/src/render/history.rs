//! The releases of a Canary, a row each; and two of them side by side.

use canary_core::status::{MetricCheck, Verdict};
use jiff::Timestamp;
use serde_json::Value;

use super::grid::{self, Column};
use super::layout::{Line, Row, Tone};
use super::style::{Glyphs, Theme};
use super::words::{self, age};
use crate::report::history::{Diff, Difference, History, Past};

/// Titles, cells, and how readily a column is given up. A reason is long: in a pipe it is the last
/// column, on a terminal it stands below its release.
pub fn lines(history: &History, theme: &Theme, now: Timestamp, wide: bool) -> Vec<Line> {
    let releases = &history.releases;
    let column = |title: &str, expendable: u8, cell: &dyn Fn(&Past) -> Line| Column {
        cells: std::iter::once(Line::new().with(Tone::Label, title))
            .chain(releases.iter().map(cell))
            .collect(),
        expendable,
    };
    let glyphs = theme.glyphs;
    let mut columns = vec![
        column("RELEASE", 0, &|past| Line::plain(past.number.to_string())),
        column("OUTCOME", 0, &|past| outcome(past, glyphs)),
        column("IMAGES", 1, &|past| {
            Line::plain(or_dash(words::images(&past.images, glyphs)))
        }),
        column("ENDED", 2, &|past| {
            Line::plain(past.ended_at.map_or("-".to_owned(), |end| age(end, now)))
        }),
        column("TOOK", 4, &|past| Line::plain(took(past, now))),
        column("WEIGHT", 5, &|past| Line::plain(past.weight.to_string())),
        column("BY", 3, &|past| {
            Line::plain(past.by.as_deref().unwrap_or("unknown"))
        }),
        column("WORST METRIC", 6, &|past| {
            let worst = past.worst.as_ref();
            worst.map_or(Line::plain("-"), |worst| metric(worst, glyphs))
        }),
    ];
    if wide {
        columns.push(column("REVISION", 7, &|past| Line::plain(&past.revision)));
        columns.push(column("FROM", 8, &|past| {
            Line::plain(or_dash(past.from.clone()))
        }));
    }
    let below = theme.width.is_some();
    if !below {
        let reason = |past: &Past| Line::plain(or_dash(past.message.clone()));
        columns.push(column("REASON", 0, &reason));
    }
    let mut rows = grid::lines(columns, theme.width).into_iter();
    let mut lines: Vec<Line> = rows.next().into_iter().collect();
    for (row, past) in rows.zip(releases) {
        lines.push(row);
        if below {
            let room = theme.columns().saturating_sub(2);
            let reason = Line::plain(&past.message).wrapped(room).into_iter();
            let reason = reason.filter(|line| line.width() > 0);
            lines.extend(reason.map(|line| Line::plain("  ").joined(line)));
        }
    }
    lines
}

fn or_dash(text: String) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text
    }
}

fn outcome(past: &Past, glyphs: &Glyphs) -> Line {
    let Some(outcome) = past.outcome else {
        return Line::new().with(Tone::Busy, format!("{} in progress", glyphs.busy));
    };
    let (said, tone) = words::outcome(outcome);
    let icon = match tone {
        Tone::Good => glyphs.good,
        Tone::Bad => glyphs.bad,
        _ => glyphs.neutral,
    };
    Line::new().with(tone, format!("{icon} {said}"))
}

fn took(past: &Past, now: Timestamp) -> String {
    let end = past.ended_at.unwrap_or(now);
    age(past.started_at, end)
}

/// `request-success-rate 35.20 ≥ 99 failed`.
fn metric(check: &MetricCheck, glyphs: &Glyphs) -> Line {
    let (verdict, tone) = match check.verdict {
        Verdict::Passed => ("passed", Tone::Plain),
        Verdict::Failed => ("failed", Tone::Bad),
        Verdict::NoValues => ("no values", Tone::Bad),
        Verdict::Error => ("error", Tone::Bad),
    };
    let value = check.value.map_or(String::new(), words::number);
    let range = words::range(check.min, check.max, glyphs);
    let parts = [check.name.as_str(), &value, &range];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    Line::plain(parts.collect::<Vec<_>>().join(" "))
        .with(Tone::Plain, " ")
        .with(tone, verdict)
}

/// Two releases: images, then the other places of the template.
pub fn diff(diff: &Diff, theme: &Theme) -> Vec<Line> {
    let glyphs = theme.glyphs;
    let (arrow, from, to) = (glyphs.arrow, &diff.from, &diff.to);
    let id = format!("{}.{}", diff.metadata.name, diff.metadata.namespace);
    let releases = format!("release {} {arrow} release {}", from.number, to.number);
    let mut rows = vec![
        Row::title(vec![
            Line::new().with(Tone::Strong, id),
            Line::plain(releases),
        ]),
        Row::new(
            "revision",
            vec![Line::plain(if from.revision == to.revision {
                format!("{}, the same", to.revision)
            } else {
                format!("{} {arrow} {}", from.revision, to.revision)
            })],
        ),
    ];
    let same = diff.images.is_empty();
    if !same {
        let images = words::images(&diff.images, glyphs);
        rows.push(Row::new(
            "images",
            vec![Line::new().with(Tone::Strong, images)],
        ));
    }
    if same && diff.template.is_empty() && diff.unknown.is_empty() {
        rows.push(Row::new("template", vec![Line::plain("the same")]));
    }
    let mut label = "template";
    for difference in &diff.template {
        rows.push(Row::new(label, place(difference, arrow)));
        label = "";
    }
    let unknown = diff.unknown.iter().map(Line::plain).collect::<Vec<_>>();
    for (at, line) in unknown.into_iter().enumerate() {
        rows.push(Row::new(if at == 0 { "unknown" } else { "" }, vec![line]));
    }
    let columns = theme.columns();
    rows.into_iter()
        .flat_map(|row| row.lines(columns))
        .collect()
}

fn place(difference: &Difference, arrow: &str) -> Vec<Line> {
    let change = match (&difference.from, &difference.to) {
        (Some(from), Some(to)) => format!("{} {arrow} {}", said(from), said(to)),
        (None, Some(to)) => format!("added {}", said(to)),
        (Some(from), None) => format!("dropped {}", said(from)),
        (None, None) => String::new(),
    };
    vec![
        Line::plain(&difference.path),
        Line::new().with(Tone::Strong, change),
    ]
}

/// A value on one line; what is longer than a line is cut.
fn said(value: &Value) -> String {
    const LONGEST: usize = 120;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain("..".chars()).collect()
}
