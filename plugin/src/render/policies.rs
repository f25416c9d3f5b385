//! All policies, one line each.

use jiff::Timestamp;

use super::layout::{Line, Tone};
use super::words;
use crate::report::PolicyReport;

const GAP: usize = 3;

/// A header and a line for each policy.
pub fn lines(policies: &[PolicyReport], now: Timestamp, wide: bool) -> Vec<Line> {
    let titles = [
        "NAME",
        "ENFORCEMENT",
        "FROZEN",
        "UNTIL",
        "NEXT FREEZE",
        "NAMESPACES",
    ];
    let more: &[&str] = if wide { &["WINDOW", "REASON"] } else { &[] };
    let header: Vec<Line> = titles
        .iter()
        .chain(more)
        .map(|title| Line::new().with(Tone::Label, title))
        .collect();
    let mut rows = vec![header];
    rows.extend(policies.iter().map(|policy| row(policy, now, wide)));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].width())
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.into_iter()
        .map(|row| {
            let cells = row.into_iter().zip(&widths);
            let padded = cells.map(|(cell, width)| cell.padded(width + GAP));
            padded.fold(Line::new(), Line::joined).trimmed()
        })
        .collect()
}

fn row(policy: &PolicyReport, now: Timestamp, wide: bool) -> Vec<Line> {
    let (frozen, tone) = match policy.frozen {
        Some(true) => ("yes", Tone::Bad),
        Some(false) => ("no", Tone::Plain),
        // Nobody has looked at it yet.
        None => ("unknown", Tone::Busy),
    };
    let until = match (policy.frozen, policy.until) {
        (Some(true), Some(until)) => moment(until, now),
        (Some(true), None) => "never".to_owned(),
        _ => "-".to_owned(),
    };
    let next = policy.next_freeze.as_ref().map_or("-".to_owned(), |next| {
        format!("{} {}", next.name, moment(next.start, now))
    });
    let namespaces = match policy.namespaces.as_str() {
        "" => "all",
        labels => labels,
    };
    let mut row = vec![
        Line::plain(&policy.name),
        Line::plain(format!("{:?}", policy.enforcement)),
        Line::new().with(tone, frozen),
        Line::plain(until),
        Line::plain(next),
        Line::plain(namespaces),
    ];
    if wide {
        row.push(Line::plain(policy.window.as_deref().unwrap_or("-")));
        row.push(Line::plain(policy.reason.as_deref().unwrap_or("-")));
    }
    row
}

/// A moment to come, and how far it is.
fn moment(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now).as_secs();
    if left > 0 {
        format!("{at} (in {})", words::duration(left))
    } else {
        at.to_string()
    }
}
