//! Metrics, webhooks and alerts.

use std::collections::BTreeSet;

use super::Findings;
use crate::canary::{Canary, Metric};
use crate::capability::BUILTIN_METRICS;
use crate::query::{check, check_variables};
use crate::url;

pub fn metrics(canary: &Canary, found: &mut Findings) {
    for (i, metric) in canary.analysis().metrics.iter().enumerate() {
        let field = format!("spec.analysis.metrics[{i}]");
        if metric.name.is_empty() {
            found.add(format!("{field}.name"), "must not be empty");
        }
        source(metric, &field, found);
        range(metric, &field, found);
        found.duration(format!("{field}.interval"), metric.interval.as_deref());
    }
}

/// Where the value comes from.
fn source(metric: &Metric, field: &str, found: &mut Findings) {
    if let Some(template) = &metric.template_ref {
        if template.name.is_empty() {
            found.add(
                format!("{field}.templateRef.name"),
                "must name a MetricTemplate",
            );
        }
    } else if let Some(query) = metric.inline_query() {
        let variables = &metric.template_variables;
        if let Err(error) = check(query).and_then(|()| check_variables(query, variables)) {
            found.add(format!("{field}.query"), error.to_string());
        }
    } else if !BUILTIN_METRICS.contains(&metric.name.as_str()) {
        let builtin = BUILTIN_METRICS.join(", ");
        found.add(
            field,
            format!("metric {:?} has neither templateRef nor query, and is none of the built-in ones: {builtin}", metric.name),
        );
    }
}

fn range(metric: &Metric, field: &str, found: &mut Findings) {
    let range = metric.threshold_range.unwrap_or_default();
    match (range.min, range.max) {
        (None, None) if metric.threshold.is_none() => {
            found.add(
                format!("{field}.thresholdRange"),
                "is empty: give min, max or both",
            );
        }
        (Some(min), Some(max)) if min > max => {
            found.add(
                format!("{field}.thresholdRange"),
                format!("no value passes: min {min} is more than max {max}"),
            );
        }
        _ => {}
    }
}

pub fn hooks(canary: &Canary, found: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (i, hook) in canary.analysis().webhooks.iter().enumerate() {
        let field = format!("spec.analysis.webhooks[{i}]");
        if hook.name.is_empty() {
            found.add(format!("{field}.name"), "must not be empty");
        } else if !seen.insert(&hook.name) {
            found.add(
                format!("{field}.name"),
                format!(
                    "{:?} is the name of an earlier webhook: give another",
                    hook.name
                ),
            );
        }
        if !is_http_url(&hook.url) {
            found.add(
                format!("{field}.url"),
                format!(
                    "{:?} is not a URL: write it as http://host/path",
                    url::shown(&hook.url)
                ),
            );
        }
        let type_ = hook.type_.as_deref().unwrap_or_default();
        if let Err(error) = type_.parse::<crate::hook::HookKind>() {
            found.add(format!("{field}.type"), error.to_string());
        }
        found.duration(format!("{field}.timeout"), hook.timeout.as_deref());
        if hook.retries.is_some_and(|retries| retries < 0) {
            found.add(format!("{field}.retries"), "must be 0 or more");
        }
    }
}

pub fn alerts(canary: &Canary, found: &mut Findings) {
    for (i, alert) in canary.analysis().alerts.iter().enumerate() {
        let field = format!("spec.analysis.alerts[{i}]");
        if alert.provider_ref.name.is_empty() {
            found.add(
                format!("{field}.providerRef.name"),
                "must name an AlertProvider",
            );
        }
        let severity = alert.severity.as_deref().unwrap_or_default();
        if !["", "info", "warn", "error"].contains(&severity) {
            found.add(
                format!("{field}.severity"),
                format!("unknown severity {severity:?}: use one of info, warn, error"),
            );
        }
    }
}

/// Whether a text has the scheme and the host of an HTTP URL.
pub fn is_http_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', ':', '?', '#'])
            && !rest.contains(char::is_whitespace)
    })
}
