//! Which objects of a big tree are shown, and what is said of the others.

use crate::report::{Health, PodReport, ReplicaSetReport};

/// The ReplicaSets that are shown, and a sentence about the others.
///
/// With a limit the newest. Without, those that have pods and the current one: an old revision that nothing
/// runs of is no news.
pub fn replica_sets(
    all: &[ReplicaSetReport],
    limit: Option<usize>,
) -> (Vec<&ReplicaSetReport>, String) {
    let shown: Vec<_> = match limit {
        Some(limit) => all.iter().take(limit).collect(),
        None => all
            .iter()
            .filter(|set| set.current || set.state.health != Health::Idle || !set.pods.is_empty())
            .collect(),
    };
    let said = match (all.len() - shown.len(), limit) {
        (0, _) => String::new(),
        (hidden, Some(_)) => format!("{hidden} older"),
        (hidden, None) => format!("{hidden} more, scaled down"),
    };
    (shown, said)
}

/// At most so many pods, those first that are not well, and a sentence about the others.
pub fn pods(all: &[PodReport], limit: usize) -> (Vec<&PodReport>, String) {
    let mut pods: Vec<_> = all.iter().collect();
    if pods.len() <= limit {
        return (pods, String::new());
    }
    // Stable: within the same health they stay in the order of their names.
    pods.sort_by_key(|pod| pod.state.health);
    let hidden = pods.split_off(limit);
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for pod in hidden {
        let status = pod.state.status.as_str();
        match counts.iter_mut().find(|(word, _)| *word == status) {
            Some((_, count)) => *count += 1,
            None => counts.push((status, 1)),
        }
    }
    let said: Vec<_> = counts
        .iter()
        .map(|(status, count)| format!("{count} more {status}"))
        .collect();
    (pods, said.join(", "))
}
