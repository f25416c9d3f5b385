use proptest::prelude::*;
use serde_json::json;

use super::*;

fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn order() -> Vec<String> {
    ORDER.map(str::to_owned).to_vec()
}

fn of(target: &Labels, primary: Option<&Labels>) -> Selector {
    Selector::of(target, primary, &order()).unwrap()
}

#[test]
fn a_new_primary_has_all_labels_and_one_of_them_suffixed() {
    let target = labels([("app.kubernetes.io/name", "shop"), ("component", "a")]);
    let selector = of(&target, None);
    let primary = labels([
        ("app.kubernetes.io/name", "shop-primary"),
        ("component", "a"),
    ]);
    assert_eq!((selector.target(), selector.primary()), (&target, &primary));
    assert_eq!(selector.serving(), &primary);
    assert_eq!(selector.key(), "app.kubernetes.io/name");
}

#[test]
fn a_target_without_a_label_that_may_be_suffixed_has_no_selector() {
    let missing = Selector::of(&labels([("tier", "front")]), None, &order());
    let text = "spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]";
    assert_eq!(missing.unwrap_err().to_string(), text);
}

#[test]
fn a_primary_that_exists_is_found_by_its_own_labels_whatever_target_and_flags_say_today() {
    let primary = labels([("app", "web-primary"), ("tier", "front")]);
    for target in [
        labels([("app", "web"), ("tier", "front")]),
        labels([("app", "storefront"), ("tier", "front")]),
        labels([("app", "storefront"), ("tier", "back"), ("name", "web")]),
    ] {
        for order in [order(), vec!["tier".to_owned()], Vec::new()] {
            let selector = Selector::of(&target, Some(&primary), &order).unwrap();
            assert_eq!(selector.serving(), &primary);
            assert_eq!((selector.target(), selector.key()), (&target, "app"));
        }
    }
}

#[test]
fn a_target_that_would_find_the_primarys_pods_is_named() {
    let primary = labels([("app", "web-primary")]);
    for target in [labels([("name", "web")]), labels([("app", "web-primary")])] {
        let found = Selector::of(&target, Some(&primary), &order());
        assert!(matches!(found, Err(Trouble::NotApart { .. })), "{found:?}");
    }
}

#[test]
fn services_select_by_all_labels_once_all_pods_have_them() {
    let target = labels([("app", "web"), ("tier", "front")]);
    let of_flagger = labels([("app", "web-primary")]);
    let wide = labels([("app", "web-primary"), ("tier", "front")]);
    let serving = |pods: &Labels, all: bool| {
        let selector = of(&target, Some(&of_flagger)).serving_by_all(pods, all);
        assert_eq!(selector.primary(), &of_flagger, "that cannot be changed");
        selector.serving().clone()
    };
    assert_eq!(serving(&wide, true), wide);
    assert_eq!(serving(&wide, false), of_flagger, "old pods are left");
    let without = labels([("app", "web-primary"), ("tier", "back")]);
    assert_eq!(serving(&without, true), of_flagger);
}

#[test]
fn an_expression_with_one_value_is_a_label_and_others_are_not() {
    let selector = json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front"]},
            {"key": "zone", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "app", "operator": "In", "values": ["other"]},
        ],
    });
    let found = labels_of(Some(&selector));
    assert_eq!(found, labels([("app", "web"), ("tier", "front")]));
    assert_eq!(labels_of(Some(&json!({}))), Labels::new());
    assert_eq!(labels_of(None), Labels::new());
}

fn some_labels() -> impl Strategy<Value = Labels> {
    let key = prop::sample::select(vec!["app", "name", "app.kubernetes.io/name", "tier", "x"]);
    let value = prop_oneof![
        prop::sample::select(vec!["web", "web-primary", "shop", "a"]).prop_map(str::to_owned),
        "[a-z]{50,63}",
    ];
    prop::collection::btree_map(key.prop_map(str::to_owned), value, 1..4)
}

proptest! {
    /// Whatever other labels the pods have.
    #[test]
    fn no_side_ever_finds_the_pods_of_the_other(
        target in some_labels(), first in some_labels(), more in some_labels(), made in any::<bool>(),
    ) {
        let primary = if made { None } else { Some(&first) };
        if let Ok(selector) = Selector::of(&target, primary, &order()) {
            let pods = |own: &Labels| {
                let mut pods = more.clone();
                pods.extend(own.clone());
                pods
            };
            prop_assert!(!selects(selector.target(), &pods(selector.primary())));
            prop_assert!(!selects(selector.primary(), &pods(selector.target())));
            prop_assert!(selects(selector.target(), &pods(selector.target())));
            prop_assert!(selects(selector.serving(), &pods(selector.primary())));
            prop_assert!(selector.primary().values().all(|value| value.len() <= 63));
        }
    }

    #[test]
    fn what_was_made_is_found_again_though_the_target_has_other_labels_now(
        before in some_labels(), now in some_labels(),
    ) {
        if let Ok(made) = Selector::of(&before, None, &order()) {
            let again = of(&before, Some(made.primary()));
            prop_assert_eq!(&again, &made, "nothing is written");
            if let Ok(later) = Selector::of(&now, Some(made.primary()), &[]) {
                prop_assert_eq!(later.serving(), made.primary());
            }
        }
    }
}

#[test]
fn a_label_selector_finds_pods_as_kubernetes_does() {
    let pods = labels([("app", "web"), ("tier", "front")]);
    let expression = |key: &str, operator: &str, values: &[&str]| {
        serde_json::json!({ "matchExpressions": [
            { "key": key, "operator": operator, "values": values },
        ] })
    };
    for (selector, found) in [
        (serde_json::json!({}), true),
        (serde_json::json!(null), false),
        (serde_json::json!({ "matchLabels": { "app": "web" } }), true),
        (
            serde_json::json!({ "matchLabels": { "app": "api" } }),
            false,
        ),
        (expression("app", "In", &["api", "web"]), true),
        (expression("app", "In", &["api"]), false),
        (expression("track", "In", &["a"]), false),
        (expression("app", "NotIn", &["web"]), false),
        (expression("track", "NotIn", &["a"]), true),
        (expression("app", "Exists", &[]), true),
        (expression("track", "Exists", &[]), false),
        (expression("track", "DoesNotExist", &[]), true),
        (expression("app", "Unheard", &[]), false),
    ] {
        assert_eq!(matches(&selector, &pods), found, "{selector}");
    }
}
