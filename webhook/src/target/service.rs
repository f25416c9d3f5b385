//! The three Services: apex for users, `-primary` and `-canary` for the router.

use std::collections::BTreeMap;

use canary_core::canary::{Canary, CustomMetadata};
use canary_core::names;
use canary_core::selector::{Labels, Selector, selects};
use serde_json::{Map, Value, json};

use crate::target::declared::Port;
use crate::target::generated;
use crate::target::view::strings;

/// Sidecars whose ports are not the application's.
const SIDECARS: [&str; 2] = ["istio-proxy", "envoy"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Apex,
    Primary,
    Canary,
}

// === impl Side ===

impl Side {
    pub fn name(self, canary: &Canary) -> String {
        match self {
            Self::Apex => canary.apex().to_owned(),
            Self::Primary => canary.primary_service(),
            Self::Canary => canary.canary_service(),
        }
    }

    fn metadata(self, canary: &Canary) -> Option<&CustomMetadata> {
        let service = &canary.spec.service;
        match self {
            Self::Apex => service.apex.as_ref(),
            Self::Primary => service.primary.as_ref(),
            Self::Canary => service.canary.as_ref(),
        }
    }

    /// Labels of the pods behind it.
    const fn pods(self, selector: &Selector) -> &Labels {
        match self {
            Self::Canary => selector.target(),
            Self::Apex | Self::Primary => selector.serving(),
        }
    }
}

/// A Service that is wholly ours.
pub fn desired(side: Side, canary: &Canary, selector: &Selector, ports: &[Port]) -> Value {
    let name = side.name(canary);
    let custom = side.metadata(canary);
    let mut labels: BTreeMap<String, String> = custom
        .map(|custom| custom.labels.clone())
        .unwrap_or_default();
    labels.insert(selector.key().to_owned(), name.clone());
    let mut annotations: BTreeMap<String, String> = custom
        .map(|custom| custom.annotations.clone())
        .unwrap_or_default();
    for (key, value) in [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION] {
        annotations.insert(key.to_owned(), value.to_owned());
    }
    let mut spec = json!({
        "type": "ClusterIP",
        "selector": side.pods(selector),
        "ports": service_ports(canary, ports),
    });
    if canary.headless() {
        spec["clusterIP"] = json!("None");
    }
    if let Some(distribution) = &canary.spec.service.traffic_distribution {
        spec["trafficDistribution"] = json!(distribution);
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": canary.metadata.namespace,
            "labels": labels,
            "annotations": annotations,
        },
        "spec": spec,
    });
    generated::own(object, canary)
}

/// The ports of a Service.
pub fn ports(service: &Value) -> &[Value] {
    let ports = service["spec"]["ports"].as_array();
    ports.map(Vec::as_slice).unwrap_or_default()
}

fn service_ports(canary: &Canary, discovered: &[Port]) -> Vec<Value> {
    let port = canary.spec.service.port;
    let target_port = canary.target_port();
    let mut main = json!({ "name": canary.port_name(), "protocol": "TCP", "port": port, "targetPort": target_port });
    if let Some(protocol) = canary.app_protocol() {
        main["appProtocol"] = json!(protocol);
    }
    let mut ports = vec![main];
    if !canary.port_discovery() {
        return ports;
    }
    for found in discovered {
        let known = found.port == i64::from(port)
            || json!(target_port) == json!(found.port)
            || found
                .name
                .as_ref()
                .is_some_and(|name| json!(target_port) == json!(name));
        if known || found.beside || SIDECARS.contains(&found.container.as_str()) {
            continue;
        }
        let name = found
            .name
            .clone()
            .unwrap_or_else(|| format!("tcp-{}-{}", found.container, found.index));
        ports.push(json!({ "name": name, "protocol": "TCP", "port": found.port, "targetPort": found.port }));
    }
    ports
}

/// A user's own apex Service, taken over: its selector becomes the primary's, a port that it lacks is
/// added, and what it was before is kept to be put back one day. None if it is so already.
pub fn takeover_patch(live: &Value, desired: &Value) -> Option<Value> {
    let ports = with_missing_ports(&live["spec"]["ports"], &desired["spec"]["ports"]);
    let same_ports = ports.as_ref() == live["spec"]["ports"].as_array();
    if live["spec"]["selector"] == desired["spec"]["selector"] && same_ports {
        return None;
    }
    let mut spec = Map::new();
    spec.insert(
        "selector".to_owned(),
        replaced(&live["spec"]["selector"], &desired["spec"]["selector"]),
    );
    if let Some(ports) = ports {
        spec.insert("ports".to_owned(), json!(ports));
    }
    let original = json!({ "selector": live["spec"]["selector"], "ports": live["spec"]["ports"] });
    Some(json!({ "metadata": remembering(live, original), "spec": spec }))
}

/// Another Service of the user's, which is to follow the primary: its selector becomes the primary's, and its
/// ports are its own. None if it is so already.
pub fn follow_patch(live: &Value, selector: &Labels) -> Option<Value> {
    let wanted = json!(selector);
    (live["spec"]["selector"] != wanted).then(|| {
        let original = json!({ "selector": live["spec"]["selector"] });
        json!({
            "metadata": remembering(live, original),
            "spec": { "selector": replaced(&live["spec"]["selector"], &wanted) },
        })
    })
}

/// Metadata of a Service that is taken over: what it was, and that Flux and Helm are to leave it alone.
fn remembering(live: &Value, mut original: Value) -> Value {
    let mut metadata = json!({ "resourceVersion": live["metadata"]["resourceVersion"] });
    if is_taken_over(live) {
        return metadata;
    }
    let mut annotations = Map::new();
    let mut before = Map::new();
    for (key, value) in [names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION] {
        before.insert(key.to_owned(), live["metadata"]["annotations"][key].clone());
        annotations.insert(key.to_owned(), json!(value));
    }
    original["annotations"] = Value::Object(before);
    let original = json!(original.to_string());
    annotations.insert(names::ORIGINAL_SERVICE.to_owned(), original);
    metadata["annotations"] = Value::Object(annotations);
    metadata
}

/// A Service of the user's that was pointed at the primary, and remembers what it was.
pub fn is_taken_over(live: &Value) -> bool {
    let annotations = live.pointer("/metadata/annotations");
    annotations.is_some_and(|all| all.get(names::ORIGINAL_SERVICE).is_some())
}

/// A merge patch replaces a map only if it names what is to go.
fn replaced(old: &Value, new: &Value) -> Value {
    let mut patch: Map<String, Value> = old
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, _)| (key.clone(), Value::Null))
        .collect();
    for (key, value) in new.as_object().into_iter().flatten() {
        patch.insert(key.clone(), value.clone());
    }
    Value::Object(patch)
}

fn with_missing_ports(live: &Value, desired: &Value) -> Option<Vec<Value>> {
    let mut ports = live.as_array().cloned().unwrap_or_default();
    for wanted in desired.as_array()? {
        if ports.iter().any(|port| port["port"] == wanted["port"]) {
            continue;
        }
        // Several ports need distinct names, and a single one may have none.
        for (index, port) in ports.iter_mut().enumerate() {
            if port["name"].as_str().unwrap_or_default().is_empty() {
                port["name"] = json!(format!("port-{index}"));
            }
        }
        let mut wanted = wanted.clone();
        if ports.iter().any(|port| port["name"] == wanted["name"]) {
            wanted["name"] = json!(format!("canary-{}", wanted["port"]));
        }
        ports.push(wanted);
    }
    Some(ports)
}

/// Somebody changed the selector of an apex Service that was made or taken over before. What the
/// Canary's own spec asks for (another port), or more or fewer labels of the primary's pods, is no such
/// change.
pub fn was_pointed_elsewhere(live: &Value, selector: &Selector, canary: &Canary) -> bool {
    (is_taken_over(live) || generated::is_generated(live, canary))
        && !leads_to_primary(live, selector)
}

/// Whether a Service sends requests to the primary, and to nobody else.
pub fn leads_to_primary(live: &Value, selector: &Selector) -> bool {
    selector.is_of_primary(&strings(live.pointer("/spec/selector")))
}

/// What a Service of the user's selected by before it was taken over.
pub fn original_selector(live: &Value) -> Labels {
    let annotations = live.pointer("/metadata/annotations");
    let original = annotations.and_then(|all| all.get(names::ORIGINAL_SERVICE)?.as_str());
    let original = original.and_then(|text| serde_json::from_str::<Value>(text).ok());
    original.map_or_else(Labels::new, |it| strings(it.get("selector")))
}

/// Puts a Service of the user's back as it was. None if it was not taken over.
pub fn restore_patch(live: &Value) -> Option<Value> {
    let original = live
        .pointer("/metadata/annotations")?
        .get(names::ORIGINAL_SERVICE)?
        .as_str()?;
    let original: Value = serde_json::from_str(original).ok()?;
    // An older version did not touch them, and says nothing of them.
    let mut annotations = original["annotations"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    annotations.insert(names::ORIGINAL_SERVICE.to_owned(), Value::Null);
    let mut patch = json!({
        "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "annotations": annotations,
        },
        "spec": { "selector": replaced(&live["spec"]["selector"], &original["selector"]) },
    });
    if original["ports"].is_array() {
        patch["spec"]["ports"] = original["ports"].clone();
    }
    Some(patch)
}

/// Gives a Service of the user's back. What it was before is no way back if the target's pods, which have
/// these labels, have others since. None if it was not taken over.
pub fn give_back_patch(live: &Value, selector: &Selector, pods: &Labels) -> Option<Value> {
    let mut patch = restore_patch(live)?;
    let mut restored = strings(patch.pointer("/spec/selector"));
    restored.retain(|key, _| !patch["spec"]["selector"][key].is_null());
    if !restored.is_empty() && !selects(&restored, pods) {
        patch["spec"]["selector"] = replaced(&live["spec"]["selector"], &json!(selector.target()));
    }
    Some(patch)
}

/// The apex Service goes back to the target's pods, which have these labels, before the Canary goes. None
/// if it is back already.
pub fn release_patch(
    live: &Value,
    canary: &Canary,
    selector: &Selector,
    pods: &Labels,
) -> Option<Value> {
    if let Some(patch) = give_back_patch(live, selector, pods) {
        return Some(patch);
    }
    let ours = generated::is_of(live, canary);
    (ours || leads_to_primary(live, selector)).then(|| {
        json!({
            "metadata": generated::freed(live, canary),
            "spec": { "selector": replaced(&live["spec"]["selector"], &json!(selector.target())) },
        })
    })
}

#[cfg(test)]
mod tests;
