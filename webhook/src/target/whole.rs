//! Objects that we own whole: one comparison and one write for every kind of them.
//!
//! ```text
//!  desired ─┬─ its hash is not that of what was written last ─┐
//!  live    ─┴─ or the live object lost something of it ───────┴─► replacement: one PUT, else nothing
//! ```
//! The annotation on the object keeps the hash, and the labels, annotations and fields that were ours. So what is taken
//! out of a source is a difference, and it goes whoever the API server has as the manager of the field: Flagger
//! after a takeover, or an older version of us. What others wrote beside ours stays, whatever field of a Service it is.

use std::collections::BTreeSet;

use canary_core::names::APPLIED;
use canary_core::revision;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::target::covers;
use crate::target::generated::{has_canary, is_marked};
use crate::target::tracking::is_mark;

/// What was written last.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Applied {
    hash: String,
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
    /// Fields of a Service's spec. An older version did not note them, and set these beside what we set always.
    #[serde(
        default = "of_an_older_version",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    spec: BTreeSet<String>,
}

/// Labels and annotations of an object that are ours.
#[derive(Debug, Default)]
pub struct Ours {
    pub labels: BTreeSet<String>,
    pub annotations: BTreeSet<String>,
}

/// These count at creation only: a Service cannot become headless afterwards, and another type is somebody's
/// wish.
const OF_NEW_SERVICE: [&str; 2] = ["type", "clusterIP"];

/// With it pods that are not ready get requests: a Service that somebody hands over leaves it behind.
const NOT_HANDED_OVER: &str = "publishNotReadyAddresses";

fn of_an_older_version() -> BTreeSet<String> {
    BTreeSet::from(["trafficDistribution".to_owned()])
}

/// The object as it is to be created.
pub fn noted(mut desired: Value) -> Value {
    let applied = Applied {
        hash: hash(&desired),
        labels: keys(&desired, "labels"),
        annotations: keys(&desired, "annotations"),
        spec: fields_of_service(&desired),
    };
    let note = serde_json::to_string(&applied).unwrap_or_default();
    let mut annotations = map(&desired["metadata"]["annotations"]);
    annotations.insert(APPLIED.to_owned(), json!(note));
    desired["metadata"]["annotations"] = Value::Object(annotations);
    desired
}

/// Nothing has to be written.
pub fn is_so(live: &Value, desired: &Value) -> bool {
    applied(live).hash == hash(desired) && has_all(live, desired)
}

/// The live object with all that is ours replaced, to be PUT in its place. What the API server allotted, others'
/// labels, annotations, finalizers and owners are as they were.
pub fn replacement(live: &Value, desired: &Value) -> Value {
    let before = applied(live);
    // Nobody wrote down what was copied. What tools find objects by was, and would be their end.
    let unnoted = before.hash.is_empty();
    let mut object = noted(desired.clone());
    let ours = object["metadata"].take();
    let mut metadata = live["metadata"].clone();
    for (field, dropped) in [
        ("labels", &before.labels),
        ("annotations", &before.annotations),
    ] {
        let mut all = map(&metadata[field]);
        all.retain(|key, _| !(dropped.contains(key) || unnoted && is_mark(key)));
        all.extend(map(&ours[field]));
        metadata[field] = Value::Object(all);
    }
    metadata["ownerReferences"] = owners(live, desired);
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("managedFields");
    }
    object["metadata"] = metadata;
    if let Some(status) = live.get("status") {
        object["status"] = status.clone();
    }
    if desired["kind"] == "Service" {
        let mut dropped = before.spec;
        if !is_marked(live) && !has_canary(live) {
            dropped.insert(NOT_HANDED_OVER.to_owned());
        }
        keep_of_service(&mut object["spec"], &live["spec"], &dropped);
    }
    object
}

/// What the live object has where `desired` has something: when neither changes, a write changes nothing.
pub fn fingerprint(live: &Value, desired: &Value) -> String {
    let mut seen = Map::new();
    for field in ["labels", "annotations"] {
        let mut all = map(&live["metadata"][field]);
        let ours = map(&desired["metadata"][field]);
        all.retain(|key, _| ours.contains_key(key));
        seen.insert(field.to_owned(), Value::Object(all));
    }
    let owners = live["metadata"]["ownerReferences"].clone();
    seen.insert("owners".to_owned(), owners);
    for (field, _) in content(desired) {
        seen.insert(format!(".{field}"), live[field].clone());
    }
    seen.insert("desired".to_owned(), json!(hash(desired)));
    revision::checksum(&Value::Object(seen))
}

/// What of an object's metadata is ours.
pub fn metadata_of_ours(live: &Value) -> Ours {
    let Applied {
        labels,
        annotations,
        ..
    } = applied(live);
    Ours {
        labels,
        annotations,
    }
}

fn applied(live: &Value) -> Applied {
    let annotations = &live["metadata"]["annotations"];
    let note = annotations[APPLIED].as_str().unwrap_or("{}");
    serde_json::from_str(note).unwrap_or_default()
}

/// Of all that we say of an object; its owners depend on what is there.
fn hash(desired: &Value) -> String {
    let metadata = &desired["metadata"];
    let mut all: Map<String, Value> = content(desired)
        .map(|(field, value)| (format!(".{field}"), value.clone()))
        .collect();
    for field in ["labels", "annotations"] {
        all.insert(field.to_owned(), Value::Object(map(&metadata[field])));
    }
    revision::checksum(&Value::Object(all))
}

fn has_all(live: &Value, desired: &Value) -> bool {
    let metadata = |field: &str| {
        let ours = Value::Object(map(&desired["metadata"][field]));
        covers(&Value::Object(map(&live["metadata"][field])), &ours)
    };
    let owned = list(&desired["metadata"]["ownerReferences"]);
    let owners = list(&live["metadata"]["ownerReferences"]);
    // More of these is another meaning: fewer pods, or other files.
    let exact = |pointer: &str| live.pointer(pointer) == desired.pointer(pointer);
    metadata("labels")
        && metadata("annotations")
        && owned
            .iter()
            .all(|ours| owners.iter().any(|owner| covers(owner, ours)))
        && exact("/data")
        && exact("/binaryData")
        && exact_in(desired).iter().all(|pointer| exact(pointer))
        && content(desired).all(|(field, value)| {
            let mut value = value.clone();
            if desired["kind"] == "Service" {
                forget_of_service(&mut value);
            }
            covers(&live[field], &value)
        })
}

/// Where nobody adds anything: what the API server fills in it has filled in in the source that the copy is of.
fn exact_in(desired: &Value) -> &'static [&'static str] {
    match desired["kind"].as_str() {
        Some("Service") => &["/spec/selector"],
        Some("ApisixRoute") => &["/spec/http"],
        Some("HorizontalPodAutoscaler" | "PodDisruptionBudget") => &["/spec"],
        _ => &[],
    }
}

/// All of an object but what it is called and how it is.
fn content(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let apart = ["apiVersion", "kind", "metadata", "status"];
    let all = object.as_object().into_iter().flatten();
    all.filter(move |(field, _)| !apart.contains(&field.as_str()))
}

fn forget_of_service(spec: &mut Value) {
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|field, _| !OF_NEW_SERVICE.contains(&field.as_str()));
    }
}

/// Of what we say nothing, what is there stays: the API server allotted it, or somebody set it. What was ours, and is
/// not any more, goes.
fn keep_of_service(spec: &mut Value, live: &Value, dropped: &BTreeSet<String>) {
    // It has no address that could be kept.
    if live["type"] == "ExternalName" {
        return;
    }
    forget_of_service(spec);
    for (field, value) in map(live) {
        if spec.get(&field).is_none() && !dropped.contains(&field) {
            spec[field] = value;
        }
    }
    let same = |a: &Value, b: &Value| a["port"] == b["port"] && a["protocol"] == b["protocol"];
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        let before = list(&live["ports"]).iter().find(|old| same(old, port));
        if let Some(node) = before.and_then(|old| old.get("nodePort"))
            && port.get("nodePort").is_none()
        {
            port["nodePort"] = node.clone();
        }
    }
}

/// Ours, and those that it had besides: only one may control it.
fn owners(live: &Value, desired: &Value) -> Value {
    let mut owners = list(&desired["metadata"]["ownerReferences"]).to_vec();
    for other in list(&live["metadata"]["ownerReferences"]) {
        if owners.iter().all(|owner| owner["uid"] != other["uid"]) {
            let mut other = other.clone();
            if other["controller"] == true {
                other["controller"] = json!(false);
            }
            owners.push(other);
        }
    }
    json!(owners)
}

fn fields_of_service(desired: &Value) -> BTreeSet<String> {
    if desired["kind"] != "Service" {
        return BTreeSet::new();
    }
    let mut spec = desired["spec"].clone();
    forget_of_service(&mut spec);
    map(&spec).into_iter().map(|(field, _)| field).collect()
}

fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn keys(object: &Value, field: &str) -> BTreeSet<String> {
    map(&object["metadata"][field])
        .into_iter()
        .map(|(key, _)| key)
        .collect()
}

#[cfg(test)]
mod tests;
