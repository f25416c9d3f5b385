//! A Deployment that traffic goes to, and that has no pods for it. Pure.

use canary_core::names;
use canary_core::status::CanaryStatus;
use kube::api::DynamicObject;
use serde_json::Value;

use super::super::{Attention, Extra, Observed, Role, Traffic, Workload, is_running};
use super::{PODS, is_adopted};

/// Reason of a Deployment that is scaled to 0.
pub const SCALED_TO_ZERO: &str = "ScaledToZero";
/// Reason of a Deployment none of whose pods is ready.
pub const NO_READY_POD: &str = "NoReadyPod";

/// Of the primary first, which is the way back.
pub(super) fn of(
    observed: &Observed,
    status: &CanaryStatus,
    traffic: &Traffic,
    workloads: &[Workload],
) -> Vec<Attention> {
    if !is_adopted(status.phase) {
        return Vec::new();
    }
    let of = |role| workloads.iter().find(|it| it.role == role);
    let primary = of(Role::Primary).and_then(|it| primary(observed, status, traffic, it));
    let serves = of(Role::Primary).is_some_and(|it| it.ready > 0);
    let canary = of(Role::Canary).and_then(|it| canary(observed, status, traffic, it, serves));
    primary.into_iter().chain(canary).collect()
}

fn primary(
    observed: &Observed,
    status: &CanaryStatus,
    traffic: &Traffic,
    primary: &Workload,
) -> Option<Attention> {
    let Extra::Found(live) = &observed.primary else {
        return None;
    };
    if primary.ready > 0 {
        return None;
    }
    let (name, namespace) = (&primary.name, observed.canary.namespace_name());
    let lost = match traffic.primary {
        0 => "nobody can be sent back to it".to_owned(),
        share => goes_nowhere(share),
    };
    if primary.desired == 0 {
        let command = |count: &str| {
            format!("kubectl scale deployment/{name} --replicas={count} -n {namespace}")
        };
        let hint = match pods_before(status, &observed.target) {
            Some(count) => command(&count.to_string()),
            None => format!("give it as many pods as it had: {}", command("N")),
        };
        return Some(attention(primary, &lost, hint));
    }
    (traffic.primary > 0).then(|| attention(primary, &lost, look(live, primary, namespace)))
}

/// The server takes the traffic off it. While it is away, nobody does.
fn canary(
    observed: &Observed,
    status: &CanaryStatus,
    traffic: &Traffic,
    target: &Workload,
    primary_serves: bool,
) -> Option<Attention> {
    let Extra::Found(live) = &observed.target else {
        return None;
    };
    if traffic.canary == 0 || target.ready > 0 {
        return None;
    }
    let name = observed.canary.metadata.name.as_deref().unwrap_or_default();
    let namespace = observed.canary.namespace_name();
    let release = status.release.as_ref().filter(|_| is_running(status.phase));
    let steerable = release.is_some_and(|release| release.outcome.is_none());
    let hint = if steerable && primary_serves {
        format!("send everybody back: kubectl canary rollback {name} -n {namespace}")
    } else if primary_serves {
        format!(
            "the server sends everybody to the primary. Whether it runs: kubectl canary doctor {name} -n {namespace}"
        )
    } else {
        look(live, target, namespace)
    };
    Some(attention(target, &goes_nowhere(traffic.canary), hint))
}

fn goes_nowhere(share: i64) -> String {
    format!("{share} % of the traffic goes nowhere")
}

fn attention(workload: &Workload, lost: &str, hint: String) -> Attention {
    let name = &workload.name;
    let (reason, what) = if workload.desired == 0 {
        (SCALED_TO_ZERO, "is scaled to 0")
    } else {
        (NO_READY_POD, "has no ready pod")
    };
    Attention {
        type_: PODS.to_owned(),
        reason: reason.to_owned(),
        message: format!("Deployment {name} {what}: {lost}"),
        hint: Some(hint),
    }
}

/// How many it had, as far as anybody remembers.
fn pods_before(status: &CanaryStatus, target: &Extra) -> Option<i64> {
    let release = status.release.as_ref();
    let serving = release.and_then(|it| it.primary_pods).map(i64::from);
    let wanted = release.and_then(|it| it.replicas).map(i64::from);
    let noted = || match target {
        Extra::Found(target) => {
            let annotations = target.metadata.annotations.as_ref()?;
            annotations.get(names::SIZE)?.parse().ok()
        }
        Extra::Unasked | Extra::Absent | Extra::Unknown(_) => None,
    };
    let known = [serving, noted(), wanted];
    known.into_iter().flatten().find(|count| *count > 0)
}

/// One pod says what ails it; without any, the Deployment says why there is none.
fn look(live: &DynamicObject, workload: &Workload, namespace: &str) -> String {
    let mut pods = workload.replica_sets.iter().flat_map(|set| &set.pods);
    if let Some(pod) = pods.find(|pod| !pod.is_ready()) {
        return format!(
            "see what ails its pods: kubectl describe pod {} -n {namespace}",
            pod.name
        );
    }
    let labels = live.data.pointer("/spec/selector/matchLabels");
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let labels: Vec<String> = labels
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let name = &workload.name;
    if labels.is_empty() {
        return format!(
            "see what ails its pods: kubectl describe deployment {name} -n {namespace}"
        );
    }
    format!(
        "see what ails its pods: kubectl get pods -n {namespace} -l {}; without any: kubectl describe deployment {name} -n {namespace}",
        labels.join(",")
    )
}
