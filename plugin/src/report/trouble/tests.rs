//! What wants attention, and that each trouble comes with what helps.

#![allow(clippy::missing_panics_doc, reason = "these are tests")]

mod pods;

use serde_json::{Value, json};

use super::*;
use crate::report::tests::{observed, progressing, report, status};
use crate::report::workloads::tests::{deployment, pod, replica_set};
use crate::report::{Below, Children, Listed};

fn with_condition(mut status: Value, type_: &str, value: &str, reason: &str) -> Value {
    status["conditions"] = json!([
        {"type": "Promoted", "status": "Unknown", "reason": "Progressing", "message": "x"},
        {"type": type_, "status": value, "reason": reason, "message": "Service a.test is odd"},
    ]);
    status
}

fn attention(type_: &str, value: &str, reason: &str) -> Vec<Attention> {
    report(&with_condition(progressing(), type_, value, reason)).attention
}

#[test]
fn every_condition_that_is_not_well_is_told_also_one_of_a_later_server() {
    for (type_, value, told) in [
        ("Ready", "False", true),
        ("Ready", "Unknown", true),
        ("Ready", "True", false),
        ("NotObserved", "True", true),
        ("OtherServices", "True", true),
        ("OfTomorrow", "True", true),
        ("OfTomorrow", "Unknown", true),
        ("OfTomorrow", "False", false),
    ] {
        let found = attention(type_, value, "Because");
        assert_eq!(!found.is_empty(), told, "{type_} {value}");
        for it in found {
            assert_eq!((it.type_.as_str(), it.reason.as_str()), (type_, "Because"));
            let known = ["NotObserved", "OtherServices"].contains(&type_);
            let hint = it.hint.unwrap_or_default();
            let general = hint.contains("kubectl describe canary podinfo -n test");
            assert!(known != general, "{type_}: {hint}");
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn each_reason_of_the_server_comes_with_the_command_or_edit_that_helps() {
    let edit = "kubectl edit canary podinfo -n test";
    for (type_, reason, helps) in [
        ("Ready", "AutoscalerNotFound", edit),
        ("Ready", "TargetNotFound", "apply Deployment podinfo again"),
        (
            "Ready",
            "RouteInvalid",
            "kubectl edit apisixroute podinfo -n test",
        ),
        (
            "Ready",
            "RoutePort",
            "kubectl edit apisixroute podinfo -n test",
        ),
        ("Ready", "Invalid", edit),
        (
            "Ready",
            "ConfigNotFound",
            "kubectl canary rollback podinfo -n test",
        ),
        ("ConfigLost", "CopyLost", "promote what the source says now"),
        (
            "PrimaryUncovered",
            "Refused",
            "kubectl create poddisruptionbudget NAME",
        ),
        ("Ready", "TargetTaken", edit),
        (
            "Ready",
            "NameTaken",
            "kubectl annotate service a kubectl-canary.dev/adopt=true -n test",
        ),
        ("Ready", "ServiceNotOurs", edit),
        (
            "Ready",
            "Reverting",
            "kubectl rollout undo deployment/podinfo -n test",
        ),
        (
            "Ready",
            "SelectorMissing",
            "add its key to --selector-labels",
        ),
        (
            "Ready",
            "SelectorNotApart",
            "kubectl canary rollback podinfo -n test",
        ),
        (
            "Ready",
            "SelectorDiffers",
            "kubectl get endpointslices -n test",
        ),
        (
            "Ready",
            "StrategyRecreate",
            "kubectl edit deployment podinfo -n test",
        ),
        (
            "Ready",
            "SharedSelector",
            "kubectl-canary.dev/allow-shared-selector=true",
        ),
        (
            "Ready",
            "OtherServices",
            "kubectl-canary.dev/follow=primary",
        ),
        ("Ready", "Forbidden", "kubectl canary install"),
        (
            "Ready",
            "Rejected",
            "kubectl get validatingwebhookconfigurations",
        ),
        ("Ready", "WriteFailed", "it is tried again by itself"),
        ("Ready", "Contended", "--show-managed-fields"),
        ("Ready", "DefinitionOutdated", "kubectl canary install"),
        ("Ready", "Contested", "stop the other controller"),
        (
            "NotObserved",
            "ControllerBehind",
            "kubectl canary rollback podinfo -n test",
        ),
        (
            "SpecPending",
            "ReleaseRunning",
            "kubectl canary rollback podinfo -n test",
        ),
        (
            "SpecPending",
            "PrimaryPort",
            "release Deployment podinfo with a container port",
        ),
        (
            "SharedSelector",
            "ForeignPods",
            "kubectl-canary.dev/allow-shared-selector=true",
        ),
        ("SharedSelector", "FewerLabels", "the next promotion"),
        ("AutoscalerAmbiguous", "Several", edit),
        (
            "Rerouted",
            "WeightsChanged",
            "kubectl get apisixroutes -n test --show-managed-fields",
        ),
        (
            "OtherServices",
            "WithoutPods",
            "kubectl-canary.dev/follow=ignore",
        ),
        (
            "Held",
            "CanaryPolicy",
            "kubectl canary can-i release podinfo -n test",
        ),
        (
            "Halted",
            "MetricFailed",
            "kubectl canary explain podinfo -n test",
        ),
        ("Drift", "Scaled", "kubectl canary doctor podinfo -n test"),
    ] {
        let value = if type_ == "Ready" { "False" } else { "True" };
        let found = attention(type_, value, reason);
        let hint = found[0].hint.clone().unwrap_or_default();
        assert!(hint.contains(helps), "{type_} {reason}: {hint}");
        // What somebody is told to delete may serve.
        assert!(!hint.contains("delete"), "{type_} {reason}: {hint}");
    }
}

#[test]
fn a_target_that_serves_is_never_offered_to_be_replaced() {
    let hint = |status: Value| {
        let status = with_condition(status, "Ready", "False", "SelectorNotApart");
        report(&status).attention[0].hint.clone().unwrap()
    };
    for (phase, weight, replaced) in [
        ("Initializing", 0, false),
        ("Progressing", 30, false),
        ("Progressing", 0, true),
        ("Succeeded", 0, true),
    ] {
        let hint = hint(status(phase, weight, 0, &json!({})));
        assert_eq!(hint.contains("kubectl replace --force"), replaced, "{hint}");
    }
}

fn decided(weight: i64, hindered: bool) -> CanaryReport {
    let over = json!({"outcome": "RolledBack", "message": "failed checks threshold reached 10"});
    let status = status("Progressing", weight, 10, &over);
    report(&if hindered {
        with_condition(status, "Ready", "False", "WriteFailed")
    } else {
        status
    })
}

#[test]
fn a_rollback_that_is_decided_and_not_routed_is_told_and_no_other() {
    let pending = decided(20, true);
    assert_eq!(
        pending.pending().unwrap().message,
        "the rollback of release 2 is decided (failed checks threshold reached 10) and not routed yet: it is tried again by itself"
    );
    assert!(!pending.can_only_go_back(), "it is on its way already");
    // Routed, and its connections drain.
    for hindered in [true, false] {
        assert_eq!(decided(0, hindered).pending(), None);
    }
}

/// A rollback that a person asked for, and that no write refuses.
fn asked_for(phase: &str, over: &Value) -> Observed {
    let mut release = json!({"outcome": "RolledBack", "message": "on request of alice"});
    for (key, value) in over.as_object().unwrap() {
        release[key] = value.clone();
    }
    let mut observed = observed(&status(phase, 20, 0, &release));
    observed.primary = deployment("podinfo-primary", 2, (0, 2), "p:6.0.1");
    observed
}

#[test]
fn a_rollback_that_waits_for_a_pod_of_the_primary_is_told_in_every_phase_and_paused_too() {
    let paused = json!({"paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 1000}});
    let recovering = json!({"recovering": true, "endedAt": "2026-03-01T12:00:34Z"});
    for (phase, over) in [
        ("Progressing", json!({})),
        ("Progressing", paused),
        ("WaitingPromotion", json!({})),
        ("Promoting", json!({})),
        ("Failed", recovering),
    ] {
        let report = asked_for(phase, &over).report();
        assert_eq!(
            report.pending().map(|it| it.message.as_str()),
            Some(
                "the rollback of release 2 is decided (on request of alice) and not routed yet: Deployment podinfo-primary has no ready pod. It is routed as soon as one is ready"
            ),
            "{phase} {over}"
        );
        assert_eq!(report.paused(), None, "there is nothing to resume");
    }
}

#[test]
fn a_promotion_that_failed_keeps_people_on_the_canary_and_no_rollback_is_said_to_wait() {
    let over = json!({"outcome": "PromotionFailed", "recovering": true});
    assert_eq!(asked_for("Failed", &over).report().pending(), None);
}

#[test]
fn a_limit_of_the_namespace_is_told_by_its_own_name_and_not_as_a_webhook() {
    let refused = |reason: &str, message: &str| {
        let mut status = with_condition(progressing(), "Ready", "False", reason);
        status["conditions"][1]["message"] = json!(message);
        report(&status).attention[0].hint.clone().unwrap()
    };
    let quota = "create Service web-primary.test failed: services \"web-primary\" is forbidden: exceeded quota: objects, requested: services=1, used: services=3, limited: services=3";
    let range =
        "pods \"x\" is forbidden: [minimum cpu usage per Container is 100m, but request is 10m]";
    let ratio = "pods \"x\" is forbidden: cpu max limit to request ratio per Container is 2, but provided ratio is 4";
    for reason in ["Rejected", "WriteFailed", "Forbidden"] {
        assert_eq!(
            refused(reason, quota),
            "make room, or raise it: kubectl describe resourcequota -n test"
        );
        for message in [range, ratio, &range.replace("minimum", "maximum")] {
            assert_eq!(
                refused(reason, message),
                "stay within it, or change it: kubectl describe limitrange -n test"
            );
        }
    }
    assert!(
        refused("Rejected", "failed quota: q: must specify limits.cpu").contains("resourcequota")
    );
    let webhook = refused(
        "Rejected",
        "admission webhook \"a.b\" denied the request: no",
    );
    assert!(
        webhook.contains("kubectl get validatingwebhookconfigurations"),
        "{webhook}"
    );
}

#[test]
fn what_hinders_a_release_leaves_it_the_way_back_unless_nothing_may_be_touched() {
    let goes_back = |reason: &str| {
        report(&with_condition(progressing(), "Ready", "False", reason)).can_only_go_back()
    };
    for reason in [
        "AutoscalerNotFound",
        "TargetNotFound",
        "Invalid",
        "OfTomorrow",
    ] {
        assert!(goes_back(reason), "{reason}");
    }
    for reason in ["Contested", "DefinitionOutdated"] {
        assert!(!goes_back(reason), "{reason}");
    }
}

/// The primary is being changed, and has no room for a pod more.
fn without_room() -> Observed {
    let mut observed = observed(&status("Promoting", 50, 0, &json!({})));
    observed.primary = deployment("podinfo-primary", 2, (2, 2), "p:6.0.1");
    if let Extra::Found(primary) = &mut observed.primary {
        primary.data["status"]["conditions"] = json!([
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
             "message": "pods \"podinfo-primary-x\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4"},
        ]);
    }
    observed
}

#[test]
fn a_quota_that_is_used_up_is_told_of_either_side_whatever_else_the_deployment_says() {
    let report = without_room().report();
    let [found] = report.attention.as_slice() else {
        panic!("{:?}", report.attention)
    };
    assert_eq!(
        (found.type_.as_str(), found.reason.as_str()),
        (PODS, "FailedCreate")
    );
    assert!(
        found
            .message
            .starts_with("Deployment podinfo-primary gets no more pods: ")
            && found.message.contains("exceeded quota"),
        "{}",
        found.message
    );
    let hint = found.hint.as_deref().unwrap_or_default();
    assert!(
        hint.contains("kubectl describe resourcequota -n test"),
        "{hint}"
    );
}

#[test]
fn pods_that_find_no_node_are_counted_and_say_why() {
    let unplaced = json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available: 3 Insufficient cpu.",
    }]});
    let mut observed = observed(&status("Promoting", 50, 0, &json!({})));
    observed.target = deployment("podinfo", 2, (1, 2), "p:6.0.1");
    observed.below = Below {
        canary: Children {
            replica_sets: Listed::Found(vec![replica_set("podinfo", "7c9d", 2, (1, 2), "p:6.0.1")]),
            pods: Listed::Found(vec![
                pod("podinfo-7c9d", "a", &unplaced),
                pod(
                    "podinfo-7c9d",
                    "b",
                    &crate::report::workloads::tests::running(),
                ),
            ]),
        },
        ..Below::default()
    };
    let report = observed.report();
    let found = &report.attention[0];
    assert_eq!(
        found.message,
        "1 of 2 pods of Deployment podinfo find no node: 0/3 nodes are available: 3 Insufficient cpu."
    );
    let hint = found.hint.as_deref().unwrap_or_default();
    assert!(
        hint.contains("kubectl describe pod podinfo-7c9d-a -n test"),
        "{hint}"
    );
}

#[test]
fn a_release_whose_spec_names_other_things_is_reported_by_the_names_in_force() {
    let mut value = progressing();
    value["inForce"] = json!({"provider": "apisix", "target": "podinfo", "service": "podinfo", "route": "podinfo"});
    let mut canary = crate::report::tests::canary(&value);
    canary.spec.target_ref.name = "other".to_owned();
    assert_eq!(
        Observed::alone(canary).report().target,
        "deployment/podinfo"
    );
}
