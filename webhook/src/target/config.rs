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
    let mut each = |holders: Option<&mut Value>, names: &[(&str, bool)]| {
        let holders = holders.and_then(Value::as_array_mut);
        for holder in holders.into_iter().flatten() {
            for (pointer, secret) in names {
                if let Some(Value::String(name)) = holder.pointer_mut(pointer) {
                    visit(name, *secret);
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
mod tests {
    use super::*;

    fn template() -> Value {
        json!({ "spec": {
            "volumes": [
                { "name": "a", "configMap": { "name": "files" } },
                { "name": "b", "secret": { "secretName": "keys" } },
                { "name": "c", "projected": { "sources": [
                    { "configMap": { "name": "more" } }, { "secret": { "name": "certs" } },
                ] } },
            ],
            "initContainers": [{ "name": "init", "envFrom": [{ "configMapRef": { "name": "start" } }] }],
            "containers": [{
                "name": "app",
                "env": [
                    { "name": "COLOR", "valueFrom": { "configMapKeyRef": { "name": "colors", "key": "c" } } },
                    { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "token", "key": "t" } } },
                ],
                "envFrom": [{ "secretRef": { "name": "env" } }],
            }],
        } })
    }

    fn ids(refs: &[ConfigRef]) -> Vec<String> {
        refs.iter().map(ConfigRef::id).collect()
    }

    #[test]
    fn every_kind_of_reference_is_found() {
        assert_eq!(
            ids(&references(&template())),
            [
                "configmap/colors",
                "configmap/files",
                "configmap/more",
                "configmap/start",
                "secret/certs",
                "secret/env",
                "secret/keys",
                "secret/token",
            ]
        );
    }

    #[test]
    fn renaming_there_and_back_gives_the_same_template() {
        let original = template();
        let tracked: BTreeSet<_> = references(&original).into_iter().collect();
        let canary: Canary = serde_json::from_value(json!({
            "metadata": { "name": "web" }, "spec": { "targetRef": { "kind": "Deployment", "name": "web" } },
        }))
        .unwrap();
        // One of them is another Canary's under its usual name.
        let copies = tracked.iter().map(|it| match it.name.as_str() {
            "colors" => (it.clone(), own_copy(&canary, &it.name)),
            name => (it.clone(), names::primary_of(name)),
        });
        let mut renamed = original.clone();
        rename(&mut renamed, &copies.collect());
        assert!(renamed.to_string().contains("\"colors-web-primary\""));
        assert!(
            references(&renamed)
                .iter()
                .all(|reference| reference.name.ends_with("-primary"))
        );
        rename_back(&mut renamed, &canary, &tracked);
        assert_eq!(renamed, original);
    }

    #[test]
    fn what_is_not_tracked_keeps_its_name() {
        let mut renamed = template();
        rename(
            &mut renamed,
            &BTreeMap::from([(ConfigRef::secret("keys"), "keys-primary".to_owned())]),
        );
        assert_eq!(
            ids(&references(&renamed))
                .iter()
                .filter(|id| id.ends_with("-primary"))
                .count(),
            1
        );
    }

    #[test]
    fn binary_data_changes_the_checksum() {
        let text = json!({ "kind": "ConfigMap", "data": { "a": "1" } });
        let binary =
            json!({ "kind": "ConfigMap", "data": { "a": "1" }, "binaryData": { "b": "AAE=" } });
        assert_ne!(checksum(&text), checksum(&binary));
        assert_eq!(
            checksum(&text),
            checksum(&json!({ "data": { "a": "1" }, "metadata": { "labels": { "x": "y" } } }))
        );
    }

    #[test]
    fn service_account_tokens_are_not_tracked() {
        assert!(!is_trackable(
            &json!({ "kind": "Secret", "type": "kubernetes.io/service-account-token" })
        ));
        assert!(is_trackable(&json!({ "kind": "Secret", "type": "Opaque" })));
        assert!(is_trackable(&json!({ "kind": "ConfigMap" })));
    }

    #[test]
    fn what_is_immutable_and_a_secret_of_another_type_can_only_be_made_anew() {
        let secret = |type_: Value| json!({ "kind": "Secret", "type": type_ });
        let (opaque, tls) = (secret(json!("Opaque")), secret(json!("kubernetes.io/tls")));
        assert!(is_fixed(&opaque, &tls) && is_fixed(&tls, &opaque));
        assert!(!is_fixed(&opaque, &secret(Value::Null)) && !is_fixed(&tls, &tls));
        let map = |immutable: bool| json!({ "kind": "ConfigMap", "immutable": immutable });
        assert!(is_fixed(&map(true), &map(false)));
        assert!(!is_fixed(&map(false), &map(true)));
    }

    #[test]
    fn a_copy_carries_all_data_and_immutability() {
        let canary = Canary::default();
        let source = json!({
            "kind": "ConfigMap", "metadata": { "name": "files", "labels": { "team": "web" }, "annotations": { "a": "b" } },
            "data": { "a": "1" }, "binaryData": { "b": "AAE=" }, "immutable": true,
        });
        let copy = copy(&source, None, &canary, &[]);
        assert_eq!(copy["metadata"]["name"], "files-primary");
        assert_eq!(
            (&copy["data"], &copy["binaryData"], &copy["immutable"]),
            (&source["data"], &source["binaryData"], &json!(true))
        );
        assert_eq!(copy["metadata"]["labels"], json!({ names::GENERATED: "" }));
    }
}
