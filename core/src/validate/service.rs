//! What ends up in the generated Services: the API server would refuse them, and nobody would be served.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Findings, syntax};
use crate::canary::{Canary, CustomMetadata};
use crate::names;

/// Of the name of a Service.
const MAX_NAME: usize = 63;

/// Of all annotations of an object, keys and values.
const MAX_ANNOTATIONS: usize = 256 * 1024;

pub fn check(canary: &Canary, found: &mut Findings) {
    ports(canary, found);
    name(canary, found);
    let service = &canary.spec.service;
    for (side, custom) in [
        ("apex", &service.apex),
        ("primary", &service.primary),
        ("canary", &service.canary),
    ] {
        if let Some(custom) = custom {
            metadata(&format!("spec.service.{side}"), custom, found);
        }
    }
}

fn ports(canary: &Canary, found: &mut Findings) {
    let service = &canary.spec.service;
    if service.port == 0 {
        found.add(
            "spec.service.port",
            "is missing: give the port that the Service listens on",
        );
    } else if !is_port(service.port) {
        found.add("spec.service.port", "must be a port from 1 to 65535");
    }
    // One that is empty or 0 is absent.
    match &service.target_port {
        Some(IntOrString::Int(port)) if *port != 0 && !is_port(*port) => found.add(
            "spec.service.targetPort",
            "must be a port from 1 to 65535, or the name of one",
        ),
        Some(IntOrString::String(port)) if !port.is_empty() && !syntax::is_port_name(port) => {
            found.add("spec.service.targetPort", of_target_port(port));
        }
        _ => {}
    }
    let name = canary.port_name();
    if !syntax::is_dns_label(name) {
        found.add(
            "spec.service.portName",
            format!("{name:?} cannot name a port of a Service: use at most 63 small letters, digits and -, a letter or digit at both ends"),
        );
    }
    if let Some(protocol) = canary.app_protocol()
        && !syntax::is_qualified_name(protocol)
    {
        found.add(
            "spec.service.appProtocol",
            format!("{protocol:?} is no application protocol: write it as http, or as example.com/protocol, in letters, digits, -, _ and ."),
        );
    }
}

fn of_target_port(port: &str) -> String {
    match port.parse::<i32>() {
        Ok(number) if is_port(number) => {
            format!("{port:?} is a text, and so the name of a port: write {port} without quotes")
        }
        _ => format!(
            "{port:?} cannot be the name of a container's port: use at most 15 small letters, digits and -, at least one letter, and no - at either end or beside another"
        ),
    }
}

fn name(canary: &Canary, found: &mut Findings) {
    // The longest name that is derived from it.
    let longest = canary.primary_service();
    let apex = canary.apex();
    if apex.is_empty() {
        return;
    }
    if longest.len() > MAX_NAME {
        let most = MAX_NAME - names::PRIMARY_SUFFIX.len();
        found.add(
            "spec.service.name",
            format!(
                "Service {longest} would have {} characters: give a name of at most {most}",
                longest.len()
            ),
        );
    }
    let valid = apex.starts_with(|c: char| c.is_ascii_lowercase())
        && !apex.ends_with('-')
        && apex
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !valid {
        found.add(
            "spec.service.name",
            format!(
                "{apex:?} cannot name a Service: use small letters, digits and -, a letter first and no - at the end"
            ),
        );
    }
}

fn metadata(field: &str, custom: &CustomMetadata, found: &mut Findings) {
    for (key, value) in &custom.labels {
        if !syntax::is_qualified_name(key) {
            found.add(format!("{field}.labels"), of_key(key, "label"));
        } else if !syntax::is_label_value(value) {
            found.add(
                format!("{field}.labels"),
                format!("{value:?} cannot be the value of label {key}: use at most 63 letters, digits, -, _ and ., a letter or digit at both ends"),
            );
        }
    }
    for key in custom.annotations.keys() {
        if !syntax::is_qualified_name(&key.to_lowercase()) {
            found.add(format!("{field}.annotations"), of_key(key, "annotation"));
        }
    }
    let all = custom.annotations.iter();
    let size: usize = all.map(|(key, value)| key.len() + value.len()).sum();
    if size > MAX_ANNOTATIONS {
        found.add(
            format!("{field}.annotations"),
            format!("are {size} bytes: give at most {MAX_ANNOTATIONS}"),
        );
    }
}

fn of_key(key: &str, what: &str) -> String {
    format!(
        "{key:?} cannot be the key of {}: use at most 63 letters, digits, -, _ and ., a letter or digit at both ends, and before them a domain and / if you like (example.com/team)",
        if what == "label" {
            "a label"
        } else {
            "an annotation"
        },
    )
}

fn is_port(port: i32) -> bool {
    (1..=65535).contains(&port)
}
