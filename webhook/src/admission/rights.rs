//! Who may decide a release, where the API server itself does not ask: before Kubernetes 1.30 there is no
//! `ValidatingAdmissionPolicy`, and the policy `canary-decisions` of the manifests guards nothing.

use canary_core::names;
use futures::future::BoxFuture;
use kube::core::DynamicObject;
use kube::core::admission::Operation;
use serde_json::Value;

use super::answer::{Answer, Refusal};
use super::{Config, Request, Subject};

/// What a person needs to have on a Canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    Promote,
    Rollback,
    /// Of the `CanaryPolicy` with this name.
    Bypass(String),
}

/// May that user do that? The one question that admission asks of the API server.
pub trait Rights: Send + Sync + 'static {
    /// Whether there is anything to ask: not where a policy does.
    fn asked(&self) -> bool;
    /// An error says why nobody knows.
    fn allowed<'a>(
        &'a self,
        request: &'a Request,
        right: Right,
    ) -> BoxFuture<'a, Result<bool, String>>;
}

/// `answer`, or a 403 if its request decides about a release and its user may not.
pub(super) async fn guard(
    answer: Answer,
    request: &Request,
    rights: &dyn Rights,
    config: &Config,
) -> Answer {
    if !answer.allowed() || !rights.asked() {
        return answer;
    }
    let bypasses = answer.bypasses.iter().cloned();
    let bypasses = bypasses.map(|policy| (Right::Bypass(policy), "its break-glass"));
    for (right, what) in needed(request, config).into_iter().chain(bypasses) {
        let user = request.user_info.username.as_deref().unwrap_or_default();
        let (verb, on, role) = (right.verb(), right.object(request), right.role());
        let message = match rights.allowed(request, right).await {
            Ok(true) => continue,
            Ok(false) => format!(
                "user {user} lacks verb {verb} on {on}, which {what} needs; \
                 ClusterRole {role} grants it"
            ),
            // As the policy does, whose failurePolicy is Fail.
            Err(error) => format!(
                "cannot find out whether user {user} has verb {verb} on {on}: {error}; try again"
            ),
        };
        let by = "rights";
        return Answer::forbidden(vec![Refusal { by, message }]);
    }
    answer
}

/// The rights that a change of a Canary needs, each with what needs it.
fn needed(request: &Request, config: &Config) -> Vec<(Right, &'static str)> {
    let (Some(Subject::Canary), Operation::Update, Some(new), Some(old)) = (
        Subject::of(request, config),
        &request.operation,
        &request.object,
        &request.old_object,
    ) else {
        return Vec::new();
    };
    let mut needed = Vec::new();
    let wish = |object: &DynamicObject| {
        let annotations = object.metadata.annotations.as_ref();
        annotations
            .and_then(|all| all.get(names::REQUEST))
            .cloned()
            .unwrap_or_default()
    };
    let wished = wish(new);
    if !wished.is_empty() && wished != wish(old) {
        // Pausing and retrying steer a release as promoting does; only the way back has its own verb.
        let right = if wished.starts_with("rollback ") {
            Right::Rollback
        } else {
            Right::Promote
        };
        needed.push((right, "this request"));
    }
    let skips = |object: &DynamicObject| object.data["spec"]["skipAnalysis"] == Value::Bool(true);
    if skips(new) && !skips(old) {
        needed.push((Right::Promote, "setting spec.skipAnalysis"));
    }
    needed
}

// === impl Right ===

impl Right {
    /// The RBAC verb.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Bypass(_) => "bypass",
        }
    }

    /// What it is a right on, in words.
    fn object(&self, request: &Request) -> String {
        let namespace = request.namespace.as_deref().unwrap_or_default();
        match self {
            Self::Bypass(policy) => format!("canarypolicies.policy.kubectl-canary.dev {policy}"),
            _ => format!("canaries.flagger.app {namespace}/{}", request.name),
        }
    }

    const fn role(&self) -> &'static str {
        match self {
            Self::Bypass(_) => "canary-bypass",
            _ => "canary-operator",
        }
    }
}
