//! `CanaryPolicy`: what a platform team allows to be released, when, and by whose leave.
//!
//! ```text
//!  CanaryPolicy ─┬─ ValidatingAdmissionPolicies  what one object shows: images, caps, freeze, protection
//!                ├─ /validate                    what needs other objects or the exact clock
//!                └─ release                      what a webhook never sees: holds of a running release
//! ```

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::canary::is_default;

/// What a platform team allows to be released, when, and by whose leave. Of several policies that
/// apply to a namespace all must pass.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "policy.kubectl-canary.dev",
    version = "v1alpha1",
    kind = "CanaryPolicy",
    plural = "canarypolicies",
    singular = "canarypolicy",
    shortname = "cpol",
    status = "CanaryPolicyStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "CanaryPolicy says what may be released, when, and by whose leave.",
    annotation("helm.sh/resource-policy", "keep")
)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryPolicySpec {
    /// Namespaces that the policy is for; empty selects all.
    #[serde(skip_serializing_if = "is_default")]
    pub namespaces: NamespaceSelector,
    /// What happens to a request that the policy does not allow.
    #[serde(skip_serializing_if = "is_default")]
    pub enforcement: Enforcement,
    /// What the containers of a Deployment may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageRules>,
    /// What a Canary must look like, and who needs one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<CanaryRules>,
    /// When releases may start and go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseRules>,
    /// What a person must have agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
    /// How holders of the verb `bypass` pass by: annotation `kubectl-canary.dev/break-glass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
    /// What nobody edits by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protect: Option<Protection>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NamespaceSelector {
    /// Labels that a namespace must all have.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
}

#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Enforcement {
    /// The request is refused.
    #[default]
    Deny,
    /// The request passes, and whoever made it is told.
    Warn,
    /// The request passes, and the audit log has it.
    Audit,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageRules {
    /// Prefixes that end in `/`, such as `registry.example.com/team/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_registries: Vec<String>,
    /// Every image is named by its digest.
    #[serde(skip_serializing_if = "is_default")]
    pub require_digest: bool,
    /// Tags that say nothing about what runs, such as `latest`; an image without tag and digest
    /// is `latest`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryRules {
    /// A Deployment whose pods a Service selects needs a Canary.
    #[serde(skip_serializing_if = "is_default")]
    pub required: bool,
    /// Percent of the traffic that one step may add.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_step_weight: Option<i64>,
    /// Percent of the traffic that a canary may get before its promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_weight: Option<i64>,
    /// Fewest metrics of an analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_metrics: Option<i64>,
    /// No promotion without an analysis.
    #[serde(skip_serializing_if = "is_default")]
    pub forbid_skip_analysis: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseRules {
    /// When nothing new is released.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze_windows: Vec<FreezeWindow>,
    /// What a freeze does; a rollback is never frozen.
    #[serde(skip_serializing_if = "is_default")]
    pub on_freeze: OnFreeze,
    /// Shortest time between the end of a release and the start of the next, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_interval: Option<String>,
    /// Most releases that run in a namespace at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_per_namespace: Option<i64>,
    /// What becomes of a change of the template while its Canary's release runs.
    #[serde(skip_serializing_if = "is_default")]
    pub on_running_release: OnRunningRelease,
}

/// Either `schedule` and `duration`, or `start` and `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct FreezeWindow {
    pub name: String,
    /// When it begins, again and again: five cron fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// How long it lasts each time, such as `62h`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// IANA name of the zone that `schedule`, `start` and `end` are in; default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Begins once: RFC 3339, or a date and time in `timeZone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Ends once; the first instant that is free again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Why, for those who are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OnFreeze {
    pub new_releases: FrozenStart,
    pub running: FrozenRun,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrozenStart {
    /// A change that would start a release is treated as `enforcement` says.
    #[default]
    Deny,
    /// Releases start in spite of the freeze.
    Allow,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FrozenRun {
    /// A running release stays at its weight, is still checked, and is not promoted.
    #[default]
    Hold,
    /// A running release goes on to its end.
    Continue,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRunningRelease {
    /// The analysis starts again with the new template.
    #[default]
    Restart,
    /// The change is treated as `enforcement` says; setting the template back is always allowed.
    Deny,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Approvals {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promote: Option<PromoteApproval>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PromoteApproval {
    /// A release waits before its promotion until a person promotes it.
    #[serde(skip_serializing_if = "is_default")]
    pub required: bool,
    /// `kubectl canary promote` needs `--reason`.
    #[serde(skip_serializing_if = "is_default")]
    pub require_reason: bool,
    /// Not by the user who started the release.
    #[serde(skip_serializing_if = "is_default")]
    pub not_by_author: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Bypass {
    /// The annotation must say why.
    #[serde(skip_serializing_if = "is_default")]
    pub require_reason: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Protection {
    /// Objects that a Canary generated are changed by nobody else.
    #[serde(skip_serializing_if = "is_default")]
    pub generated: bool,
    /// The target's template stays as it is while its revision is being promoted.
    #[serde(skip_serializing_if = "is_default")]
    pub lock_during_promotion: bool,
}

/// What the server last found. `frozen` is as old as its last write.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryPolicyStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    pub frozen: bool,
    /// Name of the freeze window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the freeze ends, windows that join it included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::status::date_time")]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_freeze: Option<NextFreeze>,
    /// `Ready` and `PoliciesInstalled`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextFreeze {
    pub name: String,
    #[schemars(schema_with = "crate::status::date_time_required")]
    pub start: Timestamp,
    #[schemars(schema_with = "crate::status::date_time_required")]
    pub end: Timestamp,
}
