//! Bounds and rules of `CanaryPolicy`: what the object alone shows, the API server refuses. The
//! bounds also keep the expressions of the `ValidatingAdmissionPolicies`, which walk these lists
//! at every write, within their budget.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

pub fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

pub fn registries(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 253,
            "x-kubernetes-validations": [
                {
                    "rule": "self.endsWith('/')",
                    "message": "must end in /, or it allows every registry whose name goes on after it: write it as registry.example.com/team/",
                },
                {
                    "rule": "self.matches('^(localhost|[^/]*[.:A-Z][^/]*)(/|$)') && !self.matches('//|@|[[:space:]]')",
                    "message": "must begin with a registry: write docker.io/library/ or registry:5000/, without https://",
                },
            ],
        },
    })
}

pub fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": { "type": "string", "minLength": 1, "maxLength": 128 },
    })
}

pub fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "pattern": r"^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$",
    })
}

pub fn window_rules() -> Value {
    json!([
        {
            "rule": "has(self.schedule) != has(self.start)",
            "message": "is either recurring or single: give it schedule and duration, or start and end",
        },
        {
            "rule": "has(self.schedule) == has(self.duration)",
            "message": "schedule says when it begins and duration how long it lasts: give both or neither",
        },
        {
            "rule": "has(self.start) == has(self.end)",
            "message": "start says when it begins and end when it is over: give both or neither",
        },
    ])
}
