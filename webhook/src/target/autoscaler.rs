//! `<hpa>-primary`: the target's HorizontalPodAutoscaler, scaling the primary.

use canary_core::canary::Canary;
use canary_core::names;
use serde_json::{Map, Value, json};

use crate::target::generated::own;
use crate::target::untracked;

/// Which autoscaler belongs to the target.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice<'a> {
    None,
    One(&'a Value),
    /// Named by the Canary, but not there.
    Missing(String),
    /// None is named, and several scale the target: using any of them would be a guess.
    Several(Vec<String>),
}

pub fn scales(autoscaler: &Value) -> (&str, &str) {
    let target = &autoscaler["spec"]["scaleTargetRef"];
    (
        target["kind"].as_str().unwrap_or_default(),
        target["name"].as_str().unwrap_or_default(),
    )
}

pub fn choose<'a>(canary: &Canary, all: &[&'a Value]) -> Choice<'a> {
    let name_of = |autoscaler: &Value| {
        autoscaler["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(reference) = &canary.spec.autoscaler_ref {
        let named = all
            .iter()
            .find(|autoscaler| name_of(autoscaler) == reference.name);
        return named.map_or_else(
            || Choice::Missing(reference.name.clone()),
            |autoscaler| Choice::One(autoscaler),
        );
    }
    let target = (canary.spec.target_ref.kind.as_str(), canary.target_name());
    let mut ours: Vec<&Value> = all
        .iter()
        .copied()
        .filter(|autoscaler| scales(autoscaler) == target)
        .collect();
    match ours.len() {
        0 => Choice::None,
        1 => Choice::One(ours.remove(0)),
        _ => {
            let mut names: Vec<String> = ours.into_iter().map(name_of).collect();
            names.sort();
            Choice::Several(names)
        }
    }
}

pub fn desired(canary: &Canary, source: &Value) -> Value {
    let name = source["metadata"]["name"].as_str().unwrap_or_default();
    let mut spec = source["spec"].clone();
    spec["scaleTargetRef"]["name"] = json!(canary.primary_name());
    let bounds = canary
        .spec
        .autoscaler_ref
        .as_ref()
        .and_then(|reference| reference.primary_scaler_replicas);
    if let Some(min) = bounds.and_then(|bounds| bounds.min_replicas) {
        spec["minReplicas"] = json!(min);
    }
    if let Some(max) = bounds.and_then(|bounds| bounds.max_replicas) {
        spec["maxReplicas"] = json!(max);
    }
    let annotations: Map<String, Value> = untracked(source["metadata"]["annotations"].as_object());
    let object = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": names::primary_of(name),
            "namespace": canary.metadata.namespace,
            "labels": untracked(source["metadata"]["labels"].as_object()),
            "annotations": annotations,
        },
        "spec": spec,
    });
    own(object, canary)
}

pub fn min_replicas(autoscaler: &Value) -> i32 {
    let min = autoscaler["spec"]["minReplicas"]
        .as_i64()
        .and_then(|min| i32::try_from(min).ok());
    min.unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(autoscaler: &Value) -> Canary {
        serde_json::from_value(json!({
            "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
            "spec": {
                "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
                "autoscalerRef": autoscaler,
            },
        }))
        .unwrap()
    }

    fn scaler(name: &str, target: &str) -> Value {
        json!({
            "metadata": { "name": name },
            "spec": { "scaleTargetRef": { "kind": "Deployment", "name": target }, "minReplicas": 2, "maxReplicas": 4 },
        })
    }

    #[test]
    fn the_one_autoscaler_of_the_target_is_used_without_being_named() {
        let (web, other) = (scaler("web", "podinfo"), scaler("other", "else"));
        assert_eq!(
            choose(&canary(&Value::Null), &[&other, &web]),
            Choice::One(&web)
        );
    }

    #[test]
    fn of_several_autoscalers_none_is_guessed() {
        let (a, b) = (scaler("a", "podinfo"), scaler("b", "podinfo"));
        assert_eq!(
            choose(&canary(&Value::Null), &[&b, &a]),
            Choice::Several(vec!["a".to_owned(), "b".to_owned()])
        );
    }

    #[test]
    fn a_named_autoscaler_that_is_not_there_is_missed() {
        let named = json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "web" });
        assert_eq!(
            choose(&canary(&named), &[]),
            Choice::Missing("web".to_owned())
        );
    }

    #[test]
    fn the_copy_scales_the_primary_within_bounds_of_its_own() {
        let named = json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "web",
            "primaryScalerReplicas": { "maxReplicas": 10 },
        });
        let copy = desired(&canary(&named), &scaler("web", "podinfo"));
        assert_eq!(copy["metadata"]["name"], "web-primary");
        assert_eq!(copy["spec"]["scaleTargetRef"]["name"], "podinfo-primary");
        assert_eq!(
            (&copy["spec"]["minReplicas"], &copy["spec"]["maxReplicas"]),
            (&json!(2), &json!(10))
        );
    }
}
