//! Labels by which the API server finds the policies that a request is shown to.

use canary_core::policy::labels;
use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use serde_json::{Map, Value, json};

use super::enforcement::{spec, violations};
use super::{ALICE, CREATE, DRY, Site, canary_policy};

/// A policy for the namespace, with those labels.
fn labelled(site: &Site, mut spec: Value, labels: Value) -> Value {
    spec["namespaces"] = json!({"matchLabels": {"test": &site.name}});
    let mut policy = canary_policy(&site.name, &spec);
    policy["metadata"]["labels"] = labels;
    policy
}

/// As the server labels a policy with that spec.
fn by_the_server(spec: &Value) -> Value {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let pairs = labels(&spec).map(|(key, value)| (key.to_owned(), json!(value)));
    Value::Object(Map::from_iter(pairs))
}

#[tokio::test]
async fn a_label_that_hides_a_policy_from_what_it_is_about_is_refused() {
    let site = Site::new().await;
    let wrong = json!({"policy.kubectl-canary.dev/enforcement": "Warn"});
    let wrong = labelled(&site, json!({}), wrong);
    eventually("the guard", LIMIT, async || {
        let sentence =
            "label policy.kubectl-canary.dev/enforcement is not Deny, as spec.enforcement is";
        Ok(site.said(&wrong).await.contains(sentence).then_some(()))
    })
    .await
    .unwrap();
    let cases = [
        ("deployments", json!({"images": {"requireDigest": true}})),
        ("deployments", json!({"release": {"minInterval": "1h"}})),
        ("deployments", json!({"canary": {"required": true}})),
        (
            "deployments",
            json!({"protect": {"lockDuringPromotion": true}}),
        ),
        ("canaries", json!({"canary": {"maxWeight": 50}})),
        ("canaries", json!({"release": {"minInterval": "1h"}})),
        (
            "canaries",
            json!({"approvals": {"promote": {"requireReason": true}}}),
        ),
        ("generated", json!({"protect": {"generated": true}})),
    ];
    for (subject, spec) in cases {
        let mut labels = by_the_server(&spec);
        let key = format!("policy.kubectl-canary.dev/{subject}");
        assert_eq!(labels[&key], "true", "{subject} {spec}");
        labels[&key] = json!("false");
        let text = site.said(&labelled(&site, spec.clone(), labels)).await;
        let sentence = format!("label {key} is \"false\", and the spec has such rules");
        assert!(text.contains(&sentence), "{spec}: {text:?}");
    }
}

#[tokio::test]
async fn a_policy_with_the_labels_of_its_spec_is_enforced() {
    for (enforcement, code) in [("Deny", 1), ("Warn", 0)] {
        let site = Site::new().await;
        let spec = spec(enforcement);
        let labels = by_the_server(&spec);
        let policy = labelled(&site, spec, labels);
        assert_eq!(site.said(&policy).await, "");
        site.admin(&policy).await;
        for (_, object, sentence) in violations(&site) {
            let args = [CREATE.as_slice(), &[DRY]].concat();
            eventually(&sentence, LIMIT, async || {
                let output = site.kubectl(ALICE, &args, &object.to_string()).await;
                Ok((output.code == Some(code) && output.stderr.contains(&sentence)).then_some(()))
            })
            .await
            .unwrap();
        }
    }
}
