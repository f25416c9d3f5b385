//! The expressions fit the types that they are about, as the API server checks them.

use std::time::Duration;

use canary_tests::clock::eventually;
use canary_tests::tools::folder;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::Site;

const LIMIT: Duration = Duration::from_secs(60);

fn policies() -> Vec<Value> {
    let mut found = Vec::new();
    for file in ["policies", "canary-policies"] {
        let path = folder(&format!("manifests/base/{file}.yaml"));
        let text = std::fs::read_to_string(path).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            found.push(Value::deserialize(document).unwrap());
        }
    }
    found.retain(|object| object["kind"] == "ValidatingAdmissionPolicy");
    found
}

/// What the type checker has against a policy, once it has looked at this generation.
async fn warnings(site: &Site, name: &str) -> Value {
    let get = ["get", "validatingadmissionpolicy", name, "-o", "json"];
    eventually(&format!("{name} to be checked"), LIMIT, async || {
        let text = site.plane.kubectl(&get).await?.ok()?;
        let policy: Value = serde_json::from_str(&text)?;
        let status = &policy["status"];
        let checked = status["typeChecking"].is_object()
            && status["observedGeneration"] == policy["metadata"]["generation"];
        Ok(checked.then(|| status["typeChecking"]["expressionWarnings"].clone()))
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn no_expression_has_a_type_that_does_not_fit() {
    let site = Site::new().await;
    let shipped = policies();
    assert_eq!(shipped.len(), 15);
    for policy in &shipped {
        let name = policy["metadata"]["name"].as_str().unwrap();
        assert_eq!(warnings(&site, name).await, Value::Null, "{name}");
    }
}

#[tokio::test]
async fn nor_has_any_variable_and_a_wrong_name_would_be_found() {
    let site = Site::new().await;
    for mut policy in policies() {
        let name = policy["metadata"]["name"].as_str().unwrap().to_owned();
        // The checker looks at validations, and at variables only as far as those use them. No binding
        // names the copy, so it decides nothing.
        let spec = &mut policy["spec"];
        let variables = spec["variables"].as_array().cloned().unwrap_or_default();
        let compared = |variable: &Value| {
            let expression = variable["expression"].as_str().unwrap();
            json!({"expression": format!("({expression}) == ({expression})")})
        };
        let typo = json!({"expression": "object.metadata.nmae == ''"});
        let count = variables.len();
        spec["validations"] = variables.iter().map(compared).chain([typo]).collect();
        let copy = format!("{}-{name}", site.name);
        policy["metadata"] = json!({"name": &copy});
        site.admin(&policy).await;

        let found = warnings(&site, &copy).await;
        let fields: Vec<&str> = found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|warning| warning["fieldRef"].as_str())
            .collect();
        let only = format!("spec.validations[{count}].expression");
        assert_eq!(fields, [only], "{name}: {found:#}");
    }
}
