//! Whether what was generated for a Canary fits together, and who else looks at its pods. Pure.
//!
//! ```text
//!  marked, and asked for by no name ──► leftover       in use until the spec is adopted ─► in force
//!  Services ──┬─ select pods? whose?  ─► selector
//!             └─ ports of the routes? ─► ports
//!  budgets, other Services of the target's pods alone ─► who else (`beside`)
//! ```

mod beside;
mod led;
mod leftover;
mod services;

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::selector::{Labels, labels_of};
use canary_core::status::Phase;
use serde_json::Value;

use super::Check;

/// A pod behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    pub name: String,
    pub labels: Labels,
    pub ready: bool,
    /// Nobody owns it.
    pub bare: bool,
}

/// What was read. A kind that could not be read is empty, and is said to be so elsewhere.
#[derive(Debug, Default)]
pub struct Around {
    pub target: Option<Value>,
    pub primary: Option<Value>,
    pub services: Vec<Value>,
    pub routes: Vec<Value>,
    pub scalers: Vec<Value>,
    pub budgets: Vec<Value>,
    pub deployments: Vec<Value>,
    /// By the name of the Service; none of a Service whose pods were not read.
    pub pods: BTreeMap<String, Vec<Behind>>,
}

/// One check for each trouble, or one that says that there is none.
pub fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let mut checks = leftover::checks(canary, around);
    if is_generated(canary) {
        checks.extend(services::checks(canary, around));
        checks.extend(beside::checks(canary, around));
    }
    // Of what is not there nothing is known to be well.
    if checks.is_empty() && around.target.is_some() && around.primary.is_some() {
        let said =
            "generated objects fit together, and nothing else looks at the target's pods alone";
        checks.push(Check::ok("around", said));
    }
    checks
}

/// Before that, generated objects come into being.
fn is_generated(canary: &Canary) -> bool {
    let phase = canary.status.as_ref().map(|status| status.phase);
    !matches!(
        phase.unwrap_or_default(),
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated
    )
}

/// Services whose pods are worth a look: name, and what they are found by.
pub fn selectors(canary: &Canary, services: &[Value]) -> Vec<(String, Labels)> {
    let ours = [
        canary.apex().to_owned(),
        canary.primary_service(),
        canary.canary_service(),
    ];
    let uid = canary.metadata.uid.as_deref().unwrap_or_default();
    let marked = services.iter().filter(|it| leftover::is_marked(it, uid));
    let marked = marked.map(|it| named(it).to_owned());
    // Of what may be a leftover it counts whether anybody is behind it.
    let all: BTreeSet<String> = ours.into_iter().chain(marked).collect();
    let found = all.into_iter().filter_map(|name| {
        let live = by_name(services, &name)?;
        Some((name, strings(live.pointer("/spec/selector"))))
    });
    found.filter(|(_, selector)| !selector.is_empty()).collect()
}

fn by_name<'a>(all: &'a [Value], name: &str) -> Option<&'a Value> {
    all.iter().find(|it| named(it) == name)
}

fn named(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn strings(map: Option<&Value>) -> Labels {
    let map = map.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn pod_labels(deployment: &Value) -> Labels {
    strings(deployment.pointer("/spec/template/metadata/labels"))
}

fn match_labels(deployment: &Value) -> Labels {
    labels_of(deployment.pointer("/spec/selector"))
}

fn replicas(deployment: &Value) -> i64 {
    deployment["spec"]["replicas"].as_i64().unwrap_or(1)
}

#[cfg(test)]
mod tests;
