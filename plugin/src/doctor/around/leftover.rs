//! Objects that carry the Canary's mark and that no name leads to, and two autoscalers of one primary.
//!
//! ```text
//!  named by the spec, or in force ──────────────► in use: nothing is said
//!  not ready, not adopted yet, being deleted ───► told, and left to the server
//!  pods behind it that people may come to ──────► told, and left to the server
//!  all others ──────────────────────────────────► told, with the command that deletes it
//! ```

use canary_core::canary::Canary;
use canary_core::names::{self, GENERATED};
use canary_core::release::conditions::READY;
use serde_json::Value;

use super::led::Led;
use super::{Around, by_name, is_generated, named};
use crate::doctor::Check;
use crate::report::trouble::{is_bad, not_adopted};

/// A marked object that no name leads to.
struct Left<'a> {
    kind: &'static str,
    object: &'a Value,
}

pub(super) fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let uid = canary.metadata.uid.as_deref().unwrap_or_default();
    let by_names = followed(canary);
    let asked = |of: &dyn Fn(&Canary) -> Vec<String>| by_names.iter().flat_map(of).collect();
    let routes = |it: &Canary| it.canary_route().into_iter().collect();
    let copies = |it: &Canary| scalers(it, &around.scalers);
    let primary = |it: &Canary| vec![it.primary_name()];
    let kinds: [(&str, &[Value], Vec<String>); 5] = [
        ("ApisixRoute", &around.routes, asked(&routes)),
        ("Service", &around.services, asked(&services)),
        ("HorizontalPodAutoscaler", &around.scalers, asked(&copies)),
        (
            "PodDisruptionBudget",
            &around.budgets,
            copies_of_all(&around.budgets),
        ),
        ("Deployment", &around.deployments, asked(&primary)),
    ];
    let mut left = Vec::new();
    for (kind, all, asked) in kinds {
        let marked = all.iter().filter(|it| is_marked(it, uid));
        let others = marked.filter(|it| !asked.iter().any(|name| name == named(it)));
        left.extend(others.map(|object| Left { kind, object }));
    }
    let services = left.iter().filter(|it| it.kind == "Service");
    let led = Led::of(&by_names, around, services.map(|it| named(it.object)));
    let leave_alone = may_be_in_use(canary);
    let mut checks: Vec<Check> = retargeted(canary).into_iter().collect();
    checks.extend(left.iter().map(|it| {
        let keep = leave_alone.or_else(|| it.serves(canary, around, &led));
        it.check(canary, keep)
    }));
    checks.extend(rivals(canary, around, leave_alone));
    checks
}

/// The Canary, and as it was adopted: what goes by those names serves until the spec's are adopted.
fn followed(canary: &Canary) -> Vec<Canary> {
    let names = canary.status.as_ref().and_then(|it| it.in_force.as_ref());
    let adopted = names.map(|names| {
        let mut adopted = canary.clone();
        adopted.spec.target_ref.name.clone_from(&names.target);
        adopted.spec.service.name = Some(names.service.clone());
        adopted.spec.route_ref = names.route.as_ref().map(|route| {
            let mut reference = canary.spec.route_ref.clone().unwrap_or_default();
            reference.name.clone_from(route);
            reference
        });
        adopted
    });
    std::iter::once(canary.clone()).chain(adopted).collect()
}

/// Until when nobody can tell what still serves.
fn may_be_in_use(canary: &Canary) -> Option<&'static str> {
    let status = canary.status.as_ref();
    let mut conditions = status.into_iter().flat_map(|it| &it.conditions);
    if canary.metadata.deletion_timestamp.is_some() {
        Some("once the Canary is deleted")
    } else if conditions.any(|it| it.type_ == READY && is_bad(it)) {
        Some("once the Canary is ready")
    } else if !is_generated(canary) || retargeted(canary).is_some() {
        Some("once what the spec names is adopted")
    } else {
        None
    }
}

/// The spec names another target than the one that serves.
fn retargeted(canary: &Canary) -> Option<Check> {
    let said = not_adopted(canary)?;
    let hint =
        "delete none of it; what keeps the target from being adopted is in the line `canary`";
    Some(Check::warn("in force", said).hint(hint))
}

pub(super) fn is_marked(object: &Value, uid: &str) -> bool {
    let labels = object.pointer("/metadata/labels");
    let mark = labels.and_then(|labels| labels.get(GENERATED)?.as_str());
    !uid.is_empty() && mark == Some(uid)
}

fn services(canary: &Canary) -> Vec<String> {
    vec![
        canary.apex().to_owned(),
        canary.primary_service(),
        canary.canary_service(),
    ]
}

/// Copies of those that scale the target; if one is named, of that one, whatever it scales.
fn scalers(canary: &Canary, all: &[Value]) -> Vec<String> {
    if let Some(reference) = &canary.spec.autoscaler_ref {
        return vec![names::primary_of(&reference.name)];
    }
    let sources = all.iter().filter(|it| scales(it, canary.target_name()));
    sources.map(named).map(names::primary_of).collect()
}

fn copies_of_all(all: &[Value]) -> Vec<String> {
    all.iter().map(|it| names::primary_of(named(it))).collect()
}

fn scales(scaler: &Value, deployment: &str) -> bool {
    let of = &scaler["spec"]["scaleTargetRef"];
    of["kind"] == "Deployment" && of["name"] == deployment
}

// === impl Left ===

impl Left<'_> {
    /// Until when people may come to it.
    fn serves(&self, canary: &Canary, around: &Around, led: &Led<'_>) -> Option<&'static str> {
        let today = canary.canary_route();
        let routed = |name: String| by_name(&around.routes, &name).is_some();
        match self.kind {
            "Service" if led.is_led(self.object) => Some("once no route leads to it"),
            "Service" if led.may_have_pods(self.object) => Some("once no pods are behind it"),
            "Deployment" if led.serves(self.object) => Some("once no Service leads to its pods"),
            // People are on it until the one of today is there.
            "ApisixRoute" if today.is_some_and(|name| !routed(name)) => {
                Some("once the route of today is there")
            }
            _ => None,
        }
    }

    fn check(&self, canary: &Canary, keep_until: Option<&str>) -> Check {
        let (kind, name) = (self.kind, named(self.object));
        let said = format!("{kind} {name} was generated for this Canary, and ");
        let said = said
            + match keep_until {
                Some(_) => "no name in its spec leads to it",
                None => "nothing asks for it any more",
            };
        let hint = match keep_until {
            Some(until) => format!(
                "do not delete it, it may still serve: the server takes it away {until} (line `canary`)"
            ),
            None => format!(
                "the server takes it away unless something hinders it (line `canary`); by hand: kubectl delete {} {name} -n {}",
                kind.to_lowercase(),
                canary.namespace_name()
            ),
        };
        let check = match canary_share(canary, self.object) {
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

fn rivals(canary: &Canary, around: &Around, leave_alone: Option<&str>) -> Option<Check> {
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
    let namespace = canary.namespace_name();
    let hint = match leave_alone {
        Some(until) => format!(
            "the server takes away what it made itself, {until} (line `canary`); which one counts is said by spec.autoscalerRef: kubectl edit canary {} -n {namespace}",
            canary.metadata.name.as_deref().unwrap_or_default()
        ),
        None => format!("keep one: kubectl delete hpa {other} -n {namespace}"),
    };
    Some(Check::fail("autoscalers", said).hint(hint))
}
