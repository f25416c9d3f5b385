//! What one Canary needs around it.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::release::conditions;
use canary_core::validate::validate;
use serde_json::Value;

use super::Check;
use crate::beside::Sides;
use crate::report::trouble::{DELETING, IN_FORCE, OUTAGES, PENDING, PODS};
use crate::report::waiting::{REQUEST, ROLLBACK};
use crate::report::{Attention, CanaryReport};
use crate::service::{has_port, shown};

/// Whether it can be run, and whether the controller is content with it.
pub fn canary(canary: &Canary, provider: &str, report: &CanaryReport) -> Vec<Check> {
    let name = "canary";
    let mut checks: Vec<Check> = validate(canary, provider)
        .iter()
        .map(|violation| {
            Check::fail(name, violation.to_string()).hint("`kubectl canary lint` checks the file")
        })
        .collect();
    // What is missing, and what is in force, has lines of its own.
    let own = ["Unread", "Missing", IN_FORCE];
    let troubles = report.troubles();
    let troubles = troubles.filter(|it| !own.contains(&it.type_.as_str()));
    checks.extend(troubles.map(trouble));
    if report.phase == canary_core::status::Phase::New && report.deleting().is_none() {
        checks.push(
            Check::warn(name, "no controller has looked at it yet")
                .hint("is its namespace watched? see the line `controller`"),
        );
    }
    if checks.is_empty() {
        checks.push(Check::ok(name, format!("{} can be run", canary.id())));
    }
    checks
}

fn trouble(trouble: &Attention) -> Check {
    let (reason, message) = (&trouble.reason, &trouble.message);
    let check = match trouble.type_.as_str() {
        conditions::READY => Check::fail("canary", format!("{reason}: {message}")),
        PENDING | DELETING => Check::fail("canary", message),
        PODS if OUTAGES.contains(&reason.as_str()) => Check::fail("pods", message),
        PODS => Check::warn("pods", message),
        REQUEST => return unanswered(trouble),
        // Flagger's sentence begins with the word.
        conditions::HALTED => Check::warn("canary", message),
        type_ => Check::warn("canary", format!("{type_}: {reason}: {message}")),
    };
    match &trouble.hint {
        Some(hint) => check.hint(hint),
        None => check,
    }
}

/// Whoever reads this has found what its hint leads to elsewhere.
fn unanswered(trouble: &Attention) -> Check {
    let (name, message) = ("request", &trouble.message);
    let check = if trouble.reason == ROLLBACK {
        Check::fail(name, message)
    } else {
        Check::warn(name, message)
    };
    check.hint("see the lines `server`, `controller` and `its rights`")
}

/// The primary, once there should be one.
pub fn primary(report: &CanaryReport, name: &str) -> Option<Check> {
    let said = format!("Deployment {name} does not exist");
    let missing = report.attention.iter().any(|it| it.message == said);
    missing.then(|| {
        Check::fail("primary", said)
            .hint("the server makes it from the target unless something hinders it (line `canary`)")
    })
}

/// The target: that it is there, and how it rolls. One that is paused is told with the pods.
pub fn target(canary: &Canary, live: Option<&Value>) -> Check {
    let name = "target";
    let target = canary.target_name();
    let Some(live) = live else {
        return Check::fail(name, format!("Deployment {target} does not exist"))
            .hint("create it, or correct spec.targetRef");
    };
    if live["spec"]["strategy"]["type"] == "Recreate" && !canary.accepts_recreate() {
        return Check::fail(
            name,
            format!("Deployment {target} has strategy Recreate, which stops every pod first"),
        )
        .hint(format!(
            "use RollingUpdate, or annotate the Canary {}=true",
            names::ALLOW_RECREATE
        ));
    }
    Check::ok(name, format!("Deployment {target}"))
}

/// Who else writes the fields that a release needs for itself.
pub fn owners(live: &Value) -> Check {
    let name = "owners";
    let managers = live["metadata"]["managedFields"].as_array();
    let mut others = Vec::new();
    for entry in managers.into_iter().flatten() {
        let manager = entry["manager"].as_str().unwrap_or_default();
        let ours = manager.starts_with(names::FIELD_MANAGER) || manager == "flagger";
        // An autoscaler, or a person with `kubectl scale`, and no tool that keeps a manifest.
        if entry["subresource"] == "scale" {
            continue;
        }
        let spec = &entry["fieldsV1"]["f:spec"];
        for (field, key) in [("replicas", "f:replicas"), ("paused", "f:paused")] {
            // Scaling once by hand or at creation is no tool that does it again and again.
            let again = entry["operation"] == "Apply" || manager != "kubectl-create";
            if !ours && again && !spec[key].is_null() {
                others.push(format!("{manager} sets spec.{field}"));
            }
        }
    }
    others.sort();
    others.dedup();
    if others.is_empty() {
        return Check::ok(name, "nobody else sets replicas or paused of the target");
    }
    Check::warn(name, others.join(", "))
        .hint("leave both out of the manifest in Git: at rest the target has 0 replicas")
}

/// The user's route, and whether it leads to what is released.
pub fn route(canary: &Canary, live: Option<&Value>) -> Check {
    let name = "route";
    let route = canary.route().map_or("", |route| &route.name);
    let Some(live) = live else {
        return Check::fail(name, format!("ApisixRoute {route} does not exist"))
            .hint("create it, or correct spec.routeRef");
    };
    let apex = canary.apex();
    let rules = live["spec"]["http"].as_array().into_iter().flatten();
    let mut backends = rules
        .filter_map(|rule| rule["backends"].as_array())
        .flatten();
    if backends.any(|backend| backend["serviceName"] == apex) {
        Check::ok(name, format!("ApisixRoute {route} leads to Service {apex}"))
    } else {
        Check::fail(
            name,
            format!("no rule of ApisixRoute {route} has Service {apex} as its backend"),
        )
        .hint("correct its backends, or spec.service.name")
    }
}

/// The apex Service; before the first initialization there may be none.
pub fn service(canary: &Canary, live: Option<&Value>) -> Check {
    let name = "service";
    let (apex, port) = (canary.apex(), canary.spec.service.port);
    let Some(live) = live else {
        return Check::warn(
            name,
            format!("Service {apex} does not exist yet: it is made when the Canary is initialized"),
        );
    };
    if has_port(live, &Value::from(port)) {
        Check::ok(name, format!("Service {apex} has port {port}"))
    } else {
        let ports = live["spec"]["ports"].as_array().into_iter().flatten();
        let there: Vec<String> = ports.map(shown).collect();
        Check::warn(
            name,
            format!(
                "Service {apex} has no port {port}: it has {}",
                there.join(", ")
            ),
        )
        .hint("correct spec.service.port")
    }
}

/// What else finds the target's pods, and not the primary's.
pub fn beside(sides: &Sides<'_>, kind: &str, live: Vec<Value>) -> Vec<Check> {
    let troubles = live.into_iter().flat_map(|mut object| {
        // Of a listed object the kind is not repeated.
        object["kind"] = Value::from(kind);
        sides.trouble(&object)
    });
    troubles
        .map(|trouble| Check::warn("beside", trouble.message).hint(trouble.hint))
        .collect()
}

/// The autoscalers of the target.
pub fn autoscaler(canary: &Canary, live: &[Value]) -> Check {
    let name = "autoscaler";
    let target = canary.target_name();
    let scales = |it: &&Value| {
        let scaled = &it["spec"]["scaleTargetRef"];
        scaled["kind"] == "Deployment" && scaled["name"] == target
    };
    let found: Vec<&str> = live
        .iter()
        .filter(scales)
        .filter_map(|it| it["metadata"]["name"].as_str())
        .collect();
    let named = canary.spec.autoscaler_ref.as_ref();
    match (named, found.as_slice()) {
        (Some(named), _)
            if named.kind == "HorizontalPodAutoscaler" && !found.contains(&named.name.as_str()) =>
        {
            scales_another(canary, &named.name, live)
        }
        (Some(named), _) => Check::ok(name, format!("{} {}", named.kind, named.name)),
        (None, []) => Check::ok(name, format!("none scales Deployment {target}")),
        (None, [one]) => Check::ok(name, format!("HorizontalPodAutoscaler {one}")),
        (None, several) => Check::fail(
            name,
            format!("several scale Deployment {target}: {}", several.join(", ")),
        )
        .hint("name one in spec.autoscalerRef"),
    }
}

/// The primary would be scaled by what another workload needs.
fn scales_another(canary: &Canary, name: &str, live: &[Value]) -> Check {
    let live = live.iter().find(|it| it["metadata"]["name"] == name);
    let said = match live.map(|it| &it["spec"]["scaleTargetRef"]) {
        None => format!("HorizontalPodAutoscaler {name} does not exist"),
        Some(scaled) => format!(
            "HorizontalPodAutoscaler {name} scales {} {}, and not the target",
            scaled["kind"].as_str().unwrap_or_default(),
            scaled["name"].as_str().unwrap_or_default()
        ),
    };
    let hint = format!(
        "name the autoscaler of Deployment {} in spec.autoscalerRef, or take the reference out: kubectl edit canary {} -n {}",
        canary.target_name(),
        canary.metadata.name.as_deref().unwrap_or_default(),
        canary.namespace_name()
    );
    Check::fail("autoscaler", said).hint(hint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Outcome;
    use super::*;
    use crate::report::Observed;

    fn read(over: &Value) -> Canary {
        let mut canary = json!({
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
            "metadata": {"name": "podinfo", "namespace": "test"},
            "spec": {
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "routeRef": {"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "podinfo"},
                "service": {"port": 80},
                "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 10},
            },
            "status": {"phase": "Initialized", "canaryWeight": 0, "failedChecks": 0, "iterations": 0},
        });
        for (key, value) in over.as_object().unwrap() {
            canary[key] = value.clone();
        }
        serde_json::from_value(canary).unwrap()
    }

    fn plain() -> Canary {
        read(&json!({}))
    }

    fn checks(of: &Canary) -> Vec<Check> {
        canary(of, "apisix", &Observed::alone(of.clone()).report())
    }

    #[test]
    fn a_canary_that_cannot_be_run_or_is_hindered_is_a_failure() {
        assert_eq!(checks(&plain())[0].outcome, Outcome::Ok);
        let found = checks(&read(&json!({"spec": {"provider": "istio"}})));
        assert!(found.len() > 1 && found.iter().all(|it| it.outcome == Outcome::Fail));
        let status = json!({"status": {"phase": "Initialized", "conditions": [
            {"type": "Ready", "status": "False", "reason": "Forbidden", "message": "no"},
            {"type": "Drift", "status": "True", "reason": "Scaled", "message": "by argocd"},
        ]}});
        let found = checks(&read(&status));
        let outcomes: Vec<_> = found.iter().map(|it| it.outcome).collect();
        assert_eq!(outcomes, [Outcome::Fail, Outcome::Warn]);
        assert_eq!(
            checks(&read(&json!({"status": null})))[0].outcome,
            Outcome::Warn
        );
    }

    #[test]
    fn a_target_that_cannot_roll_is_a_failure() {
        let live = |spec: Value| json!({"spec": spec});
        for (spec, outcome) in [
            (json!({}), Outcome::Ok),
            (json!({"strategy": {"type": "Recreate"}}), Outcome::Fail),
        ] {
            assert_eq!(
                target(&plain(), Some(&live(spec.clone()))).outcome,
                outcome,
                "{spec}"
            );
        }
        assert_eq!(target(&plain(), None).outcome, Outcome::Fail);
    }

    #[test]
    fn a_tool_that_sets_replicas_is_named() {
        let live = |manager: &str, operation: &str| {
            json!({"metadata": {"managedFields": [
                {"manager": "kubectl-canary", "operation": "Update", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:replicas": {}, "f:template": {}}}},
            ]}})
        };
        let check = owners(&live("argocd-controller", "Apply"));
        assert_eq!(
            (check.outcome, check.message.as_str()),
            (Outcome::Warn, "argocd-controller sets spec.replicas")
        );
        assert_eq!(
            owners(&live("kubectl-create", "Update")).outcome,
            Outcome::Ok
        );
        assert_eq!(owners(&json!({})).outcome, Outcome::Ok);
    }

    #[test]
    fn the_route_has_to_lead_to_the_service() {
        let live =
            |service: &str| json!({"spec": {"http": [{"backends": [{"serviceName": service}]}]}});
        assert_eq!(route(&plain(), Some(&live("podinfo"))).outcome, Outcome::Ok);
        assert_eq!(route(&plain(), Some(&live("other"))).outcome, Outcome::Fail);
        assert_eq!(
            route(&plain(), Some(&json!({"spec": {"http": "odd"}}))).outcome,
            Outcome::Fail
        );
        assert_eq!(route(&plain(), None).outcome, Outcome::Fail);
    }

    #[test]
    fn the_service_has_to_have_the_port() {
        let live = |port: i64| json!({"spec": {"ports": [{"port": port}]}});
        assert_eq!(service(&plain(), Some(&live(80))).outcome, Outcome::Ok);
        assert_eq!(service(&plain(), Some(&live(81))).outcome, Outcome::Warn);
        assert_eq!(service(&plain(), None).outcome, Outcome::Warn);
    }

    #[test]
    fn a_port_of_another_protocol_is_not_the_port_of_the_canary() {
        let udp = json!({"spec": {"ports": [{"port": 80, "protocol": "UDP"}]}});
        let check = service(&plain(), Some(&udp));
        assert_eq!(
            (check.outcome, check.message.as_str()),
            (
                Outcome::Warn,
                "Service podinfo has no port 80: it has 80/UDP"
            )
        );
    }

    #[test]
    fn one_autoscaler_is_used_and_several_are_a_failure() {
        let live = |name: &str| json!({"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "podinfo"}}});
        assert_eq!(autoscaler(&plain(), &[]).outcome, Outcome::Ok);
        assert_eq!(autoscaler(&plain(), &[live("a")]).outcome, Outcome::Ok);
        assert_eq!(
            autoscaler(&plain(), &[live("a"), live("b")]).outcome,
            Outcome::Fail
        );
        let mut named = plain();
        named.spec.autoscaler_ref =
            serde_json::from_value(json!({"kind": "HorizontalPodAutoscaler", "name": "b"}))
                .unwrap();
        let missing = autoscaler(&named, &[live("a")]);
        assert_eq!(missing.message, "HorizontalPodAutoscaler b does not exist");
        let both = [live("a"), live("b")];
        assert_eq!(autoscaler(&named, &both).outcome, Outcome::Ok);
    }

    #[test]
    fn an_autoscaler_of_another_workload_is_named_with_what_it_scales() {
        let mut named = plain();
        named.spec.autoscaler_ref =
            serde_json::from_value(json!({"kind": "HorizontalPodAutoscaler", "name": "shop"}))
                .unwrap();
        let shop = json!({"metadata": {"name": "shop"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "shop"}}});
        let check = autoscaler(&named, &[shop]);
        assert_eq!(
            (check.outcome, check.message.as_str()),
            (
                Outcome::Fail,
                "HorizontalPodAutoscaler shop scales Deployment shop, and not the target"
            )
        );
        let hint = check.hint.unwrap();
        assert!(
            hint.contains("spec.autoscalerRef")
                && hint.contains("kubectl edit canary podinfo -n test"),
            "{hint}"
        );
    }
}
