//! What can be told from an object alone: whether we can run it.
//!
//! ```text
//!  admission ──┐                  ┌─ target, provider   (here)
//!  controller ─┼─► validate() ────┼─ service.rs         what ends up in a Service, by its rules (syntax.rs)
//!  plugin ─────┘                  ├─ strategy.rs        weights and capabilities
//!                                 └─ checks.rs          metrics, webhooks, alerts
//! ```
//!
//! All three ask the same question here, so what the one refuses the others do not act on.

mod checks;
mod service;
mod strategy;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::canary::{Canary, duration};
use crate::capability::{self, Capability};
use crate::names;
use crate::query;
use crate::template::MetricTemplateSpec;

/// Something in an object that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Path of the field, as `spec.analysis.stepWeight`.
    pub field: String,
    /// What is wrong, and what to write.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that keeps `canary` from being run, in the order of the spec; nothing if it can
/// be.
pub fn validate(canary: &Canary, default_provider: &str) -> Vec<Violation> {
    let mut found = Findings::default();
    let provider = canary.provider_or(default_provider);
    let capability = traffic(provider, &mut found);
    target(canary, &mut found);
    if provider == "apisix" && canary.route().is_none() {
        found.add(
            "spec.routeRef",
            "provider apisix needs the ApisixRoute of the target: name it",
        );
    }
    service::check(canary, &mut found);
    names_of_copies(canary, &mut found);
    let metrics_server = canary.metrics_server_or("");
    if !metrics_server.is_empty() && !checks::is_http_url(metrics_server) {
        found.add(
            "spec.metricsServer",
            format!("{metrics_server:?} is not a URL: write it as http://host:9090"),
        );
    }
    if canary
        .spec
        .progress_deadline_seconds
        .is_some_and(|seconds| seconds < 1)
    {
        found.add("spec.progressDeadlineSeconds", "must be 1 or more");
    }
    // An analysis that is skipped is not run, whatever it says.
    if !canary.skip_analysis() {
        let runnable = capability.filter(|capability| capability.supported);
        strategy::check(canary, runnable.map(|can| (provider, can)), &mut found);
        checks::metrics(canary, &mut found);
    }
    checks::hooks(canary, &mut found);
    checks::alerts(canary, &mut found);
    found.0
}

/// Everything that keeps a `MetricTemplate` from being asked. The keys of its variables come
/// from the Canary that uses it, so they are not looked at.
pub fn validate_metric_template(spec: &MetricTemplateSpec) -> Vec<Violation> {
    let mut found = Findings::default();
    let type_ = spec.provider.type_.as_str();
    match capability::metric_provider(type_) {
        Some(true) => {}
        Some(false) => found.unsupported(
            "spec.provider.type",
            "metric provider",
            type_,
            &supported(capability::METRIC_PROVIDERS),
        ),
        None => found.unknown(
            "spec.provider.type",
            "metric provider",
            type_,
            &known(capability::METRIC_PROVIDERS),
        ),
    }
    let address = spec.provider.address.as_deref().unwrap_or_default();
    if type_ == "prometheus" && !checks::is_http_url(address) {
        found.add(
            "spec.provider.address",
            "must be the URL of a Prometheus server, as http://prometheus.monitoring:9090",
        );
    }
    if spec.query.trim().is_empty() {
        found.add("spec.query", "must not be empty");
    } else if let Err(error) = query::check(&spec.query) {
        found.add("spec.query", error.to_string());
    }
    found.0
}

fn traffic(provider: &str, found: &mut Findings) -> Option<Capability> {
    const FIELD: &str = "spec.provider";
    let capability = capability::capability(provider);
    let names = |all: bool| {
        let rows = capability::PROVIDERS
            .iter()
            .filter(|(_, can)| all || can.supported);
        rows.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    match capability {
        None => found.unknown(FIELD, "provider", provider, &names(true)),
        Some(can) if !can.supported => {
            found.unsupported(FIELD, "provider", provider, &names(false));
        }
        Some(_) => {}
    }
    capability
}

fn target(canary: &Canary, found: &mut Findings) {
    let target = &canary.spec.target_ref;
    match capability::target_kind(&target.kind) {
        Some(true) => {}
        Some(false) => {
            let kinds = supported(capability::TARGET_KINDS);
            found.unsupported("spec.targetRef.kind", "target kind", &target.kind, &kinds);
        }
        None => {
            let kinds = known(capability::TARGET_KINDS);
            found.unknown("spec.targetRef.kind", "target kind", &target.kind, &kinds);
        }
    }
    if target.name.is_empty() {
        found.add(
            "spec.targetRef.name",
            "must name the workload that is released",
        );
    }
    let Some(scaler) = &canary.spec.autoscaler_ref else {
        return;
    };
    match capability::autoscaler_kind(&scaler.kind) {
        Some(true) => {}
        Some(false) => {
            let kinds = supported(capability::AUTOSCALER_KINDS);
            found.unsupported(
                "spec.autoscalerRef.kind",
                "autoscaler kind",
                &scaler.kind,
                &kinds,
            );
        }
        None => {
            let kinds = known(capability::AUTOSCALER_KINDS);
            found.unknown(
                "spec.autoscalerRef.kind",
                "autoscaler kind",
                &scaler.kind,
                &kinds,
            );
        }
    }
    if scaler.name.is_empty() {
        found.add(
            "spec.autoscalerRef.name",
            "must name the autoscaler of the target",
        );
    }
}

/// What is generated beside the target has longer names than what it is made of.
fn names_of_copies(canary: &Canary, found: &mut Findings) {
    const MAX_NAME: usize = 253;
    let mut fits = |field: &str, kind: &str, own: &str, generated: &str| {
        if generated.len() > MAX_NAME {
            let most = MAX_NAME.saturating_sub(generated.len() - own.len());
            found.add(
                field,
                format!(
                    "{kind} {generated} would have {} characters: give a name of at most {most}",
                    generated.len()
                ),
            );
        }
    };
    let target = canary.target_name();
    fits(
        "spec.targetRef.name",
        &canary.spec.target_ref.kind,
        target,
        &names::primary_of(target),
    );
    if let Some(scaler) = &canary.spec.autoscaler_ref {
        let copy = names::primary_of(&scaler.name);
        fits("spec.autoscalerRef.name", &scaler.kind, &scaler.name, &copy);
    }
    if let (Some(route), Some(generated)) = (canary.route(), canary.canary_route()) {
        fits("spec.routeRef.name", &route.kind, &route.name, &generated);
    }
}

fn known(table: &[(&str, bool)]) -> String {
    table
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn supported(table: &[(&str, bool)]) -> String {
    let rows = table.iter().filter(|(_, supported)| *supported);
    rows.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What was found so far.
#[derive(Default)]
struct Findings(Vec<Violation>);

// === impl Findings ===

impl Findings {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Violation {
            field: field.into(),
            message: message.into(),
        });
    }

    fn unknown(&mut self, field: impl Into<String>, what: &str, name: &str, known: &str) {
        self.add(
            field,
            format!("unknown {what} {name:?}: use one of {known}"),
        );
    }

    fn unsupported(&mut self, field: impl Into<String>, what: &str, name: &str, supported: &str) {
        self.add(
            field,
            format!("{what} {name} is not supported yet: use {supported}"),
        );
    }

    /// An empty text is absent, and the default is taken.
    fn duration(&mut self, field: impl Into<String>, text: Option<&str>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else {
            return;
        };
        match duration(text) {
            None => self.add(
                field,
                format!("{text:?} is not a duration: write it as 30s, 1m or 1m30s"),
            ),
            Some(duration) if duration.is_zero() => self.add(field, "must be longer than 0s"),
            Some(_) => {}
        }
    }

    fn percentage(&mut self, field: &str, value: Option<i64>) {
        if value.is_some_and(|value| !(0..=100).contains(&value)) {
            self.add(field, "must be from 0 to 100");
        }
    }
}
