//! The ports that a template declares: what a named `targetPort` stands for, and what port discovery finds.

use serde_json::Value;

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub container: String,
    pub index: usize,
    pub name: Option<String>,
    pub port: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Of an init container that goes on running. A Service may name it, and it is not discovered.
    pub beside: bool,
}

// === impl Port ===

impl Port {
    /// Whether a `targetPort` names it, by its name or by its number.
    pub fn is_named(&self, target_port: &Value) -> bool {
        match target_port {
            Value::String(name) => self.name.as_ref() == Some(name),
            number => number.as_i64() == Some(self.port),
        }
    }

    /// Whether it stands at the same place of its template.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        self.container == other.container && self.index == other.index
    }
}

/// The port that a `targetPort` names.
pub fn find<'a>(ports: &'a [Port], target_port: &Value) -> Option<&'a Port> {
    ports.iter().find(|port| port.is_named(target_port))
}

pub fn declared(template: &Value) -> Vec<Port> {
    let containers = |pointer: &str| {
        let all = template.pointer(pointer).and_then(Value::as_array);
        all.into_iter().flatten()
    };
    let mut ports: Vec<Port> = containers("/spec/containers")
        .flat_map(|container| of_container(container, false))
        .collect();
    let goes_on = |container: &&Value| container["restartPolicy"] == "Always";
    let beside = containers("/spec/initContainers").filter(goes_on);
    ports.extend(beside.flat_map(|container| of_container(container, true)));
    ports
}

fn of_container(container: &Value, beside: bool) -> Vec<Port> {
    let name = container["name"].as_str().unwrap_or_default();
    let ports = container["ports"].as_array().into_iter().flatten();
    let ports = ports.enumerate().map(|(index, port)| Port {
        container: name.to_owned(),
        index,
        name: port["name"].as_str().map(str::to_owned),
        port: port["containerPort"].as_i64().unwrap_or(0),
        protocol: port["protocol"].as_str().unwrap_or("TCP").to_owned(),
        beside,
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_of_containers_and_of_init_containers_that_go_on_are_found_by_name_or_number() {
        let http = json!([{ "name": "http", "containerPort": 9898 }]);
        let template = json!({ "spec": {
            "containers": [{ "name": "app", "ports": http }],
            "initContainers": [
                { "name": "proxy", "restartPolicy": "Always", "ports": [{ "name": "web", "containerPort": 8080 }] },
                { "name": "once", "ports": [{ "name": "grpc", "containerPort": 9999 }] },
            ],
        } });
        let ports = declared(&template);
        let of = |target_port: Value| find(&ports, &target_port).map(|port| port.port);
        assert_eq!(
            (of(json!("http")), of(json!(9898))),
            (Some(9898), Some(9898))
        );
        assert_eq!((of(json!("web")), of(json!("grpc"))), (Some(8080), None));
        assert_eq!((of(json!("9898")), of(json!(80))), (None, None));
    }
}
