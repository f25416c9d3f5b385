//! The parts of the CRD schemas that come from tables, or that serde's shape cannot tell.

pub mod policy;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::capability;
use crate::hook::HookKind;

fn one_of<'a>(values: impl IntoIterator<Item = &'a str>) -> Schema {
    let values: Vec<&str> = values.into_iter().collect();
    json_schema!({ "type": "string", "enum": values })
}

/// A reference whose kind is one of `kinds`.
fn reference(kinds: &[&str], more: Value) -> Schema {
    let mut schema = json_schema!({
        "type": "object",
        "required": ["apiVersion", "kind", "name"],
        "properties": {
            "apiVersion": { "type": "string" },
            "kind": { "type": "string", "enum": kinds },
            "name": { "type": "string" },
        },
    });
    if let (Some(Value::Object(properties)), Value::Object(more)) =
        (schema.get_mut("properties"), more)
    {
        properties.extend(more);
    }
    schema
}

pub fn provider(_: &mut SchemaGenerator) -> Schema {
    one_of(capability::PROVIDERS.iter().map(|(name, _)| *name))
}

pub fn target(_: &mut SchemaGenerator) -> Schema {
    let kinds: Vec<&str> = capability::TARGET_KINDS
        .iter()
        .map(|(kind, _)| *kind)
        .collect();
    reference(&kinds, json!({}))
}

pub fn ingress(_: &mut SchemaGenerator) -> Schema {
    reference(&["Ingress"], json!({}))
}

pub fn route(_: &mut SchemaGenerator) -> Schema {
    reference(&["ApisixRoute"], json!({}))
}

pub fn upstream(_: &mut SchemaGenerator) -> Schema {
    reference(&["Upstream"], json!({ "namespace": { "type": "string" } }))
}

/// An object of the Canary's namespace or another, whose kind is known from the field.
pub fn named_reference(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["name"],
        "properties": { "name": { "type": "string" }, "namespace": { "type": "string" } },
    })
}

pub fn secret(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["name"],
        "properties": { "name": { "type": "string" } },
    })
}

pub fn metric_provider(_: &mut SchemaGenerator) -> Schema {
    one_of(capability::METRIC_PROVIDERS.iter().map(|(name, _)| *name))
}

pub fn alert_provider(_: &mut SchemaGenerator) -> Schema {
    one_of(capability::ALERT_PROVIDERS.iter().map(|(name, _)| *name))
}

pub fn hook_type(_: &mut SchemaGenerator) -> Schema {
    one_of(std::iter::once("").chain(HookKind::ALL.iter().map(|kind| kind.as_str())))
}

/// An object that is carried as it is.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
