//! From objects to what is shown of them: who owns what, and how it fares.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::DynamicObject;
use serde_json::Value;

use super::{Children, Health, Listed, PodReport, ReplicaSetReport, Role, State, Workload, pod};
use crate::report::{CONTAINERS, Extra, Observed, created, images};

/// The revision that the Deployment controller counts.
pub const REVISION: &str = "deployment.kubernetes.io/revision";

/// The Deployments and what they own; nothing where they were not looked at.
pub fn workloads(observed: &Observed) -> Vec<Workload> {
    let canary = &observed.canary;
    let below = &observed.below;
    let sides = [
        (
            Role::Primary,
            canary.primary_name(),
            &observed.primary,
            &below.primary,
        ),
        (
            Role::Canary,
            canary.target_name().to_owned(),
            &observed.target,
            &below.canary,
        ),
    ];
    sides
        .into_iter()
        .filter_map(|(role, name, deployment, children)| match deployment {
            Extra::Found(found) => Some(workload(role, name, found, children)),
            Extra::Unasked | Extra::Absent | Extra::Unknown(_) => None,
        })
        .collect()
}

fn workload(role: Role, name: String, live: &DynamicObject, children: &Children) -> Workload {
    let uid = live.metadata.uid.as_deref().unwrap_or_default();
    let revision = revision(&live.metadata);
    let mut replica_sets = match &children.replica_sets {
        Listed::Found(all) => all
            .iter()
            .filter(|set| owner(&set.metadata).is_some_and(|owner| owner.uid == uid))
            .map(|set| replica_set(set, revision, &children.pods))
            .collect(),
        Listed::Unasked => Vec::new(),
        Listed::Unknown(_) => presumed(&name, &children.pods),
    };
    replica_sets.sort_by(|a, b| (b.revision, &b.name).cmp(&(a.revision, &a.name)));
    let number = |pointer: &str| live.data.pointer(pointer).and_then(Value::as_i64);
    let (ready, desired) = (
        number("/status/readyReplicas").unwrap_or(0),
        number("/spec/replicas").unwrap_or(1),
    );
    Workload {
        role,
        name,
        state: deployment_state(live, ready, desired, &replica_sets),
        created_at: created(&live.metadata),
        ready,
        desired,
        images: images(&live.data, CONTAINERS),
        replica_sets,
        unread: [children.replica_sets.unread(), children.pods.unread()]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    }
}

fn deployment_state(
    live: &DynamicObject,
    ready: i64,
    desired: i64,
    replica_sets: &[ReplicaSetReport],
) -> State {
    let number = |pointer: &str| live.data.pointer(pointer).and_then(Value::as_i64);
    let conditions = live.data.pointer("/status/conditions");
    let condition = |kind: &str, status: &str| {
        let all = conditions.and_then(Value::as_array)?;
        all.iter()
            .find(|condition| condition["type"] == kind && condition["status"] == status)
    };
    let failed = condition("Progressing", "False").or_else(|| condition("ReplicaFailure", "True"));
    if let Some(failed) = failed {
        let text = |key: &str| failed[key].as_str().unwrap_or_default();
        return State::new(Health::Degraded, text("reason")).because(text("message"));
    }
    let (all, updated) = (
        number("/status/replicas").unwrap_or(0),
        number("/status/updatedReplicas").unwrap_or(0),
    );
    let seen =
        number("/status/observedGeneration").unwrap_or(0) >= live.metadata.generation.unwrap_or(0);
    let stuck = replica_sets
        .iter()
        .find(|set| set.current && set.state.health == Health::Degraded);
    match stuck {
        _ if seen && desired == 0 && all == 0 => State::new(Health::Idle, "ScaledDown"),
        _ if seen && ready >= desired && updated >= desired && all == updated => {
            State::new(Health::Healthy, "Healthy")
        }
        Some(set) if ready < desired => {
            State::new(Health::Degraded, "Degraded").because(&set.state.message)
        }
        _ => State::new(Health::Progressing, "Progressing"),
    }
}

fn replica_set(set: &ReplicaSet, current: i64, pods: &Listed<Pod>) -> ReplicaSetReport {
    let uid = set.metadata.uid.as_deref().unwrap_or_default();
    let pods = pods_of(pods, |owner| owner.uid == uid);
    let spec = set.spec.as_ref();
    let status = set.status.as_ref();
    let desired = spec.and_then(|spec| spec.replicas).map_or(1, i64::from);
    let ready = status.and_then(|status| status.ready_replicas);
    let ready = i64::from(ready.unwrap_or(0));
    let all = status.map_or(0, |status| i64::from(status.replicas));
    let conditions = status.and_then(|status| status.conditions.as_ref());
    let failure = conditions.into_iter().flatten();
    let failure = failure
        .filter(|condition| condition.status == "True")
        .find(|condition| condition.type_ == "ReplicaFailure");
    let stuck = pods.iter().find(|pod| pod.state.health == Health::Degraded);
    let state = match (failure, stuck) {
        (Some(failure), _) => State::new(
            Health::Degraded,
            failure.reason.as_deref().unwrap_or("ReplicaFailure"),
        )
        .because(failure.message.as_deref().unwrap_or_default()),
        _ if desired == 0 && all == 0 => State::new(Health::Idle, "ScaledDown"),
        _ if ready >= desired && all == desired => State::new(Health::Healthy, "Healthy"),
        (None, Some(pod)) if ready < desired => {
            State::new(Health::Degraded, "Degraded").because(&pod.state.message)
        }
        _ => State::new(Health::Progressing, "Progressing"),
    };
    let template = spec.and_then(|spec| spec.template.as_ref());
    let containers = template.and_then(|template| template.spec.as_ref());
    let images = containers.map(|spec| spec.containers.iter());
    let revision = revision(&set.metadata);
    ReplicaSetReport {
        name: set.metadata.name.clone().unwrap_or_default(),
        state,
        revision,
        current: revision > 0 && revision == current,
        created_at: created(&set.metadata),
        ready,
        desired,
        images: images
            .into_iter()
            .flatten()
            .filter_map(|container| container.image.clone())
            .collect(),
        pods,
    }
}

/// ReplicaSets that only the pods tell of, as nobody was let to read them.
fn presumed(deployment: &str, pods: &Listed<Pod>) -> Vec<ReplicaSetReport> {
    let Listed::Found(all) = pods else {
        return Vec::new();
    };
    let mut names: Vec<&str> = all
        .iter()
        .filter_map(|pod| owner(&pod.metadata))
        .map(|owner| owner.name.as_str())
        .filter(|name| {
            let hash = name
                .strip_prefix(deployment)
                .and_then(|rest| rest.strip_prefix('-'));
            hash.is_some_and(|hash| !hash.contains('-'))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let pods = pods_of(pods, |owner| owner.name == name);
            let ready = pods.iter().filter(|pod| pod.is_ready()).count();
            ReplicaSetReport {
                name: name.to_owned(),
                state: State::new(Health::Unknown, "Unknown"),
                revision: 0,
                current: false,
                created_at: None,
                ready: count(ready),
                desired: count(pods.len()),
                images: Vec::new(),
                pods,
            }
        })
        .collect()
}

fn pods_of(pods: &Listed<Pod>, owns: impl Fn(&OwnerReference) -> bool) -> Vec<PodReport> {
    let Listed::Found(all) = pods else {
        return Vec::new();
    };
    let mut pods: Vec<PodReport> = all
        .iter()
        .filter(|pod| owner(&pod.metadata).is_some_and(&owns))
        .map(|pod| pod::report(pod))
        .collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn count(all: usize) -> i64 {
    i64::try_from(all).unwrap_or(i64::MAX)
}

fn owner(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

fn revision(metadata: &ObjectMeta) -> i64 {
    let annotations = metadata.annotations.as_ref();
    let revision = annotations.and_then(|all| all.get(REVISION)?.parse().ok());
    revision.unwrap_or(0)
}
