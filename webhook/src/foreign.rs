//! Other workloads whose pods the generated Services would select too: they would get requests that are not
//! theirs, and be measured as if they were the canary.
//!
//! Judged by what their pod templates say. Held is only who is adopted for the first time: an application that
//! is released already is not stopped, and says so in a condition.

use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{Labels, Selector, selects, shown};
use canary_core::status::Phase;

use crate::caches::Caches;
use crate::target::generated::is_of;
use crate::target::view::{Deployment, strings};

/// Another workload, and why it is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// As `deployment worker`.
    pub workload: String,
    pub pods: Labels,
    /// The Canary that releases it, or whose primary it is.
    pub canary: Option<String>,
}

/// What stands in the way of a first adoption, and what is only said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub held: Option<String>,
    pub warned: Option<String>,
}

/// Why a Canary may not be adopted, as far as the caches tell.
pub fn refusal(canary: &Canary, order: &[String], caches: &Caches) -> Option<String> {
    if !is_first_adoption(canary) {
        return None;
    }
    let (target, _, selector) = reviewed(canary, order, caches)?;
    let found = deployments(canary, &selector, caches);
    judge(canary, &selector, &target, &found, caches).held
}

type Reviewed = (Arc<Deployment>, Option<Arc<Deployment>>, Selector);

/// Target, primary and what tells their pods, of a Canary under review; none where nothing can be said yet.
pub fn reviewed(canary: &Canary, order: &[String], caches: &Caches) -> Option<Reviewed> {
    let namespace = canary.namespace_name();
    let target = caches.deployments.get(namespace, canary.target_name())?;
    let primary = caches.deployments.get(namespace, &canary.primary_name());
    let primary = primary.filter(|primary| is_of(&primary.ownership, canary));
    let own = primary.as_deref().map(|primary| &primary.match_labels);
    let selector = Selector::of(&target.match_labels, own, order).ok()?;
    Some((target, primary, selector))
}

/// Nobody has taken the Canary's target yet.
pub fn is_first_adoption(canary: &Canary) -> bool {
    let status = canary.status.as_ref();
    status.is_none_or(|status| status.phase == Phase::New && status.last_promoted_spec.is_none())
}

/// Whether the Services of either side select pods with these labels.
pub fn finds(selector: &Selector, pods: &Labels) -> bool {
    selects(selector.target(), pods) || selects(selector.serving(), pods)
}

/// The other Deployments whose pods the generated Services select.
pub fn deployments(canary: &Canary, selector: &Selector, caches: &Caches) -> Vec<Foreign> {
    let namespace = canary.namespace_name();
    let primary = canary.primary_name();
    let found = caches.deployments.pick(namespace, |name, found| {
        let foreign = name != canary.target_name()
            && name != primary
            && !found.deleting
            && !is_of(&found.ownership, canary)
            && finds(selector, &found.pod_labels);
        foreign.then(|| (name.to_owned(), found.pod_labels.clone()))
    });
    let foreign = found.into_iter().map(|(name, pods)| Foreign {
        canary: canary_of(&name, canary, caches),
        workload: format!("deployment {name}"),
        pods,
    });
    foreign.collect()
}

fn canary_of(deployment: &str, but: &Canary, caches: &Caches) -> Option<String> {
    let all = caches.canaries.in_namespace(but.namespace_name());
    let found = all.iter().find(|other| {
        other.metadata.uid != but.metadata.uid
            && (other.target_name() == deployment || other.primary_name() == deployment)
    })?;
    found.metadata.name.clone()
}

/// What is to be said of them, if anything is.
pub fn judge(
    canary: &Canary,
    selector: &Selector,
    target: &Deployment,
    foreign: &[Foreign],
    caches: &Caches,
) -> Verdict {
    if foreign.is_empty() || canary.accepts_shared_selector() {
        return Verdict::default();
    }
    // Who serves both by one Service of his own has decided so.
    let apex = caches.service(canary.namespace_name(), canary.apex());
    let own = apex.filter(|apex| !is_of(apex, canary));
    let own = own.map(|apex| strings(apex.pointer("/spec/selector")));
    let serves = |pods: &Labels| own.as_ref().is_some_and(|own| selects(own, pods));
    let (held, warned): (Vec<&Foreign>, Vec<&Foreign>) = foreign.iter().partition(|one| {
        one.canary.is_some() || !(serves(&one.pods) && serves(&target.pod_labels))
    });
    Verdict {
        held: sentence(canary, selector, &held),
        warned: sentence(canary, selector, &warned),
    }
}

/// Names the workloads, and what helps.
pub fn sentence(canary: &Canary, selector: &Selector, foreign: &[&Foreign]) -> Option<String> {
    if foreign.is_empty() {
        return None;
    }
    let named: Vec<String> = foreign.iter().map(|one| one.named()).collect();
    Some(format!(
        "the Services of {} select by {} and {}, and so would find the pods of {} too: give one of the Deployments a label in its selector that the other's pods do not have, or annotate the Canary {}=true",
        canary.target_name(),
        shown(selector.target()),
        shown(selector.serving()),
        named.join(", "),
        names::ALLOW_SHARED_SELECTOR,
    ))
}

// === impl Foreign ===

impl Foreign {
    fn named(&self) -> String {
        match &self.canary {
            Some(canary) => format!("{} (of Canary {canary})", self.workload),
            None => self.workload.clone(),
        }
    }
}
