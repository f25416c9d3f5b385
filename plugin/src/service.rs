//! Services.

use canary_core::names::GENERATED;
use serde_json::Value;

/// Made for a Canary, whatever name leads to it now.
pub fn is_generated(service: &Value) -> bool {
    let labels = service.pointer("/metadata/labels");
    let owners = service.pointer("/metadata/ownerReferences");
    let mut owners = owners.and_then(Value::as_array).into_iter().flatten();
    labels.is_some_and(|all| all.get(GENERATED).is_some())
        || owners.any(|owner| owner["kind"] == "Canary")
}

/// Whether it has the port that is named, by its name or by its number: a number means TCP.
pub fn has_port(service: &Value, named: &Value) -> bool {
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.any(|port| {
        let by_number = port["port"] == *named && protocol(port) == "TCP";
        by_number || port["name"] == *named
    })
}

/// The port that people come by, if nobody says which.
pub fn first_port(service: &Value) -> Option<i64> {
    let ports = service["spec"]["ports"].as_array()?;
    let tcp = ports.iter().find(|port| protocol(port) == "TCP");
    tcp?["port"].as_i64()
}

/// A port for people; TCP goes without saying.
pub fn shown(port: &Value) -> String {
    let number = &port["port"];
    match protocol(port) {
        "TCP" => number.to_string(),
        other => format!("{number}/{other}"),
    }
}

fn protocol(port: &Value) -> &str {
    port["protocol"].as_str().unwrap_or("TCP")
}

/// Whether a Service sends requests to pods with these labels; one without a selector has its addresses from
/// somebody else.
pub fn selects(service: &Value, labels: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}
