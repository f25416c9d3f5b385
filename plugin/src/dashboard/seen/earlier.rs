//! The values of a metric from before the first look. The status keeps the last ones without their times:
//! one stands for each interval before the check that is known, and a pause in between moves them.

use canary_core::status::{MetricCheck, Verdict};
use jiff::{SignedDuration, Timestamp};

use super::Value;
use crate::report::CanaryReport;

/// Oldest first, all of them before `last`.
pub(super) fn earlier(report: &CanaryReport, last: &MetricCheck) -> Vec<Value> {
    let Some(release) = &report.release else {
        return Vec::new();
    };
    let interval = i64::try_from(report.interval_seconds).unwrap_or(i64::MAX);
    let times = (1..).map_while(|count: i64| {
        let before = SignedDuration::from_secs(interval.checked_mul(count)?);
        let at = last.at.checked_sub(before).ok()?;
        (at >= release.started_at).then_some(at)
    });
    // The last one is the known check's own, unless that found none.
    let known = usize::from(last.value.is_some());
    let values = last.recent.iter().rev().skip(known);
    let mut earlier: Vec<_> = values
        .zip(times)
        .map(|(value, at)| estimated(last, *value, at))
        .collect();
    earlier.reverse();
    earlier
}

fn estimated(last: &MetricCheck, value: f64, at: Timestamp) -> Value {
    let outside =
        last.min.is_some_and(|min| value < min) || last.max.is_some_and(|max| value > max);
    Value {
        at,
        value: Some(value),
        verdict: if outside {
            Verdict::Failed
        } else {
            Verdict::Passed
        },
        estimated: true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::Observed;
    use crate::report::tests::{canary, release_of, status};

    /// What stands before a check at 12:00:00 of a release that began at 11:59:02, every ten seconds.
    fn before(recent: &[f64], value: Option<f64>) -> Vec<(String, f64, Verdict)> {
        let check = json!({"name": "m", "min": 99.0, "value": value, "verdict": "Passed",
            "at": "2026-03-01T12:00:00Z", "recent": recent});
        let canary = canary(&status("Progressing", 30, 0, &json!({"checks": [check]})));
        let last = release_of(&canary).checks[0].clone();
        let values = earlier(&Observed::alone(canary).report(), &last);
        assert!(values.iter().all(|value| value.estimated));
        let said = |value: &Value| {
            let at = value.at.strftime("%M:%S").to_string();
            (at, value.value.unwrap(), value.verdict)
        };
        values.iter().map(said).collect()
    }

    #[test]
    fn one_value_stands_for_each_interval_before_the_check_that_is_known() {
        assert_eq!(
            before(&[100.0, 98.0, 99.5], Some(99.5)),
            [
                ("59:40".into(), 100.0, Verdict::Passed),
                ("59:50".into(), 98.0, Verdict::Failed),
            ]
        );
    }

    #[test]
    fn a_check_without_a_value_has_none_among_them() {
        assert_eq!(
            before(&[100.0, 98.0], None),
            [
                ("59:40".into(), 100.0, Verdict::Passed),
                ("59:50".into(), 98.0, Verdict::Failed),
            ]
        );
    }

    #[test]
    fn nothing_is_told_of_the_time_before_the_release() {
        let values = before(&[100.0; 20], Some(100.0));
        assert_eq!((values.len(), values[0].0.as_str()), (5, "59:10"));
    }
}
