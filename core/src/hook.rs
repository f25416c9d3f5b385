//! Webhooks of a release: when each kind is called, and what is sent.
//!
//! ```text
//!  confirm-rollout ─► pre-rollout ─► rollout, confirm-traffic-increase … ─► confirm-promotion
//!                                                                               │
//!            rollback (any time) ─► post-rollout ◄──────────────────────────────┘
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::canary::Canary;
pub use crate::canary::Hook;
use crate::status::Phase;

/// When a webhook is called, and what its answer decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HookKind {
    /// A gate before the canary is scaled up.
    ConfirmRollout,
    /// A check before traffic moves.
    PreRollout,
    /// A check in each analysis; the kind of a webhook without a type.
    Rollout,
    /// A gate before each step.
    ConfirmTrafficIncrease,
    /// A gate before the promotion.
    ConfirmPromotion,
    /// Told how the release ended; its answer decides nothing.
    PostRollout,
    /// Success rolls the release back.
    Rollback,
    /// Told every event; its answer decides nothing.
    Event,
}

/// A webhook type that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown webhook type {0:?}: use one of {list}", list = HookKind::list())]
pub struct UnknownHookKind(pub String);

// === impl HookKind ===

impl HookKind {
    pub const ALL: [Self; 8] = [
        Self::ConfirmRollout,
        Self::PreRollout,
        Self::Rollout,
        Self::ConfirmTrafficIncrease,
        Self::ConfirmPromotion,
        Self::PostRollout,
        Self::Rollback,
        Self::Event,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConfirmRollout => "confirm-rollout",
            Self::PreRollout => "pre-rollout",
            Self::Rollout => "rollout",
            Self::ConfirmTrafficIncrease => "confirm-traffic-increase",
            Self::ConfirmPromotion => "confirm-promotion",
            Self::PostRollout => "post-rollout",
            Self::Rollback => "rollback",
            Self::Event => "event",
        }
    }

    fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for HookKind {
    type Err = UnknownHookKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::Rollout);
        }
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| UnknownHookKind(text.to_owned()))
    }
}

/// The body of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    pub name: String,
    pub namespace: String,
    pub phase: Phase,
    /// Changes with the revision and its configuration; gates key on it.
    pub checksum: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

// === impl Payload ===

impl Payload {
    pub fn new(canary: &Canary, hook: &Hook, phase: Phase) -> Self {
        use kube::ResourceExt as _;
        Self {
            name: canary.name_any(),
            namespace: canary.namespace_name().to_owned(),
            phase,
            checksum: checksum(canary),
            metadata: hook.metadata.clone(),
        }
    }

    /// The body for a hook of kind `event`. What happened cannot be overridden by the user's
    /// own metadata.
    pub fn event(canary: &Canary, hook: &Hook, phase: Phase, event: &EventFacts<'_>) -> Self {
        let mut payload = Self::new(canary, hook, phase);
        let metadata = &mut payload.metadata;
        metadata.insert("eventMessage".into(), event.message.into());
        metadata.insert("eventType".into(), event.type_.into());
        metadata.insert("timestamp".into(), event.at.as_millisecond().to_string());
        payload
    }
}

/// What an `event` hook is told.
#[derive(Clone, Copy, Debug)]
pub struct EventFacts<'a> {
    pub message: &'a str,
    /// `Normal` or `Warning`.
    pub type_: &'a str,
    pub at: Timestamp,
}

/// What a gate keys on: the configuration and the revision that the release is about.
pub fn checksum(canary: &Canary) -> String {
    let status = canary.status.as_ref();
    let configs = status.and_then(|s| s.tracked_configs.as_ref());
    let applied = status
        .and_then(|s| s.last_applied_spec.as_deref())
        .unwrap_or_default();
    crate::revision::checksum(&serde_json::json!({
        "trackedConfigs": configs,
        "lastAppliedSpec": applied,
    }))
}

#[cfg(test)]
mod tests;
