//! `Canary.status`: Flagger's fields, and ours beside them.
//!
//! ```text
//!  status ─┬─ phase, canaryWeight, failedChecks, iterations, conditions   as Flagger writes them
//!          ├─ target      which object and template the decisions rest on
//!          ├─ release     the release in progress, or the last one
//!          ├─ history     the last ten, newest first
//!          └─ lastRequest what became of the last wish of a person
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Flagger's phases. The empty phase of a Canary that nobody has looked at yet is `New`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Phase {
    #[default]
    #[serde(rename = "")]
    New,
    Initializing,
    Initialized,
    Waiting,
    Progressing,
    WaitingPromotion,
    Promoting,
    Finalising,
    Succeeded,
    Failed,
    Terminating,
    Terminated,
}

impl Phase {
    /// A release is in progress.
    pub const fn is_of_release(self) -> bool {
        matches!(
            self,
            Self::Waiting
                | Self::Progressing
                | Self::WaitingPromotion
                | Self::Promoting
                | Self::Finalising
        )
    }
}

impl CanaryStatus {
    /// A release is in progress, or has ended and people or pods are still on their way back.
    pub fn is_under_way(&self) -> bool {
        self.phase.is_of_release() || self.phase == Phase::Failed && self.is_going_back()
    }

    /// Not everybody is back yet: the primary is still put back, or connections drain.
    pub fn is_going_back(&self) -> bool {
        let release = self.release.as_ref();
        let recovering = release.is_some_and(|release| release.recovering);
        recovering || self.canary_weight > 0 || self.drain.is_some()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    pub phase: Phase,
    pub failed_checks: i64,
    pub canary_weight: i64,
    pub iterations: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_session_affinity_cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity_cookie: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_session_affinity_cookie: Option<String>,
    /// `configmap/<name>` or `secret/<name>` → checksum of its data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracked_configs: Option<BTreeMap<String, String>>,
    /// Revision of the template that was last acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied_spec: Option<String>,
    /// Revision of the template that the primary was last promoted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_promoted_spec: Option<String>,
    /// When status was last written by a tick; whole seconds, as Flagger prints it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    pub last_transition_time: Option<Timestamp>,
    /// `conditions[0]` is always `Promoted`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<CanaryCondition>,

    /// Generation of the Canary that this status was decided on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<ObservedTarget>,
    /// The release in progress, or the one that ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The last ten that ended, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request: Option<RequestRecord>,
    /// Names that the release in progress began with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// Traffic has left one side; its pods stay until connections have drained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Break-glass annotations that were seen: what is still there opens nothing any more.
    #[serde(skip_serializing_if = "BreakGlass::is_unused")]
    pub break_glass: BreakGlass,
    /// Names the next Event, and knows the last one, whose repetition only counts.
    #[serde(skip_serializing_if = "EventCursor::is_unused")]
    pub events: EventCursor,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventCursor {
    /// How many Events were written for this Canary.
    pub sequence: i64,
    /// Text of the last one.
    pub last: String,
    /// How often it was said in a row.
    pub count: i64,
}

impl EventCursor {
    fn is_unused(&self) -> bool {
        self.sequence == 0
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BreakGlass {
    /// The target's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The revision whose release is let through, until it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens: Option<String>,
    /// The Canary's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
}

impl BreakGlass {
    fn is_unused(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryCondition {
    /// `Promoted`, `Ready`, `Paused`, `Held`, `Drift` or `Contested`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub message: String,
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_update_time: Option<Timestamp>,
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Timestamp>,
}

/// Another hash at the same uid and generation is an API server that fills in a new default,
/// not a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObservedTarget {
    pub uid: String,
    pub generation: i64,
    pub revision: String,
}

/// What was generated goes by these names until the release has ended, whatever the spec says meanwhile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InForce {
    /// As the spec had it; empty for the server's default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provider: String,
    /// Name of the target.
    pub target: String,
    /// Name of the apex Service.
    pub service: String,
    /// Name of the user's route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// What the target selects its pods by.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// 1, 2, 3 … for each Canary.
    pub number: i64,
    /// The revision that is analysed, and that a promotion reads.
    pub revision: String,
    /// What the same template was called before the API server began to fill in another default. Requests that
    /// name it are for this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_revision: Option<String>,
    /// The revision that serves meanwhile.
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub images: Vec<ImageChange>,
    /// Who changed the target, as admission saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[schemars(schema_with = "date_time_required")]
    pub started_at: Timestamp,
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it ended as it did, or what it waits for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when the current weight is routed.
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Timestamp>,
    /// When the next check is due; none while paused or at rest.
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check_at: Option<Timestamp>,
    /// Since when the workload that the release waits for (canary, or primary while promoting)
    /// has been rolling.
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_since: Option<Timestamp>,
    /// Since when the Deployment controller has not looked at what was written to that workload.
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unobserved_since: Option<Timestamp>,
    /// Ready pods of the primary before it was given the new revision: with as many it serves
    /// everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_pods: Option<i32>,
    /// `replicas` of the primary before it was given the new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary_size: Option<i32>,
    /// Pods that somebody wanted the application to have when `replicas` of the target was theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// The last check of each metric, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<MetricCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The gate that holds the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The weight to return to once a canary that lost all its pods has some again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_at: Option<i64>,
    /// The primary did not become ready in a promotion, and is being put back.
    #[serde(default)]
    pub recovering: bool,
    /// Gates and hooks that a person's promote or an earlier tick has passed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// Addresses of the canary's pods seen in this release, for metrics that measure them alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<SeenAddress>,
    /// Highest weight that was routed to the canary.
    #[serde(default)]
    pub peak_weight: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageChange {
    pub container: String,
    /// None where the container is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// None where the container was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// The primary runs the new revision.
    Promoted,
    /// Traffic went back to the primary.
    RolledBack,
    /// The target was set back to the promoted revision.
    Aborted,
    /// A newer revision took its place.
    Superseded,
    /// The primary did not become ready with the new revision.
    PromotionFailed,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    pub number: i64,
    pub revision: String,
    #[serde(default)]
    pub from: String,
    #[serde(default)]
    pub images: Vec<ImageChange>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[schemars(schema_with = "date_time_required")]
    pub started_at: Timestamp,
    #[schemars(schema_with = "date_time_required")]
    pub ended_at: Timestamp,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Highest weight that the release reached.
    #[serde(default)]
    pub weight: i64,
    /// Of its last checks, the one that came off worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<MetricCheck>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricCheck {
    pub name: String,
    /// None where the provider had no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    pub verdict: Verdict,
    /// What the provider answered where there is no value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[schemars(schema_with = "date_time_required")]
    pub at: Timestamp,
    /// The last values of this release, oldest first; at most twenty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<f64>,
}

impl MetricCheck {
    /// For a record of the past, of which status keeps several.
    #[must_use]
    pub fn without_recent(&self) -> Self {
        Self {
            recent: Vec::new(),
            ..self.clone()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    Passed,
    Failed,
    NoValues,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    #[schemars(schema_with = "date_time_required")]
    pub since: Timestamp,
    /// When it goes on by itself; none if somebody has to resume it.
    #[schemars(schema_with = "date_time")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Milliseconds of the dwell that were left.
    #[serde(default)]
    pub remaining_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenAddress {
    pub ip: String,
    #[schemars(schema_with = "date_time_required")]
    pub last_seen: Timestamp,
}

/// `kubectl canary` waits for this record before it prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    pub id: String,
    pub verb: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[schemars(schema_with = "date_time_required")]
    pub at: Timestamp,
    pub outcome: RequestOutcome,
    #[serde(default)]
    pub message: String,
    /// Decided, and not routed yet: a write is refused, and is tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RequestOutcome {
    Done,
    /// It named a revision or a Canary that is not the current one any more.
    Superseded,
    /// It makes no sense in the phase that it met.
    Refused,
    /// It does not have the form of a request.
    Malformed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    #[schemars(schema_with = "date_time_required")]
    pub until: Timestamp,
    pub then: AfterDrain,
}

/// What the end of a drain permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AfterDrain {
    Initialized,
    Succeeded,
    Failed,
    /// The primary of a failed promotion is back; the canary that served meanwhile may go.
    Recovered,
}

/// Who keeps scaling the target up, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    pub count: i64,
    #[schemars(schema_with = "date_time_required")]
    pub since: Timestamp,
    /// Generation of the target that was scaled back last: once for each change.
    pub generation: i64,
    #[serde(default)]
    pub manager: String,
}

pub(crate) fn date_time(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

pub(crate) fn date_time_required(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}
