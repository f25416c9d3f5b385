//! What happened in a release, told to people: Events and log lines.
//!
//! ```text
//!  Message ─► event()  ─► EventWriter ─► core/v1 Event, `<canary>.<uid>.<sequence>`
//!         └─► log()    ─► one JSON line
//! ```
//!
//! Events are written directly. kube's recorder keys them without their text, so that with one
//! reason for all "weight 20" would be counted as a second "weight 10".
//!
//! An Event's name ends in a sequence of the Canary, in hexadecimal of fixed width: the API
//! server lists by name, and `kubectl describe` sorts by `lastTimestamp` and keeps the listed order
//! within a second. So only the last Event may be repeated; another one would jump the queue.

#[cfg(test)]
mod tests;
mod writer;

use canary_core::canary::Canary;
use canary_core::message::Severity;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use crate::text::cut;

pub use writer::{EventWriter, NotifyError, Written};

/// Flagger's reason for every Event; scripts select on it.
pub const REASON: &str = "Synced";

/// The API server refuses a longer message on an Event that has an `eventTime`.
const TEXT_LIMIT: usize = 1024;
/// Likewise for `reportingInstance`.
const INSTANCE_LIMIT: usize = 128;
/// Leaves room for uid and sequence within the 253 characters of a name.
const NAME_LIMIT: usize = 230;
const UID_DIGITS: usize = 8;

/// Who an Event comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reporter {
    /// The From column of `kubectl describe`; Flagger's is `flagger`.
    pub component: String,
    /// The process: a pod's name, or a host's.
    pub instance: String,
}

/// One line of log. Flagger logs warnings as `info` too: the level tells about the server, not
/// about the release.
pub fn log(canary: &str, text: &str) {
    tracing::info!(canary, "{text}");
}

/// The Event number `sequence` of a Canary.
pub fn event(
    reporter: &Reporter,
    canary: &Canary,
    sequence: i64,
    severity: Severity,
    text: &str,
    now: Timestamp,
) -> Event {
    let namespace = canary.metadata.namespace.clone();
    let stamp = Time(now);
    Event {
        metadata: ObjectMeta {
            name: Some(event_name(canary, sequence)),
            namespace: namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(Canary::api_version(&()).into_owned()),
            kind: Some(Canary::kind(&()).into_owned()),
            name: Some(canary.name_any()),
            namespace,
            uid: canary.uid(),
            ..ObjectReference::default()
        },
        type_: Some(type_of(severity).to_owned()),
        reason: Some(REASON.to_owned()),
        message: Some(cut(text, TEXT_LIMIT).to_owned()),
        source: Some(EventSource {
            component: Some(reporter.component.clone()),
            host: None,
        }),
        first_timestamp: Some(stamp.clone()),
        last_timestamp: Some(stamp),
        count: Some(1),
        // An eventTime obliges to the three fields below it.
        event_time: Some(MicroTime(now)),
        action: Some(REASON.to_owned()),
        reporting_component: Some(reporter.component.clone()),
        reporting_instance: Some(cut(&reporter.instance, INSTANCE_LIMIT).to_owned()),
        ..Event::default()
    }
}

/// The type of an Event, which event webhooks are told as well.
pub const fn type_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    }
}

/// The name of a Canary's Event number `sequence`.
pub fn event_name(canary: &Canary, sequence: i64) -> String {
    let name = canary.name_any();
    let uid = canary.uid().unwrap_or_default();
    format!(
        "{}.{}.{sequence:08x}",
        cut(&name, NAME_LIMIT),
        cut(&uid, UID_DIGITS)
    )
}

/// The patch that counts a repetition. The count is absolute, so that sending it twice is once.
pub fn repetition(count: i32, at: Timestamp) -> Value {
    json!({ "count": count, "lastTimestamp": Time(at) })
}
