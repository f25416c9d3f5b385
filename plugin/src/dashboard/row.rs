//! A Canary in the list: only what the list shows, for a thousand of them are sent at once.

use canary_core::status::Phase;
use jiff::Timestamp;
use serde::Serialize;

use crate::render::{self, style::UNICODE};
use crate::report::{CanaryReport, Progress};

/// What the counters count. Every Canary is in one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    Releasing,
    /// At a gate.
    Waiting,
    Paused,
    Failed,
    Resting,
    /// Not begun yet, suspended, going away, or not to be read.
    Other,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    pub namespace: String,
    pub name: String,
    pub state: State,
    pub icon: String,
    /// The phase in words.
    pub phase: String,
    /// Percent of the traffic that the canary has.
    pub weight: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    pub failed_checks: i64,
    pub threshold: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_check_at: Option<Timestamp>,
    pub images: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Since when it is as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// What a person should look at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
}

// === impl Row ===

impl Row {
    pub fn of(report: &CanaryReport) -> Self {
        let (icon, phase, _) = render::phase(report, &UNICODE);
        let release = report.release.as_ref();
        let since = release.map(|release| match release.ended_at {
            Some(ended) if !report.running => ended,
            _ => release.started_at,
        });
        Self {
            namespace: report.metadata.namespace.clone(),
            name: report.metadata.name.clone(),
            state: state(report),
            icon: icon.to_owned(),
            phase,
            weight: report.traffic.canary,
            progress: report.progress.clone(),
            failed_checks: report.failed_checks,
            threshold: report.threshold,
            next_check_at: report.next_check_at.filter(|_| report.paused().is_none()),
            images: release.map_or(String::new(), |release| {
                render::images(&release.images, &UNICODE)
            }),
            by: release.and_then(|release| release.by.clone()),
            since: since.or(report.last_transition_time),
            attention: report.troubles().next().map(|it| it.message.clone()),
        }
    }

    /// A Canary of another version than this program's.
    pub fn unreadable(namespace: &str, name: &str, why: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            state: State::Other,
            icon: UNICODE.neutral.to_owned(),
            phase: "Unreadable".to_owned(),
            weight: 0,
            progress: None,
            failed_checks: 0,
            threshold: 0,
            next_check_at: None,
            images: String::new(),
            by: None,
            since: None,
            attention: Some(why.to_owned()),
        }
    }
}

pub fn state(report: &CanaryReport) -> State {
    let waits = report
        .release
        .as_ref()
        .is_some_and(|release| release.waiting_for.is_some());
    match report.phase {
        _ if report.suspended => State::Other,
        _ if report.paused().is_some() => State::Paused,
        Phase::Waiting | Phase::WaitingPromotion => State::Waiting,
        Phase::Progressing if waits => State::Waiting,
        Phase::Progressing | Phase::Promoting | Phase::Finalising => State::Releasing,
        Phase::Failed => State::Failed,
        Phase::Initialized | Phase::Succeeded => State::Resting,
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated => State::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report::Observed;
    use crate::report::tests::{canary, status};

    fn row(status: &serde_json::Value) -> Row {
        Row::of(&Observed::alone(canary(status)).report())
    }

    #[test]
    fn every_phase_has_one_counter() {
        let pause = json!({"paused": {"since": "2026-03-01T11:59:57Z", "remainingMs": 1}});
        let gate = json!({"waitingFor": "gate"});
        let table = [
            ("Progressing", json!({}), State::Releasing),
            ("Progressing", gate, State::Waiting),
            ("Progressing", pause.clone(), State::Paused),
            ("WaitingPromotion", json!({}), State::Waiting),
            ("Promoting", json!({}), State::Releasing),
            ("Finalising", json!({}), State::Releasing),
            ("Failed", json!({}), State::Failed),
            // What is left of a pause in a release that has ended.
            ("Succeeded", pause, State::Resting),
            ("Initialized", json!({}), State::Resting),
            ("Initializing", json!({}), State::Other),
            ("", json!({}), State::Other),
            ("Terminating", json!({}), State::Other),
        ];
        for (phase, over, state) in table {
            assert_eq!(row(&status(phase, 0, 0, &over)).state, state, "{phase}");
        }
    }

    #[test]
    fn a_row_says_what_the_list_shows() {
        let mut running = status("Progressing", 30, 1, &json!({}));
        running["conditions"] = json!([
            {"type": "Promoted", "status": "Unknown"},
            {"type": "Paused", "status": "True", "message": "wanted"},
            {"type": "Drift", "status": "True", "message": "scaled up by argocd"},
        ]);
        insta::assert_json_snapshot!(row(&running));
    }
}
