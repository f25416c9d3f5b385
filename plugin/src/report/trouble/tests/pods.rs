//! Deployments that a person stopped, and a Canary that a person deletes.

use super::*;

fn found(extra: &mut Extra) -> &mut kube::api::DynamicObject {
    match extra {
        Extra::Found(found) => found,
        other => panic!("{other:?}"),
    }
}

/// In this phase, with so many pods of the primary, and a fifth of the traffic on the canary.
fn primary_with(phase: &str, pods: (i64, i64)) -> Observed {
    let mut observed = observed(&status(phase, 20, 0, &json!({})));
    observed.primary = deployment("podinfo-primary", 2, pods, "p:6.0.1");
    observed
}

fn only(observed: &Observed) -> (String, String) {
    let report = observed.report();
    let [it] = report.attention.as_slice() else {
        panic!("{:?}", report.attention)
    };
    (it.message.clone(), it.hint.clone().unwrap_or_default())
}

#[test]
fn a_deployment_that_is_paused_is_told_of_either_side_with_the_command_that_resumes_it() {
    for side in ["podinfo", "podinfo-primary"] {
        let mut observed = primary_with("Promoting", (2, 2));
        observed.target = deployment("podinfo", 2, (2, 2), "p:6.0.1");
        let paused = if side == "podinfo" {
            &mut observed.target
        } else {
            &mut observed.primary
        };
        found(paused).data["spec"]["paused"] = json!(true);
        let (message, hint) = only(&observed);
        assert_eq!(
            message,
            format!("Deployment {side} is paused: its pods are not changed")
        );
        assert_eq!(
            hint,
            format!("kubectl rollout resume deployment/{side} -n test")
        );
    }
}

#[test]
fn a_primary_that_is_scaled_to_0_is_an_outage_and_its_size_is_given_back_as_far_as_it_is_known() {
    let mut observed = primary_with("Progressing", (0, 0));
    let scale = |count: &str| {
        format!("kubectl scale deployment/podinfo-primary --replicas={count} -n test")
    };
    let (message, hint) = only(&observed);
    assert_eq!(
        message,
        "Deployment podinfo-primary is scaled to 0: 80 % of the traffic goes nowhere"
    );
    assert_eq!(
        hint,
        format!("give it as many pods as it had: {}", scale("N"))
    );
    let annotations = [(canary_core::names::SIZE.to_owned(), "3".to_owned())];
    found(&mut observed.target).metadata.annotations = Some(annotations.into());
    assert_eq!(only(&observed).1, scale("3"));
    // What served before it was changed.
    let status = observed.canary.status.as_mut().unwrap();
    status.release.as_mut().unwrap().primary_pods = Some(4);
    assert_eq!(only(&observed).1, scale("4"));
}

#[test]
fn a_primary_without_a_ready_pod_loses_its_share_of_the_traffic_and_a_pod_says_why() {
    let mut observed = primary_with("Progressing", (0, 2));
    let (message, hint) = only(&observed);
    assert_eq!(
        message,
        "Deployment podinfo-primary has no ready pod: 80 % of the traffic goes nowhere"
    );
    assert!(
        hint.contains("kubectl get pods -n test -l app=podinfo-primary"),
        "{hint}"
    );
    let waits = crate::report::workloads::tests::waiting("ImagePullBackOff", "no image");
    let runs = crate::report::workloads::tests::running();
    let set = replica_set("podinfo-primary", "5d8f", 2, (0, 2), "p:6.0.1");
    observed.below.primary = Children {
        replica_sets: Listed::Found(vec![set]),
        pods: Listed::Found(vec![
            pod("podinfo-primary-5d8f", "a", &runs),
            pod("podinfo-primary-5d8f", "b", &waits),
        ]),
    };
    assert!(
        only(&observed)
            .1
            .contains("kubectl describe pod podinfo-primary-5d8f-b -n test"),
        "{}",
        only(&observed).1
    );
}

#[test]
fn a_primary_that_is_not_asked_to_serve_is_no_outage() {
    for phase in ["", "Initializing", "Terminating", "Terminated"] {
        let report = primary_with(phase, (0, 0)).report();
        assert_eq!(report.attention, [], "{phase}");
    }
    assert_eq!(primary_with("Progressing", (1, 2)).report().attention, []);
    // Everybody is on the canary: only the way back is closed.
    let mut observed = observed(&status("Progressing", 100, 0, &json!({})));
    observed.primary = deployment("podinfo-primary", 2, (0, 2), "p:6.0.1");
    assert_eq!(observed.report().attention, []);
    observed.primary = deployment("podinfo-primary", 2, (0, 0), "p:6.0.1");
    assert_eq!(
        only(&observed).0,
        "Deployment podinfo-primary is scaled to 0: nobody can be sent back to it"
    );
}

fn deleted(finalizers: &[&str]) -> Observed {
    let mut observed = observed(&progressing());
    let metadata = &mut observed.canary.metadata;
    metadata.deletion_timestamp = serde_json::from_value(json!("2026-03-01T12:00:00Z")).unwrap();
    metadata.finalizers = Some(finalizers.iter().map(|it| (*it).to_owned()).collect());
    observed
}

#[test]
fn a_canary_that_is_being_deleted_is_told_first_with_the_finalizer_that_it_waits_for() {
    let mut observed = deleted(&["acme.io/cleanup"]);
    observed.primary = deployment("podinfo-primary", 2, (0, 0), "p:6.0.1");
    let report = observed.report();
    let first = &report.attention[0];
    assert_eq!(
        first.message,
        "Canary podinfo is being deleted: it waits for finalizer acme.io/cleanup"
    );
    let hint = first.hint.as_deref().unwrap();
    assert!(
        hint.contains("If its owner is gone")
            && hint.contains("kubectl edit canary podinfo -n test"),
        "{hint}"
    );
    assert!(report.deleting().is_some() && report.can_only_go_back());
    assert!(
        hint.contains("Deployment podinfo-primary, which serves, goes too"),
        "{hint}"
    );
}

#[test]
fn a_release_of_a_canary_that_is_being_deleted_goes_back_while_others_hold_it_and_no_other_does() {
    let closes = |status: &Value, finalizers: &[&str], revert: bool| {
        let mut observed = observed(status);
        observed.canary.metadata = deleted(finalizers).canary.metadata;
        observed.canary.spec.revert_on_deletion = Some(revert);
        let report = observed.report();
        report.deleting().unwrap().closes_the_way_back()
    };
    let (theirs, ours) = ("acme.io/cleanup", "kubectl-canary.dev/finalizer");
    let at_rest = status("Succeeded", 0, 0, &json!({"outcome": "Promoted"}));
    let put_back = status("Failed", 0, 0, &json!({"recovering": true}));
    assert!(!closes(&progressing(), &[theirs], false));
    assert!(!closes(&put_back, &[theirs], false));
    assert!(!closes(&progressing(), &[ours, theirs], false));
    assert!(
        closes(&progressing(), &[ours, theirs], true),
        "the target is brought back"
    );
    assert!(closes(&progressing(), &[ours], false));
    assert!(closes(&progressing(), &["foregroundDeletion"], false));
    assert!(closes(&at_rest, &[theirs], false));
}

#[test]
fn a_finalizer_of_the_server_or_of_the_garbage_collector_is_left_to_its_owner() {
    let own = only(&deleted(&["kubectl-canary.dev/finalizer"]));
    assert!(
        own.1.starts_with("canary-webhook takes its own off"),
        "{}",
        own.1
    );
    let both = only(&deleted(&[
        "kubectl-canary.dev/finalizer",
        "acme.io/cleanup",
    ]));
    assert!(
        both.0
            .ends_with("finalizers kubectl-canary.dev/finalizer, acme.io/cleanup"),
        "{}",
        both.0
    );
    assert!(
        both.1.contains("acme.io/cleanup has to take it off"),
        "{}",
        both.1
    );
    let collected = only(&deleted(&["foregroundDeletion"])).1;
    assert!(!collected.contains("kubectl edit"), "{collected}");
    assert_eq!(
        only(&deleted(&[])),
        ("Canary podinfo is being deleted".to_owned(), String::new())
    );
}

#[test]
fn a_rollback_is_said_to_be_tried_again_as_long_as_somebody_does() {
    let mut observed = asked_for("Progressing", &json!({}));
    observed.canary.metadata = deleted(&["kubectl-canary.dev/finalizer"]).canary.metadata;
    assert_eq!(observed.report().pending(), None);
    observed.canary.metadata = deleted(&["acme.io/cleanup"]).canary.metadata;
    assert!(observed.report().pending().is_some(), "others hold it");
}

#[test]
fn a_target_that_is_not_adopted_yet_is_told_with_the_primary_that_serves_until_then() {
    let mut value = status("Succeeded", 0, 0, &json!({"outcome": "Promoted"}));
    value["inForce"] = json!({"provider": "apisix", "target": "web", "service": "web"});
    let mut observed = observed(&value);
    (observed.primary, observed.route) = (Extra::Absent, Extra::Absent);
    assert_eq!(
        only(&observed).0,
        "Deployment podinfo is not adopted yet: Deployment web-primary and what belongs to it serve until then"
    );
}
