//! `spec.analysis`: how a revision is tried before it is promoted.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CrossNamespaceObjectReference;
use super::mesh::HttpMatchRequest;
use super::number;

/// Steps, checks, hooks and alerts of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("oneOf" = [
    { "required": ["interval", "threshold", "iterations"] },
    { "required": ["interval", "threshold", "stepWeight"] },
    { "required": ["interval", "threshold", "stepWeights"] },
]))]
pub struct CanaryAnalysis {
    /// Time between two checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]+(m|s)"))]
    pub interval: Option<String>,
    /// Checks of a blue/green or A/B release.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub iterations: Option<i64>,
    /// Failed checks that roll the release back.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub threshold: Option<i64>,
    /// Weight at which the canary is promoted.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub max_weight: Option<i64>,
    /// Weight that each step adds.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub step_weight: Option<i64>,
    /// The weights of the steps themselves.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "number::list"
    )]
    pub step_weights: Vec<i64>,
    /// Weight that each step of a promotion gives back; all at once if absent.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub step_weight_promotion: Option<i64>,
    /// Send a copy of the traffic to the canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub mirror_weight: Option<i64>,
    /// Percentage of the primary's pods that must be available.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub primary_ready_threshold: Option<i64>,
    /// Percentage of the canary's pods that must be available.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub canary_ready_threshold: Option<i64>,
    /// Requests that an A/B release sends to the canary.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub match_: Vec<HttpMatchRequest>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Hook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
}

/// A value that must stay in its range.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Metric {
    /// `request-success-rate` and `request-duration` are built in.
    pub name: String,
    /// The window of the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]+(m|s)"))]
    pub interval: Option<String>,
    /// Deprecated: use thresholdRange.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "number::float"
    )]
    pub threshold: Option<f64>,
    /// The values that pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_range: Option<ThresholdRange>,
    /// Deprecated: use templateRef. A query in `PromQL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The `MetricTemplate` with the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::named_reference")]
    pub template_ref: Option<CrossNamespaceObjectReference>,
    /// Values for `{{ variables.x }}` in the template.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub template_variables: BTreeMap<String, String>,
}

/// Both ends pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ThresholdRange {
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "number::float"
    )]
    pub min: Option<f64>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "number::float"
    )]
    pub max: Option<f64>,
}

/// Who is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "providerRef"]))]
pub struct Alert {
    pub name: String,
    /// The least severity that is told; `info` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["", "info", "warn", "error"]))]
    pub severity: Option<String>,
    /// The `AlertProvider` that tells them.
    #[schemars(schema_with = "crate::schema::named_reference")]
    pub provider_ref: CrossNamespaceObjectReference,
}

/// A URL that is called during the release: a gate, a test, or a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "url"]))]
pub struct Hook {
    /// When it is called; `rollout` if absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::hook_type")]
    pub type_: Option<String>,
    pub name: String,
    pub url: String,
    /// Send no alert while the gate is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_alert: Option<bool>,
    /// How long an answer may take; 10s if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9]+(m|s)"))]
    pub timeout: Option<String>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub retries: Option<i64>,
    /// Do not verify the server's certificate.
    #[serde(rename = "disableTLS", skip_serializing_if = "Option::is_none")]
    pub disable_tls: Option<bool>,
    /// Sent along with each call.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Cookies that keep a user on the version that answered first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["cookieName"]))]
pub struct SessionAffinity {
    pub cookie_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_cookie_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::optional"
    )]
    pub max_age: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitioned: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Strict", "Lax", "None"]))]
    pub same_site: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
}
