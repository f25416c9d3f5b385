//! What a policy is about, as labels on it. The API server's policies are bound by them, so that a request is
//! shown only to those that may have something against it: each look costs the API server a millisecond or two.
//!
//! They only say "not about this". A policy without them is looked at for everything, and one whose labels
//! deny what its spec has is refused (canary-policies.yaml).

use super::{CanaryPolicySpec, Enforcement};
use crate::names::{POLICY_CANARIES, POLICY_DEPLOYMENTS, POLICY_ENFORCEMENT, POLICY_GENERATED};

/// Key and value of each label of a policy with that spec.
pub fn labels(spec: &CanaryPolicySpec) -> [(&'static str, &'static str); 4] {
    let said = |is_about: bool| if is_about { "true" } else { "false" };
    [
        (POLICY_ENFORCEMENT, spec.enforcement.as_str()),
        (POLICY_DEPLOYMENTS, said(spec.is_about_deployments())),
        (POLICY_CANARIES, said(spec.is_about_canaries())),
        (POLICY_GENERATED, said(spec.is_about_generated())),
    ]
}

// === impl Enforcement ===

impl Enforcement {
    /// As it is written in a policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Audit => "Audit",
        }
    }
}

// === impl CanaryPolicySpec ===

impl CanaryPolicySpec {
    /// Whether a change of a Deployment may need its leave, or the right to pass it by.
    fn is_about_deployments(&self) -> bool {
        let requires = self.canary.as_ref().is_some_and(|rules| rules.required);
        let protect = self.protect.as_ref();
        let locks = protect.is_some_and(|rules| rules.lock_during_promotion);
        self.images.is_some() || self.release.is_some() || requires || locks
    }

    fn is_about_canaries(&self) -> bool {
        self.canary.is_some() || self.release.is_some() || self.approvals.is_some()
    }

    fn is_about_generated(&self) -> bool {
        self.protect.as_ref().is_some_and(|rules| rules.generated)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn about(spec: Value) -> [&'static str; 4] {
        labels(&serde_json::from_value(spec).unwrap()).map(|(_, value)| value)
    }

    #[test]
    fn a_policy_says_how_it_enforces_and_what_it_is_about() {
        assert_eq!(about(json!({})), ["Deny", "false", "false", "false"]);
        let images = json!({"enforcement": "Warn", "images": {"requireDigest": true}});
        assert_eq!(about(images), ["Warn", "true", "false", "false"]);
        let caps = json!({"enforcement": "Audit", "canary": {"maxWeight": 50}});
        assert_eq!(about(caps), ["Audit", "false", "true", "false"]);
        let required = json!({"canary": {"required": true}});
        assert_eq!(about(required), ["Deny", "true", "true", "false"]);
        let release = json!({"release": {"minInterval": "1h"}});
        assert_eq!(about(release), ["Deny", "true", "true", "false"]);
        let approvals = json!({"approvals": {"promote": {"requireReason": true}}});
        assert_eq!(about(approvals), ["Deny", "false", "true", "false"]);
        let lock = json!({"protect": {"lockDuringPromotion": true}});
        assert_eq!(about(lock), ["Deny", "true", "false", "false"]);
        let generated = json!({"protect": {"generated": true}});
        assert_eq!(about(generated), ["Deny", "false", "false", "true"]);
    }
}
