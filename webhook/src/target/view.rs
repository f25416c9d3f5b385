//! A Deployment as the caches keep it: what rules ask about, and not its whole template.

use std::collections::BTreeMap;

use canary_core::names;
use canary_core::release::readiness::Counts;
use canary_core::size::{self, Owner, Wish};
use canary_core::{revision, selector};
use serde_json::Value;

use crate::target::config::{ConfigRef, references};
use crate::target::copies::{History, Note};
use crate::target::declared::{Port, declared};
use crate::target::tracking::Tracked;

#[derive(Clone, Debug, Default)]
pub struct Deployment {
    pub uid: String,
    pub resource_version: String,
    pub generation: i64,
    pub managed: bool,
    /// Hash of the template as it stands.
    pub revision: String,
    /// What the primary was promoted to, as its annotation says.
    pub promoted: Option<String>,
    /// Revision and user that admission stamped.
    pub triggered: Option<(String, String)>,
    pub break_glass: Option<String>,
    /// What it notes of the promoted revision's images.
    pub promoted_images: Option<String>,
    pub locked_by: Option<String>,
    /// The release that went back, and its revision.
    pub failed: Option<(i64, String)>,
    /// The revision that we saw when we wrote on it last, if nobody wrote on it since.
    pub seen: Option<String>,
    pub replicas: i32,
    pub replicas_manager: String,
    /// Whose number `replicas` is.
    pub wish: Wish,
    /// Pods that the primary had when that was noted last.
    pub remembered: Option<i32>,
    pub strategy: String,
    /// The labels that it selects by.
    pub match_labels: BTreeMap<String, String>,
    pub pod_labels: BTreeMap<String, String>,
    pub images: BTreeMap<String, String>,
    pub configs: Vec<ConfigRef>,
    /// Of a primary: which copies it refers to, as its annotation says.
    pub copies: Option<Note>,
    pub ports: Vec<Port>,
    pub counts: Counts,
    /// `metadata.ownerReferences`, the mark and the adoption annotation: whose it is.
    pub ownership: Value,
    /// Of one that was generated: labels and annotations by which a tool would find it, and delete it.
    pub tracked: Tracked,
    pub deleting: bool,
}

// === impl Deployment ===

impl Deployment {
    pub fn from_raw(object: &Value) -> Self {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let annotation = |key: &str| {
            let annotations = object.pointer("/metadata/annotations")?;
            annotations.get(key)?.as_str().map(str::to_owned)
        };
        let template = object.pointer("/spec/template").unwrap_or(&Value::Null);
        let label = object
            .pointer("/metadata/labels")
            .and_then(|all| all.get(names::MANAGED_LABEL));
        Self {
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
            generation: object
                .pointer("/metadata/generation")
                .and_then(Value::as_i64)
                .unwrap_or(0),
            managed: label.and_then(Value::as_str) == Some(names::MANAGED_VALUE),
            revision: revision::revision(template),
            promoted: annotation(names::REVISION),
            break_glass: annotation(names::BREAK_GLASS),
            promoted_images: annotation(names::PROMOTED_IMAGES),
            locked_by: annotation(names::LOCKED_BY),
            failed: annotation(names::FAILED).and_then(|note| {
                let (number, revision) = note.split_once(' ')?;
                Some((number.parse().ok()?, revision.to_owned()))
            }),
            seen: annotation(names::SEEN_REVISION).filter(|_| is_ours_last(object)),
            triggered: annotation(names::TRIGGERED_REVISION).zip(annotation(names::TRIGGERED_BY)),
            replicas: number(object, "/spec/replicas").unwrap_or(1),
            replicas_manager: replicas_manager(object),
            wish: wish(object),
            remembered: annotation(names::SIZE)
                .and_then(|text| text.parse().ok())
                .filter(|size| *size > 0),
            strategy: text("/spec/strategy/type"),
            match_labels: selector::labels_of(object.pointer("/spec/selector")),
            pod_labels: strings(template.pointer("/metadata/labels")),
            images: revision::images(template),
            configs: references(template),
            copies: History::of(object).now,
            ports: declared(template),
            counts: counts(object),
            ownership: ownership(object),
            tracked: Tracked::of(object),
            deleting: object.pointer("/metadata/deletionTimestamp").is_some(),
        }
    }

    /// Every pod that it has is of its template as it stands.
    pub const fn is_steady(&self) -> bool {
        let counts = &self.counts;
        counts.observed_generation >= counts.generation && counts.updated == counts.replicas
    }
}

fn ownership(object: &Value) -> Value {
    let mut metadata = serde_json::Map::new();
    if let Some(owners) = object.pointer("/metadata/ownerReferences") {
        metadata.insert("ownerReferences".to_owned(), owners.clone());
    }
    if let Some(adopt) = object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(names::ADOPT))
    {
        metadata.insert(
            "annotations".to_owned(),
            serde_json::json!({ names::ADOPT: adopt }),
        );
    }
    if let Some(mark) = object
        .pointer("/metadata/labels")
        .and_then(|all| all.get(names::GENERATED))
    {
        metadata.insert(
            "labels".to_owned(),
            serde_json::json!({ names::GENERATED: mark }),
        );
    }
    serde_json::json!({ "metadata": metadata })
}

fn number(object: &Value, pointer: &str) -> Option<i32> {
    object
        .pointer(pointer)
        .and_then(Value::as_i64)
        .and_then(|n| i32::try_from(n).ok())
}

pub fn strings(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn counts(object: &Value) -> Counts {
    let status = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let deadline_exceeded = conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded"
    });
    Counts {
        generation: object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or(0),
        observed_generation: object
            .pointer("/status/observedGeneration")
            .and_then(Value::as_i64)
            .unwrap_or(0),
        desired: number(object, "/spec/replicas").unwrap_or(1),
        replicas: status("replicas"),
        updated: status("updatedReplicas"),
        ready: status("readyReplicas"),
        available: status("availableReplicas"),
        deadline_exceeded,
    }
}

/// Entries of the managed fields that own `spec.replicas`.
fn owners_of_replicas(object: &Value) -> impl Iterator<Item = &Value> {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let owns = |entry: &&Value| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some();
    entries.into_iter().flatten().filter(owns)
}

fn wish(object: &Value) -> Wish {
    let owners: Vec<Owner<'_>> = owners_of_replicas(object)
        .map(|entry| Owner {
            manager: entry["manager"].as_str().unwrap_or_default(),
            applied: entry["operation"] == "Apply",
            scaled: entry["subresource"] == "scale",
        })
        .collect();
    let replicas = number(object, "/spec/replicas").unwrap_or(1);
    // Read only where it decides.
    let declared = (replicas == 1).then(|| declared_replicas(object)).flatten();
    size::wish(replicas, &owners, declared)
}

/// What `kubectl apply` noted that the manifest says.
fn declared_replicas(object: &Value) -> Option<i32> {
    let annotations = object.pointer("/metadata/annotations")?;
    let noted = annotations.get("kubectl.kubernetes.io/last-applied-configuration")?;
    let noted: Value = serde_json::from_str(noted.as_str()?).ok()?;
    number(&noted, "/spec/replicas")
}

/// The newest field manager that owns `spec.replicas`.
fn replicas_manager(object: &Value) -> String {
    owners_of_replicas(object)
        .max_by_key(|entry| entry["time"].as_str().unwrap_or_default().to_owned())
        .and_then(|entry| entry["manager"].as_str())
        .unwrap_or_default()
        .to_owned()
}

/// Whether the object itself was written by us after everybody else. Of two in one second the other is taken for
/// the later: what a person did must not be taken for ours.
fn is_ours_last(object: &Value) -> bool {
    let entries = object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array);
    let whole = |entry: &&Value| entry["subresource"].as_str().is_none_or(str::is_empty);
    let newest = |ours: bool| {
        let of = |entry: &&Value| (entry["manager"] == names::FIELD_MANAGER) == ours;
        let entries = entries.into_iter().flatten().filter(whole).filter(of);
        entries.filter_map(|entry| entry["time"].as_str()).max()
    };
    newest(true) > newest(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment() -> Value {
        json!({
            "metadata": {
                "name": "podinfo", "namespace": "test", "uid": "d1", "generation": 3, "resourceVersion": "12",
                "labels": { "kubectl-canary.dev/managed": "true" },
                "annotations": {
                    "kubectl-canary.dev/triggered-revision": "v1-abc",
                    "kubectl-canary.dev/triggered-by": "alice",
                },
                "managedFields": [
                    { "manager": "kubectl", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                    { "manager": "argocd", "time": "2026-01-02T00:00:00Z", "fieldsV1": { "f:spec": { "f:replicas": {} } } },
                    { "manager": "kubelet", "time": "2026-01-03T00:00:00Z", "fieldsV1": { "f:status": {} } },
                ],
            },
            "spec": {
                "replicas": 2,
                "selector": { "matchLabels": { "name": "web", "app.kubernetes.io/name": "podinfo" } },
                "strategy": { "type": "RollingUpdate" },
                "template": { "spec": { "containers": [
                    { "name": "podinfod", "image": "podinfo:6.0.0", "ports": [{ "containerPort": 9898, "name": "http" }] },
                ] } },
            },
            "status": {
                "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1, "availableReplicas": 1,
                "conditions": [{ "type": "Progressing", "reason": "ProgressDeadlineExceeded" }],
            },
        })
    }

    #[test]
    fn the_newest_owner_of_replicas_is_named() {
        assert_eq!(
            Deployment::from_raw(&deployment()).replicas_manager,
            "argocd"
        );
    }

    #[test]
    fn what_we_saw_counts_until_somebody_else_writes() {
        let seen = |others: &str| {
            let mut object = deployment();
            object["metadata"]["annotations"][names::SEEN_REVISION] = json!("v1-a");
            object["metadata"]["managedFields"] = json!([
                { "manager": "kubectl-canary", "time": "2026-01-02T00:00:00Z" },
                { "manager": "kube-controller-manager", "subresource": "status", "time": "2026-01-04T00:00:00Z" },
                { "manager": "kubectl", "time": others },
            ]);
            Deployment::from_raw(&object).seen
        };
        assert_eq!(seen("2026-01-01T00:00:00Z").as_deref(), Some("v1-a"));
        assert_eq!(seen("2026-01-03T00:00:00Z"), None);
        assert_eq!(seen("2026-01-02T00:00:00Z"), None, "in one second");
    }

    #[test]
    fn a_deployment_is_steady_when_all_its_pods_are_of_its_template() {
        let mut object = deployment();
        assert!(Deployment::from_raw(&object).is_steady());
        object["status"]["replicas"] = json!(3);
        assert!(!Deployment::from_raw(&object).is_steady(), "an old pod");
        object["status"]["replicas"] = json!(2);
        object["metadata"]["generation"] = json!(4);
        assert!(!Deployment::from_raw(&object).is_steady(), "nobody looked");
    }

    #[test]
    fn stamps_counts_and_images_are_read_as_they_stand() {
        let view = Deployment::from_raw(&deployment());
        assert_eq!(
            view.triggered,
            Some(("v1-abc".to_owned(), "alice".to_owned()))
        );
        assert_eq!(
            (
                view.counts.updated,
                view.counts.available,
                view.counts.desired
            ),
            (2, 1, 2)
        );
        assert!(view.counts.deadline_exceeded && view.managed);
        assert_eq!(view.images["podinfod"], "podinfo:6.0.0");
    }

    #[test]
    fn a_default_of_a_manifest_that_was_applied_is_no_wish() {
        let created = |noted: &str| {
            let mut object = deployment();
            object["spec"]["replicas"] = json!(1);
            object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
                json!(noted);
            Deployment::from_raw(&object).wish
        };
        assert_eq!(created("{\"spec\":{}}"), Wish::Default);
        assert_eq!(created("{\"spec\":{\"replicas\":1}}"), Wish::Somebody);
        assert_eq!(created("no json"), Wish::Default);
        assert_eq!(
            Deployment::from_raw(&deployment()).wish,
            Wish::Somebody,
            "2 is no default"
        );
    }

    #[test]
    fn a_size_that_is_none_is_not_remembered() {
        let remembered = |size: &str| {
            let mut object = deployment();
            object["metadata"]["annotations"][names::SIZE] = json!(size);
            Deployment::from_raw(&object).remembered
        };
        assert_eq!(remembered("4"), Some(4));
        for size in ["0", "-1", "many", "99999999999"] {
            assert_eq!(remembered(size), None, "{size}");
        }
    }

    #[test]
    fn replicas_left_out_of_a_manifest_are_one() {
        let mut object = deployment();
        object["spec"].as_object_mut().unwrap().remove("replicas");
        assert_eq!(Deployment::from_raw(&object).replicas, 1);
    }
}
