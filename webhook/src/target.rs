//! The workload that is released, and what is generated beside it. All of it pure: what is live
//! comes in, what should be goes out.
//!
//! ```text
//!  view       a Deployment as the caches keep it
//!  recorded   a template as a ControllerRevision keeps it: what was analysed is what is promoted
//!  primary    recorded ─► `<target>-primary`
//!  config     references to ConfigMaps and Secrets, and their `-primary` copies
//!  placement  affinity and spread rules that speak of the target's own pods
//!  kept       what a promotion replaces of these copies, until it has ended
//!  service    apex, `-primary` and `-canary` Services
//!  autoscaler `<hpa>-primary`
//! ```

pub mod autoscaler;
pub mod config;
pub mod kept;
pub mod placement;
pub mod primary;
pub mod recorded;
pub mod service;
pub mod view;

use canary_core::canary::Canary;
use serde_json::{Map, Value, json};

/// Keys of GitOps tools: a copy that carried them would be pruned or fought over.
const TRACKING: [&str; 6] = [
    "toolkit.fluxcd.io",
    "argocd.argoproj.io/",
    "app.kubernetes.io/instance",
    "meta.helm.sh/",
    "kubectl.kubernetes.io/",
    "deployment.kubernetes.io/",
];

pub fn owner_reference(canary: &Canary) -> Value {
    json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "name": canary.metadata.name,
        "uid": canary.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The owners that an object has besides this Canary. Only one may control it.
pub fn demoted_owners(object: &Value, canary: &Canary) -> Vec<Value> {
    let owners = object.pointer("/metadata/ownerReferences");
    let mut owners = owners
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    owners.retain(|owner| owner["uid"].as_str() != canary.metadata.uid.as_deref());
    for owner in &mut owners {
        owner["controller"] = json!(false);
    }
    owners
}

/// Owned by this Canary, whoever created it: Flagger writes the same reference.
pub fn is_owned(object: &Value, canary: &Canary) -> bool {
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    owners.is_some_and(|owners| {
        owners.iter().any(|owner| {
            owner["kind"] == "Canary" && owner["uid"].as_str() == canary.metadata.uid.as_deref()
        })
    })
}

/// May be taken: ours, or handed over by its owner with an annotation.
pub fn may_take(object: &Value, canary: &Canary) -> bool {
    let adopt = object
        .pointer("/metadata/annotations")
        .and_then(|all| all.get(canary_core::names::ADOPT));
    is_owned(object, canary) || adopt.and_then(Value::as_str) == Some("true")
}

/// Every field of `desired` is so in `live`; what the API server added does not matter.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired
            .iter()
            .all(|(key, wanted)| live.get(key).is_some_and(|live| covers(live, wanted))),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, wanted)| covers(live, wanted))
        }
        _ => live == desired,
    }
}

/// Without the marks of GitOps tools and of the API machinery.
pub fn untracked(map: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut map = map.cloned().unwrap_or_default();
    map.retain(|key, _| {
        !TRACKING.iter().any(|mark| key.contains(mark)) && !key.starts_with("kubectl-canary.dev/")
    });
    map
}

/// Labels that match one of the prefixes of `--include-label-prefix`; `*` is all of them.
pub fn included(labels: Option<&Map<String, Value>>, prefixes: &[String]) -> Map<String, Value> {
    let mut labels = untracked(labels);
    labels.retain(|key, _| {
        prefixes
            .iter()
            .any(|prefix| prefix == "*" || key.starts_with(prefix.as_str()))
    });
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let live = json!({ "spec": { "ports": [{ "port": 80, "protocol": "TCP" }], "clusterIP": "10.0.0.1" } });
        assert!(covers(
            &live,
            &json!({ "spec": { "ports": [{ "port": 80 }] } })
        ));
    }

    #[test]
    fn a_missing_element_of_a_list_is_a_difference() {
        let live = json!({ "ports": [{ "port": 80 }] });
        assert!(!covers(
            &live,
            &json!({ "ports": [{ "port": 80 }, { "port": 90 }] })
        ));
        assert!(!covers(&live, &json!({ "ports": [] })));
    }

    #[test]
    fn marks_of_gitops_tools_are_not_copied() {
        let labels = json!({
            "app": "podinfo",
            "kustomize.toolkit.fluxcd.io/name": "apps",
            "argocd.argoproj.io/instance": "apps",
            "kubectl-canary.dev/managed": "true",
        });
        let kept = untracked(labels.as_object());
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["app"]);
    }

    #[test]
    fn an_object_of_another_canary_may_not_be_taken() {
        let canary: Canary = serde_json::from_value(json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
            "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" } },
        }))
        .unwrap();
        let owned = |uid: &str| json!({ "metadata": { "ownerReferences": [{ "kind": "Canary", "uid": uid }] } });
        assert!(may_take(&owned("u1"), &canary));
        assert!(!may_take(&owned("u2"), &canary));
        assert!(!may_take(&json!({}), &canary));
        assert!(may_take(
            &json!({ "metadata": { "annotations": { "kubectl-canary.dev/adopt": "true" } } }),
            &canary
        ));
    }
}
