//! Other Services that lead to the target's pods: once the target is scaled away they lead to none, unless they
//! are pointed at the primary as the apex is.
//!
//! ```text
//!  selects the target's pods, and not the primary's ─┬─ follow: primary   pointed at the primary, given back
//!                                                    ├─ follow: ignore    left alone
//!                                                    └─ nothing said      held at the first adoption, or told
//! ```

use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names::{FOLLOW, FOLLOW_IGNORE, FOLLOW_PRIMARY};
use canary_core::revision;
use canary_core::selector::{Labels, Selector};
use canary_core::status::Phase;
use serde_json::Value;

use crate::caches::Caches;
use crate::foreign;
use crate::target::service::Side;
use crate::target::view::Deployment;

/// What becomes of an adoption that takes the pods away from other Services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OtherServices {
    /// It waits until each of them says what is to become of it
    #[default]
    Hold,
    /// It goes on, and a condition names them
    Warn,
}

/// Whose pods the Services are asked about.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    pub canary: &'a Canary,
    pub target: &'a Deployment,
    pub primary: Option<&'a Deployment>,
    pub selector: &'a Selector,
}

/// The target still serves them, and is about to be scaled away by us for the first time. What Flagger ran
/// is not: its target was scaled away long ago.
pub fn is_adoption(canary: &Canary) -> bool {
    let status = canary.status.as_ref();
    status.is_none_or(|status| {
        let ours = status.last_applied_spec.as_deref();
        matches!(status.phase, Phase::New | Phase::Initializing)
            && ours.is_none_or(revision::is_ours)
    })
}

/// What is to be said of a Canary that nobody has adopted yet, as far as the caches tell.
pub fn warning(canary: &Canary, order: &[String], caches: &Caches) -> Option<String> {
    if !is_adoption(canary) {
        return None;
    }
    let (target, primary, selector) = foreign::reviewed(canary, order, caches)?;
    let sides = Sides {
        canary,
        target: &target,
        primary: primary.as_deref(),
        selector: &selector,
    };
    sides.held(caches)
}

// === impl Sides ===

impl Sides<'_> {
    /// Services that would lose their pods by the adoption, and do not say that they may.
    pub fn held(self, caches: &Caches) -> Option<String> {
        let namespace = self.canary.namespace_name();
        let mut stranded = self.stranded(caches);
        // One that leads nowhere loses nothing. Pods that are wanted are about to be there.
        stranded.retain(|name| {
            self.target.replicas > 0 || !caches.addresses(namespace, name).is_empty()
        });
        self.sentence(&stranded)
    }

    /// Services that lead to the target's pods alone.
    pub fn told(self, caches: &Caches) -> Option<String> {
        self.sentence(&self.stranded(caches))
    }

    fn stranded(self, caches: &Caches) -> Vec<String> {
        let canary = self.canary;
        let namespace = canary.namespace_name();
        let pods = &self.target.pod_labels;
        let of_primary = self.primary_pods();
        let mut found = caches.services_of(namespace, pods, |name, service| {
            let silent = service.follow.is_none() && !service.generated;
            let theirs = service.selects(pods) && !service.selects(&of_primary);
            (silent && theirs && !self.is_own(name)).then(|| name.to_owned())
        });
        if !found.is_empty() {
            let all = caches.canaries.in_namespace(namespace);
            found.retain(|name| !all.iter().any(|other| other.apex() == name));
        }
        found
    }

    fn is_own(self, name: &str) -> bool {
        let sides = [Side::Apex, Side::Primary, Side::Canary];
        sides.into_iter().any(|side| side.name(self.canary) == name)
    }

    /// Labels of the primary's pods, or what they will be.
    pub fn primary_pods(self) -> Labels {
        let template = self.primary.map(|primary| &primary.pod_labels);
        let mut pods = template.unwrap_or(&self.target.pod_labels).clone();
        pods.extend(self.selector.primary().clone());
        pods
    }

    /// The Services that are to follow the primary, and lead to either side.
    pub fn followers(self, caches: &Caches) -> Vec<Arc<Value>> {
        self.pick(caches, |follow, _| follow == Some(FOLLOW_PRIMARY))
    }

    /// The Services that followed the primary, whatever is said of them now.
    pub fn followed(self, caches: &Caches) -> Vec<Arc<Value>> {
        self.pick(caches, |_, adopted| adopted)
    }

    fn pick(self, caches: &Caches, wanted: impl Fn(Option<&str>, bool) -> bool) -> Vec<Arc<Value>> {
        let namespace = self.canary.namespace_name();
        let of_target = self.target.pod_labels.clone();
        let mut names = Vec::new();
        for pods in [of_target, self.primary_pods()] {
            names.extend(caches.services_of(namespace, &pods, |name, service| {
                let theirs = wanted(service.follow.as_deref(), service.adopted)
                    && !service.generated
                    && !self.is_own(name)
                    && (service.selects(&self.target.pod_labels)
                        || self.selector.is_of_primary(&service.selector));
                theirs.then(|| name.to_owned())
            }));
        }
        names.sort_unstable();
        names.dedup();
        let of = |name: &String| caches.service(namespace, name);
        names.iter().filter_map(of).collect()
    }

    fn sentence(self, stranded: &[String]) -> Option<String> {
        let (target, apex) = (self.canary.target_name(), self.canary.apex());
        let those = match stranded {
            [] => return None,
            [_] => "Service",
            _ => "Services",
        };
        let lead = if stranded.len() == 1 { "leads" } else { "lead" };
        Some(format!(
            "{those} {} {lead} to the pods of {target} alone, and to none while it is at rest: annotate each {FOLLOW}={FOLLOW_PRIMARY} (pointed at the primary, as {apex} is) or {FOLLOW}={FOLLOW_IGNORE}",
            stranded.join(", "),
        ))
    }
}
