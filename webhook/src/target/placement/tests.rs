use std::collections::{BTreeMap, BTreeSet};

use canary_core::canary::Canary;
use canary_core::selector::ORDER;
use proptest::prelude::*;

use super::*;
use crate::target::primary::{Parts, create, original_template};

fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn order() -> Vec<String> {
    ORDER.map(str::to_owned).to_vec()
}

/// Of a Deployment whose name is not the value of its label.
fn shop() -> Selector {
    let target = labels([("app", "web"), ("component", "a")]);
    Selector::of(&target, None, &order()).unwrap()
}

fn pods() -> Labels {
    labels([("app", "web"), ("component", "a"), ("tier", "front")])
}

/// A term of each list with this selector, as it is in the primary; all must be the same.
fn in_the_primary(term: &Value) -> Value {
    let mut template = json!({ "metadata": {}, "spec": {} });
    for (_, list, at) in LISTS {
        let inner = json!({ "labelSelector": term, "matchLabelKeys": ["pod-template-hash"] });
        let term = if at.starts_with("/podAffinityTerm") {
            json!({ "weight": 1, "podAffinityTerm": inner })
        } else {
            inner
        };
        let path: Vec<&str> = list[1..].split('/').collect();
        let mut at = &mut template;
        for step in path {
            at = &mut at[step];
        }
        *at = json!([term]);
    }
    for_primary(&mut template, &pods(), "test", &shop());
    let all = LISTS.map(|(_, list, at)| template.pointer(&format!("{list}/0{at}")).cloned());
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
    let keys = "/spec/topologySpreadConstraints/0/matchLabelKeys";
    assert_eq!(template.pointer(keys), Some(&json!(["pod-template-hash"])));
    all[0].clone().unwrap()
}

#[test]
fn a_term_goes_by_the_value_of_the_label_and_not_by_the_deployments_name() {
    let both = in_the_primary(&json!({ "matchLabels": { "app": "web" } }));
    assert_eq!(both, json!({ "matchLabels": { "app": "web-primary" } }));
    let listed = json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["api", "web"] }] });
    assert_eq!(
        in_the_primary(&listed)["matchExpressions"][0]["values"],
        json!(["api", "web-primary"])
    );
}

#[test]
fn a_term_that_speaks_of_the_target_by_its_other_labels_is_given_the_one_that_tells() {
    let added = in_the_primary(&json!({ "matchLabels": { "component": "a" } }));
    let expected = json!({ "matchLabels": { "app": "web-primary", "component": "a" } });
    assert_eq!(added, expected);
}

#[test]
fn a_term_about_others_stays() {
    let expression = |key: &str, operator: &str, values: Value| json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
    for term in [
        json!({ "matchLabels": { "app": "cache" } }),
        json!({ "matchLabels": { "app": "web", "component": "b" } }),
        // Every pod of the namespace, and pods that others have too.
        json!({}),
        json!({ "matchLabels": { "tier": "front" } }),
        expression("app", "Exists", Value::Null),
        expression("app", "NotIn", json!(["cache"])),
        expression("component", "Exists", Value::Null),
        // Who wrote it knows of the primary.
        expression("app", "In", json!(["web", "web-primary"])),
    ] {
        assert_eq!(in_the_primary(&term), term);
    }
}

#[test]
fn a_term_about_pods_of_another_namespace_stays() {
    let term =
        json!({ "labelSelector": { "matchLabels": { "app": "web" } }, "namespaces": ["other"] });
    let before = json!({ "metadata": {}, "spec": { "affinity": { "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [term],
    } } } });
    let mut template = before.clone();
    for_primary(&mut template, &pods(), "test", &shop());
    assert_eq!(template, before);
    for_primary(&mut template, &pods(), "other", &shop());
    assert_ne!(template, before);
}

fn some_labels() -> impl Strategy<Value = Labels> {
    let key = prop::sample::select(vec!["app", "component", "name", "tier", "x"]);
    let value = prop::sample::select(vec!["web", "web-primary", "a", "prod-web"]);
    let all = prop::collection::btree_map(key, value, 0..4);
    all.prop_map(|all| {
        let owned = all.into_iter();
        owned
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    })
}

fn some_selector() -> impl Strategy<Value = Value> {
    let key = prop::sample::select(vec!["app", "component", "name", "tier", "x"]);
    let operator = prop::sample::select(vec!["In", "In", "In", "NotIn", "Exists"]);
    let value = prop::sample::select(vec!["web", "web-primary", "a", "prod-web"]);
    let expression =
        (key, operator, prop::collection::vec(value, 1..3)).prop_map(|(key, operator, values)| {
            let values = if operator == "Exists" {
                Value::Null
            } else {
                json!(values)
            };
            json!({ "key": key, "operator": operator, "values": values })
        });
    let expressions = prop::collection::vec(expression, 0..3);
    (some_labels(), expressions).prop_map(|(labels, expressions)| {
        let mut selector = json!({});
        if !labels.is_empty() {
            selector["matchLabels"] = json!(labels);
        }
        if !expressions.is_empty() {
            selector["matchExpressions"] = json!(expressions);
        }
        selector
    })
}

fn some_template() -> impl Strategy<Value = Value> {
    let some = || prop::collection::vec(some_selector(), 0..4);
    let lists = (some(), some(), some(), some(), some());
    (lists, some_labels()).prop_map(|((a, b, c, d, e), mut pods)| {
        pods.extend(labels([("app", "web"), ("component", "a")]));
        let plain = |all: Vec<Value>| {
            let terms = all.into_iter().map(|one| json!({ "labelSelector": one }));
            terms.collect::<Vec<_>>()
        };
        let preferred = |all: Vec<Value>| {
            let terms = all
                .into_iter()
                .map(|one| json!({ "weight": 1, "podAffinityTerm": { "labelSelector": one } }));
            terms.collect::<Vec<_>>()
        };
        json!({
            "metadata": { "labels": pods },
            "spec": {
                "topologySpreadConstraints": plain(a),
                "affinity": {
                    "podAntiAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": plain(b),
                        "preferredDuringSchedulingIgnoredDuringExecution": preferred(c),
                    },
                    "podAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": plain(d),
                        "preferredDuringSchedulingIgnoredDuringExecution": preferred(e),
                    },
                },
            },
        })
    })
}

proptest! {
    #[test]
    fn what_the_primary_was_given_is_mapped_back_exactly(template in some_template(), whole in any::<bool>()) {
        let canary: Canary = serde_json::from_value(json!({
            "metadata": { "name": "shop", "namespace": "test" },
            "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "prod-web" } },
        })).unwrap();
        let target = labels([("app", "web"), ("component", "a")]);
        let narrow = labels([("app", "web-primary")]);
        let selector = Selector::of(&target, (!whole).then_some(&narrow), &order()).unwrap();
        let (none, no_copies) = (BTreeSet::new(), BTreeMap::new());
        let primary = create(&Parts {
            canary: &canary,
            target: &json!({ "metadata": {}, "spec": {} }),
            template: &template,
            revision: "v1-1",
            selector: &selector,
            configs: &no_copies,
            copies: &crate::target::copies::History::default(),
            id: &crate::target::primary::Id {
            now: "id".to_owned(),
            before: None,
        },
            label_prefixes: &[],
        }, 1);
        let made = &primary["spec"]["template"];
        let back = original_template(made, &canary, &selector, &[], &none);
        prop_assert_eq!(back, template);
    }

    /// A required term that kept the primary's pods from the target's must not speak of the target's.
    #[test]
    fn no_term_of_the_primary_names_the_targets_value_and_matches_its_pods(one in some_selector()) {
        let mut template = json!({ "metadata": {}, "spec": {
            "topologySpreadConstraints": [{ "labelSelector": one }],
        } });
        for_primary(&mut template, &pods(), "test", &shop());
        let term = &template["spec"]["topologySpreadConstraints"][0]["labelSelector"];
        let asked = asked(term).unwrap();
        let matches = asked.iter().all(|it| it.matches(&pods()));
        let plain = asked.iter().all(|it| it.operator == "In" && !it.values.contains(&"web-primary"));
        let about = asked.iter().any(|it| it.key == "app" && it.values.contains(&"web"));
        prop_assert!(!(matches && plain && about), "{}", term);
    }
}
