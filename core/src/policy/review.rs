//! What a policy has against a write: each object judged against the one before it.
//!
//! What was wrong before may stay wrong: a policy that was tightened must not keep anybody from
//! labelling an object. Only what got worse is objected to.

mod caps;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

pub use self::caps::canary;
use super::image::Image;
use super::release::{Moment, is_releasing};
use super::{Objection, Policy};
use crate::canary::Canary;
use crate::names;
use crate::request::{Request, Verb};
use crate::revision::{images as images_of, revision};

/// A Deployment that is created, or whose pod template changes.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub name: &'a str,
    /// The pod template before; none at creation.
    pub before: Option<&'a Value>,
    /// The pod template after.
    pub after: &'a Value,
    /// A Service selects its pods.
    pub served: bool,
    /// Its Canary, and when.
    pub moment: Moment<'a>,
}

/// A request annotation that is written.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub canary: &'a Canary,
    pub request: &'a Request,
    /// Who asks, as admission knows; none if it never saw the request.
    pub by: Option<&'a str>,
    /// Why, as [`Request::reason`] reads it.
    pub reason: Option<&'a str>,
    pub now: Timestamp,
}

/// The reason of a break-glass that this very request wrote: one that was there before opens
/// nothing, nor does one without a reason.
pub fn break_glass<'a>(
    before: Option<&BTreeMap<String, String>>,
    after: Option<&'a BTreeMap<String, String>>,
) -> Option<&'a str> {
    let of = |annotations: Option<&'a BTreeMap<String, String>>| {
        annotations?.get(names::BREAK_GLASS).map(String::as_str)
    };
    let before = before.and_then(|annotations| annotations.get(names::BREAK_GLASS));
    of(after)
        .filter(|reason| !reason.trim().is_empty())
        .filter(|reason| before.is_none_or(|before| before != reason))
}

// === impl Change ===

impl Change<'_> {
    /// Whether another template is asked for.
    pub fn is_another_template(&self) -> bool {
        self.before != Some(self.after)
    }

    /// Whether it sets the template back to what the primary runs.
    pub fn is_rollback(&self) -> bool {
        self.moment.promoted() == Some(revision(self.after).as_str())
    }

    /// Whether it is the revision that is being released already.
    fn is_underway(&self) -> bool {
        self.moment
            .canary
            .filter(|canary| is_releasing(canary))
            .and_then(|canary| canary.status.as_ref()?.release.as_ref())
            .is_some_and(|release| release.revision == revision(self.after))
    }
}

/// All that `policy` has against the change of a Deployment.
pub fn deployment(policy: &Policy, change: &Change<'_>) -> Vec<Objection> {
    let mut found = images(policy, change.before, change.after);
    found.extend(release(policy, change));
    found
}

/// What needs other objects or the exact clock.
pub fn release(policy: &Policy, change: &Change<'_>) -> Vec<Objection> {
    let mut found: Vec<_> = required(policy, change).into_iter().collect();
    found.extend(policy.start(&change.moment));
    found.extend(policy.running(&change.moment));
    // The template is hashed to know, which costs more than all rules together: asked last, and mostly not.
    if found.is_empty()
        || !change.is_another_template()
        || change.is_rollback()
        || change.is_underway()
    {
        return Vec::new();
    }
    found
}

fn required(policy: &Policy, change: &Change<'_>) -> Option<Objection> {
    let rules = policy.spec.canary.as_ref()?;
    (rules.required && change.served && change.moment.canary.is_none()).then(|| {
        policy.objection(
            "spec.canary.required",
            format!(
                "a Service selects the pods of Deployment {0}, which has no Canary: create one with targetRef {0} first",
                change.name
            ),
        )
    })
}

/// What `policy` has against the images whose containers changed them.
pub fn images(policy: &Policy, before: Option<&Value>, after: &Value) -> Vec<Objection> {
    let Some(rules) = &policy.spec.images else {
        return Vec::new();
    };
    let before = before.map(images_of).unwrap_or_default();
    let changed: Vec<(String, String)> = images_of(after)
        .into_iter()
        .filter(|(container, image)| before.get(container) != Some(image))
        .collect();
    let against = |field: &str, what: String, allowed: &dyn Fn(&Image) -> bool| {
        let found: Vec<_> = changed
            .iter()
            .filter(|(_, image)| !allowed(&Image::read(image)))
            .map(|(container, image)| format!("{container}={image}"))
            .collect();
        (!found.is_empty())
            .then(|| policy.objection(field, format!("{what}, not {}", found.join(", "))))
    };
    let registries = &rules.allowed_registries;
    let tags = &rules.disallowed_tags;
    [
        (!registries.is_empty())
            .then(|| {
                against(
                    "spec.images.allowedRegistries",
                    format!("use an image of {}", registries.join(" or ")),
                    &|image| registries.iter().any(|prefix| image.is_under(prefix)),
                )
            })
            .flatten(),
        rules
            .require_digest
            .then(|| {
                against(
                    "spec.images.requireDigest",
                    "name images by their digest (name@sha256:…)".to_owned(),
                    &Image::is_pinned,
                )
            })
            .flatten(),
        against(
            "spec.images.disallowedTags",
            format!(
                "use an image with another tag than {}, or a digest",
                tags.join(", ")
            ),
            &|image| {
                // A digest says what runs, whatever the tag says.
                image.digest.is_some() || image.tag.as_ref().is_none_or(|tag| !tags.contains(tag))
            },
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What `policy` has against a person's request.
pub fn request(policy: &Policy, asked: &Asked<'_>) -> Vec<Objection> {
    let mut found = Vec::new();
    let promotes = matches!(asked.request.verb, Verb::Promote | Verb::PromoteFull);
    let moment = Moment {
        canary: Some(asked.canary),
        others_releasing: 0,
        now: asked.now,
    };
    if promotes {
        found.extend(policy.going_on(asked.now));
        found.extend(approval(policy, asked));
    }
    if asked.request.verb == Verb::Retry {
        found.extend(policy.start(&moment));
    }
    found
}

fn approval(policy: &Policy, asked: &Asked<'_>) -> Vec<Objection> {
    let Some(rules) = policy
        .spec
        .approvals
        .as_ref()
        .and_then(|approvals| approvals.promote.as_ref())
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if rules.require_reason && asked.reason.is_none() {
        found.push(policy.objection(
            "spec.approvals.promote.requireReason",
            format!(
                "a promotion needs a reason: add --reason, or by hand annotation {} \"<request id> <reason>\"",
                names::REQUEST_REASON
            ),
        ));
    }
    let status = asked.canary.status.as_ref();
    let author = status.and_then(|status| status.release.as_ref()?.by.as_deref());
    let own = rules.not_by_author && author.is_some();
    match asked.by {
        Some(by) if own && Some(by) == author => found.push(policy.objection(
            "spec.approvals.promote.notByAuthor",
            format!("{by} started this release: let somebody else promote it"),
        )),
        // Whoever slipped by admission may be the author.
        None if own => found.push(
            policy.objection(
                "spec.approvals.promote.notByAuthor",
                "who asks is not known, because admission did not see the request: ask again"
                    .to_owned(),
            ),
        ),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests;
