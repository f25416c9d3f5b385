//! An object against the schema of its CRD, as the API server reads it: structural schemas only.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use regex_lite::Regex;
use serde_json::{Map, Value};

/// What the schema has against an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub path: String,
    pub message: String,
    /// The field is not known at all.
    pub unknown: bool,
}

/// Everything in `object` that `schema` does not allow; `status` is the server's to write, and left out.
pub fn check(schema: &JSONSchemaProps, object: &Value) -> Vec<Misfit> {
    let mut found = Found::default();
    metadata(&object["metadata"], &mut found);
    let Some(fields) = object.as_object() else {
        return found.0;
    };
    let mut fields = fields.clone();
    for own in ["apiVersion", "kind", "metadata", "status"] {
        fields.remove(own);
    }
    found.object(schema, &fields, "");
    found.0
}

/// What every object has.
fn metadata(metadata: &Value, found: &mut Found) {
    let name = metadata["name"].as_str().unwrap_or_default();
    if name.is_empty() && metadata["generateName"].as_str().is_none() {
        found.add("metadata.name", "is missing: every object has a name");
    }
    for (field, value) in [
        ("name", &metadata["name"]),
        ("namespace", &metadata["namespace"]),
    ] {
        if !value.is_null() && !value.is_string() {
            found.add(format!("metadata.{field}"), wrong_type("string", value));
        }
    }
    for field in ["labels", "annotations"] {
        let texts = metadata[field].as_object();
        for (key, value) in texts.into_iter().flatten() {
            if !value.is_string() {
                found.add(
                    format!("metadata.{field}[{key}]"),
                    format!("{}: put it in quotes", wrong_type("string", value)),
                );
            }
        }
    }
}

#[derive(Default)]
struct Found(Vec<Misfit>);

// === impl Found ===

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Misfit {
            path: path.into(),
            message: message.into(),
            unknown: false,
        });
    }

    fn value(&mut self, schema: &JSONSchemaProps, value: &Value, path: &str) {
        if value.is_null() && schema.nullable != Some(true) {
            self.add(path, "has no value: give it one, or take it away");
            return;
        }
        let wanted = if schema.x_kubernetes_int_or_string == Some(true) {
            "integer or string"
        } else {
            schema.type_.as_deref().unwrap_or_default()
        };
        if !is_a(wanted, value) {
            self.add(path, wrong_type(wanted, value));
            return;
        }
        if let Some(allowed) = &schema.enum_
            && !allowed.iter().any(|one| one.0 == *value)
        {
            let names = allowed.iter().filter_map(|one| one.0.as_str());
            let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
            self.add(
                path,
                format!("{value} is unknown: use one of {}", names.join(", ")),
            );
        }
        match value {
            Value::String(text) => self.text(schema, text, path),
            Value::Number(number) => self.number(schema, number.as_f64(), path),
            Value::Array(items) => self.array(schema, items, path),
            Value::Object(fields) => self.object(schema, fields, path),
            _ => {}
        }
    }

    fn text(&mut self, schema: &JSONSchemaProps, text: &str, path: &str) {
        let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
        if schema.max_length.is_some_and(|most| length > most) {
            let most = schema.max_length.unwrap_or_default();
            self.add(
                path,
                format!("has {length} characters: at most {most} are allowed"),
            );
        }
        if schema.min_length.is_some_and(|least| length < least) {
            self.add(path, "must not be empty");
        }
        // An empty enum value is allowed where it is listed; a pattern that cannot be read checks nothing.
        if let Some(pattern) = &schema.pattern
            && let Ok(regex) = Regex::new(pattern)
            && !regex.is_match(text)
        {
            self.add(path, format!("{text:?} does not match {pattern}"));
        }
    }

    fn number(&mut self, schema: &JSONSchemaProps, number: Option<f64>, path: &str) {
        let Some(number) = number else { return };
        match (schema.minimum, schema.maximum) {
            (Some(least), _) if number < least => {
                self.add(path, format!("must be {least} or more"));
            }
            (_, Some(most)) if number > most => self.add(path, format!("must be {most} or less")),
            _ => {}
        }
    }

    fn array(&mut self, schema: &JSONSchemaProps, items: &[Value], path: &str) {
        let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
        if schema.max_items.is_some_and(|most| count > most) {
            let most = schema.max_items.unwrap_or_default();
            self.add(
                path,
                format!("has {count} items: at most {most} are allowed"),
            );
        }
        if schema.min_items.is_some_and(|least| count < least) {
            self.add(path, "must not be empty");
        }
        if let Some(JSONSchemaPropsOrArray::Schema(inner)) = &schema.items {
            for (index, item) in items.iter().enumerate() {
                self.value(inner, item, &format!("{path}[{index}]"));
            }
        }
    }

    fn object(&mut self, schema: &JSONSchemaProps, fields: &Map<String, Value>, path: &str) {
        let inside = |name: &str| join(path, name);
        if schema
            .max_properties
            .is_some_and(|most| i64::try_from(fields.len()).unwrap_or(i64::MAX) > most)
        {
            self.add(
                path,
                format!("has {} entries, which is too many", fields.len()),
            );
        }
        for name in schema.required.iter().flatten() {
            if !fields.contains_key(name) {
                self.add(inside(name), "is missing");
            }
        }
        for (name, value) in fields {
            let known = schema.properties.as_ref().and_then(|known| known.get(name));
            match (known, &schema.additional_properties) {
                (Some(inner), _) => self.value(inner, value, &inside(name)),
                (None, Some(JSONSchemaPropsOrBool::Schema(inner))) => {
                    self.value(inner, value, &inside(name));
                }
                (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
                (None, _) if schema.x_kubernetes_preserve_unknown_fields == Some(true) => {}
                (None, _) => self.unknown(schema, name, path),
            }
        }
        self.one_of(schema, fields, path);
    }

    fn unknown(&mut self, schema: &JSONSchemaProps, name: &str, path: &str) {
        let known = schema.properties.iter().flat_map(|known| known.keys());
        let near = known
            .map(|known| {
                (
                    strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()),
                    known,
                )
            })
            .min();
        let message = match near {
            Some((distance, known)) if distance <= 2 => {
                format!("unknown field: did you mean {known}?")
            }
            _ => "unknown field: the API server drops or refuses it".to_owned(),
        };
        self.0.push(Misfit {
            path: join(path, name),
            message,
            unknown: true,
        });
    }

    /// Our schemas use `oneOf` for fields of which one must be given.
    fn one_of(&mut self, schema: &JSONSchemaProps, fields: &Map<String, Value>, path: &str) {
        let Some(branches) = &schema.one_of else {
            return;
        };
        let required: Vec<Vec<&String>> = branches
            .iter()
            .map(|branch| branch.required.iter().flatten().collect())
            .collect();
        let satisfied = required
            .iter()
            .filter(|names| names.iter().all(|name| fields.contains_key(*name)))
            .count();
        if satisfied == 1 {
            return;
        }
        let common = |name: &&String| required.iter().all(|names| names.contains(name));
        let shared = required
            .first()
            .into_iter()
            .flatten()
            .copied()
            .filter(common);
        let missing: Vec<&String> = shared.filter(|name| !fields.contains_key(*name)).collect();
        for name in &missing {
            self.add(join(path, name), "is missing");
        }
        let mut choice: Vec<&str> = required
            .iter()
            .flatten()
            .filter(|name| !common(name))
            .map(|name| name.as_str())
            .collect();
        choice.dedup();
        let given: Vec<&str> = choice
            .iter()
            .copied()
            .filter(|name| fields.contains_key(*name))
            .collect();
        match given.as_slice() {
            [] => self.add(path, format!("needs one of {}", choice.join(", "))),
            [_] => {}
            several => self.add(path, format!("has {}: keep one", several.join(" and "))),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if name.contains(['.', '[', '/']) {
        format!("{path}[{name}]")
    } else {
        format!("{path}.{name}")
    }
}

fn is_a(wanted: &str, value: &Value) -> bool {
    let integer =
        || value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0);
    match wanted {
        "integer or string" => value.is_string() || integer(),
        "string" => value.is_string(),
        "integer" => integer(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn wrong_type(wanted: &str, value: &Value) -> String {
    let article = |what: &str| {
        if what.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        }
    };
    let (is, quoted) = match value {
        Value::Null => ("nothing", false),
        Value::Bool(_) => ("boolean", false),
        Value::Number(_) => ("number", false),
        Value::String(_) => ("string", true),
        Value::Array(_) => ("list", false),
        Value::Object(_) => ("map", false),
    };
    let wanted = match wanted {
        "array" => "list",
        "object" => "map",
        other => other,
    };
    let advice = match (wanted, quoted) {
        ("integer" | "number" | "boolean", true) => ", without quotes",
        _ => "",
    };
    format!(
        "must be {} {wanted}{advice}; it is {} {is}",
        article(wanted),
        article(is)
    )
    .replace("is a nothing", "is empty")
}

#[cfg(test)]
mod tests;
