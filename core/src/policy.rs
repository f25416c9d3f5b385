//! `CanaryPolicy`: what a platform team allows to be released, when, and by whose leave.
//!
//! ```text
//!  CanaryPolicy ─┬─ ValidatingAdmissionPolicies  what one object shows: images, caps, freeze, protection
//!                ├─ /validate                    what needs other objects or the exact clock
//!                └─ release                      what a webhook never sees: holds of a running release
//! ```
//!
//! Read once, asked often:
//!
//! ```text
//!  CanaryPolicy ─► Policy::read ─┬─ applies                           to which namespaces
//!                                ├─ review::{deployment, release,     against a write: objections
//!                                │           images, canary, request}
//!                                ├─ holds, blocks                     against a release
//!                                └─ calendar.outlook, status          frozen, until, next, edge
//!  validate, warnings: what cannot be meant, and what probably is not
//! ```

mod calendar;
mod check;
pub mod image;
mod labels;
mod objection;
mod release;
pub mod review;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use calendar::{Calendar, Freeze, Outlook};
pub use check::{validate, warnings};
pub use labels::labels;
pub use objection::{Objection, UNREADABLE, Verdict, gate};
pub use release::{Holds, Moment, blocks, holds, is_releasing};

use crate::canary::{duration, is_default};
use crate::validate::Violation;

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
    #[schemars(schema_with = "crate::schema::policy::labels")]
    pub match_labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
    /// Prefixes that begin with a registry and end in `/`, such as `registry.example.com/team/`.
    /// They are compared with an image's full name: `nginx` is under `docker.io/library/`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::policy::registries")]
    pub allowed_registries: Vec<String>,
    /// Every image is named by its digest (`@sha256:` and 64 digits).
    #[serde(skip_serializing_if = "is_default")]
    pub require_digest: bool,
    /// Tags that say nothing about what runs, such as `latest`; an image without tag and digest
    /// is `latest`, and one with a digest passes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::policy::tags")]
    pub disallowed_tags: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryRules {
    /// A Deployment whose pods a Service selects needs a Canary.
    #[serde(skip_serializing_if = "is_default")]
    pub required: bool,
    /// Percent of the traffic that one step may add; blue/green and A/B releases have no steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_step_weight: Option<i64>,
    /// Percent of the traffic that a canary may get, step by step, before its promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_weight: Option<i64>,
    /// Fewest metrics of an analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 32))]
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
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub freeze_windows: Vec<FreezeWindow>,
    /// What a freeze does; a rollback is never frozen.
    #[serde(skip_serializing_if = "is_default")]
    pub on_freeze: OnFreeze,
    /// Shortest time between the end of a release and the start of the next, such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::policy::duration")]
    pub min_interval: Option<String>,
    /// Most releases that run in a namespace at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent_per_namespace: Option<i64>,
    /// What becomes of a change of the template while its Canary's release runs.
    #[serde(skip_serializing_if = "is_default")]
    pub on_running_release: OnRunningRelease,
}

/// Either `schedule` and `duration`, or `start` and `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name"],
    "x-kubernetes-validations" = crate::schema::policy::window_rules(),
))]
pub struct FreezeWindow {
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// When it begins, again and again: five cron fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub schedule: Option<String>,
    /// How long it lasts each time, such as `62h`; time that passes, whatever the clocks do.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::policy::duration")]
    pub duration: Option<String>,
    /// IANA name of the zone that `schedule`, `start` and `end` are in; default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Begins once: RFC 3339, or a date and time in `timeZone`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub start: Option<String>,
    /// Ends once; the first instant that is free again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub end: Option<String>,
    /// Why, for those who are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
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
    /// The annotation says why: it always has to, so that this states it and changes nothing.
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
    /// None if it never ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::status::date_time")]
    pub end: Option<Timestamp>,
}

/// A `CanaryPolicy` that was read once, to be asked often.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: String,
    pub spec: CanaryPolicySpec,
    pub calendar: Calendar,
    min_interval: Option<Duration>,
}

// === impl Policy ===

impl Policy {
    /// Reads what can be read. A window that cannot be freezes nothing, and [`not_ready`]
    /// says so.
    pub fn read(policy: &CanaryPolicy) -> Self {
        let release = policy.spec.release.as_ref();
        let windows = release.map_or(&[][..], |release| &release.freeze_windows);
        Self {
            name: policy.name_any(),
            calendar: Calendar::new(check::read_windows(windows, &mut Vec::new())),
            min_interval: release
                .and_then(|release| release.min_interval.as_deref())
                .and_then(duration),
            spec: policy.spec.clone(),
        }
    }

    /// Whether it is for a namespace with these labels.
    pub fn applies(&self, labels: &BTreeMap<String, String>) -> bool {
        let wanted = &self.spec.namespaces.match_labels;
        wanted
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
    }

    /// The status at `now`, its conditions apart.
    pub fn status(&self, outlook: &Outlook, generation: Option<i64>) -> CanaryPolicyStatus {
        let freeze = outlook.freeze.as_ref();
        CanaryPolicyStatus {
            observed_generation: generation,
            frozen: freeze.is_some(),
            window: freeze.map(|freeze| freeze.window.clone()),
            reason: freeze.and_then(|freeze| freeze.reason.clone()),
            until: freeze.and_then(|freeze| freeze.until),
            next_freeze: outlook.next.as_ref().map(|next| NextFreeze {
                name: next.window.clone(),
                start: next.start,
                end: next.until,
            }),
            conditions: Vec::new(),
        }
    }

    pub(crate) fn objection(&self, field: &str, message: String) -> Objection {
        Objection {
            policy: self.name.clone(),
            enforcement: self.spec.enforcement,
            field: field.to_owned(),
            message,
            until: None,
        }
    }
}

/// What the condition `Ready` of a policy says: none if it is true.
pub fn not_ready(policy: &CanaryPolicy, now: Timestamp) -> Option<String> {
    let problems = validate(policy, now);
    let text: Vec<_> = problems.iter().map(Violation::to_string).collect();
    (!text.is_empty()).then(|| text.join("; "))
}

#[cfg(test)]
mod tests;
