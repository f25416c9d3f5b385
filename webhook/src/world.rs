//! What a tick looks at: one Canary and everything around it, as the caches have it now.

mod facts;
mod found;

use std::collections::HashSet;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::capability::Capability;
use canary_core::names;
use canary_core::release::{Problem, Routes, in_force};
use canary_core::selector::{Labels, Selector};
use serde_json::Value;

use self::found::{choose_autoscaler, provider_of, remembered, selector};
use crate::api::Kind;
use crate::cache::Key;
use crate::caches::{Caches, label_key};
use crate::others::OtherServices;
use crate::router::{Live, RouteError, Router};
use crate::target::config::own_copy;
use crate::target::followed::{self, Wanted};
use crate::target::service::{self, Side};
use crate::target::view::Deployment;

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
        set.insert((config.kind(), key(&own_copy(canary, &config.name))));
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
                Selector::of_primary(own.unwrap_or(&Labels::new()))
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

    /// A Service of ours as it can be: one that leads to the primary goes on with the ports that its pods have.
    pub fn service_by_now(&self, side: Side, live: Option<&Value>) -> Value {
        let mut desired = self.service(side);
        let Some(primary) = self.primary.as_ref().filter(|_| side != Side::Canary) else {
            return desired;
        };
        let by_primary = service::desired(side, &self.canary, &self.selector, &primary.ports);
        let wanted = Wanted {
            ports: service::ports(&desired),
            by_primary: service::ports(&by_primary),
            declared: &self.target.ports,
            discovers: self.canary.port_discovery(),
        };
        let live = live.map(service::ports).unwrap_or_default();
        desired["spec"]["ports"] = followed::followed(wanted, live, primary).into();
        desired
    }

    /// Ports of the spec that the primary's pods are to have first.
    pub fn ports_not_yet(&self, live: Option<&Value>) -> Vec<String> {
        let (wanted, now) = (
            self.service(Side::Primary),
            self.service_by_now(Side::Primary, live),
        );
        followed::not_yet(service::ports(&wanted), service::ports(&now))
    }
}
