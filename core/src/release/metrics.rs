//! What a metric's value means for the release.

use crate::canary::Metric;
use crate::message::Message;
use crate::release::draft::Draft;
use crate::release::facts::{Measured, Question};
use crate::status::{MetricCheck, Verdict};

const SUCCESS_RATE: &str = "request-success-rate";
const DURATION: &str = "request-duration";
/// Values that are kept of each metric: enough to see where it goes, and no burden on the object.
const RECENT: usize = 20;

/// Checks the metrics in Flagger's order (built-in and inline ones first, then templates) and stops
/// at the first that fails. Each value that was looked at is kept in status.
pub fn first_failure(d: &mut Draft<'_>) -> Result<Option<Message>, Question> {
    let metrics = &d.canary.analysis().metrics;
    let (templates, others): (Vec<_>, Vec<_>) = metrics
        .iter()
        .enumerate()
        .partition(|(_, metric)| metric.template_ref.is_some());
    for (index, metric) in others.into_iter().chain(templates) {
        let answer = d.facts.answers.metric(index)?;
        d.used.insert(Question::Metric(index));
        let measured = match answer {
            // Not a number is in no range, and out of none.
            Measured::Value(value) if value.is_nan() => {
                Measured::NoValues("no values found".to_owned())
            }
            measured => measured.clone(),
        };
        let (verdict, message) = verdict(d, metric, &measured);
        record(d, metric, &measured, verdict);
        if message.is_some() {
            return Ok(message);
        }
    }
    Ok(None)
}

/// The range that a metric must keep: inclusive on both ends.
pub fn range(metric: &Metric) -> (Option<f64>, Option<f64>) {
    if let Some(range) = &metric.threshold_range {
        return (range.min, range.max);
    }
    // Flagger's older field: a minimum for the success rate, a maximum for everything else, and 0
    // where it is left out.
    let threshold = metric.threshold.unwrap_or(0.0);
    if metric.name == SUCCESS_RATE {
        (Some(threshold), None)
    } else {
        (None, Some(threshold))
    }
}

fn verdict(d: &Draft<'_>, metric: &Metric, measured: &Measured) -> (Verdict, Option<Message>) {
    match measured {
        Measured::Value(value) => match out_of_range(metric, *value) {
            None => (Verdict::Passed, None),
            some => (Verdict::Failed, some),
        },
        Measured::NoValues(error) => (Verdict::NoValues, Some(no_values(d, metric, error))),
        Measured::Failed(error) if metric.template_ref.is_none() && is_builtin(metric) => {
            (Verdict::Error, Some(Message::QueryFailed(error.clone())))
        }
        Measured::Failed(error) => {
            let message = Message::QueryFailedFor {
                metric: metric.name.clone(),
                error: error.clone(),
            };
            (Verdict::Error, Some(message))
        }
        Measured::Template { template, error } => {
            let message = Message::TemplateError {
                template: template.clone(),
                error: error.clone(),
            };
            (Verdict::Error, Some(message))
        }
    }
}

fn is_builtin(metric: &Metric) -> bool {
    metric.inline_query().is_none() && [SUCCESS_RATE, DURATION].contains(&metric.name.as_str())
}

fn no_values(d: &Draft<'_>, metric: &Metric, error: &str) -> Message {
    let provider = d
        .canary
        .spec
        .provider
        .clone()
        .unwrap_or_else(|| "prometheus".to_owned());
    let name = metric.name.clone();
    if metric.template_ref.is_some() {
        return Message::NoValuesTemplate {
            metric: name,
            error: error.to_owned(),
        };
    }
    if !is_builtin(metric) {
        return Message::NoValuesInline(name);
    }
    if metric.name == SUCCESS_RATE {
        return Message::NoValuesSuccessRate {
            provider,
            metric: name,
            error: format!("running query failed: {error}"),
        };
    }
    Message::NoValuesDuration {
        provider,
        metric: name,
    }
}

fn out_of_range(metric: &Metric, value: f64) -> Option<Message> {
    let (min, max) = range(metric);
    // Flagger compares whole milliseconds, and prints them.
    let value = if is_builtin(metric) && metric.name == DURATION {
        value.trunc()
    } else {
        value
    };
    let below = min.filter(|min| value < *min);
    let above = max.filter(|max| value > *max);
    let name = if is_builtin(metric) && metric.template_ref.is_none() {
        metric.name.as_str()
    } else {
        ""
    };
    match (name, below, above) {
        (_, None, None) => None,
        (SUCCESS_RATE, Some(min), _) => Some(Message::SuccessRateBelow { value, min }),
        (SUCCESS_RATE, _, Some(max)) => Some(Message::SuccessRateAbove { value, max }),
        (DURATION, Some(min), _) => Some(Message::DurationBelow { millis: value, min }),
        (DURATION, _, Some(max)) => Some(Message::DurationAbove { millis: value, max }),
        (_, Some(min), _) => Some(Message::MetricBelow {
            metric: metric.name.clone(),
            value,
            min,
        }),
        (_, _, Some(max)) => Some(Message::MetricAbove {
            metric: metric.name.clone(),
            value,
            max,
        }),
    }
}

fn record(d: &mut Draft<'_>, metric: &Metric, measured: &Measured, verdict: Verdict) {
    let (min, max) = range(metric);
    let (value, message) = match measured {
        // JSON has no infinity: it is said in words.
        Measured::Value(value) if value.is_finite() => (Some(*value), String::new()),
        Measured::Value(value) => (None, value.to_string()),
        Measured::NoValues(error) | Measured::Failed(error) | Measured::Template { error, .. } => {
            (None, error.clone())
        }
    };
    let before = d.release().checks.iter();
    let before = before.filter(|old| old.name == metric.name);
    let mut recent: Vec<f64> = before.flat_map(|old| &old.recent).copied().collect();
    recent.extend(value);
    recent.drain(..recent.len().saturating_sub(RECENT));
    let check = MetricCheck {
        name: metric.name.clone(),
        value,
        min,
        max,
        verdict,
        message,
        at: d.now(),
        recent,
    };
    let order: Vec<String> = d
        .canary
        .analysis()
        .metrics
        .iter()
        .map(|metric| metric.name.clone())
        .collect();
    let checks = &mut d.release().checks;
    checks.retain(|old| old.name != check.name && order.contains(&old.name));
    checks.push(check);
    checks.sort_by_key(|check| order.iter().position(|name| *name == check.name));
}
