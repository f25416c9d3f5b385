//! `/validate`, as `CanaryPolicies` have it: what needs other objects or the exact clock, and what one
//! object shows where the API server has no policies of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::policy::review::{self, Asked, Change, break_glass};
use canary_core::policy::{CanaryPolicy, Moment, Objection, Policy, Verdict, validate, warnings};
use canary_core::validate::Violation;
use canary_core::{names, request};
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::core::admission::Operation;
use serde_json::Value;

use super::answer::{Answer, Refusal};
use super::mutate::{acting_canary, is_generated};
use super::{Request, View, sentence};
use crate::caches::Stated;

const PLACES: &str = "spec.release.maxConcurrentPerNamespace";

/// Answers for a Deployment.
pub fn on_deployment(request: &Request, view: &dyn View) -> Answer {
    let Some(new) = present(request) else {
        return Answer::allow();
    };
    let (after, before) = (template(new), request.old_object.as_ref().map(template));
    let old = request.old_object.as_ref();
    if before == Some(after) || old.is_some_and(is_generated) {
        return Answer::allow();
    }
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let policies = view.policies(namespace);
    if policies.is_empty() {
        return Answer::allow();
    }
    let canary = acting_canary(request, view);
    let change = Change {
        name: &request.name,
        before,
        after,
        // Only asked of what no Canary manages: a look at every Service of the namespace.
        served: canary.is_none() && view.is_served(namespace, &pod_labels(after)),
        moment: Moment {
            canary: canary.as_deref(),
            others_releasing: others_releasing(view, namespace, canary.as_deref()),
            now: view.now(),
        },
    };
    let against = |policy: &Policy| {
        let mut found = review::deployment(policy, &change);
        // What no Canary manages is no release that takes a place.
        found.retain(|it| canary.is_some() || it.field != PLACES);
        found
    };
    judged(request, &policies, against)
}

/// What policies have against a Canary and the request on it.
pub fn on_canary(request: &Request, view: &dyn View) -> Answer {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let policies = view.policies(namespace);
    let read = |object: &DynamicObject| object.clone().try_parse::<Canary>().ok();
    let (Some(new), false) = (present(request).and_then(read), policies.is_empty()) else {
        return Answer::allow();
    };
    let old = request.old_object.as_ref().and_then(read);
    let wish = old.as_ref().and_then(|old| new_wish(old, &new));
    let moment = Moment {
        canary: Some(&new),
        others_releasing: others_releasing(view, namespace, Some(&new)),
        now: view.now(),
    };
    judged(request, &policies, |policy| {
        let mut found = match &wish {
            Some(wish) => asked(policy, &new, wish, request, &moment),
            None => Vec::new(),
        };
        if old.as_ref().is_none_or(|old| old.spec != new.spec) {
            found.extend(review::canary(policy, old.as_ref(), &new));
        }
        found
    })
}

/// Answers for a `CanaryPolicy` itself.
pub fn on_policy(request: &Request, view: &dyn View) -> Answer {
    let Some(new) = present(request) else {
        return Answer::allow();
    };
    let read = |object: &DynamicObject| object.clone().try_parse::<CanaryPolicy>();
    let policy = match read(new) {
        Ok(policy) => policy,
        Err(error) => {
            let message = format!("cannot be read: {error}");
            return Answer::invalid(vec![Violation {
                field: "spec".to_owned(),
                message,
            }]);
        }
    };
    let old = request.old_object.as_ref().and_then(|old| read(old).ok());
    if old.as_ref().is_some_and(|old| old.spec == policy.spec) {
        return Answer::allow();
    }
    let now = view.now();
    // What was wrong before may stay wrong, so that the rest of it can be mended.
    let before = old.map(|old| validate(&old, now)).unwrap_or_default();
    let (kept, added): (Vec<Violation>, Vec<_>) = validate(&policy, now)
        .into_iter()
        .partition(|violation| before.contains(violation));
    if !added.is_empty() {
        return Answer::invalid(added);
    }
    let told = kept.iter().map(ToString::to_string);
    let told = told.chain(warnings(&policy, now));
    Answer::allow().warn(told.map(|text| sentence::fit(&text)))
}

fn present(request: &Request) -> Option<&DynamicObject> {
    if request.operation == Operation::Delete {
        return None;
    }
    let new = request.object.as_ref()?;
    new.metadata.deletion_timestamp.is_none().then_some(new)
}

fn template(deployment: &DynamicObject) -> &Value {
    &deployment.data["spec"]["template"]
}

fn others_releasing(view: &dyn View, namespace: &str, canary: Option<&Canary>) -> usize {
    let name = canary.and_then(|canary| canary.metadata.name.as_deref());
    view.others_releasing(namespace, name)
}

fn pod_labels(template: &Value) -> BTreeMap<String, String> {
    let labels = template.pointer("/metadata/labels");
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    labels
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The request that this write makes.
fn new_wish(old: &Canary, new: &Canary) -> Option<request::Request> {
    let of = |canary: &Canary| canary.annotations().get(names::REQUEST).cloned();
    let wish = of(new).filter(|wish| Some(wish) != of(old).as_ref())?;
    request::parse(&wish).ok()
}

fn asked(
    policy: &Policy,
    canary: &Canary,
    wish: &request::Request,
    request: &Request,
    moment: &Moment<'_>,
) -> Vec<Objection> {
    let reason = canary.annotations().get(names::REQUEST_REASON);
    let asked = Asked {
        canary,
        request: wish,
        by: request.user_info.username.as_deref(),
        reason: reason.and_then(|reason| wish.reason(reason)),
        now: moment.now,
    };
    review::request(policy, &asked)
}

/// Refuses, warns or records, as each policy wants it; or lets it through for who breaks the glass.
fn judged(
    request: &Request,
    policies: &[Arc<Stated>],
    against: impl Fn(&Policy) -> Vec<Objection>,
) -> Answer {
    let objections: Vec<Objection> = policies.iter().flat_map(|it| against(&it.rules)).collect();
    if objections.is_empty() {
        return Answer::allow();
    }
    if let Some(reason) = glass(request) {
        return let_through(request, &objections, reason);
    }
    let verdict: Verdict = objections.into_iter().collect();
    let refusals = verdict.denied.iter().map(|objection| Refusal {
        by: "policy",
        message: objection.to_string(),
    });
    let refusals: Vec<Refusal> = refusals.collect();
    let answer = if refusals.is_empty() {
        Answer::allow()
    } else {
        Answer::forbidden(refusals)
    };
    let warned = verdict.warned.iter();
    let answer = answer.warn(warned.map(|objection| sentence::fit(&objection.to_string())));
    if verdict.audited.is_empty() {
        return answer;
    }
    let audited: Vec<String> = verdict.audited.iter().map(ToString::to_string).collect();
    answer.audit("forbidden", audited.join("; "))
}

/// The reason of a break-glass that this request writes.
fn glass(request: &Request) -> Option<&str> {
    let old = request.old_object.as_ref();
    let before = old.and_then(|old| old.metadata.annotations.as_ref());
    let new = request.object.as_ref()?;
    break_glass(before, new.metadata.annotations.as_ref())
}

/// The verb was asked for: by a policy of the API server, or by [`super::rights`] after this.
fn let_through(request: &Request, objections: &[Objection], reason: &str) -> Answer {
    let user = request.user_info.username.as_deref().unwrap_or_default();
    let mut policies: Vec<String> = objections.iter().map(|it| it.policy.clone()).collect();
    policies.dedup();
    let told: Vec<String> = policies
        .iter()
        .map(|policy| format!("CanaryPolicy {policy}: {user}: {reason}"))
        .collect();
    let mut answer = Answer::allow().audit("break-glass", told.join("; "));
    answer.bypasses = policies;
    answer
}
