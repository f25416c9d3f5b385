//! Objects that carry the Canary's mark and that no name of today asks for, and two autoscalers of one primary.

use canary_core::canary::Canary;
use canary_core::names::{self, GENERATED};
use serde_json::Value;

use super::{Around, named};
use crate::doctor::Check;

pub(super) fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let uid = canary.metadata.uid.as_deref().unwrap_or_default();
    let kinds: [(&str, &[Value], Vec<String>); 5] = [
        (
            "ApisixRoute",
            &around.routes,
            canary.canary_route().into_iter().collect(),
        ),
        ("Service", &around.services, services(canary)),
        (
            "HorizontalPodAutoscaler",
            &around.scalers,
            scalers(canary, &around.scalers),
        ),
        (
            "PodDisruptionBudget",
            &around.budgets,
            copies_of_all(&around.budgets),
        ),
        (
            "Deployment",
            &around.deployments,
            vec![canary.primary_name()],
        ),
    ];
    let mut checks = Vec::new();
    for (kind, all, asked) in kinds {
        let marked = all
            .iter()
            .filter(|it| !uid.is_empty() && mark(it) == Some(uid));
        let left = marked.filter(|it| !asked.iter().any(|name| name == named(it)));
        checks.extend(left.map(|it| leftover(canary, kind, it)));
    }
    checks.extend(rivals(canary, around));
    checks
}

fn mark(object: &Value) -> Option<&str> {
    object.pointer("/metadata/labels")?.get(GENERATED)?.as_str()
}

fn services(canary: &Canary) -> Vec<String> {
    vec![
        canary.apex().to_owned(),
        canary.primary_service(),
        canary.canary_service(),
    ]
}

/// Copies of those that scale the target; of the one that is named, if one is.
fn scalers(canary: &Canary, all: &[Value]) -> Vec<String> {
    let sources = all.iter().filter(|it| scales(it, canary.target_name()));
    let sources = sources.map(named).filter(|name| {
        let named = canary.spec.autoscaler_ref.as_ref();
        named.is_none_or(|reference| reference.name == **name)
    });
    sources.map(names::primary_of).collect()
}

fn copies_of_all(all: &[Value]) -> Vec<String> {
    all.iter().map(|it| names::primary_of(named(it))).collect()
}

fn scales(scaler: &Value, deployment: &str) -> bool {
    let of = &scaler["spec"]["scaleTargetRef"];
    of["kind"] == "Deployment" && of["name"] == deployment
}

fn leftover(canary: &Canary, kind: &str, object: &Value) -> Check {
    let name = named(object);
    let said =
        format!("{kind} {name} was generated for this Canary, and nothing asks for it any more");
    let hint = format!(
        "the server takes it away unless something hinders it (line `canary`); by hand: kubectl delete {} {name} -n {}",
        kind.to_lowercase(),
        canary.namespace_name()
    );
    let check = match canary_share(canary, object) {
        Some(share) if share > 0 => Check::fail(
            "leftover",
            format!(
                "{said}: it still sends {share} % to Service {}",
                canary.canary_service()
            ),
        ),
        _ => Check::warn("leftover", said),
    };
    check.hint(hint)
}

/// What a route sends to the canary.
fn canary_share(canary: &Canary, route: &Value) -> Option<i64> {
    let rules = route.pointer("/spec/http")?.as_array()?;
    let mut backends = rules
        .iter()
        .filter_map(|rule| rule["backends"].as_array())
        .flatten();
    let name = canary.canary_service();
    backends.find(|it| it["serviceName"] == name.as_str())?["weight"].as_i64()
}

fn rivals(canary: &Canary, around: &Around) -> Option<Check> {
    let primary = canary.primary_name();
    let all: Vec<&str> = around
        .scalers
        .iter()
        .filter(|it| scales(it, &primary))
        .map(named)
        .collect();
    if all.len() < 2 {
        return None;
    }
    let asked = scalers(canary, &around.scalers);
    let other = all.iter().find(|name| !asked.iter().any(|it| it == *name));
    let other = other.or(all.last()).copied().unwrap_or_default();
    let said = format!(
        "{} HorizontalPodAutoscalers scale Deployment {primary} against each other: {}",
        all.len(),
        all.join(", ")
    );
    Some(Check::fail("autoscalers", said).hint(format!(
        "keep one: kubectl delete hpa {other} -n {}",
        canary.namespace_name()
    )))
}
