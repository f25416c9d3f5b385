//! The three Services: apex for users, `-primary` and `-canary` for the router.

use std::collections::BTreeMap;

use canary_core::canary::{Canary, CustomMetadata};
use canary_core::names;
use canary_core::selector::{Labels, Selector};
use serde_json::{Value, json};

use crate::target::declared::Port;
use crate::target::generated;
use crate::target::ports;
use crate::target::taken::{give_back_patch, is_taken_over, replaced};
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
        // The port of the spec is TCP.
        let known = found.protocol == "TCP"
            && (found.port == i64::from(port)
                || json!(target_port) == json!(found.port)
                || found
                    .name
                    .as_ref()
                    .is_some_and(|name| json!(target_port) == json!(name)));
        if known || found.beside || SIDECARS.contains(&found.container.as_str()) {
            continue;
        }
        let name = found.name.clone().unwrap_or_else(|| {
            let protocol = found.protocol.to_lowercase();
            // A port may have a name as long as a label's value.
            names::label_value(&format!("{protocol}-{}-{}", found.container, found.index))
        });
        ports.push(json!({
            "name": name, "protocol": found.protocol, "port": found.port, "targetPort": found.port,
        }));
    }
    ports::apart(ports)
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
pub(super) mod tests;
