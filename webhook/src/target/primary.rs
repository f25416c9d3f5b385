//! `<target>-primary`: the recorded template with labels, configuration names and placement rules
//! of its own, in a Deployment that is never short of ready pods while it rolls.

use std::collections::BTreeSet;

use canary_core::canary::Canary;
use canary_core::names;
use serde_json::{Map, Value, json};

use crate::target::config::{self, ConfigRef};
use crate::target::{generated, included, untracked};

/// What a primary is made of.
pub struct Parts<'a> {
    pub canary: &'a Canary,
    /// The target as it is: metadata, and the fields that shape a rollout.
    pub target: &'a Value,
    pub template: &'a Value,
    pub revision: &'a str,
    /// The label that tells the target's pods, and its value there.
    pub selector: (&'a str, &'a str),
    /// Labels that placement rules may use for the same purpose.
    pub selector_labels: &'a [String],
    /// Configuration that has a `-primary` copy.
    pub configs: &'a BTreeSet<ConfigRef>,
    /// Changes with every promotion: the same template with other configuration must roll too.
    pub flagger_id: &'a str,
    pub label_prefixes: &'a [String],
}

const ROLLOUT_FIELDS: [&str; 3] = [
    "progressDeadlineSeconds",
    "minReadySeconds",
    "revisionHistoryLimit",
];

/// A new primary.
pub fn create(parts: &Parts<'_>, replicas: i32) -> Value {
    let canary = parts.canary;
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": canary.primary_name(),
            "namespace": canary.metadata.namespace,
        },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { parts.selector.0: primary_value(parts) } },
        },
    });
    fill(&mut object, parts);
    generated::own(object, canary)
}

/// The live primary with the recorded template: whatever the template dropped is gone. Replicas
/// stay as they are where an autoscaler sets them.
pub fn promote(live: &Value, parts: &Parts<'_>, replicas: Option<i32>) -> Value {
    let mut object = live.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    if let Some(root) = object.as_object_mut() {
        root.remove("status");
    }
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = json!(replicas);
    }
    fill(&mut object, parts);
    generated::own(object, parts.canary)
}

fn primary_value(parts: &Parts<'_>) -> String {
    names::primary_of(parts.selector.1)
}

fn fill(object: &mut Value, parts: &Parts<'_>) {
    let target_labels = parts
        .target
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let mut labels = included(target_labels, parts.label_prefixes);
    labels.insert(parts.selector.0.to_owned(), json!(primary_value(parts)));
    let mut annotations = untracked(
        parts
            .target
            .pointer("/metadata/annotations")
            .and_then(Value::as_object),
    );
    // What the Deployment controller keeps on the primary is its own.
    if let Some(kept) = object.pointer("/metadata/annotations/deployment.kubernetes.io~1revision") {
        annotations.insert("deployment.kubernetes.io/revision".to_owned(), kept.clone());
    }
    annotations.insert(names::REVISION.to_owned(), json!(parts.revision));
    object["metadata"]["labels"] = Value::Object(labels);
    object["metadata"]["annotations"] = Value::Object(annotations);
    for field in ROLLOUT_FIELDS {
        if let Some(value) = parts.target["spec"].get(field) {
            object["spec"][field] = value.clone();
        }
    }
    object["spec"]["strategy"] = strategy(&parts.target["spec"]["strategy"]);
    object["spec"]["template"] = template(parts);
}

/// Never fewer ready pods than wanted.
fn strategy(of_target: &Value) -> Value {
    let surge = of_target
        .pointer("/rollingUpdate/maxSurge")
        .cloned()
        .unwrap_or(json!("25%"));
    let none = surge == json!(0) || surge == json!("0") || surge == json!("0%");
    let surge = if none { json!(1) } else { surge };
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": surge } })
}

fn template(parts: &Parts<'_>) -> Value {
    let mut template = parts.template.clone();
    let of = |field: &str, template: &Value| -> Map<String, Value> {
        let mut map = template["metadata"][field]
            .as_object()
            .cloned()
            .unwrap_or_default();
        map.retain(|key, _| !key.contains("toolkit.fluxcd.io"));
        map
    };
    let mut labels = of("labels", &template);
    labels.insert(parts.selector.0.to_owned(), json!(primary_value(parts)));
    let mut annotations = of("annotations", &template);
    annotations.insert(names::FLAGGER_ID.to_owned(), json!(parts.flagger_id));
    template["metadata"]["labels"] = Value::Object(labels);
    template["metadata"]["annotations"] = Value::Object(annotations);
    config::rename(&mut template, parts.configs);
    let name = parts.canary.target_name();
    let to = names::primary_of(name);
    rewrite_placement(&mut template, parts.selector_labels, name, &to);
    template
}

/// A template of a primary that Flagger made, as its target had it.
pub fn original_template(
    template: &Value,
    canary: &Canary,
    selector: (&str, &str),
    labels: &[String],
    configs: &BTreeSet<ConfigRef>,
) -> Value {
    let mut template = template.clone();
    template["metadata"]["labels"][selector.0] = json!(selector.1);
    if let Some(annotations) = template
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(names::FLAGGER_ID);
        if annotations.is_empty()
            && let Some(metadata) = template["metadata"].as_object_mut()
        {
            metadata.remove("annotations");
        }
    }
    config::rename_back(&mut template, configs);
    let name = canary.target_name();
    rewrite_placement(&mut template, labels, &names::primary_of(name), name);
    template
}

/// Anti-affinity and spread rules that speak of the target's own pods must speak of the primary's.
fn rewrite_placement(template: &mut Value, labels: &[String], from: &str, to: &str) {
    const TERMS: [(&str, &str); 3] = [
        ("/spec/topologySpreadConstraints", "/labelSelector"),
        (
            "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
            "/labelSelector",
        ),
        (
            "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
            "/podAffinityTerm/labelSelector",
        ),
    ];
    for (list, selector) in TERMS {
        let terms = template.pointer_mut(list).and_then(Value::as_array_mut);
        for term in terms.into_iter().flatten() {
            if let Some(selector) = term.pointer_mut(selector) {
                rewrite_selector(selector, labels, from, to);
            }
        }
    }
}

fn rewrite_selector(selector: &mut Value, labels: &[String], from: &str, to: &str) {
    if let Some(map) = selector
        .get_mut("matchLabels")
        .and_then(Value::as_object_mut)
    {
        for (key, value) in map {
            if labels.contains(key) && value == from {
                *value = json!(to);
            }
        }
    }
    let expressions = selector
        .get_mut("matchExpressions")
        .and_then(Value::as_array_mut);
    for expression in expressions.into_iter().flatten() {
        let ours = expression["key"]
            .as_str()
            .is_some_and(|key| labels.iter().any(|label| label == key));
        if !ours {
            continue;
        }
        let values = expression.get_mut("values").and_then(Value::as_array_mut);
        if let Some(value) = values.into_iter().flatten().find(|value| *value == from) {
            *value = json!(to);
        }
    }
}

#[cfg(test)]
mod tests;
