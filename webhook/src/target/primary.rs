//! `<target>-primary`: the recorded template with labels, configuration names and placement rules
//! of its own, in a Deployment that is never short of ready pods while it rolls.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{self, Labels, Selector};
use serde_json::{Map, Value, json};

use crate::target::config::{self, ConfigRef};
use crate::target::copies::History;
use crate::target::view::strings;
use crate::target::{generated, included, placement, untracked};

/// What a primary is made of.
pub struct Parts<'a> {
    pub canary: &'a Canary,
    /// The target as it is: metadata, and the fields that shape a rollout.
    pub target: &'a Value,
    pub template: &'a Value,
    pub revision: &'a str,
    /// What tells the pods of the two.
    pub selector: &'a Selector,
    /// Configuration that has a copy for the primary, by whose name.
    pub configs: &'a BTreeMap<ConfigRef, String>,
    /// What is noted of these copies.
    pub copies: &'a History,
    pub id: &'a Id,
    pub label_prefixes: &'a [String],
}

/// Changes with every promotion: the same template with other configuration must roll too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    pub now: String,
    /// The one before. A primary that is put back gets it again: with the template of the ReplicaSet that it
    /// had, its pods stay, and none has to find room.
    pub before: Option<String>,
}

// === impl Id ===

impl Id {
    /// Of the primary as it stands, and the id that its promotion would have.
    pub fn next(live: &Value, computed: String, back: bool) -> Self {
        let of = |pointer: &str, name: &str| {
            let annotations = live.pointer(pointer)?;
            annotations.get(name)?.as_str().map(str::to_owned)
        };
        let has = of("/spec/template/metadata/annotations", names::FLAGGER_ID);
        let before = of("/metadata/annotations", names::PREVIOUS_ID);
        if back {
            let now = before.clone().unwrap_or(computed);
            return Self { now, before };
        }
        // A promotion that is written again is the same one.
        let again = has.as_deref() == Some(&computed);
        Self {
            now: computed,
            before: if again { before } else { has },
        }
    }
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
            "selector": { "matchLabels": parts.selector.primary() },
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

fn primary_value(selector: &Selector) -> &str {
    let value = selector.primary().get(selector.key());
    value.map_or("", String::as_str)
}

fn fill(object: &mut Value, parts: &Parts<'_>) {
    let target_labels = parts
        .target
        .pointer("/metadata/labels")
        .and_then(Value::as_object);
    let mut labels = included(target_labels, parts.label_prefixes);
    let (key, value) = (parts.selector.key(), primary_value(parts.selector));
    labels.insert(key.to_owned(), json!(value));
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
    if let Some(before) = &parts.id.before {
        annotations.insert(names::PREVIOUS_ID.to_owned(), json!(before));
    }
    parts.copies.annotate(&mut annotations);
    object["metadata"]["labels"] = Value::Object(labels);
    object["metadata"]["annotations"] = Value::Object(annotations);
    // What the target lost, the primary loses.
    if let Some(spec) = object["spec"].as_object_mut() {
        for field in ROLLOUT_FIELDS {
            spec.remove(field);
            let value = parts.target["spec"].get(field);
            spec.extend(value.map(|value| (field.to_owned(), value.clone())));
        }
    }
    object["spec"]["strategy"] = strategy(&parts.target["spec"]["strategy"]);
    let own = selector::labels_of(object.pointer("/spec/selector"));
    object["spec"]["template"] = template(parts, &own);
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

/// The promoted template. Whatever labels it has, the primary goes on finding its pods: `own` is what it
/// selects by.
fn template(parts: &Parts<'_>, own: &Labels) -> Value {
    let mut template = parts.template.clone();
    let pods = strings(template.pointer("/metadata/labels"));
    let of = |field: &str, template: &Value| -> Map<String, Value> {
        let mut map = template["metadata"][field]
            .as_object()
            .cloned()
            .unwrap_or_default();
        map.retain(|key, _| !key.contains("toolkit.fluxcd.io"));
        map
    };
    let mut labels = of("labels", &template);
    for (key, value) in own.iter().chain(parts.selector.primary()) {
        labels.insert(key.clone(), json!(value));
    }
    let mut annotations = of("annotations", &template);
    annotations.insert(names::FLAGGER_ID.to_owned(), json!(parts.id.now));
    template["metadata"]["labels"] = Value::Object(labels);
    template["metadata"]["annotations"] = Value::Object(annotations);
    config::rename(&mut template, parts.configs);
    let namespace = parts.canary.namespace_name();
    placement::for_primary(&mut template, &pods, namespace, parts.selector);
    template
}

/// A template of a primary as its target had it: of one that Flagger made, or that we did. `labels` are
/// those that Flagger looks at.
pub fn original_template(
    template: &Value,
    canary: &Canary,
    selector: &Selector,
    labels: &[String],
    configs: &BTreeSet<ConfigRef>,
) -> Value {
    let mut template = template.clone();
    for (key, value, _) in selector.differing() {
        template["metadata"]["labels"][key] = json!(value);
    }
    config::rename_back(&mut template, canary, configs);
    if !placement::of_target(&mut template, selector) {
        placement::of_flaggers_target(&mut template, canary.target_name(), labels);
    }
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
    template
}

#[cfg(test)]
mod tests;
