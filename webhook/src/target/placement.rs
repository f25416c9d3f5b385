//! Placement terms that speak of the target's own pods must speak of the primary's in the primary: those of
//! the target would keep its pods from the nodes, or spread them over pods that are not there at rest.
//!
//! A term does if it matches the target's pods, and names the label that tells the two sides apart, or names
//! nothing but labels that the target selects by. Every other term is about somebody else, and stays.

use canary_core::names;
use canary_core::selector::{Labels, Selector};
use serde_json::{Map, Value, json};

/// A kind of term: the name it is noted by, where the list is, where its selector is in a term.
const LISTS: [(&str, &str, &str); 5] = [
    (
        "spread",
        "/spec/topologySpreadConstraints",
        "/labelSelector",
    ),
    (
        "anti-required",
        "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
        "/labelSelector",
    ),
    (
        "anti-preferred",
        "/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
        "/podAffinityTerm/labelSelector",
    ),
    (
        "affinity-required",
        "/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution",
        "/labelSelector",
    ),
    (
        "affinity-preferred",
        "/spec/affinity/podAffinity/preferredDuringSchedulingIgnoredDuringExecution",
        "/podAffinityTerm/labelSelector",
    ),
];
/// Flagger rewrites these alone.
const LISTS_OF_FLAGGER: usize = 3;
/// Behind the number of a term that was given the label.
const ADDED: char = '+';

/// What has to be done to a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It names the label.
    Rewrite,
    /// It speaks of the target by other labels.
    Add,
}

/// Rewrites the terms of a template of the target's, whose pods have these labels. What was done is noted in
/// an annotation of the template, so that it can be undone exactly.
pub fn for_primary(template: &mut Value, pods: &Labels, namespace: &str, selector: &Selector) {
    let mut notes = Vec::new();
    for (name, list, at) in LISTS {
        let terms = template.pointer_mut(list).and_then(Value::as_array_mut);
        for (index, term) in terms.into_iter().flatten().enumerate() {
            if !is_about(term, at, namespace) {
                continue;
            }
            let Some(found) = term.pointer_mut(at) else {
                continue;
            };
            match change(found, pods, selector) {
                Some(Change::Rewrite) => {
                    rewrite(found, selector, |(key, target, primary)| {
                        (key, target, primary)
                    });
                    notes.push(format!("{name}/{index}"));
                }
                Some(Change::Add) => {
                    add(found, selector);
                    notes.push(format!("{name}/{index}{ADDED}"));
                }
                None => {}
            }
        }
    }
    if !notes.is_empty() {
        template["metadata"]["annotations"][names::PLACEMENT] = json!(notes.join(" "));
    }
}

/// The terms of a template that [`for_primary`] made, as they were; false if it made no such template.
pub fn of_target(template: &mut Value, selector: &Selector) -> bool {
    let note = template
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
        .and_then(|annotations| annotations.remove(names::PLACEMENT));
    let Some(note) = note.as_ref().and_then(Value::as_str) else {
        return false;
    };
    for entry in note.split(' ') {
        let Some((name, index)) = entry.split_once('/') else {
            continue;
        };
        let added = index.ends_with(ADDED);
        let index: Option<usize> = index.trim_end_matches(ADDED).parse().ok();
        let list = LISTS.iter().find(|(known, ..)| *known == name);
        let (Some(index), Some((_, list, at))) = (index, list) else {
            continue;
        };
        let Some(found) = template.pointer_mut(&format!("{list}/{index}{at}")) else {
            continue;
        };
        if added {
            take_out(found, selector.key());
        } else {
            rewrite(found, selector, |(key, target, primary)| {
                (key, primary, target)
            });
        }
    }
    true
}

/// The terms of a primary that Flagger made: it suffixes the Deployment's name where it finds it.
pub fn of_flaggers_target(template: &mut Value, name: &str, labels: &[String]) {
    let from = names::primary_of(name);
    for (_, list, at) in &LISTS[..LISTS_OF_FLAGGER] {
        let terms = template.pointer_mut(list).and_then(Value::as_array_mut);
        for term in terms.into_iter().flatten() {
            let Some(found) = term.pointer_mut(at) else {
                continue;
            };
            for label in labels {
                // Of several values it suffixes the first.
                replace(found, label, (&from, name), 1);
            }
        }
    }
}

/// Whether a term looks at pods of this namespace.
fn is_about(term: &Value, at: &str, namespace: &str) -> bool {
    let term = at
        .strip_suffix("/labelSelector")
        .and_then(|inner| term.pointer(inner))
        .unwrap_or(term);
    let named = term["namespaces"].as_array();
    let elsewhere = named
        .is_some_and(|named| !named.is_empty() && !named.iter().any(|name| *name == namespace));
    !elsewhere || term["namespaceSelector"].is_object()
}

fn change(term: &Value, pods: &Labels, selector: &Selector) -> Option<Change> {
    let asked = asked(term)?;
    if asked.is_empty() || !asked.iter().all(|it| it.matches(pods)) {
        return None;
    }
    let mut named = false;
    for (key, target, primary) in selector.differing() {
        for it in asked.iter().filter(|it| it.key == key) {
            // Who names the primary's pods as well, or speaks of them in another way, has seen to them.
            if it.operator != "In" || it.values.contains(&primary) || !it.values.contains(&target) {
                return None;
            }
            named = true;
        }
    }
    if named {
        return Some(Change::Rewrite);
    }
    let own = asked
        .iter()
        .all(|it| it.operator == "In" && selector.target().contains_key(it.key));
    own.then_some(Change::Add)
}

/// One thing that a selector asks of a pod.
struct Asked<'a> {
    key: &'a str,
    operator: &'a str,
    values: Vec<&'a str>,
}

// === impl Asked ===

impl Asked<'_> {
    fn matches(&self, pods: &Labels) -> bool {
        let value = pods.get(self.key).map(String::as_str);
        let among = value.is_some_and(|value| self.values.contains(&value));
        match self.operator {
            "In" => among,
            "NotIn" => !among,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// None of what is no selector.
fn asked(term: &Value) -> Option<Vec<Asked<'_>>> {
    let mut asked = Vec::new();
    for (key, value) in term["matchLabels"].as_object().into_iter().flatten() {
        asked.push(Asked {
            key,
            operator: "In",
            values: vec![value.as_str()?],
        });
    }
    for expression in term["matchExpressions"].as_array().into_iter().flatten() {
        let values = expression["values"].as_array().into_iter().flatten();
        asked.push(Asked {
            key: expression["key"].as_str()?,
            operator: expression["operator"].as_str()?,
            values: values.filter_map(Value::as_str).collect(),
        });
    }
    Some(asked)
}

type Pair<'a> = (&'a str, &'a str, &'a str);

fn rewrite(term: &mut Value, selector: &Selector, way: impl Fn(Pair<'_>) -> Pair<'_>) {
    for (key, from, to) in selector.differing().map(way) {
        replace(term, key, (from, to), usize::MAX);
    }
}

fn replace(term: &mut Value, key: &str, (from, to): (&str, &str), most: usize) {
    if let Some(value) = term
        .get_mut("matchLabels")
        .and_then(|labels| labels.get_mut(key))
        && value == from
    {
        *value = json!(to);
    }
    let expressions = term
        .get_mut("matchExpressions")
        .and_then(Value::as_array_mut);
    for expression in expressions.into_iter().flatten() {
        if expression["key"] != key {
            continue;
        }
        let values = expression.get_mut("values").and_then(Value::as_array_mut);
        let values = values.into_iter().flatten();
        for value in values.filter(|value| *value == from).take(most) {
            *value = json!(to);
        }
    }
}

fn add(term: &mut Value, selector: &Selector) {
    let key = selector.key();
    term["matchLabels"][key] = json!(selector.primary()[key]);
}

fn take_out(term: &mut Value, key: &str) {
    let Some(term) = term.as_object_mut() else {
        return;
    };
    let labels = term.get_mut("matchLabels").and_then(Value::as_object_mut);
    if let Some(labels) = labels {
        labels.remove(key);
    }
    if term
        .get("matchLabels")
        .is_some_and(|it| *it == Value::Object(Map::new()))
    {
        term.remove("matchLabels");
    }
}

#[cfg(test)]
mod tests;
