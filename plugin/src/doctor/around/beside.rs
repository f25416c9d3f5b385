//! Who else selects the target's pods, and not the primary's: what looked at the application before it was
//! adopted, and does not any more.

use canary_core::canary::Canary;
use canary_core::selector::{Labels, shown};
use serde_json::Value;

use super::{Around, named, pod_labels, replicas, strings};
use crate::doctor::Check;
use crate::report::trouble::FOLLOW;

pub(super) fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let (Some(target), Some(primary)) = (&around.target, &around.primary) else {
        return Vec::new();
    };
    let pods = Pods {
        canary,
        target: pod_labels(target),
        primary: pod_labels(primary),
        at_rest: replicas(target) == 0,
    };
    let mut checks = pods.services(&around.services);
    checks.extend(pods.budgets(&around.budgets));
    checks
}

/// The labels of both sides.
struct Pods<'a> {
    canary: &'a Canary,
    target: Labels,
    primary: Labels,
    at_rest: bool,
}

// === impl Pods ===

impl Pods<'_> {
    fn selects_target_only(&self, selector: &Value) -> bool {
        matches(selector, &self.target) && !matches(selector, &self.primary)
    }

    fn services(&self, all: &[Value]) -> Vec<Check> {
        let (canary, namespace) = (self.canary, self.canary.namespace_name());
        let ours = [
            canary.apex().to_owned(),
            canary.primary_service(),
            canary.canary_service(),
        ];
        let others = all.iter().filter(|service| {
            let selector = strings(service.pointer("/spec/selector"));
            let selector = serde_json::json!({ "matchLabels": selector });
            let named_so = ours.iter().any(|name| name == named(service));
            let ignored = service.pointer("/metadata/annotations");
            let ignored = ignored.is_some_and(|all| all[FOLLOW] == "ignore");
            let empty = selector["matchLabels"]
                .as_object()
                .is_none_or(serde_json::Map::is_empty);
            !named_so && !ignored && !empty && self.selects_target_only(&selector)
        });
        others
            .map(|service| {
                let name = named(service);
                let said = format!("Service {name} selects the pods of Deployment {} only", canary.target_name());
                let hint = format!(
                    "let it follow the primary: kubectl annotate service {name} {FOLLOW}=primary -n {namespace}; or leave it so: {FOLLOW}=ignore"
                );
                if self.at_rest {
                    let said = format!("{said}, which is scaled to 0: it has no endpoints");
                    Check::fail("services", said).hint(hint)
                } else {
                    let said = format!("{said}: it has no endpoints once the release is over");
                    Check::warn("services", said).hint(hint)
                }
            })
            .collect()
    }

    /// One of the primary's pods is enough, wherever it comes from.
    fn budgets(&self, all: &[Value]) -> Vec<Check> {
        let selector = |it: &Value| it.pointer("/spec/selector").cloned().unwrap_or_default();
        if all.iter().any(|it| matches(&selector(it), &self.primary)) {
            return Vec::new();
        }
        let primary = self.canary.primary_name();
        let of_target = all.iter().filter(|it| matches(&selector(it), &self.target));
        of_target
            .map(|it| {
                let said = format!(
                    "PodDisruptionBudget {} covers no pod of Deployment {primary}: all of them may be evicted at once",
                    named(it)
                );
                let hint = format!(
                    "kubectl create poddisruptionbudget {primary} --selector={} --max-unavailable=1 -n {}",
                    shown(&self.differing()),
                    self.canary.namespace_name()
                );
                Check::warn("budgets", said).hint(hint)
            })
            .collect()
    }

    /// Labels of the primary's pods that tell them from the target's.
    fn differing(&self) -> Labels {
        let own = self.primary.iter();
        own.filter(|(key, value)| self.target.get(*key).is_some_and(|it| it != *value))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}

/// A `LabelSelector`; an empty one selects everything.
fn matches(selector: &Value, labels: &Labels) -> bool {
    let wanted = strings(selector.get("matchLabels"));
    if !selector.is_object()
        || !wanted
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    {
        return false;
    }
    let expressions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    expressions.into_iter().all(|it| {
        let value = it["key"].as_str().and_then(|key| labels.get(key));
        let listed = || {
            let all = it["values"].as_array().into_iter().flatten();
            all.into_iter()
                .any(|one| one.as_str() == value.map(String::as_str))
        };
        match it["operator"].as_str().unwrap_or_default() {
            "In" => value.is_some() && listed(),
            "NotIn" => value.is_none() || !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    })
}
