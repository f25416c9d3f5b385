use proptest::prelude::*;

use super::*;
use crate::target::whole;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "web", "namespace": "test", "uid": "u1" },
        "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
    }))
    .unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

fn budget(name: &str, selector: &Value) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "test", "resourceVersion": "7" },
        "spec": { "minAvailable": 1, "selector": selector },
    })
}

fn sides() -> (Selector, Labels, Labels) {
    let selector = Selector::of(&labels(&[("app", "web")]), None, &["app".to_owned()]).unwrap();
    let target = labels(&[("app", "web"), ("tier", "front")]);
    let mut primary = target.clone();
    primary.extend(selector.primary().clone());
    (selector, target, primary)
}

fn of(all: &[&Value]) -> Wanted {
    let (selector, target, primary) = sides();
    wanted(&canary(), &selector, &target, &primary, all)
}

fn selector_of_copy(selector: &Value) -> Option<Value> {
    match of(&[&budget("web", selector)]) {
        Wanted::Copy(copy) => Some(copy["spec"]["selector"].clone()),
        _ => None,
    }
}

#[test]
fn the_primary_gets_a_copy_that_selects_its_own_pods() {
    let mut source = budget("web", &json!({ "matchLabels": { "app": "web" } }));
    source["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
    let Wanted::Copy(copy) = of(&[&source]) else {
        panic!("a copy");
    };
    assert_eq!(copy["metadata"]["name"], "web-primary");
    let spec = json!({
        "minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": { "matchLabels": { "app": "web-primary" } },
    });
    assert_eq!(copy["spec"], spec);
    assert!(is_generated(&copy, &canary()));
}

#[test]
fn the_label_is_rewritten_in_both_parts_of_a_selector_and_nowhere_else() {
    let both = json!({
        "matchLabels": { "app": "web", "tier": "front" },
        "matchExpressions": [
            { "key": "app", "operator": "In", "values": ["api", "web"] },
            { "key": "track", "operator": "DoesNotExist" },
        ],
    });
    let expected = json!({
        "matchLabels": { "app": "web-primary", "tier": "front" },
        "matchExpressions": [
            { "key": "app", "operator": "In", "values": ["web-primary"] },
            { "key": "track", "operator": "DoesNotExist" },
        ],
    });
    assert_eq!(selector_of_copy(&both), Some(expected));
}

#[test]
fn of_a_selector_that_cannot_speak_of_the_primary_nothing_is_made_and_that_is_said() {
    for selector in [
        json!({ "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web-primary"] }] }),
        json!({
            "matchLabels": { "app": "web" },
            "matchExpressions": [{ "key": "app", "operator": "NotIn", "values": ["web-primary"] }],
        }),
    ] {
        let Wanted::Impossible(why) = of(&[&budget("web", &selector)]) else {
            panic!("{selector}");
        };
        assert!(why.contains("app=web-primary"), "{why}");
    }
    let long = budget(
        &"a".repeat(250),
        &json!({ "matchLabels": { "app": "web" } }),
    );
    assert!(matches!(of(&[&long]), Wanted::Impossible(_)));
}

#[test]
fn a_primary_that_a_budget_covers_gets_no_second_one() {
    let source = budget("web", &json!({ "matchLabels": { "app": "web" } }));
    for covering in [
        json!({}),
        json!({ "matchLabels": { "tier": "front" } }),
        json!({ "matchLabels": { "app": "web-primary" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] }),
    ] {
        let found = of(&[&source, &budget("other", &covering)]);
        assert_eq!(found, Wanted::Nothing, "{covering}");
    }
    assert_eq!(of(&[]), Wanted::Nothing);
    let elsewhere = budget("api", &json!({ "matchLabels": { "app": "api" } }));
    assert_eq!(of(&[&elsewhere]), Wanted::Nothing);
    let nothing = budget("none", &Value::Null);
    assert_eq!(of(&[&nothing]), Wanted::Nothing);
}

#[test]
fn our_own_copy_does_not_count_against_itself() {
    let source = budget("web", &json!({ "matchLabels": { "app": "web" } }));
    let Wanted::Copy(copy) = of(&[&source]) else {
        panic!("a copy");
    };
    assert_eq!(of(&[&source, &copy]), Wanted::Copy(copy));
}

#[test]
fn of_several_budgets_of_the_target_none_is_guessed() {
    let (a, b) = (
        budget("a", &json!({ "matchLabels": { "app": "web" } })),
        budget(
            "b",
            &json!({ "matchLabels": { "app": "web", "tier": "front" } }),
        ),
    );
    let Wanted::Impossible(why) = of(&[&b, &a]) else {
        panic!("none");
    };
    assert!(why.contains("a, b"), "{why}");
}

#[test]
fn a_copy_is_written_only_where_it_differs_and_what_was_taken_out_goes() {
    let mut source = budget("web", &json!({ "matchLabels": { "app": "web" } }));
    source["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
    let Wanted::Copy(before) = of(&[&source]) else {
        panic!("a copy");
    };
    let mut live = Value::clone(&before);
    live["metadata"]["annotations"]["team"] = json!("web");
    live["status"] = json!({ "disruptionsAllowed": 1 });
    assert!(!whole::is_so(&live, &before), "it was never noted");
    let mut live = whole::replacement(&live, &before);
    live["status"] = json!({ "disruptionsAllowed": 1 });
    assert!(whole::is_so(&live, &before));

    source["spec"]
        .as_object_mut()
        .unwrap()
        .remove("unhealthyPodEvictionPolicy");
    let Wanted::Copy(after) = of(&[&source]) else {
        panic!("a copy");
    };
    assert!(!whole::is_so(&live, &after));
    let put = whole::replacement(&live, &after);
    assert_eq!(put["spec"], after["spec"]);
    assert_eq!(put["metadata"]["annotations"]["team"], "web");
}

fn expression() -> impl Strategy<Value = Value> {
    let key = prop_oneof![Just("app"), Just("tier"), Just("track")];
    let operator = prop_oneof![
        Just("In"),
        Just("NotIn"),
        Just("Exists"),
        Just("DoesNotExist")
    ];
    let value = prop_oneof![
        Just("web"),
        Just("web-primary"),
        Just("front"),
        Just("other")
    ];
    (key, operator, prop::collection::vec(value, 1..3)).prop_map(|(key, operator, values)| {
        let values = ["In", "NotIn"].contains(&operator).then_some(values);
        json!({ "key": key, "operator": operator, "values": values })
    })
}

fn any_selector() -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map(
        prop_oneof![Just("app"), Just("tier")],
        prop_oneof![Just("web"), Just("web-primary"), Just("front")],
        0..2,
    );
    let expressions = prop::collection::vec(expression(), 0..3);
    (labels, expressions).prop_map(
        |(labels, expressions)| json!({ "matchLabels": labels, "matchExpressions": expressions }),
    )
}

proptest! {
    #[test]
    fn whatever_budgets_there_are_ours_never_makes_a_second_one_for_a_pod(
        all in prop::collection::vec(any_selector(), 0..4),
    ) {
        let all: Vec<Value> = all
            .iter()
            .enumerate()
            .map(|(n, selector)| budget(&format!("b{n}"), selector))
            .collect();
        let all: Vec<&Value> = all.iter().collect();
        let (_, target, primary) = sides();
        let covering = |pods: &Labels| {
            all.iter().filter(|it| matches(&it["spec"]["selector"], pods)).count()
        };
        if let Wanted::Copy(copy) = of(&all) {
            prop_assert_eq!(covering(&primary), 0);
            prop_assert!(matches(&copy["spec"]["selector"], &primary));
            prop_assert!(!matches(&copy["spec"]["selector"], &target));
        } else if covering(&primary) == 0 {
            let told = matches!(of(&all), Wanted::Impossible(_));
            prop_assert!(told || covering(&target) == 0, "an uncovered primary is told of");
        }
    }
}

#[test]
fn a_copy_whose_usual_name_is_another_canarys_has_its_own() {
    let source = budget("pb", &json!({ "matchLabels": { "app": "web" } }));
    let Wanted::Copy(copy) = of(&[&source]) else {
        panic!("a copy");
    };
    let apart = with_own_name(&canary(), &copy);
    assert_eq!(apart["metadata"]["name"], "pb-web-primary");
    assert_eq!(apart["spec"], copy["spec"]);
}
