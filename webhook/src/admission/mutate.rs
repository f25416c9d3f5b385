//! `/mutate`: stamps on Deployments, on Canaries the name of the person who asks, and on `CanaryPolicies` what they
//! are about.

use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::policy::{CanaryPolicy, labels};
use canary_core::request::{Verb, Waiting};
use canary_core::revision::revision;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::core::admission::Operation;

use super::{Answer, Config, Request, Subject, View, patch, sentence};

/// Answers a review of the mutating webhook.
pub fn mutate(request: &Request, view: &dyn View, config: &Config) -> Answer {
    match Subject::of(request, config) {
        Some(Subject::Deployment) => stamp(request, view),
        Some(Subject::Canary) => sign(request),
        Some(Subject::Policy) => label(request),
        Some(Subject::MetricTemplate) | None => Answer::allow(),
    }
}

/// Says on a Deployment who changed its template to which revision, and puts back what is the server's.
/// Everything comes from the two objects and the user: reinvoked after another webhook, it says the same or
/// corrects itself.
fn stamp(request: &Request, view: &dyn View) -> Answer {
    let (Operation::Update, Some(new), Some(old)) =
        (&request.operation, &request.object, &request.old_object)
    else {
        return Answer::allow();
    };
    let ours = is_managed(new) || is_managed(old);
    if !ours || is_generated(old) || new.metadata.deletion_timestamp.is_some() {
        return Answer::allow();
    }
    let (template, before) = (&new.data["spec"]["template"], &old.data["spec"]["template"]);
    let canary = acting_canary(request, view);
    let changed = template != before;
    let revision = changed.then(|| revision(template));
    let user = request.user_info.username.as_deref();
    // Only a template changes stamps: what the request made of them otherwise is undone.
    let stamps = match &revision {
        Some(revision) => [Some(revision.as_str()), user],
        None => STAMPS.map(|key| annotation(old, key)),
    };
    let mut annotations: Vec<_> = STAMPS.into_iter().zip(stamps).collect();
    let mut patch = patch::Patch::default();
    // What nobody manages any more may lose its label for good.
    if canary.is_some() && is_managed(old) {
        annotations.extend(notes(old, new, changed));
        if !new.labels().contains_key(names::MANAGED_LABEL) {
            patch = patch::labels(new, &[(names::MANAGED_LABEL, Some(names::MANAGED_VALUE))]);
        }
    }
    patch.0.extend(patch::annotations(new, &annotations).0);
    let answer = Answer::patch(patch);
    match (canary, &revision) {
        (Some(canary), Some(revision)) => answer
            .warn([sentence::on_change(&canary, revision, before, template)])
            .audit("canary", canary.name_any()),
        _ => answer,
    }
}

const STAMPS: [&str; 2] = [names::TRIGGERED_REVISION, names::TRIGGERED_BY];

/// The server's notes as they were, where a manifest that knows nothing of them dropped them, or where an old
/// ReplicaSet brought back those of its time. Another value without another template is for the policy to
/// refuse (policies.yaml).
fn notes<'a>(
    old: &'a DynamicObject,
    new: &DynamicObject,
    changed: bool,
) -> Vec<(&'static str, Option<&'a str>)> {
    let notes = [names::PROMOTED_IMAGES, names::LOCKED_BY];
    let lost = |key: &&str| changed || annotation(new, key).is_none();
    let before = |key| (key, annotation(old, key));
    notes.into_iter().filter(lost).map(before).collect()
}

/// Writes on a Canary who asked for what its request annotation says.
fn sign(request: &Request) -> Answer {
    let Some(new) = &request.object else {
        return Answer::allow();
    };
    if new.metadata.deletion_timestamp.is_some() {
        return Answer::allow();
    }
    let old = request.old_object.as_ref();
    if let Some(old) = old
        && let Some(kept) = kept(request, old, new)
    {
        return kept;
    }
    let wish = annotation(new, names::REQUEST);
    let by = if wish == old.and_then(|old| annotation(old, names::REQUEST)) {
        old.and_then(|old| annotation(old, names::REQUESTED_BY))
    } else {
        wish.and(request.user_info.username.as_deref())
    };
    Answer::patch(patch::annotations(new, &[(names::REQUESTED_BY, by)]))
}

const ASKED: [&str; 3] = [names::REQUEST, names::REQUEST_REASON, names::REQUESTED_BY];

/// A rollback that nobody has answered stays where a manifest that knows nothing of it leaves it out, as
/// `kubectl replace` does. Who means to take it back writes an empty one.
fn kept(request: &Request, old: &DynamicObject, new: &DynamicObject) -> Option<Answer> {
    if annotation(new, names::REQUEST).is_some() {
        return None;
    }
    let canary = old.clone().try_parse::<Canary>().ok()?;
    let waiting = Waiting::on(&canary).filter(|it| it.request.verb == Verb::Rollback)?;
    let annotations = ASKED.map(|key| (key, annotation(old, key)));
    let namespace = request.namespace.as_deref().unwrap_or_default();
    let warning = format!(
        "{}. The request stays, though this leaves it out; to take it back: {}",
        waiting.told(None),
        Waiting::taken_back(&request.name, namespace)
    );
    let answer = Answer::patch(patch::annotations(new, &annotations));
    Some(answer.warn([sentence::fit(&warning)]))
}

/// Labels a policy with what it is about.
fn label(request: &Request) -> Answer {
    let Some(new) = &request.object else {
        return Answer::allow();
    };
    // What cannot be read is refused by /validate.
    let Ok(policy) = new.clone().try_parse::<CanaryPolicy>() else {
        return Answer::allow();
    };
    let wanted = labels(&policy.spec).map(|(key, value)| (key, Some(value)));
    Answer::patch(patch::labels(new, &wanted))
}

fn annotation<'a>(object: &'a DynamicObject, key: &str) -> Option<&'a str> {
    object
        .metadata
        .annotations
        .as_ref()?
        .get(key)
        .map(String::as_str)
}

fn is_managed(object: &DynamicObject) -> bool {
    object
        .labels()
        .get(names::MANAGED_LABEL)
        .is_some_and(|value| value == names::MANAGED_VALUE)
}

/// A primary follows its Canary, not the other way round. To be asked of what was there before the request:
/// only there is the mark the server's, and an owner reference is anybody's.
pub(super) fn is_generated(old: &DynamicObject) -> bool {
    old.labels().contains_key(names::GENERATED)
}

/// The Canary of a Deployment; of several the oldest, as the controller has it.
pub(super) fn acting_canary(request: &Request, view: &dyn View) -> Option<Arc<Canary>> {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    view.canaries_for(namespace, &request.name)
        .into_iter()
        .filter(|canary| canary.spec.target_ref.kind == "Deployment")
        .min_by_key(|canary| (canary.creation_timestamp(), canary.name_any()))
}
