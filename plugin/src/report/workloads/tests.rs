//! Deployments, ReplicaSets and pods as an API server has them, for the tests of all modules.

#![allow(clippy::missing_panics_doc, reason = "these are tests")]

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::build::REVISION;
use super::*;
use crate::report::tests::{observed, progressing};
use crate::report::{Extra, Observed};

const CREATED: &str = "2026-03-01T11:00:00Z";

fn read<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

fn owned_by(kind: &str, name: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": format!("uid-{name}"), "controller": true}])
}

/// A Deployment at that revision, all of whose pods are of it.
pub fn deployment(name: &str, revision: i64, (ready, desired): (i64, i64), image: &str) -> Extra {
    Extra::Found(Box::new(read(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": CREATED, "generation": 4,
            "annotations": {REVISION: revision.to_string()},
        },
        "spec": {
            "replicas": desired, "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}},
        },
        "status": {"readyReplicas": ready, "replicas": desired, "updatedReplicas": desired, "observedGeneration": 4},
    }))))
}

pub fn replica_set(
    deployment: &str,
    hash: &str,
    revision: i64,
    (ready, desired): (i64, i64),
    image: &str,
) -> Arc<ReplicaSet> {
    let name = format!("{deployment}-{hash}");
    Arc::new(read(json!({
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "creationTimestamp": CREATED,
            "annotations": {REVISION: revision.to_string()},
            "ownerReferences": owned_by("Deployment", deployment),
        },
        "spec": {
            "replicas": desired, "selector": {},
            "template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}},
        },
        "status": {"readyReplicas": ready, "replicas": desired},
    })))
}

/// A pod of that ReplicaSet, with this status.
pub fn pod(set: &str, suffix: &str, status: &Value) -> Arc<Pod> {
    Arc::new(read(json!({
        "metadata": {
            "name": format!("{set}-{suffix}"), "creationTimestamp": "2026-03-01T11:59:02Z",
            "ownerReferences": owned_by("ReplicaSet", set),
        },
        "spec": {"containers": [{"name": "podinfod"}]},
        "status": status,
    })))
}

pub fn running() -> Value {
    json!({"phase": "Running", "containerStatuses": [
        {"name": "podinfod", "ready": true, "restartCount": 0, "image": "", "imageID": "", "state": {"running": {}}},
    ]})
}

/// A status whose only container waits for this.
pub fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{
        "name": "podinfod", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": {"waiting": {"reason": reason, "message": message}},
    }]})
}

/// Two pods of the primary; on the canary's side one pod of the new revision whose image is not there, and a
/// revision of old.
pub fn below() -> Below {
    let found = |all| Listed::Found(all);
    let (old, new) = ("stefanprodan/podinfo:6.0.0", "stefanprodan/podinfo:6.0.1");
    let missing = waiting(
        "ImagePullBackOff",
        "Back-off pulling image \"stefanprodan/podinfo:6.0.1\"",
    );
    Below {
        primary: Children {
            replica_sets: found(vec![replica_set("podinfo-primary", "5d8f", 1, (2, 2), old)]),
            pods: Listed::Found(vec![
                pod("podinfo-primary-5d8f", "x2x4z", &running()),
                pod("podinfo-primary-5d8f", "b7k9q", &running()),
            ]),
        },
        canary: Children {
            replica_sets: found(vec![
                replica_set("podinfo", "65fb", 1, (0, 0), old),
                replica_set("podinfo", "7c9d", 2, (1, 2), new),
            ]),
            pods: Listed::Found(vec![
                pod("podinfo-7c9d", "aaaaa", &running()),
                pod("podinfo-7c9d", "bbbbb", &missing),
            ]),
        },
    }
}

/// The release in progress, with everything around it.
pub fn world() -> Observed {
    Observed {
        primary: deployment("podinfo-primary", 1, (2, 2), "stefanprodan/podinfo:6.0.0"),
        target: deployment("podinfo", 2, (1, 2), "stefanprodan/podinfo:6.0.1"),
        below: below(),
        ..observed(&progressing())
    }
}

/// A canary of 200 pods, of which three are not well.
pub fn crowd() -> Observed {
    let set = "podinfo-7c9d";
    let pods = (0..200).map(|number| {
        let status = match number {
            50 | 120 => waiting("ImagePullBackOff", ""),
            199 => waiting("ContainerCreating", ""),
            _ => running(),
        };
        pod(set, &format!("{number:05}"), &status)
    });
    let mut world = world();
    world.target = deployment("podinfo", 2, (197, 200), "stefanprodan/podinfo:6.0.1");
    world.below.canary = Children {
        replica_sets: Listed::Found(vec![replica_set(
            "podinfo",
            "7c9d",
            2,
            (197, 200),
            "stefanprodan/podinfo:6.0.1",
        )]),
        pods: Listed::Found(pods.collect()),
    };
    world
}

/// Nobody may list pods.
pub fn forbidden<K>(resource: &str) -> Listed<K> {
    Listed::Unknown(Unread {
        resource: resource.to_owned(),
        forbidden: true,
        message: format!(
            "User \"dora\" cannot list resource \"{}\"",
            resource.to_lowercase()
        ),
    })
}

#[test]
fn the_owner_decides_and_not_the_labels() {
    let mut world = world();
    let stranger = replica_set("other", "7c9d", 9, (1, 1), "x");
    let strays = [
        pod("other-7c9d", "ccccc", &running()),
        pod("podinfo-7c9d", "ddddd", &running()),
    ];
    if let (Listed::Found(sets), Listed::Found(pods)) = (
        &mut world.below.canary.replica_sets,
        &mut world.below.canary.pods,
    ) {
        sets.push(stranger);
        pods.extend(strays);
    }
    let canary = &world.report().workloads[1];
    let sets: Vec<_> = canary
        .replica_sets
        .iter()
        .map(|set| set.name.as_str())
        .collect();
    assert_eq!(sets, ["podinfo-7c9d", "podinfo-65fb"]);
    let pods: Vec<_> = canary.replica_sets[0]
        .pods
        .iter()
        .map(|pod| pod.name.as_str())
        .collect();
    assert_eq!(
        pods,
        [
            "podinfo-7c9d-aaaaa",
            "podinfo-7c9d-bbbbb",
            "podinfo-7c9d-ddddd"
        ]
    );
}

#[test]
fn what_a_pod_lacks_shows_in_all_that_stands_above_it() {
    let workloads = world().report().workloads;
    let (primary, canary) = (&workloads[0], &workloads[1]);
    assert_eq!(
        (primary.role, primary.state.health),
        (Role::Primary, Health::Healthy)
    );
    assert_eq!(
        (canary.role, canary.state.health),
        (Role::Canary, Health::Degraded)
    );
    assert!(canary.state.message.starts_with("Back-off pulling image"));
    let states: Vec<_> = canary
        .replica_sets
        .iter()
        .map(|set| (set.current, set.state.status.as_str()))
        .collect();
    assert_eq!(states, [(true, "Degraded"), (false, "ScaledDown")]);
}

#[test]
fn a_rollout_is_not_over_before_all_its_pods_are_new_and_ready() {
    let state = |change: fn(&mut DynamicObject)| {
        let mut world = world();
        world.target = deployment("podinfo", 2, (2, 2), "x");
        world.below = Below::default();
        if let Extra::Found(live) = &mut world.target {
            change(live);
        }
        let state = world.report().workloads[1].state.clone();
        (state.status, state.health)
    };
    let at = |word: &str, health| (word.to_owned(), health);
    assert_eq!(state(|_| ()), at("Healthy", Health::Healthy));
    let progressing = at("Progressing", Health::Progressing);
    assert_eq!(
        state(|live| live.data["status"]["updatedReplicas"] = json!(1)),
        progressing
    );
    assert_eq!(
        state(|live| live.data["status"]["replicas"] = json!(3)),
        progressing
    );
    assert_eq!(
        state(|live| live.metadata.generation = Some(5)),
        progressing
    );
    let scaled_down = |live: &mut DynamicObject| {
        live.data["spec"]["replicas"] = json!(0);
        live.data["status"] = json!({"observedGeneration": 4});
    };
    assert_eq!(state(scaled_down), at("ScaledDown", Health::Idle));
    let late = |live: &mut DynamicObject| {
        live.data["status"]["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    };
    assert_eq!(
        state(late),
        at("ProgressDeadlineExceeded", Health::Degraded)
    );
    let quota = |live: &mut DynamicObject| {
        live.data["status"]["conditions"] =
            json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}]);
    };
    assert_eq!(state(quota), at("FailedCreate", Health::Degraded));
}

#[test]
fn without_the_right_to_list_replica_sets_the_pods_tell_of_them() {
    let mut world = world();
    world.below.canary.replica_sets = forbidden("ReplicaSets");
    let canary = &world.report().workloads[1];
    assert_eq!(canary.replica_sets.len(), 1);
    let set = &canary.replica_sets[0];
    assert_eq!(
        (set.name.as_str(), set.ready, set.desired),
        ("podinfo-7c9d", 1, 2)
    );
    assert_eq!(set.state.health, Health::Unknown);
    assert_eq!(canary.unread.len(), 1);
}

#[test]
fn a_deployment_that_is_not_there_has_no_place_in_the_tree() {
    let mut world = world();
    world.target = Extra::Absent;
    let workloads = world.report().workloads;
    assert_eq!(workloads.len(), 1);
    assert_eq!(workloads[0].name, "podinfo-primary");
}
