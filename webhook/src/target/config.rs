//! ConfigMaps and Secrets that a pod template refers to. The primary gets copies of its own, so
//! that a change of configuration is a release like any other.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::{names, references, revision};
use serde_json::{Map, Value, json};

use crate::api::Kind;
use crate::target::{generated, included};

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigRef {
    pub secret: bool,
    pub name: String,
}

/// Secrets of other types belong to machinery (service account tokens, pull secrets, Helm).
const SECRET_TYPES: [&str; 5] = [
    "",
    "Opaque",
    "kubernetes.io/basic-auth",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
];

// === impl ConfigRef ===

impl ConfigRef {
    fn config_map(name: &str) -> Self {
        Self {
            secret: false,
            name: name.to_owned(),
        }
    }

    fn secret(name: &str) -> Self {
        Self {
            secret: true,
            name: name.to_owned(),
        }
    }

    /// As `status.trackedConfigs` names it.
    pub fn id(&self) -> String {
        format!(
            "{}/{}",
            if self.secret { "secret" } else { "configmap" },
            self.name
        )
    }

    pub fn parse(id: &str) -> Option<Self> {
        match id.split_once('/')? {
            ("configmap", name) => Some(Self::config_map(name)),
            ("secret", name) => Some(Self::secret(name)),
            _ => None,
        }
    }

    pub const fn kind(&self) -> Kind {
        if self.secret {
            Kind::Secret
        } else {
            Kind::ConfigMap
        }
    }
}

/// All references of a template, each once.
pub fn references(template: &Value) -> Vec<ConfigRef> {
    let mut found = BTreeSet::new();
    references::visit(&mut template.clone(), |it| {
        found.insert(ConfigRef {
            secret: it.secret,
            name: it.name.clone(),
        });
    });
    found.into_iter().collect()
}

/// Those without which no pod of the template starts.
pub fn mandatory(template: &Value) -> BTreeSet<ConfigRef> {
    let all = references::mandatory(template).into_iter();
    all.map(|(secret, name)| ConfigRef { secret, name })
        .collect()
}

/// Name of a copy where the usual one is somebody else's.
pub fn own_copy(canary: &Canary, name: &str) -> String {
    let canary = canary.metadata.name.as_deref().unwrap_or_default();
    names::primary_of(&format!("{name}-{canary}"))
}

/// Lets the template refer to the copies of what is tracked, by their names.
pub fn rename(template: &mut Value, tracked: &BTreeMap<ConfigRef, String>) {
    references::visit(template, |it| {
        if let Some(copy) = tracked.get(&ConfigRef {
            secret: it.secret,
            name: it.name.clone(),
        }) {
            it.name.clone_from(copy);
        }
    });
}

/// The other way round, also for a primary that Flagger made.
pub fn rename_back(template: &mut Value, canary: &Canary, tracked: &BTreeSet<ConfigRef>) {
    references::visit(template, |it| {
        let is_copy_of = |original: &&ConfigRef| {
            let copies = [
                names::primary_of(&original.name),
                own_copy(canary, &original.name),
            ];
            original.secret == it.secret && copies.contains(it.name)
        };
        if let Some(original) = tracked.iter().find(is_copy_of) {
            it.name.clone_from(&original.name);
        }
    });
}

/// Opted out of tracking by its owner.
pub fn opted_out(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(names::CONFIG_TRACKING)
        .is_some_and(|value| value.starts_with("disable"))
}

pub fn is_trackable(object: &Value) -> bool {
    let type_ = object["type"].as_str().unwrap_or_default();
    object["kind"] != "Secret" || SECRET_TYPES.contains(&type_)
}

/// Checksum of everything that pods can see of it.
pub fn checksum(object: &Value) -> String {
    let mut data = Map::new();
    for field in ["data", "binaryData"] {
        if let Some(value) = object.get(field).filter(|value| !value.is_null()) {
            data.insert(field.to_owned(), value.clone());
        }
    }
    revision::checksum(&Value::Object(data))
}

/// The `-primary` copy: data of both kinds, type and immutability.
pub fn copy(source: &Value, live: Option<&Value>, canary: &Canary, prefixes: &[String]) -> Value {
    let name = source
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut object = json!({
        "apiVersion": "v1",
        "kind": source["kind"],
        "metadata": {
            "name": names::primary_of(name),
            "namespace": canary.metadata.namespace,
            "labels": included(source.pointer("/metadata/labels").and_then(Value::as_object), prefixes),
        },
    });
    fill(&mut object, source);
    generated::share(object, live, canary)
}

/// All that makes it what it is, apart from its metadata.
pub fn fill(object: &mut Value, source: &Value) {
    for field in ["data", "binaryData", "immutable", "type"] {
        if let Some(value) = source.get(field).filter(|value| !value.is_null()) {
            object[field] = value.clone();
        }
    }
}

/// Whether `copy` cannot be written in the place of `live`, only made anew: the API server lets nobody change what is
/// immutable, nor the type of a Secret.
pub fn is_fixed(live: &Value, copy: &Value) -> bool {
    let kind = |object: &Value| match object["type"].as_str() {
        None | Some("") => "Opaque".to_owned(),
        Some(type_) => type_.to_owned(),
    };
    let retyped = copy["kind"] == "Secret" && kind(live) != kind(copy);
    retyped || live["immutable"] == json!(true)
}

/// A copy that belongs to Canaries may be written; anything else of that name is somebody's.
pub fn may_write_copy(live: &Value, canary: &Canary) -> bool {
    let owners = live
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let some_canary =
        owners.is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "Canary"));
    some_canary || generated::may_take(live, canary)
}

/// A copy that is this Canary's to use as it is: marked by it, or by one that shares it.
pub fn is_copy_of(live: &Value, canary: &Canary) -> bool {
    generated::is_marked(live) && generated::is_of(live, canary)
}

#[cfg(test)]
mod tests;
