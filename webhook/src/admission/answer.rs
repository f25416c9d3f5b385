//! An answer, and how it reads on the wire.

use std::collections::BTreeMap;

use canary_core::validate::Violation;
use http::StatusCode;
use json_patch::Patch;
use kube::core::admission::{AdmissionResponse, SerializePatchError};
use kube::core::response::{StatusCause, StatusDetails, StatusSummary};

use super::{Request, sentence};

/// Runes of all warnings of one request, beyond which the API server cuts each of them.
const WARNINGS: usize = 4096;

/// The answer to a review.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub verdict: Verdict,
    /// Printed by kubectl, whatever the verdict.
    pub warnings: Vec<String>,
    /// Kept in the API server's audit log as `<webhook>/<key>`. Of a webhook that is asked again in the
    /// same request the first value stays, so say only what does not change.
    pub audit: BTreeMap<&'static str, String>,
    /// Policies that it lets pass by, for which its user needs the verb `bypass`.
    pub bypasses: Vec<String>,
}

/// What becomes of the request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Allow(Patch),
    /// The object is wrong: a 422 that names each field. Never empty.
    Invalid(Vec<Violation>),
    /// The object is right, but not now or not from this user: a 403. Never empty.
    Forbidden(Vec<Refusal>),
}

/// Why a request is forbidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What has refused, as a label of metrics: `rights`, `policy`.
    pub by: &'static str,
    /// Cause, and what to do.
    pub message: String,
}

// === impl Answer ===

impl Answer {
    pub fn allow() -> Self {
        Self::patch(Patch::default())
    }

    pub fn patch(patch: Patch) -> Self {
        Self::from(Verdict::Allow(patch))
    }

    pub fn invalid(violations: Vec<Violation>) -> Self {
        Self::from(Verdict::Invalid(violations))
    }

    pub fn forbidden(refusals: Vec<Refusal>) -> Self {
        Self::from(Verdict::Forbidden(refusals))
    }

    #[must_use]
    pub fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    #[must_use]
    pub fn audit(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.audit.insert(key, value.into());
        self
    }

    /// Both answers as one: what either refuses is refused.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let (mut refused, told) = match (&self.verdict, &other.verdict) {
            (Verdict::Allow(patch), _) if patch.0.is_empty() => (other, self),
            _ => (self, other),
        };
        refused.warnings.extend(told.warnings);
        refused.audit.extend(told.audit);
        refused.bypasses.extend(told.bypasses);
        refused
    }

    pub fn allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allow(_))
    }

    /// Decision and reason, as labels of metrics.
    pub(super) fn labels(&self) -> (&'static str, &'static str) {
        match &self.verdict {
            Verdict::Allow(patch) if patch.0.is_empty() => ("allowed", ""),
            Verdict::Allow(_) => ("patched", ""),
            Verdict::Invalid(_) => ("denied", "invalid"),
            Verdict::Forbidden(refusals) => {
                ("denied", refusals.first().map_or("", |refusal| refusal.by))
            }
        }
    }

    /// As the API server takes it.
    pub(super) fn response(
        self,
        request: &Request,
    ) -> Result<AdmissionResponse, SerializePatchError> {
        let response = AdmissionResponse::from(request);
        let mut response = match self.verdict {
            Verdict::Allow(patch) if patch.0.is_empty() => response,
            Verdict::Allow(patch) => response.with_patch(patch)?,
            Verdict::Invalid(violations) => invalid(response, request, violations),
            Verdict::Forbidden(refusals) => forbidden(response, &refusals),
        };
        response.warnings = (!self.warnings.is_empty()).then(|| within_limits(self.warnings));
        response.audit_annotations = self
            .audit
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        Ok(response)
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            warnings: Vec::new(),
            audit: BTreeMap::new(),
            bypasses: Vec::new(),
        }
    }
}

/// As the API server itself answers for a field that its schema refuses, so that kubectl prints
/// it field by field.
fn invalid(
    response: AdmissionResponse,
    request: &Request,
    violations: Vec<Violation>,
) -> AdmissionResponse {
    let sentences: Vec<String> = violations.iter().map(ToString::to_string).collect();
    let mut response = response.deny(sentences.join("; "));
    refuse(&mut response, StatusCode::UNPROCESSABLE_ENTITY, "Invalid");
    let cause = |violation: Violation| StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: violation.message,
        field: violation.field,
    };
    response.result.details = Some(StatusDetails {
        name: request.name.clone(),
        group: request.kind.group.clone(),
        kind: request.kind.kind.clone(),
        uid: String::new(),
        causes: violations.into_iter().map(cause).collect(),
        retry_after_seconds: 0,
    });
    response
}

fn forbidden(response: AdmissionResponse, refusals: &[Refusal]) -> AdmissionResponse {
    let sentences: Vec<&str> = refusals.iter().map(|it| it.message.as_str()).collect();
    let mut response = response.deny(sentences.join("; "));
    refuse(&mut response, StatusCode::FORBIDDEN, "Forbidden");
    response
}

fn refuse(response: &mut AdmissionResponse, code: StatusCode, reason: &str) {
    response.result.status = Some(StatusSummary::Failure);
    response.result.code = code.as_u16();
    reason.clone_into(&mut response.result.reason);
}

/// What the API server would pass on in full. It drops what is over its limit without a word; here the
/// last one says how many there were.
fn within_limits(warnings: Vec<String>) -> Vec<String> {
    let runes = |text: &String| text.chars().count();
    if warnings.iter().map(runes).sum::<usize>() <= WARNINGS {
        return warnings;
    }
    let all = warnings.len();
    let rest = |left: usize| format!("{left} more warnings are left out");
    let mut room = WARNINGS - runes(&rest(all));
    let mut kept = Vec::new();
    for warning in warnings {
        let warning = sentence::fit(&warning);
        let Some(less) = room.checked_sub(runes(&warning)) else {
            break;
        };
        room = less;
        kept.push(warning);
    }
    if kept.len() < all {
        kept.push(rest(all - kept.len()));
    }
    kept
}
