//! The two Deployments of a Canary and what stands below them.
//!
//! ```text
//!  Deployment ◄─uid─ ReplicaSet ◄─uid─ Pod      labels only preselect: the owner decides
//! ```

mod build;
mod pod;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use schemars::JsonSchema;
use serde::Serialize;

use super::schema;

pub(super) use build::workloads;

/// What was read below both Deployments.
#[derive(Clone, Debug, Default)]
pub struct Below {
    pub primary: Children,
    pub canary: Children,
}

/// What was read below one Deployment, by its selector.
#[derive(Clone, Debug)]
pub struct Children {
    pub replica_sets: Listed<ReplicaSet>,
    pub pods: Listed<Pod>,
}

#[derive(Clone, Debug)]
pub enum Listed<K> {
    /// Nobody looked.
    Unasked,
    Found(Vec<Arc<K>>),
    Unknown(Unread),
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    pub role: Role,
    pub name: String,
    #[serde(flatten)]
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub created_at: Option<Timestamp>,
    pub ready: i64,
    pub desired: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replica_sets: Vec<ReplicaSetReport>,
    /// What could not be read below it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Serves.
    Primary,
    /// The target: where the next revision is tried.
    Canary,
}

/// A ReplicaSet of one of the Deployments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaSetReport {
    pub name: String,
    #[serde(flatten)]
    pub state: State,
    /// As the Deployment counts; 0 where it is not known.
    pub revision: i64,
    /// Whether it has the Deployment's template.
    pub current: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub created_at: Option<Timestamp>,
    pub ready: i64,
    pub desired: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
    /// In the order of their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodReport>,
}

/// A pod of one of the ReplicaSets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodReport {
    pub name: String,
    #[serde(flatten)]
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::moment")]
    pub created_at: Option<Timestamp>,
    /// Containers that are ready.
    pub ready: usize,
    pub containers: usize,
    pub restarts: i64,
    /// Why a container ended before it was started anew: `OOMKilled`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_termination: String,
}

/// How something fares, in one word of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct State {
    pub health: Health,
    /// `Healthy`, `ScaledDown`, `ImagePullBackOff`.
    pub status: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum Health {
    /// Does not get on by itself.
    Degraded,
    Unknown,
    Progressing,
    Healthy,
    /// Scaled down, or has done its work.
    Idle,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unread {
    /// `ReplicaSets` or `Pods`.
    pub resource: String,
    /// For lack of rights.
    pub forbidden: bool,
    pub message: String,
}

// === impl Children ===

impl Default for Children {
    fn default() -> Self {
        Self {
            replica_sets: Listed::Unasked,
            pods: Listed::Unasked,
        }
    }
}

// === impl Listed ===

impl<K> Listed<K> {
    fn unread(&self) -> Option<&Unread> {
        match self {
            Self::Unknown(unread) => Some(unread),
            Self::Unasked | Self::Found(_) => None,
        }
    }
}

// === impl PodReport ===

impl PodReport {
    pub fn is_ready(&self) -> bool {
        self.state.health == Health::Healthy
    }
}

// === impl State ===

impl State {
    fn new(health: Health, status: impl Into<String>) -> Self {
        Self {
            health,
            status: status.into(),
            message: String::new(),
        }
    }

    fn because(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }
}

#[cfg(test)]
pub mod tests;
