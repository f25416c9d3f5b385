//! ConfigMaps and Secrets that a pod template refers to. The primary gets copies of its own, so
//! that a change of configuration is a release like any other.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::{names, revision};
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

/// Where a template names configuration: the pointer of the name relative to its holder.
const VOLUME: [(&str, bool); 2] = [("/configMap/name", false), ("/secret/secretName", true)];
const PROJECTED: [(&str, bool); 2] = [("/configMap/name", false), ("/secret/name", true)];
const ENV: [(&str, bool); 2] = [
    ("/valueFrom/configMapKeyRef/name", false),
    ("/valueFrom/secretKeyRef/name", true),
];
const ENV_FROM: [(&str, bool); 2] = [("/configMapRef/name", false), ("/secretRef/name", true)];

/// Calls `visit` with each name in the template that refers to configuration.
fn visit_names(template: &mut Value, mut visit: impl FnMut(&mut String, bool)) {
    visit_uses(template, |name, secret, _| visit(name, secret));
}

/// The same, and whether a pod starts without it.
fn visit_uses(template: &mut Value, mut visit: impl FnMut(&mut String, bool, bool)) {
    let mut each = |holders: Option<&mut Value>, names: &[(&str, bool)]| {
        let holders = holders.and_then(Value::as_array_mut);
        for holder in holders.into_iter().flatten() {
            for (pointer, secret) in names {
                let beside = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                let optional = holder
                    .pointer(beside)
                    .is_some_and(|it| it["optional"] == true);
                if let Some(Value::String(name)) = holder.pointer_mut(pointer) {
                    visit(name, *secret, optional);
                }
            }
        }
    };
    each(template.pointer_mut("/spec/volumes"), &VOLUME);
    if let Some(volumes) = template
        .pointer_mut("/spec/volumes")
        .and_then(Value::as_array_mut)
    {
        for volume in volumes {
            each(volume.pointer_mut("/projected/sources"), &PROJECTED);
        }
    }
    for containers in ["/spec/containers", "/spec/initContainers"] {
        let containers = template
            .pointer_mut(containers)
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            each(container.get_mut("env"), &ENV);
            each(container.get_mut("envFrom"), &ENV_FROM);
        }
    }
}

/// All references of a template, each once.
pub fn references(template: &Value) -> Vec<ConfigRef> {
    let mut found = BTreeSet::new();
    visit_names(&mut template.clone(), |name, secret| {
        found.insert(ConfigRef {
            secret,
            name: name.clone(),
        });
    });
    found.into_iter().collect()
}

/// Those without which no pod of the template starts.
pub fn mandatory(template: &Value) -> BTreeSet<ConfigRef> {
    let mut found = BTreeSet::new();
    visit_uses(&mut template.clone(), |name, secret, optional| {
        if !optional {
            found.insert(ConfigRef {
                secret,
                name: name.clone(),
            });
        }
    });
    found
}

/// Name of a copy where the usual one is somebody else's.
pub fn own_copy(canary: &Canary, name: &str) -> String {
    let canary = canary.metadata.name.as_deref().unwrap_or_default();
    names::primary_of(&format!("{name}-{canary}"))
}

/// Lets the template refer to the copies of what is tracked, by their names.
pub fn rename(template: &mut Value, tracked: &BTreeMap<ConfigRef, String>) {
    visit_names(template, |name, secret| {
        if let Some(copy) = tracked.get(&ConfigRef {
            secret,
            name: name.clone(),
        }) {
            name.clone_from(copy);
        }
    });
}

/// The other way round, also for a primary that Flagger made.
pub fn rename_back(template: &mut Value, canary: &Canary, tracked: &BTreeSet<ConfigRef>) {
    visit_names(template, |name, secret| {
        let is_copy_of = |original: &&ConfigRef| {
            let copies = [
                names::primary_of(&original.name),
                own_copy(canary, &original.name),
            ];
            original.secret == secret && copies.contains(name)
        };
        if let Some(original) = tracked.iter().find(is_copy_of) {
            name.clone_from(&original.name);
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
