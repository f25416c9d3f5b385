//! What a tick looks at: one Canary and everything around it, as the caches have it now.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::capability::{Capability, capability};
use canary_core::release::readiness::readiness;
use canary_core::release::{
    Answers, Facts, Governance, Problem, Routes, Serving, Settings, Wish, Workload,
};
use canary_core::selector::{Selector, Trouble};
use canary_core::{names, request, size};
use jiff::Timestamp;
use serde_json::Value;

use crate::api::Kind;
use crate::cache::Key;
use crate::caches::{Caches, label_key};
use crate::others::OtherServices;
use crate::router::{Live, Router, router};
use crate::target::autoscaler::{self, Choice};
use crate::target::config::ConfigRef;
use crate::target::generated::names_as_owner;
use crate::target::service::{self, Side};
use crate::target::view::{Deployment, strings};

/// Flags that shape what is seen.
#[derive(Clone, Debug)]
pub struct Options {
    pub provider: String,
    pub selector_labels: Vec<String>,
    pub label_prefixes: Vec<String>,
    pub config_tracking: bool,
    pub other_services: OtherServices,
    pub min_interval: std::time::Duration,
    pub drain: std::time::Duration,
}

pub struct World {
    pub canary: Arc<Canary>,
    pub namespace: String,
    pub capability: Capability,
    pub router: Option<&'static dyn Router>,
    pub target: Arc<Deployment>,
    pub primary: Option<Arc<Deployment>>,
    /// What tells the pods of the two sides.
    pub selector: Selector,
    pub apex: Option<Arc<Value>>,
    pub autoscaler: Option<Arc<Value>>,
    pub route_source: Option<Arc<Value>>,
    pub route_generated: Option<Arc<Value>>,
    /// Several autoscalers scale the target, and none was chosen.
    pub ambiguous_autoscalers: Vec<String>,
}

pub fn problem(reason: &'static str, message: impl Into<String>) -> Problem {
    Problem {
        reason,
        message: message.into(),
    }
}

/// What a Canary depends on, by name: a change of any wakes it.
pub fn interests(canary: &Canary, target: Option<&Deployment>) -> HashSet<(Kind, Key)> {
    let key = |name: &str| Key::new(canary.namespace_name(), name);
    let mut set = HashSet::from([
        (
            Kind::Canary,
            key(canary.metadata.name.as_deref().unwrap_or_default()),
        ),
        (Kind::Deployment, key(canary.target_name())),
        (Kind::Deployment, key(&canary.primary_name())),
        (Kind::Autoscaler, key(canary.target_name())),
        (Kind::Autoscaler, key(&canary.primary_name())),
    ]);
    for service in [
        canary.apex().to_owned(),
        canary.primary_service(),
        canary.canary_service(),
    ] {
        set.insert((Kind::Service, key(&service)));
        set.insert((Kind::EndpointSlice, key(&service)));
    }
    set.insert((Kind::Disruption, key("")));
    for (name, value) in target.iter().flat_map(|target| &target.pod_labels) {
        let namespace = canary.namespace_name();
        let of_target = label_key(namespace, (name, value));
        let of_primary = label_key(namespace, (name, &names::primary_value(value)));
        set.insert((Kind::Service, of_target.clone()));
        set.insert((Kind::Disruption, of_target));
        set.insert((Kind::Disruption, of_primary));
    }
    if let Some(reference) = &canary.spec.autoscaler_ref {
        set.insert((Kind::Autoscaler, key(&reference.name)));
    }
    if let (Some(route), Some(generated)) = (canary.route(), canary.canary_route()) {
        set.insert((Kind::Route, key(&route.name)));
        set.insert((Kind::Route, key(&generated)));
    }
    for config in target
        .map(|target| target.configs.as_slice())
        .unwrap_or_default()
    {
        set.insert((config.kind(), key(&config.name)));
        set.insert((config.kind(), key(&names::primary_of(&config.name))));
    }
    set
}

/// A route that is there and was never read must not be taken for one that is not.
fn check_readable(caches: &Caches, namespace: &str, route: &str) -> Result<(), Problem> {
    let bad = caches.unreadable(Kind::Route, &Key::new(namespace, route));
    match bad.filter(|_| caches.route(namespace, route).is_none()) {
        None => Ok(()),
        Some(error) => {
            let text =
                format!("ApisixRoute {namespace}/{route} is there and cannot be read: {error}");
            Err(problem("RouteInvalid", text))
        }
    }
}

// === impl World ===

impl World {
    pub fn look(canary: &Arc<Canary>, caches: &Caches, options: &Options) -> Result<Self, Problem> {
        let namespace = canary.namespace_name().to_owned();
        let id = format!("{}.{namespace}", canary.target_name());
        let provider = canary.provider_or(&options.provider);
        let capability = capability(provider)
            .ok_or_else(|| problem("Invalid", format!("spec.provider: {provider} is unknown")))?;
        let target = caches
            .deployments
            .get(&namespace, canary.target_name())
            .ok_or_else(|| problem("TargetNotFound", format!("deployment {id} not found")))?;
        let primary = caches.deployments.get(&namespace, &canary.primary_name());
        let selector = selector(canary, &target, primary.as_deref(), caches, options)?;
        let (autoscaler, ambiguous_autoscalers) = choose_autoscaler(canary, caches, &namespace)?;
        let router = router(provider);
        let (route_source, route_generated) = match router {
            Some(router) => {
                let (source, generated) = router
                    .names(canary)
                    .map_err(|error| problem("RouteInvalid", error.to_string()))?;
                for name in [&source, &generated] {
                    check_readable(caches, &namespace, name)?;
                }
                (
                    caches.route(&namespace, &source),
                    caches.route(&namespace, &generated),
                )
            }
            None => (None, None),
        };
        let world = Self {
            primary,
            apex: caches.service(&namespace, canary.apex()),
            canary: canary.clone(),
            namespace,
            capability,
            router,
            target,
            selector,
            autoscaler,
            route_source,
            route_generated,
            ambiguous_autoscalers,
        };
        world.check_route()?;
        Ok(world)
    }

    /// A route that cannot be written is found before anything rests on it.
    fn check_route(&self) -> Result<(), Problem> {
        let Some(router) = self.router else {
            return Ok(());
        };
        let written = router.write(&self.canary, self.live(), Routes::ALL_PRIMARY);
        written
            .map(|_| ())
            .map_err(|error| problem("RouteInvalid", error.to_string()))
    }

    pub fn key(&self) -> Key {
        Key::new(
            &self.namespace,
            self.canary.metadata.name.clone().unwrap_or_default(),
        )
    }

    pub fn live(&self) -> Live<'_> {
        Live {
            source: self.route_source.as_deref(),
            generated: self.route_generated.as_deref(),
        }
    }

    pub fn routes(&self) -> Option<Routes> {
        self.router?.read(&self.canary, self.live())
    }

    /// A Service of ours as it should be.
    pub fn service(&self, side: Side) -> Value {
        service::desired(side, &self.canary, &self.selector, &self.target.ports)
    }

    pub fn facts(
        &self,
        caches: &Caches,
        options: &Options,
        configs: BTreeMap<ConfigRef, String>,
        now: Timestamp,
    ) -> Facts {
        let canary = &self.canary;
        let primary_addresses = caches.addresses(&self.namespace, &canary.primary_service());
        let apex_addresses = caches.addresses(&self.namespace, canary.apex());
        Facts {
            now,
            settings: Settings {
                capability: self.capability,
                min_interval: options.min_interval,
                drain: options.drain,
            },
            problems: Vec::new(),
            target_gone: false,
            target: self.target_workload(),
            primary: self
                .primary
                .as_ref()
                .map(|primary| self.primary_workload(primary)),
            routes: self.routes(),
            serving: Serving {
                primary: primary_addresses.len(),
                apex: apex_addresses
                    .iter()
                    .filter(|address| primary_addresses.contains(address))
                    .count(),
                adopted: self
                    .apex
                    .as_ref()
                    .is_some_and(|apex| !self.selects_primary(apex)),
                contested: false,
                pointed: self.pointed(),
            },
            configs: configs
                .into_iter()
                .map(|(config, checksum)| (config.id(), checksum))
                .collect(),
            scale_up_to: self.scale_up_to(),
            request: wish(canary),
            policy: Governance::default(),
            canary_addresses: caches.addresses(&self.namespace, &canary.canary_service()),
            answers: Answers::default(),
        }
    }

    fn selects_primary(&self, apex: &Value) -> bool {
        service::leads_to_primary(apex, &self.selector)
    }

    fn pointed(&self) -> bool {
        let apex = self
            .apex
            .as_ref()
            .is_some_and(|apex| self.selects_primary(apex));
        apex && (self.router.is_none() || self.routes().is_some())
    }

    fn target_workload(&self) -> Workload {
        let target = &self.target;
        let threshold = self.canary.canary_ready_threshold();
        Workload {
            uid: target.uid.clone(),
            generation: target.generation,
            revision: target.revision.clone(),
            replicas: target.replicas,
            ready: target.counts.ready,
            readiness: readiness(self.canary.target_name(), target.counts, threshold),
            images: target.images.clone(),
            replicas_manager: target.replicas_manager.clone(),
            wanted: size::wanted(target.replicas, target.wish).filter(|_| self.sizes_itself()),
            changed_by: target
                .triggered
                .as_ref()
                .filter(|(revision, _)| *revision == target.revision)
                .map(|(_, by)| by.clone()),
            break_glass: target.break_glass.clone(),
        }
    }

    fn primary_workload(&self, primary: &Deployment) -> Workload {
        let threshold = self.canary.primary_ready_threshold();
        Workload {
            uid: primary.uid.clone(),
            generation: primary.generation,
            revision: primary.promoted.clone().unwrap_or_default(),
            replicas: primary.replicas,
            ready: primary.counts.ready,
            readiness: readiness(&self.canary.primary_name(), primary.counts, threshold),
            images: primary.images.clone(),
            replicas_manager: primary.replicas_manager.clone(),
            wanted: None,
            changed_by: None,
            break_glass: None,
        }
    }

    /// Replicas of a primary that is created.
    pub fn scale_primary_to(&self) -> i32 {
        match &self.autoscaler {
            Some(autoscaler) if self.target.replicas == 0 => autoscaler::min_replicas(autoscaler),
            Some(_) => self.target.replicas,
            None => {
                let target = &self.target;
                size::of_new_primary(target.replicas, target.wish, target.remembered)
            }
        }
    }

    /// Nothing else says how many pods the primary has.
    pub const fn sizes_itself(&self) -> bool {
        self.autoscaler.is_none() && self.ambiguous_autoscalers.is_empty()
    }

    fn scale_up_to(&self) -> i32 {
        let target = &self.target;
        let status = self.canary.status.as_ref();
        let release = status.and_then(|status| status.release.as_ref());
        let wanted = release
            .filter(|release| release.revision == target.revision)
            .and_then(|release| release.replicas);
        let primary = self.primary.as_ref().map(|primary| primary.replicas);
        match &self.autoscaler {
            Some(autoscaler) if target.replicas == 0 => autoscaler::min_replicas(autoscaler),
            Some(_) => target.replicas,
            None => size::of_canary(target.replicas, target.wish, wanted, primary),
        }
    }
}

/// What tells the pods of target and primary. A primary that exists says by what it is found; a Deployment
/// of its name that is not this Canary's says nothing.
fn selector(
    canary: &Canary,
    target: &Deployment,
    primary: Option<&Deployment>,
    caches: &Caches,
    options: &Options,
) -> Result<Selector, Problem> {
    let primary = primary.filter(|primary| names_as_owner(&primary.ownership, canary));
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
                "deployment {name}.{namespace} cannot be told from its primary: {trouble}. Make it select by {keys} with a value that the primary's selector does not have, or delete the Canary and create it anew; nothing is touched until then"
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

type Chosen = (Option<Arc<Value>>, Vec<String>);

fn choose_autoscaler(canary: &Canary, caches: &Caches, namespace: &str) -> Result<Chosen, Problem> {
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

fn wish(canary: &Canary) -> Option<Wish> {
    let annotations = canary.metadata.annotations.as_ref()?;
    let raw = annotations.get(names::REQUEST)?;
    let parsed = request::parse(raw);
    let reason = annotations.get(names::REQUEST_REASON);
    let reason = reason.and_then(|reason| parsed.as_ref().ok()?.reason(reason));
    Some(Wish {
        raw: raw.clone(),
        reason: reason.map(str::to_owned),
        by: annotations.get(names::REQUESTED_BY).cloned(),
        parsed: parsed.map_err(|error| error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_reason_of_an_earlier_request_is_not_taken_for_that_of_this_one() {
        let reason = |annotation: &str, request: &str| {
            let canary = json!({
                "metadata": { "name": "podinfo", "annotations": {
                    names::REQUEST: request, names::REQUEST_REASON: annotation,
                } },
                "spec": { "targetRef": { "kind": "Deployment", "name": "podinfo" }, "service": { "port": 80 } },
            });
            wish(&serde_json::from_value(canary).unwrap())
                .unwrap()
                .reason
        };
        let request = "promote v1-1 uid 2";
        assert_eq!(reason("2 lunch", request).as_deref(), Some("lunch"));
        assert_eq!(reason("1 lunch", request), None);
        assert_eq!(reason("lunch", request), None);
        assert_eq!(reason("2 lunch", "promote"), None);
    }
}
