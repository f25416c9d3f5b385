//! What `install` applies: the files of `manifests/`, compiled in, with a namespace and settings of the
//! user's choice. Pure.

use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

/// Where everything goes unless somebody says otherwise.
pub const DEFAULT_NAMESPACE: &str = "canary-system";
/// Deployment, Service, webhook configurations: all have the server's name.
pub const SERVER: &str = "canary-webhook";

const CRDS: &str = include_str!("../../manifests/crds.yaml");

/// In the order in which they are applied.
const BASE: [(&str, &str); 9] = [
    (
        "namespace.yaml",
        include_str!("../../manifests/base/namespace.yaml"),
    ),
    (
        "serviceaccount.yaml",
        include_str!("../../manifests/base/serviceaccount.yaml"),
    ),
    ("rbac.yaml", include_str!("../../manifests/base/rbac.yaml")),
    (
        "service.yaml",
        include_str!("../../manifests/base/service.yaml"),
    ),
    (
        "networkpolicy.yaml",
        include_str!("../../manifests/base/networkpolicy.yaml"),
    ),
    (
        "policies.yaml",
        include_str!("../../manifests/base/policies.yaml"),
    ),
    (
        "canary-policies.yaml",
        include_str!("../../manifests/base/canary-policies.yaml"),
    ),
    (
        "deployment.yaml",
        include_str!("../../manifests/base/deployment.yaml"),
    ),
    // Last: nothing is asked before there is somebody to answer.
    (
        "webhooks.yaml",
        include_str!("../../manifests/base/webhooks.yaml"),
    ),
];

/// What is chosen of an installation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub namespace: String,
    /// All of it; none for the one that belongs to this version.
    pub image: Option<String>,
    pub replicas: Option<i64>,
    /// The server's flags.
    pub args: Vec<String>,
}

/// A manifest that is no YAML, or lacks what every object has: a defect of this program.
#[derive(Debug, thiserror::Error)]
#[error("manifest {file}: {cause}")]
pub struct Malformed {
    file: &'static str,
    cause: String,
}

/// `deployment.apps/canary-webhook`
pub struct Reference<'a>(pub &'a Value);

// === impl Settings ===

impl Settings {
    /// Flags that were given replace those of the same name; the others stay.
    pub fn set(&mut self, flags: impl IntoIterator<Item = String>) {
        let name = |flag: &str| {
            let name = flag.trim_start_matches('-');
            name.split_once('=')
                .map_or(name, |(name, _)| name)
                .to_owned()
        };
        let flags: Vec<String> = flags.into_iter().collect();
        self.args
            .retain(|old| !flags.iter().any(|new| name(new) == name(old)));
        self.args.extend(flags);
    }
}

/// The definitions.
pub fn definitions() -> Result<Vec<Value>, Malformed> {
    documents("crds.yaml", CRDS)
}

/// All but the definitions, in the order in which they are applied.
pub fn objects(settings: &Settings) -> Result<Vec<Value>, Malformed> {
    let mut all = Vec::new();
    for (file, text) in BASE {
        all.extend(documents(file, text)?);
    }
    for object in &mut all {
        in_namespace(object, &settings.namespace);
        if object["kind"] == "Deployment" {
            configure(object, settings);
        }
    }
    Ok(all)
}

/// The image that belongs to this version.
pub fn image() -> Result<String, Malformed> {
    let all = objects(&Settings::default())?;
    let image = all
        .iter()
        .filter(|object| object["kind"] == "Deployment")
        .find_map(|object| container(object)?["image"].as_str());
    image.map(str::to_owned).ok_or_else(|| Malformed {
        file: "deployment.yaml",
        cause: "it has no image".to_owned(),
    })
}

/// The server's container.
pub fn container(deployment: &Value) -> Option<&Value> {
    let containers = deployment.pointer("/spec/template/spec/containers")?;
    containers
        .as_array()?
        .iter()
        .find(|container| container["name"] == SERVER)
}

fn documents(file: &'static str, text: &str) -> Result<Vec<Value>, Malformed> {
    serde_yaml::Deserializer::from_str(text)
        .map(Value::deserialize)
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect::<Result<_, _>>()
        .map_err(|error| Malformed {
            file,
            cause: error.to_string(),
        })
}

/// The namespace also stands inside of selectors, user names and expressions.
fn in_namespace(value: &mut Value, namespace: &str) {
    match value {
        Value::String(text) if text.contains(DEFAULT_NAMESPACE) => {
            *text = text.replace(DEFAULT_NAMESPACE, namespace);
        }
        Value::Array(all) => all
            .iter_mut()
            .for_each(|value| in_namespace(value, namespace)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|value| in_namespace(value, namespace)),
        _ => {}
    }
}

fn configure(deployment: &mut Value, settings: &Settings) {
    if let Some(replicas) = settings.replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    let containers = deployment.pointer_mut("/spec/template/spec/containers");
    for container in containers
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if container["name"] != SERVER {
            continue;
        }
        if let Some(image) = &settings.image {
            container["image"] = json!(image);
        }
        if !settings.args.is_empty() {
            container["args"] = json!(settings.args);
        }
    }
}

// === impl Reference ===

impl fmt::Display for Reference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |pointer: &str| {
            let text = self.0.pointer(pointer).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        write!(f, "{}", text("/kind").to_lowercase())?;
        if let Some((group, _)) = text("/apiVersion").split_once('/') {
            write!(f, ".{group}")?;
        }
        write!(f, "/{}", text("/metadata/name"))
    }
}

#[cfg(test)]
mod tests;
