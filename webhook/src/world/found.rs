//! What is found around a Canary: its provider, what tells its pods, its autoscaler.

use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::capability::{Capability, capability};
use canary_core::release::Problem;
use canary_core::selector::{Selector, Trouble};
use serde_json::Value;

use super::{Options, problem};
use crate::caches::Caches;
use crate::router::{Router, router};
use crate::target::autoscaler::{self, Choice};
use crate::target::generated::is_of;
use crate::target::view::{Deployment, strings};

/// Its name and what it can do; of one that is not known, those of the server's default.
pub(super) fn provider_of(
    canary: &Canary,
    options: &Options,
    problems: &mut Vec<Problem>,
) -> (Option<&'static dyn Router>, Capability) {
    let provider = canary.provider_or(&options.provider);
    if let Some(known) = capability(provider) {
        return (router(provider), known);
    }
    let text = format!("spec.provider: {provider} is unknown");
    problems.push(problem("Invalid", text));
    let default = options.provider.as_str();
    (router(default), capability(default).unwrap_or_default())
}

/// What is known of a target that is gone.
pub(super) fn remembered(canary: &Canary) -> Deployment {
    let status = canary.status.as_ref();
    let names = status.and_then(|status| status.in_force.as_ref());
    Deployment {
        match_labels: names.map(|names| names.labels.clone()).unwrap_or_default(),
        ..Deployment::default()
    }
}

/// What tells the pods of target and primary. A primary that exists says by what it is found; a Deployment
/// of its name that is not this Canary's says nothing.
pub(super) fn selector(
    canary: &Canary,
    target: &Deployment,
    primary: Option<&Deployment>,
    caches: &Caches,
    options: &Options,
) -> Result<Selector, Problem> {
    let primary = primary.filter(|primary| is_of(&primary.ownership, canary));
    let (namespace, name) = (canary.namespace_name(), canary.target_name());
    let own = primary.map(|primary| &primary.match_labels);
    let order = &options.selector_labels;
    let mut found = Selector::of(&target.match_labels, own, order);
    if found.is_err() && canary.metadata.deletion_timestamp.is_some() {
        // Nothing is written by it but the way back to the target's pods.
        found = Selector::of(&target.match_labels, None, order);
    }
    let selector = found.map_err(|trouble| match &trouble {
        Trouble::Missing(_) => {
            let text = format!("getSelectorLabel failed: deployment {name}.{namespace} {trouble}");
            problem("SelectorMissing", text)
        }
        Trouble::NotApart { .. } => {
            let keys = own.into_iter().flat_map(|own| own.keys().map(String::as_str));
            let keys = keys.collect::<Vec<_>>().join(" or ");
            let text = format!(
                "deployment {name}.{namespace} cannot be told from its primary: {trouble}. Make it select by {keys} with a value that the primary's selector does not have; nothing is touched until then"
            );
            problem("SelectorNotApart", text)
        }
    })?;
    let Some(primary) = primary else {
        return Ok(selector);
    };
    // All its pods had the labels when its Service began to ask for them, and each template since has.
    let service = caches.service(namespace, &canary.primary_service());
    let asked = service.is_some_and(|it| strings(it.pointer("/spec/selector")) == selector.all());
    Ok(selector.serving_by_all(&primary.pod_labels, asked || primary.is_steady()))
}

pub(super) type Chosen = (Option<Arc<Value>>, Vec<String>);

pub(super) fn choose_autoscaler(
    canary: &Canary,
    caches: &Caches,
    namespace: &str,
) -> Result<Chosen, Problem> {
    let all = match &canary.spec.autoscaler_ref {
        Some(named) => Vec::from_iter(caches.autoscaler(namespace, &named.name)),
        None => caches.autoscalers_of(namespace, canary.target_name()),
    };
    let plain: Vec<&Value> = all.iter().map(AsRef::as_ref).collect();
    match autoscaler::choose(canary, &plain) {
        Choice::None => Ok((None, Vec::new())),
        Choice::One(one) => {
            let chosen = all
                .iter()
                .find(|candidate| std::ptr::eq(candidate.as_ref(), one))
                .cloned();
            Ok((chosen, Vec::new()))
        }
        Choice::Several(names) => Ok((None, names)),
        Choice::Missing(name) => {
            let text = format!(
                "HorizontalPodAutoscaler {name}.{namespace} not found, named by spec.autoscalerRef"
            );
            Err(problem("AutoscalerNotFound", text))
        }
    }
}
