//! The only patches that admission writes: some annotations or labels of one object.

use std::collections::BTreeMap;

pub use json_patch::Patch;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// The smallest patch after which each key has the wanted value, or none. What has no metadata, not even
/// a name, is nothing that an API server stores, and there is no place for annotations in it.
pub fn annotations(object: &DynamicObject, wanted: &[(&str, Option<&str>)]) -> Patch {
    let present = object.metadata.annotations.as_ref();
    entries(object, "annotations", present, wanted)
}

/// As [`annotations`].
pub fn labels(object: &DynamicObject, wanted: &[(&str, Option<&str>)]) -> Patch {
    let present = object.metadata.labels.as_ref();
    entries(object, "labels", present, wanted)
}

fn entries(
    object: &DynamicObject,
    field: &str,
    present: Option<&BTreeMap<String, String>>,
    wanted: &[(&str, Option<&str>)],
) -> Patch {
    if object.metadata == ObjectMeta::default() {
        return Patch::default();
    }
    let mut operations = Vec::new();
    for &(key, value) in wanted {
        let current = present.and_then(|all| all.get(key)).map(String::as_str);
        let path = PointerBuf::from_tokens(["metadata", field, key]);
        match value {
            _ if value == current => {}
            Some(value) => operations.push(add(path, Value::from(value))),
            None => operations.push(PatchOperation::Remove(RemoveOperation { path })),
        }
    }
    if present.is_none() && !operations.is_empty() {
        let path = PointerBuf::from_tokens(["metadata", field]);
        operations.insert(0, add(path, json!({})));
    }
    Patch(operations)
}

fn add(path: PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path, value })
}
