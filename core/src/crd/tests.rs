use serde_json::{Value, json};

use super::*;

const COMMITTED: &str = include_str!("../../../manifests/crds.yaml");

fn crds() -> Vec<Value> {
    all()
        .iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

fn walk(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                visit(key, value);
                walk(value, visit);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

#[test]
fn the_committed_file_is_what_the_types_say() {
    let generated = yaml().unwrap();
    assert!(
        generated == COMMITTED,
        "manifests/crds.yaml is not what the types say: write it anew with \
         `cargo run -p canary-core --example crds > manifests/crds.yaml`"
    );
}

#[test]
fn the_crds_have_flaggers_names_and_are_kept_by_helm() {
    let names: Vec<Value> = crds()
        .iter()
        .map(|crd| crd["metadata"]["name"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "canaries.flagger.app",
            "metrictemplates.flagger.app",
            "alertproviders.flagger.app",
            "canarypolicies.policy.kubectl-canary.dev"
        ]
    );
    for crd in &crds()[..3] {
        assert_eq!(
            crd["metadata"]["annotations"],
            json!({ "helm.sh/resource-policy": "keep" })
        );
        assert_eq!(crd["spec"]["scope"], "Namespaced");
        assert_eq!(crd["spec"]["names"]["categories"], json!(["all"]));
        assert_eq!(crd["spec"]["names"].get("shortNames"), None);
        let version = &crd["spec"]["versions"][0];
        assert_eq!(version["name"], "v1beta1");
        assert_eq!(
            (&version["served"], &version["storage"]),
            (&json!(true), &json!(true))
        );
        assert_eq!(version["subresources"], json!({ "status": {} }));
    }
}

#[test]
fn kubectl_get_prints_flaggers_columns_in_their_order() {
    let columns = |crd: &Value| -> Vec<(String, i64)> {
        let columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
            .as_array()
            .unwrap();
        let name = |column: &Value| column["name"].as_str().unwrap().to_owned();
        columns
            .iter()
            .map(|c| (name(c), c["priority"].as_i64().unwrap_or(0)))
            .collect()
    };
    let narrow: Vec<String> = columns(&crds()[0])
        .into_iter()
        .filter_map(|(name, priority)| (priority == 0).then_some(name))
        .collect();
    assert_eq!(narrow, ["Status", "Weight", "LastTransitionTime"]);
    assert_eq!(columns(&crds()[0]).len(), 10);
    assert_eq!(columns(&crds()[1]), [("Provider".to_owned(), 0)]);
    assert_eq!(columns(&crds()[2]), [("Type".to_owned(), 0)]);
}

#[test]
fn an_analysis_gives_exactly_one_way_to_advance() {
    let crds = crds();
    let analysis = &schema(&crds[0])["properties"]["spec"]["properties"]["analysis"];
    let ways: Vec<&Value> = analysis["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| &way["required"])
        .collect();
    assert_eq!(
        ways,
        [
            &json!(["interval", "iterations", "threshold"]),
            &json!(["interval", "stepWeight", "threshold"]),
            &json!(["interval", "stepWeights", "threshold"]),
        ]
    );
}

#[test]
fn an_alert_provider_has_an_address_or_a_secret() {
    let crds = crds();
    let spec = &schema(&crds[2])["properties"]["spec"];
    let ways: Vec<&Value> = spec["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|way| &way["required"])
        .collect();
    assert_eq!(
        ways,
        [&json!(["address", "type"]), &json!(["secretRef", "type"])]
    );
}

#[test]
fn the_provider_may_be_any_of_flaggers() {
    let crds = crds();
    let provider = &schema(&crds[0])["properties"]["spec"]["properties"]["provider"];
    assert_eq!(provider["enum"].as_array().unwrap().len(), 19);
}

#[test]
fn the_schema_sets_no_defaults_and_has_no_references() {
    for crd in crds() {
        walk(schema(&crd), &mut |key, value| {
            // A property may have these names; what it holds is then a schema.
            let keyword = !value.is_object();
            assert!(!(key == "default" && keyword), "default {value}");
            assert_ne!(key, "$ref");
            assert!(!(key == "additionalProperties" && *value == json!(false)));
            assert!(!(key == "nullable" && keyword));
        });
    }
}

#[test]
fn what_is_required_is_what_flagger_requires() {
    let crds = crds();
    let spec = &schema(&crds[0])["properties"]["spec"];
    assert_eq!(spec["required"], json!(["analysis", "targetRef"]));
    let service = &spec["properties"]["service"];
    assert_eq!(service["required"], json!(["port"]));
    let analysis = &spec["properties"]["analysis"]["properties"];
    assert_eq!(analysis["metrics"]["items"]["required"], json!(["name"]));
    assert_eq!(
        analysis["webhooks"]["items"]["required"],
        json!(["name", "url"])
    );
    assert_eq!(
        analysis["alerts"]["items"]["required"],
        json!(["name", "providerRef"])
    );
    let template = &schema(&crds[1])["properties"]["spec"];
    assert_eq!(template["required"], json!(["provider", "query"]));
}

#[test]
fn an_empty_status_writes_no_null_which_the_schema_would_refuse() {
    let status = serde_json::to_value(crate::status::CanaryStatus::default()).unwrap();
    walk(&status, &mut |key, value| {
        assert!(!value.is_null(), "{key} is null");
    });
}
