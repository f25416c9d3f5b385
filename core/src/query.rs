//! Metric queries: the user's templates filled in, and the built-in checks.
//!
//! ```text
//!  MetricTemplate.query ─┐
//!  inline query ─────────┼─► render(template, model) ─► PromQL on one line
//!  builtin(name, …) ─────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::canary::{Canary, Metric};

mod builtin;
#[cfg(test)]
mod promql;
#[cfg(test)]
mod tests;

pub use builtin::{Scope, builtin};

/// The built-in check of the share of requests that succeed, in percent.
pub const SUCCESS_RATE: &str = "request-success-rate";
/// The built-in check of the 99th percentile of request durations, in milliseconds.
pub const DURATION: &str = "request-duration";

/// What a template can name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("unknown variable {}: {hint}", .names.join(", "), hint = HINT)]
    UnknownVariable { names: Vec<String> },
    #[error("the template cannot be read: {0}; {hint}", hint = HINT)]
    Syntax(#[source] minijinja::Error),
    #[error("the template cannot be filled in: {0}; {hint}", hint = HINT)]
    Render(#[source] minijinja::Error),
}

const HINT: &str = "a query can use name, namespace, target, service, ingress, route, interval, \
     and variables.<key> with a key of templateVariables";

/// Fills in a template. The result is on one line, with single spaces.
pub fn render(template: &str, model: &QueryModel) -> Result<String, QueryError> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(syntax().map_err(QueryError::Syntax)?);
    let compiled = environment
        .template_from_str(template)
        .map_err(QueryError::Syntax)?;
    let unknown = unknown(&compiled.undeclared_variables(true), model);
    if !unknown.is_empty() {
        return Err(QueryError::UnknownVariable { names: unknown });
    }
    let text = compiled.render(Serde(model)).map_err(QueryError::Render)?;
    Ok(one_line(&text))
}

/// Only `{{ … }}` is special: `{%` and `{#` are text, since a query may well hold them.
fn syntax() -> Result<SyntaxConfig, minijinja::Error> {
    SyntaxConfig::builder()
        .block_delimiters("\u{1}block", "block\u{1}")
        .comment_delimiters("\u{1}comment", "comment\u{1}")
        .build()
}

/// The names that a template uses and the model does not have. Asked before rendering, since
/// the engine's own error does not say which.
fn unknown(used: &std::collections::HashSet<String>, model: &QueryModel) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "name",
        "namespace",
        "target",
        "service",
        "ingress",
        "route",
        "interval",
        "variables",
    ];
    let known = |name: &str| match name.strip_prefix("variables.") {
        Some(key) => model.variables.contains_key(key),
        None => NAMES.contains(&name),
    };
    let unknown: BTreeSet<&String> = used.iter().filter(|name| !known(name)).collect();
    unknown.into_iter().cloned().collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
