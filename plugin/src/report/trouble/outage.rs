//! A primary that should serve and has no pods for it. Pure.

use canary_core::names;
use canary_core::status::CanaryStatus;
use kube::api::DynamicObject;
use serde_json::Value;

use super::super::{Attention, Extra, Observed, Role, Traffic, Workload};
use super::{PODS, is_adopted};

/// Reason of a primary that is scaled to 0.
pub const SCALED_TO_ZERO: &str = "ScaledToZero";
/// Reason of a primary none of whose pods is ready.
pub const NO_READY_POD: &str = "NoReadyPod";

pub(super) fn of(
    observed: &Observed,
    status: &CanaryStatus,
    traffic: &Traffic,
    workloads: &[Workload],
) -> Option<Attention> {
    let primary = workloads.iter().find(|it| it.role == Role::Primary)?;
    let Extra::Found(live) = &observed.primary else {
        return None;
    };
    if !is_adopted(status.phase) || primary.ready > 0 {
        return None;
    }
    let (name, namespace) = (&primary.name, observed.canary.namespace_name());
    let lost = match traffic.primary {
        0 => "nobody can be sent back to it".to_owned(),
        share => format!("{share} % of the traffic goes nowhere"),
    };
    let (reason, message, hint) = if primary.desired == 0 {
        let command = |count: &str| {
            format!("kubectl scale deployment/{name} --replicas={count} -n {namespace}")
        };
        let hint = match pods_before(status, &observed.target) {
            Some(count) => command(&count.to_string()),
            None => format!("give it as many pods as it had: {}", command("N")),
        };
        let message = format!("Deployment {name} is scaled to 0: {lost}");
        (SCALED_TO_ZERO, message, hint)
    } else if traffic.primary > 0 {
        let message = format!("Deployment {name} has no ready pod: {lost}");
        (NO_READY_POD, message, look(live, primary, namespace))
    } else {
        return None;
    };
    Some(Attention {
        type_: PODS.to_owned(),
        reason: reason.to_owned(),
        message,
        hint: Some(hint),
    })
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
fn look(live: &DynamicObject, primary: &Workload, namespace: &str) -> String {
    let mut pods = primary.replica_sets.iter().flat_map(|set| &set.pods);
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
    let name = &primary.name;
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
