//! What a promotion overwrites in the primary's configuration, kept until its end is known: a primary
//! that is put back needs the data that its template was released with.
//!
//! ```text
//!  <config>-primary ── keep ──► <canary>-<config>-previous ── put_back ──► <config>-primary
//! ```
//! A Secret is kept as a Secret, so that whoever may not read the one cannot read the other.

use canary_core::canary::Canary;
use canary_core::names;
use serde_json::{Value, json};

use crate::target::config::{self, ConfigRef};
use crate::target::{generated, untracked};

pub fn name(canary: &Canary, reference: &ConfigRef) -> String {
    let canary = canary.metadata.name.as_deref().unwrap_or_default();
    format!("{canary}-{}-previous", reference.name)
}

/// Says which release overwrote it.
pub fn mark(canary: &Canary, release: i64) -> String {
    let uid = canary.metadata.uid.as_deref().unwrap_or_default();
    format!("{uid}/{release}")
}

pub fn is_of_canary(mark: &str, canary: &Canary) -> bool {
    let uid = mark.split_once('/').map(|(uid, _)| uid);
    uid.is_some() && uid == canary.metadata.uid.as_deref()
}

pub fn mark_of(object: &Value) -> &str {
    let annotations = object.pointer("/metadata/annotations");
    let mark = annotations.and_then(|all| all.get(names::KEPT)?.as_str());
    mark.unwrap_or_default()
}

pub fn keep(live: &Value, canary: &Canary, reference: &ConfigRef, release: i64) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": reference.kind().resource().kind,
        "metadata": {
            "name": name(canary, reference),
            "namespace": canary.metadata.namespace,
            "annotations": { names::KEPT: mark(canary, release) },
        },
    });
    let labels = live["metadata"]["labels"].as_object();
    if labels.is_some() {
        object["metadata"]["labels"] = Value::Object(untracked(labels));
    }
    config::fill(&mut object, live);
    generated::own(object, canary)
}

/// The copy as it was.
pub fn put_back(
    kept: &Value,
    live: Option<&Value>,
    canary: &Canary,
    reference: &ConfigRef,
) -> Value {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": reference.kind().resource().kind,
        "metadata": {
            "name": names::primary_of(&reference.name),
            "namespace": canary.metadata.namespace,
            "labels": untracked(kept["metadata"]["labels"].as_object()),
        },
    });
    config::fill(&mut object, kept);
    generated::share(object, live, canary)
}

/// One that was deleted, to be made once more.
pub fn as_it_was(gone: &Value) -> Value {
    let mut object = gone.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| {
            matches!(
                field.as_str(),
                "name" | "namespace" | "labels" | "annotations" | "ownerReferences"
            )
        });
    }
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove(names::APPLIED);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary() -> Canary {
        serde_json::from_value(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
            "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" } },
        }))
        .unwrap()
    }

    #[test]
    fn what_is_put_back_is_what_was_there() {
        let reference = ConfigRef::parse("secret/keys").unwrap();
        let source = json!({
            "kind": "Secret", "metadata": { "name": "keys", "labels": { "team": "web" } },
            "type": "kubernetes.io/tls", "immutable": true, "data": { "tls.key": "a2V5" },
        });
        let copy = config::copy(&source, None, &canary(), &["*".to_owned()]);
        let kept = keep(&copy, &canary(), &reference, 3);
        assert_eq!(
            (&kept["kind"], &kept["metadata"]["name"]),
            (&json!("Secret"), &json!("podinfo-keys-previous"))
        );
        assert_eq!(put_back(&kept, None, &canary(), &reference), copy);
    }

    #[test]
    fn what_is_made_once_more_has_nothing_that_the_api_server_allots() {
        let mut gone = config::copy(
            &json!({"kind": "Secret", "metadata": {"name": "keys"}, "data": {"a": "Yg=="}}),
            None,
            &canary(),
            &[],
        );
        let whole = gone.clone();
        gone["metadata"]["uid"] = json!("s1");
        gone["metadata"]["resourceVersion"] = json!("7");
        assert_eq!(as_it_was(&gone), whole);
    }

    #[test]
    fn it_is_known_by_canary_and_release() {
        let reference = ConfigRef::parse("configmap/config").unwrap();
        let kept = keep(&json!({}), &canary(), &reference, 3);
        assert_eq!(mark_of(&kept), mark(&canary(), 3));
        assert_ne!(mark_of(&kept), mark(&canary(), 4));
        assert!(is_of_canary(mark_of(&kept), &canary()));
        let other = Canary {
            metadata: kube::api::ObjectMeta {
                uid: Some("u2".to_owned()),
                ..canary().metadata
            },
            ..canary()
        };
        assert!(!is_of_canary(mark_of(&kept), &other));
        assert!(!is_of_canary(mark_of(&json!({})), &Canary::default()));
    }
}
