//! Objects that cannot be read, alone and among others.

use kube::core::{DynamicObject, ObjectList, PartialObjectMeta, WatchEvent};
use kube::{Resource as _, ResourceExt as _};

use super::*;

type Any = Guard<DynamicObject>;

fn nested(levels: usize) -> String {
    format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
}

fn object(name: &str, spec: &str) -> String {
    format!(
        r#"{{"apiVersion":"flagger.app/v1beta1","kind":"Canary","metadata":{{"managedFields":[{spec}],"name":"{name}","namespace":"shop","uid":"u-{name}","resourceVersion":"7"}},"spec":{spec}}}"#
    )
}

fn list(items: &[String]) -> String {
    format!(
        r#"{{"kind":"CanaryList","apiVersion":"flagger.app/v1beta1","metadata":{{"resourceVersion":"9","continue":"more"}},"items":[{}]}}"#,
        items.join(",")
    )
}

fn names(list: &ObjectList<Any>) -> Vec<(String, bool)> {
    list.items
        .iter()
        .map(|item| (item.name_any(), item.0.is_ok()))
        .collect()
}

#[test]
fn an_object_nested_too_deep_is_one_of_a_list_and_is_named() {
    for levels in [130, 170, 1_000, 100_000] {
        let text = list(&[
            object("a", "{}"),
            object("deep", &nested(levels)),
            object("b", "{}"),
        ]);
        let read: ObjectList<Any> = serde_json::from_str(&text).unwrap();
        let expected = [("a", true), ("deep", false), ("b", true)];
        let expected = expected.map(|(name, readable)| (name.to_owned(), readable));
        assert_eq!(names(&read), expected, "{levels} levels");
        let unreadable = read.items[1].0.as_ref().unwrap_err();
        assert_eq!(unreadable.id(), "shop/deep");
        assert!(unreadable.error.contains("recursion limit"), "{unreadable}");
        let meta = read.items[1].meta();
        assert_eq!(meta.resource_version.as_deref(), Some("7"));
        assert_eq!(meta.uid.as_deref(), Some("u-deep"));
        assert_eq!(read.metadata.resource_version.as_deref(), Some("9"));
        assert_eq!(read.metadata.continue_.as_deref(), Some("more"));
    }
}

#[test]
fn what_is_read_is_what_was_sent() {
    let read: Any = serde_json::from_str(&object("a", r#"{"n":[1,-2.5,null,"ü\n"]}"#)).unwrap();
    let read = read.0.unwrap();
    assert_eq!(
        read.data["spec"]["n"],
        serde_json::json!([1, -2.5, null, "ü\n"])
    );
    assert_eq!(read.namespace().as_deref(), Some("shop"));
}

#[test]
fn an_event_of_a_watch_that_cannot_be_read_is_an_event_of_that_object() {
    for (kind, levels) in [("ADDED", 170), ("MODIFIED", 1_000), ("DELETED", 100_000)] {
        let text = format!(
            r#"{{"type":"{kind}","object":{}}}"#,
            object("deep", &nested(levels))
        );
        let event: WatchEvent<Any> = serde_json::from_str(&text).unwrap();
        let (WatchEvent::Added(object)
        | WatchEvent::Modified(object)
        | WatchEvent::Deleted(object)) = event
        else {
            panic!("{kind}");
        };
        assert_eq!(object.0.unwrap_err().id(), "shop/deep");
    }
}

#[test]
fn metadata_of_any_shape_breaks_no_list() {
    let deep = nested(200);
    let shapes = [
        r#""text""#.to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        r#"{"metadata":null}"#.to_owned(),
        r#"{"metadata":[]}"#.to_owned(),
        r#"{"metadata":{"namespace":"shop"}}"#.to_owned(),
        r#"{"metadata":{"name":"","namespace":"shop"}}"#.to_owned(),
        r#"{"metadata":{"name":7,"namespace":"shop"}}"#.to_owned(),
        r#"{"metadata":{"name":"bad","labels":{"a":1}}}"#.to_owned(),
        format!(r#"{{"metadata":{{"name":{deep}}}}}"#),
        format!(r#"{{"metadata":{deep}}}"#),
        format!(r#"{{"metadata":{{"name":"bad","annotations":{deep}}}}}"#),
    ];
    for shape in shapes {
        let text = list(&[shape.clone(), object("a", "{}")]);
        let read: ObjectList<Any> = serde_json::from_str(&text).unwrap();
        assert!(read.items[0].0.is_err(), "{shape}");
        assert!(read.items[1].0.is_ok(), "{shape}");
        let named = shape.contains(r#""name":"bad""#);
        assert_eq!(
            read.items[0].meta().name.as_deref() == Some("bad"),
            named,
            "{shape}"
        );
        let glances: ObjectList<Guard<PartialObjectMeta<DynamicObject>>> =
            serde_json::from_str(&text).unwrap();
        assert!(glances.items[1].0.is_ok(), "{shape}");
    }
}

#[test]
fn metadata_alone_is_asked_for_by_the_same_request_as_without_a_guard() {
    assert!(Guard::<PartialObjectMeta<DynamicObject>>::metadata_api());
    assert!(!Any::metadata_api());
}

#[test]
fn a_value_in_memory_is_read_as_well() {
    let value = serde_json::json!({ "metadata": { "name": "a" } });
    let read: Guard<PartialObjectMeta<DynamicObject>> = serde_json::from_value(value).unwrap();
    assert_eq!(read.name_any(), "a");
}
