//! Machines that keep a state of what is going on.
//!
//! ```text
//!                  CanaryReleasing   CanaryWaitingForApproval   CanaryReleaseFailed
//!  began           fires             ends                       ends
//!  waits           –                 fires                      –
//!  a check failed  –                 –                          –
//!  failed          ends              ends                       fires, until the next begins
//!  aborted         ends              ends                       ends
//!  promoted        ends              ends                       ends
//! ```
//! Alertmanager forgets an alert that nobody repeats after `resolve_timeout`, unless it is told an end. Nothing
//! is repeated here: each alert is given an end far away, and is ended before by the next notice.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Notice, Occasion};
use crate::message::AlertSeverity;

/// A release that nobody has ended by then is not told about any longer.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 7);

const RELEASING: &str = "CanaryReleasing";
const WAITING: &str = "CanaryWaitingForApproval";
const FAILED: &str = "CanaryReleaseFailed";

/// Fires nothing that is not `wanted`, and ends all the same; none if that leaves nothing to say.
pub fn alertmanager(notice: &Notice, wanted: bool) -> Option<Value> {
    let (fires, ends): (Option<&str>, &[&str]) = match notice.occasion {
        Occasion::Initialized | Occasion::Check => return None,
        Occasion::Began => (Some(RELEASING), &[WAITING, FAILED]),
        Occasion::Waits => (Some(WAITING), &[]),
        Occasion::Failed => (Some(FAILED), &[RELEASING, WAITING]),
        Occasion::Aborted | Occasion::Promoted => (None, &[RELEASING, WAITING, FAILED]),
    };
    let mut alerts = Vec::new();
    if let Some(name) = fires.filter(|_| wanted) {
        let until = notice.at.saturating_add(LONGEST).unwrap_or(Timestamp::MAX);
        let mut alert = alert(notice, name, until);
        alert["startsAt"] = json!(notice.at.to_string());
        alerts.push(alert);
    }
    // Without a start: the one that it was given stays.
    alerts.extend(ends.iter().map(|name| alert(notice, name, notice.at)));
    (!alerts.is_empty()).then_some(Value::Array(alerts))
}

/// Labels are the same whenever it is told, or its end would be another alert's.
fn alert(notice: &Notice, name: &str, ends: Timestamp) -> Value {
    let severity = match name {
        FAILED => "critical",
        WAITING => "warning",
        _ => "info",
    };
    let mut labels = json!({
        "alertname": name,
        "severity": severity,
        "namespace": notice.namespace,
        "canary": notice.name,
        "target_kind": notice.target.0,
        "target": notice.target.1,
    });
    if !notice.cluster.is_empty() {
        labels["cluster"] = json!(notice.cluster);
    }
    json!({
        "labels": labels,
        "annotations": {
            "summary": format!("{}: {}", notice.id(), notice.text),
            "description": notice.text,
        },
        "endsAt": ends.to_string(),
    })
}

/// `CloudEvents` 1.0. Who gets it twice knows it by source and id.
pub fn cloud_event(notice: &Notice) -> Value {
    let type_ = match notice.occasion {
        Occasion::Initialized => "initialized",
        Occasion::Began => "began",
        Occasion::Waits => "waiting",
        Occasion::Check => "check-failed",
        Occasion::Failed => "failed",
        Occasion::Aborted => "aborted",
        Occasion::Promoted => "promoted",
    };
    let severity = match notice.severity {
        Some(AlertSeverity::Error) => "error",
        Some(AlertSeverity::Warn) => "warn",
        Some(AlertSeverity::Info) | None => "info",
    };
    let cluster = Some(&notice.cluster).filter(|cluster| !cluster.is_empty());
    json!({
        "specversion": "1.0",
        "type": format!("dev.kubectl-canary.release.{type_}"),
        "source": format!("/apis/flagger.app/v1beta1/namespaces/{}/canaries/{}", notice.namespace, notice.name),
        "id": format!("{}.{}", notice.uid, notice.sequence),
        "time": notice.at.to_string(),
        "subject": format!("{}/{}", notice.target.0, notice.target.1),
        "datacontenttype": "application/json",
        "data": {
            "canary": notice.name,
            "namespace": notice.namespace,
            "target": { "kind": notice.target.0, "name": notice.target.1 },
            "cluster": cluster,
            "release": notice.number,
            "severity": severity,
            "message": notice.text,
        },
    })
}
