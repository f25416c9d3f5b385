//! What a policy has against a request or a release, in one sentence.

use std::fmt;

use jiff::Timestamp;

use super::Enforcement;

/// What one policy has against something: which field, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Name of the policy.
    pub policy: String,
    /// What the policy wants to become of it.
    pub enforcement: Enforcement,
    /// Path in the policy, as `spec.release.freezeWindows[weekend]`.
    pub field: String,
    /// Cause, and what to do.
    pub message: String,
    /// When it passes by itself.
    pub until: Option<Timestamp>,
}

/// Objections by what becomes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// If there is any, the request is refused, and the refusal names each.
    pub denied: Vec<Objection>,
    pub warned: Vec<Objection>,
    pub audited: Vec<Objection>,
}

// === impl Objection ===

impl Objection {
    /// What `status.release.waitingFor` says of a release that it holds.
    pub fn gate(&self) -> String {
        gate(&self.policy)
    }
}

/// The gate of a release whose policies cannot be read.
pub const UNREADABLE: &str = "CanaryPolicy objects to be readable";

/// Name of a policy as a gate of a release.
pub fn gate(policy: &str) -> String {
    format!("CanaryPolicy {policy}")
}

/// `CanaryPolicy prod: spec.images.requireDigest: …; …`
impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CanaryPolicy {}: {}: {}",
            self.policy, self.field, self.message
        )
    }
}

// === impl Verdict ===

impl FromIterator<Objection> for Verdict {
    fn from_iter<I: IntoIterator<Item = Objection>>(objections: I) -> Self {
        let mut verdict = Self::default();
        for objection in objections {
            match objection.enforcement {
                Enforcement::Deny => verdict.denied.push(objection),
                Enforcement::Warn => verdict.warned.push(objection),
                Enforcement::Audit => verdict.audited.push(objection),
            }
        }
        verdict
    }
}
