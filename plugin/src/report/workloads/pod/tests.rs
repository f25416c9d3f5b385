//! The word for a pod, by what its containers do.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::report::workloads::tests::{pod, running, waiting};

fn said(status: &Value) -> (String, Health) {
    let report = report(&pod("set", "x", status));
    (report.state.status, report.state.health)
}

fn container(state: &Value, ready: bool) -> Value {
    json!([{"name": "a", "ready": ready, "restartCount": 0, "image": "", "imageID": "", "state": state}])
}

#[test]
fn a_pod_has_the_word_that_kubectl_has_for_it() {
    let table = [
        (running(), "Running", Health::Healthy),
        (
            json!({"phase": "Running", "containerStatuses": container(&json!({"running": {}}), false)}),
            "Running",
            Health::Progressing,
        ),
        (
            waiting("ContainerCreating", ""),
            "ContainerCreating",
            Health::Progressing,
        ),
        (
            waiting("ImagePullBackOff", ""),
            "ImagePullBackOff",
            Health::Degraded,
        ),
        (
            waiting("CrashLoopBackOff", ""),
            "CrashLoopBackOff",
            Health::Degraded,
        ),
        (
            waiting("CreateContainerConfigError", ""),
            "CreateContainerConfigError",
            Health::Degraded,
        ),
        (json!({"phase": "Pending"}), "Pending", Health::Progressing),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}),
            "Unschedulable",
            Health::Progressing,
        ),
        (
            json!({"phase": "Running", "containerStatuses": container(&json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), false)}),
            "OOMKilled",
            Health::Degraded,
        ),
        (
            json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}),
            "Evicted",
            Health::Degraded,
        ),
        (
            json!({"phase": "Failed", "containerStatuses": container(&json!({"terminated": {"exitCode": 3}}), false)}),
            "ExitCode:3",
            Health::Degraded,
        ),
        (json!({"phase": "Failed"}), "Failed", Health::Degraded),
        (json!({"phase": "Succeeded"}), "Completed", Health::Idle),
        (json!({}), "Unknown", Health::Unknown),
    ];
    for (status, word, health) in table {
        assert_eq!(said(&status), (word.to_owned(), health), "{status}");
    }
}

#[test]
fn init_containers_are_counted_until_they_are_done() {
    let init = |states: &[Value]| {
        let all: Vec<Value> = states
            .iter()
            .map(|state| container(state, false)[0].clone())
            .collect();
        json!({"phase": "Pending", "initContainerStatuses": all, "containerStatuses": container(&json!({"waiting": {"reason": "PodInitializing"}}), false)})
    };
    let (done, runs) = (
        json!({"terminated": {"exitCode": 0}}),
        json!({"running": {}}),
    );
    let broken = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
    let table = [
        (
            init(&[runs.clone(), done.clone()]),
            "Init:0/2",
            Health::Progressing,
        ),
        (init(&[done.clone(), runs]), "Init:1/2", Health::Progressing),
        (
            init(&[done.clone(), broken]),
            "Init:Error",
            Health::Degraded,
        ),
        (init(&[done]), "PodInitializing", Health::Progressing),
    ];
    for (status, word, health) in table {
        assert_eq!(said(&status), (word.to_owned(), health), "{status}");
    }
    let mut sidecar = running();
    sidecar["initContainerStatuses"] = container(&json!({"running": {}}), true);
    sidecar["initContainerStatuses"][0]["started"] = json!(true);
    assert_eq!(said(&sidecar), ("Running".to_owned(), Health::Healthy));
}

#[test]
fn a_pod_that_goes_is_terminating_whatever_else_it_is() {
    let mut going = Arc::unwrap_or_clone(pod("set", "x", &running()));
    going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
    let state = report(&going).state;
    assert_eq!(
        (state.status.as_str(), state.health),
        ("Terminating", Health::Idle)
    );
}

#[test]
fn restarts_are_added_up_and_the_last_end_is_named() {
    let ended = |reason: &str, at: &str| {
        json!({"name": "a", "ready": true, "restartCount": 2, "image": "", "imageID": "", "state": {"running": {}},
               "lastState": {"terminated": {"exitCode": 1, "reason": reason, "finishedAt": at}}})
    };
    let status = json!({"phase": "Running", "containerStatuses": [
        ended("OOMKilled", "2026-03-01T11:59:30Z"), ended("Error", "2026-03-01T11:59:10Z"),
    ]});
    let report = report(&pod("set", "x", &status));
    assert_eq!(
        (
            report.restarts,
            report.last_termination.as_str(),
            report.ready
        ),
        (4, "OOMKilled", 2)
    );
}
