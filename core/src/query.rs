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
