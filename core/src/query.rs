//! Metric queries: the user's templates filled in, and the built-in checks.
//!
//! ```text
//!  MetricTemplate.query ─┐
//!  inline query ─────────┼─► render(template, model) ─► the query, as it was written
//!  builtin(name, …) ─────┘
//! ```

use std::collections::BTreeMap;

use crate::canary::{Canary, Metric};

mod builtin;
#[cfg(test)]
mod promql;
mod template;
#[cfg(test)]
mod tests;

pub use builtin::{Scope, builtin};
use template::Template;
pub use template::{MAX_QUERY, MAX_TEMPLATE};

/// The built-in check of the share of requests that succeed, in percent.
pub const SUCCESS_RATE: &str = "request-success-rate";
/// The built-in check of the 99th percentile of request durations, in milliseconds.
pub const DURATION: &str = "request-duration";

/// What a template can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryModel {
    /// Of the Canary.
    pub name: String,
    pub namespace: String,
    pub target: String,
    /// Of the apex Service.
    pub service: String,
    pub ingress: String,
    pub route: String,
    pub interval: String,
    pub variables: BTreeMap<String, String>,
}

// === impl QueryModel ===

impl QueryModel {
    /// What the query of that metric can name. A route or Ingress that is not named has the target's
    /// name.
    pub fn of(canary: &Canary, metric: &Metric) -> Self {
        let target = canary.target_name().to_owned();
        let or_target = |name: Option<&String>| {
            name.filter(|name| !name.is_empty())
                .cloned()
                .unwrap_or_else(|| target.clone())
        };
        let spec = &canary.spec;
        Self {
            name: canary.metadata.name.clone().unwrap_or_default(),
            namespace: canary.namespace_name().to_owned(),
            service: canary.apex().to_owned(),
            ingress: or_target(spec.ingress_ref.as_ref().map(|reference| &reference.name)),
            route: or_target(spec.route_ref.as_ref().map(|reference| &reference.name)),
            interval: metric.interval().to_owned(),
            variables: metric.template_variables.clone(),
            target,
        }
    }
}

/// Why a template has no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("the query has {bytes} bytes: at most {MAX_TEMPLATE} are read")]
    TooLong { bytes: usize },
    /// What is not understood, each with its line.
    #[error("{0}")]
    Template(String),
    #[error(
        "filled in, the query has more than {MAX_QUERY} bytes: shorten it or its templateVariables"
    )]
    Filled,
}

const HINT: &str = "a query can use name, namespace, target, service, ingress, route, interval, \
     variables.KEY with a key of templateVariables, index and printf";

/// Fills in a template. What is not between `{{` and `}}` is kept as it was written: lines, comments and
/// spaces mean something to whoever is asked.
pub fn render(template: &str, model: &QueryModel) -> Result<String, QueryError> {
    Template::read(template)?.fill(model)
}

/// What is wrong with a template by itself: names and functions. Nothing is filled in.
pub fn check(template: &str) -> Result<(), QueryError> {
    Template::read(template).map(|_| ())
}

/// The variables that a template uses and that are not among these. Nothing is said of a template that
/// cannot be read.
pub fn check_variables(
    template: &str,
    variables: &BTreeMap<String, String>,
) -> Result<(), QueryError> {
    Template::read(template).map_or(Ok(()), |template| template.missing(variables))
}
