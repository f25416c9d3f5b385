//! What a tick looks at: one Canary and everything around it, as the caches have it now.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::capability::{Capability, capability};
use canary_core::release::in_force;
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
use crate::router::{Live, RouteError, Router, router};
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
    /// By the names that are in force.
    pub canary: Arc<Canary>,
    pub namespace: String,
    /// What is missing, or refused: it closes the ways forward.
    pub problems: Vec<Problem>,
    /// What the spec names, and is followed once the release in progress has ended.
    pub pending: Vec<String>,
    /// It is not known what should be generated: nothing of it is written.
    pub unsure: bool,
    pub capability: Capability,
    pub router: Option<&'static dyn Router>,
    pub target: Arc<Deployment>,
    /// What the target refers to could not be read: what was known of it counts.
    pub configs_unknown: bool,
    /// The target is not there: what stands for it is what is remembered of it.
    pub target_gone: bool,
    pub primary: Option<Arc<Deployment>>,
    /// What tells the pods of the two sides.
    pub selector: Selector,
    pub apex: Option<Arc<Value>>,
    pub autoscaler: Option<Arc<Value>>,
    /// The one that the Canary names is not there: somebody scales, and nobody knows how.
    pub autoscaler_missing: bool,
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

/// The Canary by the names that are in force, and what its spec names for later.
fn by_names_in_force(canary: &Arc<Canary>, caches: &Caches) -> (Arc<Canary>, Vec<String>) {
    let namespace = canary.namespace_name();
    let there = |name: &str| caches.route(namespace, name).is_some();
    match in_force::followed(canary, there) {
        Some(followed) => (Arc::new(followed.canary), followed.pending),
        None => (canary.clone(), Vec::new()),
    }
}

// === impl World ===

impl World {
    /// What is there, and what is missing: a look never fails.
    pub fn look(canary: &Arc<Canary>, caches: &Caches, options: &Options) -> Self {
        let (canary, pending) = by_names_in_force(canary, caches);
        let namespace = canary.namespace_name().to_owned();
        let mut problems = Vec::new();
        let (router, capability) = provider_of(&canary, options, &mut problems);
        let found = caches.deployments.get(&namespace, canary.target_name());
        let target_gone = found.is_none();
        if target_gone {
            let text = format!("deployment {}.{namespace} not found", canary.target_name());
            problems.push(problem("TargetNotFound", text));
        }
        let target = found.unwrap_or_else(|| Arc::new(remembered(&canary)));
        let primary = caches.deployments.get(&namespace, &canary.primary_name());
        let selector = match selector(&canary, &target, primary.as_deref(), caches, options) {
            Ok(selector) => selector,
            Err(trouble) => {
                if !target_gone {
                    problems.push(trouble);
                }
                let own = primary.as_ref().map(|primary| &primary.match_labels);
                Selector::of_primary(own.unwrap_or(&BTreeMap::new()))
            }
        };
        // By now everything is known that generated objects are made of.
        let unsure = !problems.is_empty();
        let chosen = choose_autoscaler(&canary, caches, &namespace);
        let autoscaler_missing = chosen.is_err();
        let (autoscaler, ambiguous_autoscalers) = chosen.unwrap_or_else(|missing| {
            problems.push(missing);
            (None, Vec::new())
        });
        let mut world = Self {
            primary,
            apex: caches.service(&namespace, canary.apex()),
            canary,
            namespace,
            problems,
            pending,
            unsure,
            capability,
            router,
            target,
            configs_unknown: false,
            target_gone,
            selector,
            autoscaler,
            autoscaler_missing,
            route_source: None,
            route_generated: None,
            ambiguous_autoscalers,
        };
        if let Err(problem) = world.find_routes(caches) {
            world.problems.push(problem);
        }
        world
    }

    /// Another target was adopted, and no release keeps it in force: what is there was made for that one.
    pub fn is_retargeted(&self) -> bool {
        let status = self.canary.status.as_ref();
        let adopted = status.and_then(|status| status.in_force.as_ref());
        adopted.is_some_and(|names| names.target != self.canary.target_name())
    }

    /// Nothing is generated for a Canary that is refused.
    pub fn refuse(&mut self, problem: Problem) {
        self.unsure = true;
        self.problems.push(problem);
    }

    /// A route that cannot be written is found before anything rests on it.
    fn find_routes(&mut self, caches: &Caches) -> Result<(), Problem> {
        let Some(router) = self.router else {
            return Ok(());
        };
        let invalid = |error: RouteError| problem("RouteInvalid", error.to_string());
        let (source, generated) = router.names(&self.canary).map_err(invalid)?;
        self.route_source = caches.route(&self.namespace, &source);
        self.route_generated = caches.route(&self.namespace, &generated);
        for name in [&source, &generated] {
            check_readable(caches, &self.namespace, name)?;
        }
        let written = router.write(&self.canary, self.live(), Routes::ALL_PRIMARY);
        written.map(|_| ()).map_err(invalid)
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
            problems: self.problems.clone(),
            target_gone: self.target_gone,
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
            configs: self.known_configs(configs),
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

    /// Of a target that is gone: what is known of it, so that its absence is no change.
    fn known_configs(&self, configs: BTreeMap<ConfigRef, String>) -> BTreeMap<String, String> {
        if self.target_gone || self.configs_unknown {
            let status = self.canary.status.as_ref();
            let tracked = status.and_then(|status| status.tracked_configs.clone());
            return tracked.unwrap_or_default();
        }
        let known = configs.into_iter();
        known
            .map(|(config, checksum)| (config.id(), checksum))
            .collect()
    }

    fn target_workload(&self) -> Workload {
        if self.target_gone {
            return Workload::remembered(&self.canary.status.clone().unwrap_or_default());
        }
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
            labels: target.match_labels.clone(),
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
            labels: primary.match_labels.clone(),
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
        self.autoscaler.is_none()
            && !self.autoscaler_missing
            && self.ambiguous_autoscalers.is_empty()
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

/// Its name and what it can do; of one that is not known, those of the server's default.
fn provider_of(
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
fn remembered(canary: &Canary) -> Deployment {
    let status = canary.status.as_ref();
    let names = status.and_then(|status| status.in_force.as_ref());
    Deployment {
        match_labels: names.map(|names| names.labels.clone()).unwrap_or_default(),
        ..Deployment::default()
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
