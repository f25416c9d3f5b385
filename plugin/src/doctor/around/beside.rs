//! Who else selects the target's pods, and not the primary's: what looked at the application before it was
//! adopted, and does not any more. What counts is in [`crate::beside`].

use canary_core::canary::Canary;
use canary_core::names::{FOLLOW, FOLLOW_IGNORE, FOLLOW_PRIMARY};
use serde_json::Value;

use super::{Around, named, replicas};
use crate::beside::Sides;
use crate::doctor::Check;

pub(super) fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let (Some(target), Some(primary)) = (&around.target, &around.primary) else {
        return Vec::new();
    };
    let Some(sides) = Sides::of(canary, target, Some(primary)) else {
        return Vec::new();
    };
    let mut checks = services(canary, &sides, around, replicas(target) == 0);
    checks.extend(budgets(canary, &sides, around));
    checks
}

fn services(canary: &Canary, sides: &Sides<'_>, around: &Around, at_rest: bool) -> Vec<Check> {
    let namespace = canary.namespace_name();
    let others = around.services.iter().filter(|it| sides.is_left_behind(it));
    others
        .map(|service| {
            let name = named(service);
            let said = format!("Service {name} selects the pods of Deployment {} only", canary.target_name());
            let hint = format!(
                "let it follow the primary: kubectl annotate service {name} {FOLLOW}={FOLLOW_PRIMARY} -n {namespace}; or leave it so: {FOLLOW}={FOLLOW_IGNORE}"
            );
            if at_rest {
                let said = format!("{said}, which is scaled to 0: it has no endpoints");
                Check::fail("services", said).hint(hint)
            } else {
                let said = format!("{said}: it has no endpoints once the release is over");
                Check::warn("services", said).hint(hint)
            }
        })
        .collect()
}

/// That name, or with a number behind it: of an object that is there nothing can be created.
fn free_name(wanted: &str, taken: &[Value]) -> String {
    let is_free = |name: &String| {
        taken
            .iter()
            .all(|it| it["metadata"]["name"] != name.as_str())
    };
    let numbered = (2..).map(|n: u32| format!("{wanted}-{n}"));
    let mut all = std::iter::once(wanted.to_owned()).chain(numbered);
    all.find(is_free).unwrap_or_default()
}

fn budgets(canary: &Canary, sides: &Sides<'_>, around: &Around) -> Vec<Check> {
    let primary = canary.primary_name();
    let left = sides.budgets_left_behind(&around.budgets);
    left.into_iter()
        .map(|it| {
            let said = format!(
                "PodDisruptionBudget {} covers no pod of Deployment {primary}: all of them may be evicted at once",
                named(it)
            );
            let free = free_name(&primary, &around.budgets);
            let hint = format!(
                "kubectl create poddisruptionbudget {free} --selector={} --max-unavailable=1 -n {}",
                sides.of_primary_alone(),
                canary.namespace_name()
            );
            Check::warn("budgets", said).hint(hint)
        })
        .collect()
}
