//! Why pods do not come: a quota that is used up, nodes without room, a Deployment that is paused. Pure.

use kube::api::DynamicObject;

use super::super::{Attention, Extra, Observed, PodReport, Role, Workload};
use super::{PODS, deletion, hint};

/// Reason of a Deployment that somebody paused.
pub const PAUSED: &str = "DeploymentPaused";
/// Reason of a primary that somebody deletes.
pub const PRIMARY_DELETED: &str = "PrimaryDeleted";
/// Reason of a pod that no node takes.
const UNSCHEDULABLE: &str = "Unschedulable";

/// What the Deployments say of pods that were refused, and the pods that found no node.
pub(super) fn lacking(observed: &Observed, workloads: &[Workload]) -> Vec<Attention> {
    let namespace = observed.canary.namespace_name();
    let live = [
        (Role::Primary, &observed.primary),
        (Role::Canary, &observed.target),
    ];
    let mut found = Vec::new();
    for workload in workloads {
        let deployment = live.iter().find(|(role, _)| *role == workload.role);
        if let Some((_, Extra::Found(deployment))) = deployment {
            found.extend(leaving(deployment, workload, namespace));
            found.extend(paused(deployment, workload, namespace));
            found.extend(refused(deployment, workload, namespace));
        }
        found.extend(unplaced(workload, namespace));
    }
    found
}

/// Its controller changes nothing of it any more, and with the last finalizer its pods go.
fn leaving(live: &DynamicObject, workload: &Workload, namespace: &str) -> Option<Attention> {
    live.metadata.deletion_timestamp.as_ref()?;
    let name = &workload.name;
    let finalizers = live.metadata.finalizers.as_deref().unwrap_or_default();
    let waits = deletion::waits_for(finalizers);
    let reason = match workload.role {
        Role::Primary => PRIMARY_DELETED,
        Role::Canary => "TargetDeleted",
    };
    let edit = format!("kubectl edit deployment {name} -n {namespace}");
    Some(attention(
        reason,
        &format!(
            "Deployment {name} is being deleted{waits}. Its pods are not changed any more, and go with it"
        ),
        deletion::taken_off(finalizers, &edit),
    ))
}

/// Neither a release nor a promotion gets on: what is written into it stays without effect.
fn paused(live: &DynamicObject, workload: &Workload, namespace: &str) -> Option<Attention> {
    let name = &workload.name;
    let is_paused = live.data.pointer("/spec/paused")?.as_bool()?;
    is_paused.then(|| {
        attention(
            PAUSED,
            &format!("Deployment {name} is paused: its pods are not changed"),
            format!("kubectl rollout resume deployment/{name} -n {namespace}"),
        )
    })
}

/// Another condition of the Deployment may stand before it, such as the end of its deadline.
fn refused(live: &DynamicObject, workload: &Workload, namespace: &str) -> Option<Attention> {
    let conditions = live.data.pointer("/status/conditions")?.as_array()?;
    let failure = conditions
        .iter()
        .find(|it| it["type"] == "ReplicaFailure" && it["status"] == "True")?;
    let text = |key: &str| failure[key].as_str().unwrap_or_default();
    let message = text("message");
    let hint = hint::of_limit(message, namespace).unwrap_or_else(|| {
        format!("kubectl get events -n {namespace} --field-selector reason=FailedCreate")
    });
    Some(attention(
        text("reason"),
        &format!("Deployment {} gets no more pods: {message}", workload.name),
        hint,
    ))
}

fn unplaced(workload: &Workload, namespace: &str) -> Option<Attention> {
    let pods = || workload.replica_sets.iter().flat_map(|set| &set.pods);
    let waits = |pod: &&PodReport| pod.state.status == UNSCHEDULABLE;
    let count = pods().filter(waits).count();
    let first = pods().find(waits)?;
    let why = match first.state.message.as_str() {
        "" => "no node takes it",
        why => why,
    };
    Some(attention(
        "FailedScheduling",
        &format!(
            "{count} of {} pods of Deployment {} find no node: {why}",
            pods().count(),
            workload.name
        ),
        format!(
            "make room on the nodes, or ask for less: kubectl describe pod {} -n {namespace}",
            first.name
        ),
    ))
}

fn attention(reason: &str, message: &str, hint: String) -> Attention {
    Attention {
        type_: PODS.to_owned(),
        reason: if reason.is_empty() {
            "FailedCreate"
        } else {
            reason
        }
        .to_owned(),
        message: crate::exit::one_line(message),
        hint: Some(hint),
    }
}
