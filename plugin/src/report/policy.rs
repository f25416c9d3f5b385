//! A policy and what the server found, as data.

use canary_core::policy::{CanaryPolicy, Enforcement, NextFreeze};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Serialize;

/// Machine-readable, and versioned as all reports are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    pub name: String,
    pub enforcement: Enforcement,
    /// Labels of its namespaces, as a selector; empty for all.
    pub namespaces: String,
    /// What the server last wrote; none if it has not looked yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_freeze: Option<NextFreeze>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

// === impl PolicyReport ===

impl PolicyReport {
    pub fn of(policy: &CanaryPolicy) -> Self {
        let status = policy.status.clone();
        let mut conditions = status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.find(|condition| condition.type_ == "Ready");
        let labels = &policy.spec.namespaces.match_labels;
        let labels: Vec<_> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let not_ready = ready.filter(|condition| condition.status != "True");
        Self {
            name: policy.name_any(),
            enforcement: policy.spec.enforcement,
            namespaces: labels.join(","),
            frozen: status.as_ref().map(|status| status.frozen),
            ready: ready.map(|condition| condition.status == "True"),
            message: not_ready
                .map(|condition| condition.message.clone())
                .unwrap_or_default(),
            window: status.as_ref().and_then(|status| status.window.clone()),
            reason: status.as_ref().and_then(|status| status.reason.clone()),
            until: status.as_ref().and_then(|status| status.until),
            next_freeze: status
                .as_ref()
                .and_then(|status| status.next_freeze.clone()),
        }
    }
}
