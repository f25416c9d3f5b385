//! Figures, how many samples each rests on, and the bars that they have to keep.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::changes::Released;
use super::usage::{Steps, Usage};

const INTERVAL: Duration = Duration::from_secs(10);
const STEPS: u32 = 5;

/// The figures of a run, in the order in which they were measured.
#[derive(Debug)]
pub struct Report {
    canaries: usize,
    figures: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: f64,
    samples: usize,
    bar: Bar,
}

/// What a figure may be at most or has to be at least, and the samples that it takes to say so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bar {
    AtMost { limit: f64, samples: usize },
    AtLeast { limit: f64, samples: usize },
    None,
}

// === impl Report ===

impl Report {
    pub(super) const fn new(canaries: usize) -> Self {
        Self {
            canaries,
            figures: Vec::new(),
        }
    }

    pub(super) fn init(&mut self, times: &[Duration]) {
        let bar = at_most(2000.0, 20);
        self.add("init_ms", percentile(times, 100), times.len(), bar);
    }

    pub(super) fn detect(&mut self, times: &[Duration]) {
        let count = times.len();
        self.add(
            "detect_ms_p50",
            percentile(times, 50),
            count,
            at_most(100.0, 200),
        );
        self.add(
            "detect_ms_p99",
            percentile(times, 99),
            count,
            at_most(500.0, 200),
        );
    }

    pub(super) fn idle(&mut self, before: &Usage, after: &Usage) {
        let seconds = (after.at - before.at).as_secs_f64();
        let requests = (after.requests - before.requests) / seconds;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() / seconds * 100.0;
        self.add("idle_requests_per_s", requests, 1, at_most(0.0, 1));
        self.add("idle_cpu_percent", cpu, 1, Bar::None);
        self.add("rss_mib", after.rss_mib, 1, Bar::None);
    }

    pub(super) fn releases(&mut self, releases: &[Released]) {
        let overheads: Vec<_> = releases
            .iter()
            .map(|release| release.took.saturating_sub(INTERVAL * STEPS))
            .collect();
        self.add(
            "overhead_ms",
            percentile(&overheads, 100),
            overheads.len(),
            at_most(5000.0, 20),
        );
        let errors: Vec<_> = releases
            .iter()
            .flat_map(|release| &release.dwells)
            .map(|dwell| dwell.abs_diff(INTERVAL))
            .collect();
        self.add(
            "dwell_error_ms_p99",
            percentile(&errors, 99),
            errors.len(),
            at_most(250.0, 100),
        );
    }

    pub(super) fn steps(&mut self, steps: &Steps) {
        let each = steps.requests / steps.count as f64;
        self.add("requests_per_step", each, steps.count, at_most(3.0, 20));
    }

    pub(super) fn add(&mut self, name: &'static str, value: f64, samples: usize, bar: Bar) {
        self.figures.push(Figure {
            name,
            value,
            samples,
            bar,
        });
    }

    /// Every figure keeps its bar, with enough samples.
    pub fn passes(&self) -> bool {
        self.figures.iter().all(Figure::passes)
    }

    /// One flat object: each figure, and `<figure>_samples` beside it.
    pub fn json(&self) -> Value {
        let mut all = Map::new();
        all.insert("canaries".to_owned(), json!(self.canaries));
        for figure in &self.figures {
            let rounded = (figure.value * 1000.0).round() / 1000.0;
            all.insert(figure.name.to_owned(), json!(rounded));
            all.insert(format!("{}_samples", figure.name), json!(figure.samples));
        }
        Value::Object(all)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} Canaries", self.canaries)?;
        writeln!(
            f,
            "{:38} {:>10} {:>8} {:>8}",
            "FIGURE", "VALUE", "BAR", "SAMPLES"
        )?;
        for figure in &self.figures {
            let (bar, enough) = match figure.bar {
                Bar::None => ("-".to_owned(), 0),
                Bar::AtMost { limit, samples } => (format!("{limit}"), samples),
                Bar::AtLeast { limit, samples } => (format!(">= {limit}"), samples),
            };
            let verdict = match figure.bar {
                Bar::None => "",
                _ if figure.passes() => "  ok",
                _ if figure.samples < enough => "  TOO FEW SAMPLES",
                _ => "  MISSED",
            };
            writeln!(
                f,
                "{:38} {:>10.2} {bar:>8} {:>8}{verdict}",
                figure.name, figure.value, figure.samples
            )?;
        }
        Ok(())
    }
}

// === impl Figure ===

impl Figure {
    fn passes(&self) -> bool {
        match self.bar {
            Bar::None => true,
            Bar::AtMost { limit, samples } => self.samples >= samples && self.value <= limit,
            Bar::AtLeast { limit, samples } => self.samples >= samples && self.value >= limit,
        }
    }
}

pub(super) const fn at_most(limit: f64, samples: usize) -> Bar {
    Bar::AtMost { limit, samples }
}

pub(super) const fn at_least(limit: f64, samples: usize) -> Bar {
    Bar::AtLeast { limit, samples }
}

/// By nearest rank, in milliseconds; without samples it is not a number.
pub(super) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort();
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted
        .get(rank.saturating_sub(1))
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(value: f64, samples: usize) -> Report {
        let mut report = Report::new(30);
        report.add("detect_ms_p50", value, samples, at_most(100.0, 200));
        report
    }

    #[test]
    fn a_bar_is_kept_at_its_limit_and_missed_above_it() {
        assert!(report(100.0, 200).passes());
        assert!(!report(100.1, 200).passes());
        assert!(!report(f64::NAN, 200).passes());
    }

    #[test]
    fn what_has_to_be_reached_is_missed_below_it() {
        let reviews = |value: f64| {
            let mut report = Report::new(30);
            report.add("reviews_per_s", value, 1, at_least(5000.0, 1));
            report.passes()
        };
        assert!(reviews(5000.0) && !reviews(4999.0) && !reviews(f64::NAN));
    }

    #[test]
    fn too_few_samples_keep_no_bar() {
        assert!(!report(1.0, 199).passes());
    }

    #[test]
    fn the_result_is_one_flat_object_with_sample_counts() {
        let expected =
            json!({ "canaries": 30, "detect_ms_p50": 12.346, "detect_ms_p50_samples": 210 });
        assert_eq!(report(12.3456, 210).json(), expected);
    }

    #[test]
    fn a_percentile_is_a_sample_by_its_nearest_rank() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert!((percentile(&times, 50) - 100.0).abs() < 1e-9);
        assert!((percentile(&times, 99) - 198.0).abs() < 1e-9);
        assert!((percentile(&times, 100) - 200.0).abs() < 1e-9);
        assert!(percentile(&[], 50).is_nan());
    }
}
