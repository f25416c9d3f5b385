//! What the pods of a canary say about themselves.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt as _;

use super::{Paragraph, paragraph};
use crate::render::duration;

/// More are not named one by one.
const NAMED: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Pods {
    /// There was nothing to look for.
    #[default]
    Unasked,
    /// They could not be read, and why.
    Unknown(String),
    Found(Vec<PodFact>),
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFact {
    pub name: String,
    pub ready: bool,
    /// What keeps it from being ready, and how its containers ended last.
    pub says: Vec<String>,
}

// === impl Pods ===

impl Pods {
    pub(super) fn paragraph(&self, target: &str) -> Option<Paragraph> {
        let lines = match self {
            Self::Unasked => Vec::new(),
            Self::Unknown(why) => vec![format!("the pods of {target} cannot be read: {why}")],
            Self::Found(pods) if pods.is_empty() => vec![format!("{target} has no pods now")],
            Self::Found(pods) => {
                let ready = pods.iter().filter(|pod| pod.ready).count();
                let mut lines = vec![format!("{ready} of {} ready", pods.len())];
                let odd: Vec<&PodFact> = pods.iter().filter(|pod| !pod.says.is_empty()).collect();
                lines.extend(
                    odd.iter()
                        .take(NAMED)
                        .map(|pod| format!("{}: {}", pod.name, pod.says.join("; "))),
                );
                if odd.len() > NAMED {
                    lines.push(format!("{} more like these", odd.len() - NAMED));
                }
                lines
            }
        };
        paragraph("pods", lines)
    }
}

/// What is worth reading of a pod.
pub fn pod(pod: &Pod, now: Timestamp) -> PodFact {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is = |type_: &str, value: &str| {
        conditions
            .iter()
            .find(|condition| condition.type_ == type_ && condition.status == value)
    };
    let ready = is("Ready", "True").is_some();
    let mut says = Vec::new();
    if let Some(unscheduled) = is("PodScheduled", "False") {
        let why = unscheduled.message.as_deref().unwrap_or("no node fits");
        says.push(format!("not scheduled: {why}"));
    }
    let init = status.init_container_statuses.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    says.extend(init.iter().filter_map(|it| container(it, false, now)));
    says.extend(containers.iter().filter_map(|it| container(it, true, now)));
    if let Some(reason) = status.reason {
        says.push(reason);
    }
    PodFact {
        name: pod.name_any(),
        ready,
        says,
    }
}

/// Nothing where it runs well; `lasting` ones are not meant to end.
fn container(status: &ContainerStatus, lasting: bool, now: Timestamp) -> Option<String> {
    let state = status.state.clone().unwrap_or_default();
    let mut parts = Vec::new();
    if let Some(waiting) = state.waiting
        && let Some(reason) = waiting.reason
        && !["ContainerCreating", "PodInitializing"].contains(&reason.as_str())
    {
        let message = waiting.message.unwrap_or_default();
        parts.push(with(reason, &message));
    }
    let before = status.last_state.clone().and_then(|state| state.terminated);
    let ended = state
        .terminated
        .filter(|ended| lasting || ended.exit_code != 0);
    if let Some(ended) = ended.or(before) {
        parts.push(end(&ended, now));
    }
    if status.restart_count > 0 {
        parts.push(format!("{} restarts", status.restart_count));
    }
    let said = parts.join(", ");
    (!said.is_empty()).then(|| format!("{} {said}", status.name))
}

/// `ended 12s ago with exit code 137 (OOMKilled)`.
fn end(ended: &ContainerStateTerminated, now: Timestamp) -> String {
    let ago = ended.finished_at.as_ref().map_or(String::new(), |at| {
        let seconds = now.duration_since(at.0).as_secs();
        format!(" {} ago", duration(seconds))
    });
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let said = format!("ended{ago} with exit code {} ({reason})", ended.exit_code);
    with(said, ended.message.as_deref().unwrap_or_default())
}

fn with(said: String, message: &str) -> String {
    let message = crate::exit::one_line(message);
    if message.is_empty() {
        said
    } else {
        format!("{said}: {message}")
    }
}
