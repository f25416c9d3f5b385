//! The YAML that is installed says the same as the code.

use canary_core::{names, request::REQUEST_PATTERN};
use serde::Deserialize as _;
use serde_json::Value;

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|doc| Value::deserialize(doc).unwrap())
        .collect()
}

fn webhooks() -> Vec<Value> {
    documents(include_str!("../../../../manifests/base/webhooks.yaml"))
        .iter()
        .flat_map(|configuration| configuration["webhooks"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn no_webhook_is_load_bearing() {
    assert_eq!(webhooks().len(), 7);
    for webhook in webhooks() {
        assert_eq!(webhook["failurePolicy"], "Ignore");
        // The validating webhooks are called together, after the mutating one: three seconds in all.
        let mutates = webhook["reinvocationPolicy"].is_string();
        assert_eq!(webhook["timeoutSeconds"], if mutates { 1 } else { 2 });
        assert_eq!(webhook["sideEffects"], "None");
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        let excluded = &webhook["namespaceSelector"]["matchExpressions"][0];
        assert_eq!(excluded["operator"], "NotIn");
        for namespace in ["canary-system", "kube-system", "kube-node-lease"] {
            let values = excluded["values"].as_array().unwrap();
            assert!(values.contains(&namespace.into()), "{namespace}");
        }
        for rule in webhook["rules"].as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                let resource = resource.as_str().unwrap();
                assert!(
                    !resource.contains(['*', '/']),
                    "{resource} is more than is asked for"
                );
            }
        }
    }
}

#[test]
fn every_registered_path_is_served() {
    for webhook in webhooks() {
        let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap();
        assert!(["/mutate", "/validate"].contains(&path), "{path}");
    }
}

#[test]
fn deployments_are_selected_by_the_label_of_the_controller() {
    let of_deployments = |webhook: &&Value| webhook["rules"][0]["resources"][0] == "deployments";
    let all = webhooks();
    let both: Vec<&Value> = all.iter().filter(of_deployments).collect();
    assert_eq!(both.len(), 2);
    for webhook in &both {
        let labels = &webhook["objectSelector"]["matchLabels"];
        assert_eq!(labels[names::MANAGED_LABEL], names::MANAGED_VALUE);
    }
    // What is stamped is what is judged.
    for field in ["rules", "objectSelector", "namespaceSelector"] {
        assert_eq!(both[0][field], both[1][field], "{field}");
    }
    let conditions = [both[0], both[1]].map(|it| it["matchConditions"].as_array().unwrap());
    assert_eq!(conditions[0][1..], conditions[1][1..]);
    let (stamped, judged) = (&conditions[0][0], &conditions[1][0]);
    let (stamped, judged) = (&stamped["expression"], &judged["expression"]);
    let [stamped, judged] = [stamped, judged].map(|text| text.as_str().unwrap());
    assert!(stamped.starts_with(judged), "{stamped}");
    for ours in [
        names::MANAGED_LABEL,
        names::PROMOTED_IMAGES,
        names::LOCKED_BY,
    ] {
        assert!(stamped.contains(ours), "{ours} is put back");
    }
}

#[test]
fn nothing_is_exempt_by_what_its_sender_wrote() {
    let installed = [
        include_str!("../../../../manifests/base/webhooks.yaml"),
        include_str!("../../../../manifests/base/policies.yaml"),
        include_str!("../../../../manifests/base/canary-policies.yaml"),
    ];
    for document in installed.into_iter().flat_map(documents) {
        let conditions = document.to_string();
        for (at, _) in conditions.match_indices("ownerReferences") {
            let before = &conditions[..at];
            // A change of them is protected, and the name of an owner is told.
            assert!(
                before.ends_with("oldObject.metadata.?")
                    || before.ends_with("dyn(object).metadata.?")
                    || before.ends_with("dyn(oldObject).metadata.?"),
                "{}",
                &before[before.len().saturating_sub(80)..]
            );
        }
        assert!(!conditions.contains("'Canary' &&"), "an owner exempts");
    }
}

#[test]
fn the_policy_and_the_parser_have_one_form_of_a_request() {
    let policies = include_str!("../../../../manifests/base/policies.yaml");
    assert!(policies.contains(&format!("variables.wish.matches(r'{REQUEST_PATTERN}')")));
    for name in [
        names::REQUEST,
        names::REQUESTED_BY,
        names::MANAGED_LABEL,
        names::TRIGGERED_BY,
        names::TRIGGERED_REVISION,
    ] {
        assert!(policies.contains(&format!("'{name}'")), "{name}");
    }
}
