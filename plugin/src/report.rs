//! What is known about a Canary, as data: `-o json|yaml` prints it, [`crate::render`] draws it.
//!
//! ```text
//!  Canary ────────────┐
//!  generated route ───┼─► Observed ─► CanaryReport ─┬─► json, yaml
//!  two Deployments ───┤                             └─► render ─► terminal
//!  what they own ─────┘
//!                       └─ history, explain: reports of their own, in the same way
//! ```

pub mod explain;
pub mod history;
mod policy;
mod progress;
pub mod schema;
mod traffic;
pub mod trouble;
pub mod waiting;
pub(crate) mod workloads;

use canary_core::canary::Canary;
use canary_core::release::in_force;
use canary_core::status::{Outcome, Pause, Phase, Release, ReleaseRecord, RequestRecord};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::DynamicObject;
use schemars::JsonSchema;
use serde::Serialize;

pub use policy::PolicyReport;
pub use progress::{Check, Progress};
pub use traffic::{Source, Traffic, route_name};
pub use waiting::Unanswered;
pub use workloads::{
    Below, Children, Health, Listed, PodReport, ReplicaSetReport, Role, State, Unread, Workload,
};

pub const API_VERSION: &str = "report.kubectl-canary.dev/v1alpha1";
const DEFAULT_PROVIDER: &str = "apisix";
/// Where a Deployment has them.
const CONTAINERS: &str = "/spec/template/spec/containers";

/// A Canary and the objects that its picture needs.
#[derive(Clone, Debug)]
pub struct Observed {
    pub canary: Canary,
    pub route: Extra,
    pub primary: Extra,
    pub target: Extra,
    pub below: Below,
    /// By which something is old; none where nobody asks.
    pub clock: Option<Clock>,
}

pub type Clock = fn() -> Timestamp;

/// An object that only adds to the picture.
#[derive(Clone, Debug, Default)]
pub enum Extra {
    /// Nobody looked for it.
    #[default]
    Unasked,
    Absent,
    Found(Box<DynamicObject>),
    /// It could not be read, and why.
    Unknown(String),
}

/// Machine-readable, and versioned: fields are only ever added within a version.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryReport {
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: &'static str,
    #[schemars(extend("const" = "CanaryReport"))]
    pub kind: &'static str,
    pub metadata: Meta,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub created_at: Option<Timestamp>,
    pub target: String,
    pub provider: String,
    pub strategy: String,
    pub suspended: bool,
    pub phase: Phase,
    /// Whether a release is under way.
    pub running: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseReport>,
    pub traffic: Traffic,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    pub failed_checks: i64,
    pub threshold: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub next_check_at: Option<Timestamp>,
    pub interval_seconds: u64,
    pub replicas: ReplicasOfBoth,
    /// What the primary runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What a person should look at while it lasts: conditions, pods that do not come, what could not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<Attention>,
    /// Both Deployments and what they own; only where one Canary is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_request: Option<RequestRecord>,
    /// What nobody has answered yet; `attention` says so, once it takes too long.
    #[serde(skip)]
    pub unanswered: Option<Unanswered>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<ReleaseRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub last_transition_time: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Meta {
    pub namespace: String,
    pub name: String,
}

/// The release under way, or the last one.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReport {
    pub number: i64,
    pub revision: String,
    pub from: String,
    pub images: Vec<canary_core::status::ImageChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    #[schemars(schema_with = "schema::moment")]
    pub started_at: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasOfBoth {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<Replicas>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<Replicas>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Replicas {
    pub ready: i64,
    pub desired: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attention {
    #[serde(rename = "type")]
    pub type_: String,
    pub reason: String,
    pub message: String,
    /// The command or the edit that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Several reports as one object.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CanaryReportList {
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: &'static str,
    #[schemars(extend("const" = "CanaryReportList"))]
    pub kind: &'static str,
    pub items: Vec<CanaryReport>,
}

// === impl Observed ===

impl Observed {
    /// Only the Canary itself.
    pub fn alone(canary: Canary) -> Self {
        Self {
            canary: by_names_in_force(canary),
            route: Extra::Unasked,
            primary: Extra::Unasked,
            target: Extra::Unasked,
            below: Below::default(),
            clock: None,
        }
    }

    /// The same, for somebody who wants to know how long something lasts.
    #[must_use]
    pub fn by(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    pub fn report(&self) -> CanaryReport {
        let canary = &self.canary;
        let status = canary.status.clone().unwrap_or_default();
        let running = is_running(status.phase);
        let traffic = traffic::traffic(canary, &self.route);
        let workloads = workloads::workloads(self);
        CanaryReport {
            api_version: API_VERSION,
            kind: "CanaryReport",
            metadata: Meta {
                namespace: canary.namespace_name().to_owned(),
                name: name(canary),
            },
            created_at: created(&canary.metadata),
            target: format!(
                "{}/{}",
                canary.spec.target_ref.kind.to_lowercase(),
                canary.target_name()
            ),
            provider: provider(canary).to_owned(),
            strategy: canary.strategy().to_string(),
            suspended: canary.suspended(),
            phase: status.phase,
            running,
            release: status.release.as_ref().map(release),
            progress: progress::progress(canary),
            failed_checks: status.failed_checks,
            threshold: canary.threshold(),
            next_check_at: status
                .release
                .as_ref()
                .filter(|_| running)
                .and_then(|release| release.next_check_at),
            interval_seconds: canary.interval().as_secs(),
            replicas: ReplicasOfBoth {
                primary: replicas(&self.primary),
                canary: replicas(&self.target),
            },
            images: match &self.primary {
                Extra::Found(primary) => images(&primary.data, CONTAINERS),
                Extra::Unasked | Extra::Absent | Extra::Unknown(_) => Vec::new(),
            },
            checks: progress::checks(canary, &status),
            attention: trouble::of(self, &status, &traffic, &workloads),
            traffic,
            workloads,
            last_request: status.last_request,
            unanswered: Unanswered::on(self),
            history: status.history,
            last_transition_time: status.last_transition_time,
        }
    }
}

// === impl CanaryReport ===

impl CanaryReport {
    pub fn id(&self) -> String {
        format!("{}.{}", self.metadata.name, self.metadata.namespace)
    }

    /// A release that is on its way back is held by no pause any more: there is nothing to resume.
    pub fn paused(&self) -> Option<&Pause> {
        self.release
            .as_ref()
            .filter(|release| self.running && release.outcome.is_none())
            .and_then(|release| release.paused.as_ref())
    }
}

/// A release goes by the names that it began with, whatever the spec says meanwhile.
pub fn by_names_in_force(canary: Canary) -> Canary {
    // Of the route, status says which one is followed.
    match in_force::followed(&canary, |_| false) {
        Some(followed) => followed.canary,
        None => canary,
    }
}

pub fn list(items: Vec<CanaryReport>) -> CanaryReportList {
    CanaryReportList {
        api_version: API_VERSION,
        kind: "CanaryReportList",
        items,
    }
}

/// From the first sight of a revision to the end of its promotion or rollback.
pub fn is_running(phase: Phase) -> bool {
    match phase {
        Phase::Waiting
        | Phase::Progressing
        | Phase::WaitingPromotion
        | Phase::Promoting
        | Phase::Finalising => true,
        Phase::New
        | Phase::Initializing
        | Phase::Initialized
        | Phase::Succeeded
        | Phase::Failed
        | Phase::Terminating
        | Phase::Terminated => false,
    }
}

/// The provider, where the Canary leaves it to the server: most probably this one.
pub fn provider(canary: &Canary) -> &str {
    let default = if canary.spec.route_ref.is_some() {
        DEFAULT_PROVIDER
    } else {
        "kubernetes"
    };
    canary.provider_or(default)
}

/// None of an object that was never stored.
pub fn created(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn name(canary: &Canary) -> String {
    canary.metadata.name.clone().unwrap_or_default()
}

fn release(release: &Release) -> ReleaseReport {
    ReleaseReport {
        number: release.number,
        revision: release.revision.clone(),
        from: release.from.clone(),
        images: release.images.clone(),
        by: release.by.clone(),
        started_at: release.started_at,
        ended_at: release.ended_at,
        outcome: release.outcome,
        message: release.message.clone(),
        waiting_for: release.waiting_for.clone(),
        paused: release.paused.clone(),
    }
}

fn replicas(extra: &Extra) -> Option<Replicas> {
    let Extra::Found(deployment) = extra else {
        return None;
    };
    let count = |pointer: &str| {
        deployment
            .data
            .pointer(pointer)
            .and_then(serde_json::Value::as_i64)
    };
    Some(Replicas {
        ready: count("/status/readyReplicas").unwrap_or(0),
        desired: count("/spec/replicas").unwrap_or(1),
    })
}

fn images(object: &serde_json::Value, containers: &str) -> Vec<String> {
    let containers = object
        .pointer(containers)
        .and_then(serde_json::Value::as_array);
    let images = containers
        .into_iter()
        .flatten()
        .filter_map(|container| container.get("image")?.as_str());
    images.map(str::to_owned).collect()
}

#[cfg(test)]
pub mod tests;
