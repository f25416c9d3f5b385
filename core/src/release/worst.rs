//! Which check of a release came off worst.

use crate::status::{MetricCheck, Verdict};

/// The one that is furthest out of its range, relative to it; then one that could not be measured; then
/// the one that is nearest to a bound. The first of equals.
pub fn worst(checks: &[MetricCheck]) -> Option<&MetricCheck> {
    let mut worst: Option<&MetricCheck> = None;
    for check in checks {
        if worst.is_none_or(|worst| badness(check) > badness(worst)) {
            worst = Some(check);
        }
    }
    worst
}

/// How the verdict weighs, and how far out of range the value is: negative within it.
fn badness(check: &MetricCheck) -> (u8, f64) {
    let weight = match check.verdict {
        Verdict::Passed => 0,
        Verdict::NoValues | Verdict::Error => 1,
        Verdict::Failed => 2,
    };
    let Some(value) = check.value else {
        return (weight, 0.0);
    };
    let below = check.min.map(|min| relative(min - value, min));
    let above = check.max.map(|max| relative(value - max, max));
    let out = below.into_iter().chain(above).reduce(f64::max);
    // Without a bound it cannot be bad.
    (weight, out.unwrap_or(f64::NEG_INFINITY))
}

fn relative(distance: f64, bound: f64) -> f64 {
    distance / bound.abs().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: Option<f64>, range: (Option<f64>, Option<f64>)) -> MetricCheck {
        let verdict = match value {
            None => Verdict::NoValues,
            Some(value) if range.0.is_some_and(|min| value < min) => Verdict::Failed,
            Some(value) if range.1.is_some_and(|max| value > max) => Verdict::Failed,
            Some(_) => Verdict::Passed,
        };
        MetricCheck {
            name: name.to_owned(),
            value,
            min: range.0,
            max: range.1,
            verdict,
            message: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            recent: Vec::new(),
        }
    }

    fn of(checks: &[MetricCheck]) -> Option<&str> {
        worst(checks).map(|check| check.name.as_str())
    }

    #[test]
    fn a_value_that_is_out_of_range_is_worse_than_none_and_none_is_worse_than_a_good_one() {
        let failed = check("failed", Some(98.0), (Some(99.0), None));
        let none = check("none", None, (Some(99.0), None));
        let good = check("good", Some(99.5), (Some(99.0), None));
        assert_eq!(of(&[good.clone(), none.clone(), failed]), Some("failed"));
        assert_eq!(of(&[good.clone(), none]), Some("none"));
        assert_eq!(of(&[good]), Some("good"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn distances_are_measured_by_the_bound() {
        let rate = check("rate", Some(90.0), (Some(99.0), None));
        let slow = check("slow", Some(900.0), (None, Some(500.0)));
        assert_eq!(of(&[rate, slow]), Some("slow"));
        let near = check("near", Some(490.0), (None, Some(500.0)));
        let far = check("far", Some(100.0), (None, Some(500.0)));
        assert_eq!(of(&[far.clone(), near]), Some("near"));
        let free = check("free", Some(1.0), (None, None));
        assert_eq!(of(&[free, far]), Some("far"));
    }

    #[test]
    fn a_bound_of_zero_does_no_harm() {
        let zero = check("errors", Some(1.0), (None, Some(0.0)));
        assert!(badness(&zero).1 > 1e300);
        let kept = check("kept", Some(0.0), (None, Some(0.0)));
        assert!(badness(&kept).1.abs() < f64::EPSILON);
    }
}
