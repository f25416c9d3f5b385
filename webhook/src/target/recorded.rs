//! A pod template as it was when it was first seen, kept in a ControllerRevision of the Canary.
//! Promote, retry, rollback and the re-creation of a lost primary read this and nothing else.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::revision::revision;
use serde_json::{Value, json};

use crate::target::generated::{marking as of_generated, own};

/// How many are kept for each Canary.
pub const KEPT: usize = 10;
/// On each: finds those of one Canary.
pub const CANARY_LABEL: &str = "kubectl-canary.dev/canary";

pub fn object_name(canary: &Canary, revision: &str) -> String {
    format!(
        "{}-{revision}",
        canary.metadata.name.as_deref().unwrap_or_default()
    )
}

/// Value of [`CANARY_LABEL`]: a name may be longer than a label.
pub fn label(canary: &Canary) -> String {
    names::label_value(canary.metadata.name.as_deref().unwrap_or_default())
}

/// `number` orders the revisions; the template is kept raw, with fields that we do not know.
pub fn to_object(canary: &Canary, revision: &str, template: &Value, number: i64) -> Value {
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": object_name(canary, revision),
            "namespace": canary.metadata.namespace,
            "labels": { CANARY_LABEL: label(canary) },
        },
        "revision": number,
        "data": { "template": template },
    });
    own(object, canary)
}

/// Marks what an older version recorded. It must be what its name says: an owner reference is anybody's.
pub fn marking(object: &Value, canary: &Canary) -> Option<Value> {
    let recorded = revision(template(object)?);
    let named = object["metadata"]["name"] == object_name(canary, &recorded).as_str();
    of_generated(object, canary).filter(|_| named)
}

pub fn template(object: &Value) -> Option<&Value> {
    object.pointer("/data/template")
}

/// Those that may go: older than the newest [`KEPT`], and not named by `needed`.
pub fn surplus<'a>(objects: &'a [Value], needed: &[String]) -> Vec<&'a Value> {
    let mut others: Vec<&Value> = objects
        .iter()
        .filter(|object| {
            let name = object
                .pointer("/metadata/name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            !needed.iter().any(|needed| needed == name)
        })
        .collect();
    others.sort_by_key(|object| std::cmp::Reverse(object["revision"].as_i64().unwrap_or(0)));
    others.split_off(others.len().min(KEPT.saturating_sub(needed.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: i64) -> Value {
        json!({ "metadata": { "name": format!("podinfo-{number}") }, "revision": number })
    }

    #[test]
    fn a_template_is_read_back_with_fields_that_we_do_not_know() {
        let raw = json!({ "spec": { "futureField": { "x": 1 } } });
        let object = to_object(&Canary::default(), "v1-1", &raw, 1);
        assert_eq!(template(&object), Some(&raw));
    }

    #[test]
    fn only_what_is_recorded_under_its_own_name_is_marked() {
        let canary: Canary = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" }, "spec": {},
        }))
        .unwrap();
        let template = json!({ "spec": { "containers": [] } });
        let mut old = to_object(&canary, &revision(&template), &template, 1);
        old["metadata"]["labels"] = json!({ CANARY_LABEL: "podinfo" });
        assert!(marking(&old, &canary).is_some());
        old["data"]["template"]["spec"]["containers"] = json!([{ "image": "evil" }]);
        assert_eq!(marking(&old, &canary), None);
    }

    #[test]
    fn the_oldest_revisions_go_but_never_one_that_is_needed() {
        let objects: Vec<Value> = (1..=12).map(numbered).collect();
        let needed = ["podinfo-1".to_owned(), "podinfo-12".to_owned()];
        let names: Vec<_> = surplus(&objects, &needed)
            .iter()
            .map(|object| object["revision"].as_i64())
            .collect();
        assert_eq!(names, [Some(3), Some(2)]);
    }

    #[test]
    fn ten_revisions_are_all_kept() {
        let objects: Vec<Value> = (1..=10).map(numbered).collect();
        assert!(surplus(&objects, &["podinfo-10".to_owned()]).is_empty());
    }
}
