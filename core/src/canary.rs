//! The `Canary` resource, field by field as Flagger's users write it.
//!
//! ```text
//!  Canary ─┬─ spec ─┬─ targetRef, autoscalerRef, routeRef …   references
//!          │        ├─ service      ports, and what a mesh needs (service.rs, mesh.rs)
//!          │        └─ analysis     steps, metrics, hooks, alerts (analysis.rs)
//!          └─ status                ../status.rs
//! ```
//!
//! Fields hold what was written; what an absent field means is answered by the accessors in
//! `defaults.rs` and nowhere else. Whatever the CRD accepts can be read into these types: one
//! odd object must never end the watch on all others.

mod analysis;
mod defaults;
mod mesh;
pub(crate) mod number;
mod service;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use analysis::{Alert, CanaryAnalysis, Hook, Metric, SessionAffinity, ThresholdRange};
pub use defaults::{DEFAULT_INTERVAL, DEFAULT_METRIC_INTERVAL, Strategy, duration};
pub use mesh::{
    BackendRef, CorsPolicy, HeaderOperations, Headers, HttpMatchRequest, HttpRequestMirror,
    HttpRetry, ParentReference, StringMatch, Unknown,
};
pub use service::{CanaryService, CustomMetadata, HttpRewrite, UnmanagedMetadata};

use crate::status::CanaryStatus;

/// What is released, and how.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "flagger.app",
    version = "v1beta1",
    kind = "Canary",
    plural = "canaries",
    singular = "canary",
    category = "all",
    namespaced,
    status = "CanaryStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Canary is the Schema for the Canary API.",
    annotation("helm.sh/resource-policy", "keep")
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["targetRef", "analysis"]))]
pub struct CanarySpec {
    /// What shifts the traffic; the server's default if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::provider")]
    pub provider: Option<String>,
    /// Prometheus for the built-in and inline queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_server: Option<String>,
    /// The workload that is released.
    #[schemars(schema_with = "crate::schema::target")]
    pub target_ref: LocalObjectReference,
    /// The autoscaler of the target; the primary gets a copy of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaler_ref: Option<AutoscalerReference>,
    /// The Ingress of the target (nginx, skipper).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::ingress")]
    pub ingress_ref: Option<LocalObjectReference>,
    /// The `ApisixRoute` of the target (apisix).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::route")]
    pub route_ref: Option<LocalObjectReference>,
    /// The Upstream whose configuration is copied (gloo).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::upstream")]
    pub upstream_ref: Option<CrossNamespaceObjectReference>,
    /// The Services that are generated for the target.
    #[serde(skip_serializing_if = "is_default")]
    pub service: CanaryService,
    /// How a revision is tried before it is promoted. An absent analysis promotes at once.
    #[serde(skip_serializing_if = "is_default")]
    pub analysis: CanaryAnalysis,
    /// How long a rollout may make no progress.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub progress_deadline_seconds: Option<i64>,
    /// Promote a revision as soon as its pods are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_analysis: Option<bool>,
    /// Put the target back as it was when the Canary is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revert_on_deletion: Option<bool>,
    /// Leave everything as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// An object in the Canary's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
pub struct LocalObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    pub name: String,
}

/// An object in the Canary's namespace, or in another one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct CrossNamespaceObjectReference {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The autoscaler of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["apiVersion", "kind", "name"]))]
pub struct AutoscalerReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(extend("enum" = ["HorizontalPodAutoscaler", "ScaledObject"]))]
    pub kind: String,
    pub name: String,
    /// KEDA: query of the primary for each trigger name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub primary_scaler_queries: BTreeMap<String, String>,
    /// Replica bounds of the primary where they differ from the target's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_scaler_replicas: Option<ScalerReplicas>,
}

/// Replica bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScalerReplicas {
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    #[schemars(range(min = 1))]
    pub min_replicas: Option<i32>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    #[schemars(range(min = 1))]
    pub max_replicas: Option<i32>,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
