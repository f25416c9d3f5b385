//! `--watch` without a terminal: one line for each change, for logs of a pipeline.

use canary_core::status::Verdict;

use super::style::Theme;
use super::words;
use crate::report::CanaryReport;

/// The state in one line, without anything that changes by time alone.
pub fn line(report: &CanaryReport, theme: &Theme) -> String {
    let (_, phase, _) = words::phase(report, theme.glyphs);
    let mut parts = vec![report.id(), phase];
    if let Some(release) = &report.release {
        parts.push(format!("release {}", release.number));
        let images = words::images(&release.images, theme.glyphs);
        if report.running && !images.is_empty() {
            parts.push(images);
        }
    }
    parts.push(format!("weight {}", report.traffic.canary));
    if let Some(progress) = &report.progress {
        parts.push(format!("step {}/{}", progress.current, progress.of));
    }
    if report.running {
        parts.push(format!(
            "failed {}/{}",
            report.failed_checks, report.threshold
        ));
        parts.extend(report.checks.iter().filter_map(check));
    }
    if let Some(gate) = report
        .release
        .as_ref()
        .filter(|_| report.running)
        .and_then(|release| release.waiting_for.as_ref())
    {
        parts.push(format!("waiting for {gate}"));
    }
    if report.pending().is_some() {
        parts.push("rollback not routed yet".to_owned());
    }
    if let Some(hindrance) = report.hindrance() {
        parts.push(format!("not ready: {}", hindrance.reason));
    }
    if let Some(release) = report.release.as_ref().filter(|_| !report.running)
        && let Some(outcome) = release.outcome
    {
        parts.push(words::outcome(outcome).0.to_owned());
    }
    let parts = parts
        .into_iter()
        .map(|part| part.replace(char::is_control, " "));
    parts.collect::<Vec<_>>().join("  ")
}

fn check(check: &crate::report::Check) -> Option<String> {
    let last = check.last.as_ref()?;
    let said = match last.verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::NoValues => "no values",
        Verdict::Error => "error",
    };
    Some(match last.value {
        Some(value) => format!("{} {} {said}", check.name, words::number(value)),
        None => format!("{} {said}", check.name),
    })
}
