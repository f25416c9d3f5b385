//! How a release came out, in one line.

use super::detail::command;
use super::{bracketed, duration};
use crate::report::CanaryReport;

/// Release `number`, or the current one; it may be one of the history.
pub fn promoted(report: &CanaryReport, number: Option<i64>) -> String {
    let current = report.release.as_ref().map(|release| {
        let ended = release.ended_at;
        (release.number, &release.images, release.started_at, ended)
    });
    let past = report.history.iter().map(|past| {
        let ended = Some(past.ended_at);
        (past.number, &past.images, past.started_at, ended)
    });
    let mut all = current.into_iter().chain(past);
    let found = all.find(|(known, ..)| number.is_none_or(|number| number == *known));
    let Some((number, changes, started, ended)) = found else {
        return "promoted".to_owned();
    };
    let images = bracketed(changes);
    let took = ended.map_or(String::new(), |end| {
        let seconds = end.duration_since(started).as_secs();
        format!(", {} after it started", duration(seconds))
    });
    format!("release {number} promoted{images}{took}")
}

/// Who holds it, and how it goes on.
pub fn paused(report: &CanaryReport) -> String {
    let number = report.release.as_ref().map_or(0, |release| release.number);
    let (by, reason) = report.paused().map_or(("unknown", ""), |pause| {
        let by = pause.by.as_deref().unwrap_or("unknown");
        (by, pause.reason.as_deref().unwrap_or_default())
    });
    let reason = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    let resume = command("resume", report);
    let until = until(report.paused().and_then(|pause| pause.until));
    format!("release {number} is paused by {by}{until}{reason}; resume it: {resume}")
}

/// The end of a pause, if it has one.
pub fn until(end: Option<jiff::Timestamp>) -> String {
    end.map_or(String::new(), |end| format!(" until {end}"))
}
