//! One pod in the word that `kubectl get pods` has for it, and whether it gets on.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::{Health, PodReport, State};
use crate::report::created;

/// What a container waits for on its way.
const ON_ITS_WAY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

pub(super) fn report(pod: &Pod) -> PodReport {
    let containers = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    let statuses = containers_of(pod);
    let restarts = |status: &ContainerStatus| i64::from(status.restart_count);
    PodReport {
        name: pod.metadata.name.clone().unwrap_or_default(),
        state: state(pod),
        created_at: created(&pod.metadata),
        ready: statuses.iter().filter(|status| status.ready).count(),
        containers: containers.max(statuses.len()),
        restarts: statuses.iter().map(restarts).sum(),
        last_termination: statuses
            .iter()
            .filter_map(|status| status.last_state.as_ref()?.terminated.as_ref())
            .max_by_key(|ended| ended.finished_at.as_ref().map(|time| time.0))
            .map(ending)
            .unwrap_or_default(),
    }
}

fn state(pod: &Pod) -> State {
    let status = pod.status.as_ref();
    let text = |text: Option<&String>| text.cloned().unwrap_or_default();
    let phase = text(status.and_then(|status| status.phase.as_ref()));
    let reason = text(status.and_then(|status| status.reason.as_ref()));
    let message = text(status.and_then(|status| status.message.as_ref()));
    if pod.metadata.deletion_timestamp.is_some() {
        return State::new(Health::Idle, "Terminating").because(&message);
    }
    match phase.as_str() {
        "Failed" => {
            let ended = containers_of(pod).iter().find_map(|status| {
                let ended = status.state.as_ref()?.terminated.as_ref()?;
                (ended.exit_code != 0).then(|| ending(ended))
            });
            let word = Some(reason).filter(|reason| !reason.is_empty());
            let word = word.or(ended).unwrap_or(phase);
            return State::new(Health::Degraded, word).because(&message);
        }
        "Succeeded" => return State::new(Health::Idle, "Completed"),
        _ => {}
    }
    if let Some(state) = initializing(pod).or_else(|| troubled(containers_of(pod))) {
        return state;
    }
    if let Some(unplaced) = unplaced(pod) {
        return unplaced;
    }
    let statuses = containers_of(pod);
    let ready = !statuses.is_empty() && statuses.iter().all(|status| status.ready);
    match (phase.as_str(), waiting(statuses)) {
        (_, Some(word)) => State::new(Health::Progressing, word),
        ("Running", None) if ready => State::new(Health::Healthy, "Running"),
        ("" | "Unknown", None) => State::new(Health::Unknown, "Unknown"),
        (phase, None) => State::new(Health::Progressing, phase),
    }
}

/// Its init containers, while they are not done. One that is restarted always is a sidecar, and does not hold
/// the others once it has started.
fn initializing(pod: &Pod) -> Option<State> {
    let statuses = pod.status.as_ref()?.init_container_statuses.as_ref()?;
    let count = statuses.len();
    let (index, current) = statuses.iter().enumerate().find(|(_, status)| {
        let ended = terminated(status.state.as_ref());
        status.started != Some(true) && ended.is_none_or(|ended| ended.exit_code != 0)
    })?;
    let state = match troubled(std::slice::from_ref(current)) {
        Some(bad) => State {
            status: format!("Init:{}", bad.status),
            ..bad
        },
        None => State::new(Health::Progressing, format!("Init:{index}/{count}")),
    };
    Some(state)
}

/// The first container that does not get on by itself.
fn troubled(statuses: &[ContainerStatus]) -> Option<State> {
    statuses.iter().find_map(|status| {
        let state = status.state.as_ref()?;
        if let Some(waiting) = &state.waiting {
            let reason = waiting.reason.as_deref()?;
            let message = waiting.message.as_deref().unwrap_or_default();
            return (!ON_ITS_WAY.contains(&reason))
                .then(|| State::new(Health::Degraded, reason).because(message));
        }
        let ended = state.terminated.as_ref()?;
        let message = ended.message.as_deref().unwrap_or_default();
        (ended.exit_code != 0).then(|| State::new(Health::Degraded, ending(ended)).because(message))
    })
}

fn waiting(statuses: &[ContainerStatus]) -> Option<&str> {
    statuses
        .iter()
        .find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
}

/// No node takes it.
fn unplaced(pod: &Pod) -> Option<State> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")?;
    let reason = scheduled.reason.as_deref().unwrap_or("Unschedulable");
    let message = scheduled.message.as_deref().unwrap_or_default();
    Some(State::new(Health::Progressing, reason).because(message))
}

/// `OOMKilled`, `Error`, `ExitCode:3`.
fn ending(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref(), ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}

fn terminated(state: Option<&ContainerState>) -> Option<&ContainerStateTerminated> {
    state?.terminated.as_ref()
}

fn containers_of(pod: &Pod) -> &[ContainerStatus] {
    pod.status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
