use proptest::prelude::*;
use serde_json::json;

use super::*;

fn template() -> Value {
    json!({
        "metadata": { "labels": { "app": "podinfo" } },
        "spec": {
            "initContainers": [{ "name": "init", "image": "busybox:1" }],
            "containers": [
                { "name": "podinfod", "image": "podinfo:6.0.0", "futureField": { "b": 1, "a": [null, 2.5] } },
                { "name": "sidecar", "image": "envoy:1" },
            ],
        },
    })
}

fn change(container: &str, from: Option<&str>, to: Option<&str>) -> ImageChange {
    ImageChange {
        container: container.into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    }
}

#[test]
fn a_revision_is_the_hash_of_the_canonical_json() {
    // printf '%s' '{"a":[1,{"x":"é\n","y":null}],"b":true}' | sha256sum
    let value = json!({ "b": true, "a": [1, { "y": null, "x": "é\n" }] });
    assert_eq!(revision(&value), "v1-6a3affe310bd");
    assert_eq!(checksum(&value), "6a3affe310bd5ffc");
}

#[test]
fn the_order_of_keys_does_not_matter_and_that_of_lists_does() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(
        revision(&read(r#"{"a":1,"b":{"c":2,"d":3}}"#)),
        revision(&read(r#"{"b":{"d":3,"c":2},"a":1}"#))
    );
    assert_ne!(revision(&json!([1, 2])), revision(&json!([2, 1])));
}

#[test]
fn a_field_that_no_library_knows_changes_the_revision() {
    let mut changed = template();
    changed["spec"]["containers"][0]["futureField"]["a"][1] = json!(2.6);
    assert_ne!(revision(&template()), revision(&changed));
}

#[test]
fn a_key_cannot_be_mistaken_for_structure() {
    assert_ne!(
        revision(&json!({ "a\":1,\"b": 2 })),
        revision(&json!({ "a": 1, "b": 2 }))
    );
}

#[test]
fn only_our_own_revisions_are_ours() {
    assert!(is_ours(&revision(&template())));
    for theirs in [
        "",
        "6859bf9d5d",
        "v1-",
        "v1-6859bf9d5d",
        "v1-0123456789AB",
        "v1-0123456789abc",
        "v2-0123456789ab",
        "v1-0123456789é",
    ] {
        assert!(!is_ours(theirs), "{theirs}");
    }
}

#[test]
fn images_are_those_of_containers_and_init_containers() {
    let images: Vec<_> = images(&template()).into_iter().collect();
    let pair = |name: &str, image: &str| (name.to_owned(), image.to_owned());
    assert_eq!(
        images,
        [
            pair("init", "busybox:1"),
            pair("podinfod", "podinfo:6.0.0"),
            pair("sidecar", "envoy:1")
        ]
    );
}

#[test]
fn a_template_without_containers_has_no_images() {
    assert!(images(&json!({})).is_empty());
    assert!(
        images(&json!({ "spec": { "containers": [{ "name": "x" }, { "image": "y" }, 3] } }))
            .is_empty()
    );
}

#[test]
fn image_changes_tell_what_is_new_other_and_gone() {
    let mut new = template();
    new["spec"]["containers"] = json!([
        { "name": "podinfod", "image": "podinfo:6.0.1" },
        { "name": "agent", "image": "agent:2" },
    ]);
    assert_eq!(
        image_changes(Some(&template()), &new),
        [
            change("agent", None, Some("agent:2")),
            change("podinfod", Some("podinfo:6.0.0"), Some("podinfo:6.0.1")),
            change("sidecar", Some("envoy:1"), None),
        ]
    );
}

#[test]
fn the_first_template_brings_all_its_images_and_an_equal_one_none() {
    assert_eq!(image_changes(None, &template()).len(), 3);
    assert_eq!(image_changes(Some(&template()), &template()), []);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,6}", inner, 0..6).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #[test]
    fn two_values_have_one_canonical_form_only_if_they_are_equal(a in any_json(), b in any_json()) {
        let canonical = |value: &Value| {
            let mut text = Vec::new();
            write_canonical(value, &mut text);
            String::from_utf8(text).unwrap()
        };
        prop_assert_eq!(canonical(&a) == canonical(&b), a == b);
        // It is JSON, and says the same.
        prop_assert_eq!(serde_json::from_str::<Value>(&canonical(&a)).unwrap(), a);
    }
}
