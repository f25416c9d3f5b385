//! The generated Services: that they select pods, whose, and that the routes ask for ports that they have.

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::selector::{Labels, selects, shown};
use serde_json::Value;

use super::{Around, Behind, by_name, match_labels, named, pod_labels, replicas, strings};
use crate::doctor::Check;
use crate::report::trouble::deletion;
use crate::service::{has_port, shown as shown_port};

/// More are not named one by one.
const NAMED: usize = 3;

pub(super) fn checks(canary: &Canary, around: &Around) -> Vec<Check> {
    let primary = (around.primary.as_ref(), canary.primary_name());
    let target = (around.target.as_ref(), canary.target_name().to_owned());
    let sides = [
        (canary.apex().to_owned(), &primary),
        (canary.primary_service(), &primary),
        (canary.canary_service(), &target),
    ];
    let mut checks = Vec::new();
    for (name, (deployment, deployment_name)) in sides {
        let live = by_name(&around.services, &name);
        checks.extend(live.and_then(|live| leaving(canary, &name, live)));
        if let (Some(live), Some(deployment)) = (live, deployment) {
            let side = Side {
                canary,
                service: &name,
                selector: strings(live.pointer("/spec/selector")),
                deployment,
                name: deployment_name,
                is_primary: deployment_name == &primary.1,
            };
            checks.extend(side.check(around.pods.get(&name).map(Vec::as_slice)));
        }
    }
    checks.extend(ports(canary, around));
    checks
}

/// It serves until its last finalizer goes.
fn leaving(canary: &Canary, name: &str, live: &Value) -> Option<Check> {
    live["metadata"]["deletionTimestamp"].as_str()?;
    let finalizers = live["metadata"]["finalizers"].as_array();
    let finalizers = finalizers.into_iter().flatten();
    let finalizers: Vec<String> = finalizers
        .filter_map(|it| it.as_str().map(str::to_owned))
        .collect();
    let namespace = canary.namespace_name();
    let edit = format!("kubectl edit service {name} -n {namespace}");
    let waits = deletion::waits_for(&finalizers);
    let said = format!("Service {name} is being deleted{waits}. It leads to pods until then");
    Some(Check::fail("service", said).hint(deletion::taken_off(&finalizers, &edit)))
}

/// A Service, and the Deployment whose pods it should find.
struct Side<'a> {
    canary: &'a Canary,
    service: &'a str,
    selector: Labels,
    deployment: &'a Value,
    name: &'a str,
    is_primary: bool,
}

// === impl Side ===

impl Side<'_> {
    fn check(&self, pods: Option<&[Behind]>) -> Option<Check> {
        let labels = pod_labels(self.deployment);
        let (service, name) = (self.service, self.name);
        if !selects(&self.selector, &labels) {
            let own: Labels = labels
                .into_iter()
                .filter(|(key, _)| self.selector.contains_key(key))
                .collect();
            let have = if own.is_empty() {
                "none of these labels".to_owned()
            } else {
                shown(&own)
            };
            let said = format!(
                "Service {service} selects {}, and the pods of Deployment {name} have {have}: it selects no pods of {name}",
                shown(&self.selector)
            );
            return Some(Check::fail("selector", said).hint(self.who_writes()));
        }
        let pods = pods?;
        if self.is_primary && replicas(self.deployment) > 0 && !pods.iter().any(|pod| pod.ready) {
            let said = match pods.len() {
                0 => format!(
                    "Service {service} selects no pods: {} finds none",
                    shown(&self.selector)
                ),
                count => format!("none of the {count} pods behind Service {service} is ready"),
            };
            let hint = format!(
                "see what ails them: kubectl canary status {} -n {}",
                self.canary.metadata.name.as_deref().unwrap_or_default(),
                self.canary.namespace_name()
            );
            return Some(Check::fail("selector", said).hint(hint));
        }
        self.foreign(pods).or_else(|| self.bare(pods))
    }

    /// Pods that have the labels of the primary's and are of no Deployment: nobody analysed what they run.
    fn bare(&self, pods: &[Behind]) -> Option<Check> {
        let bare = pods.iter().filter(|pod| pod.bare);
        let bare: Vec<&str> = bare.map(|pod| pod.name.as_str()).collect();
        let first = bare.get(..NAMED.min(bare.len()))?;
        if first.is_empty() {
            return None;
        }
        let more = if bare.len() > NAMED { ", …" } else { "" };
        let said = format!(
            "{} of the {} pods behind Service {} belong to no workload, and no release changes them: {}{more}",
            bare.len(),
            pods.len(),
            self.service,
            first.join(", ")
        );
        let hint = format!(
            "take a label that the Service selects by off each: kubectl label pod NAME {}- -n {}",
            self.selector.keys().next().map_or("LABEL", String::as_str),
            self.canary.namespace_name()
        );
        Some(Check::warn("selector", said).hint(hint))
    }

    /// Pods of somebody else behind it.
    fn foreign(&self, pods: &[Behind]) -> Option<Check> {
        let own = match_labels(self.deployment);
        let foreign: Vec<&str> = pods
            .iter()
            .filter(|pod| !selects(&own, &pod.labels))
            .map(|pod| pod.name.as_str())
            .collect();
        let first = foreign.get(..NAMED.min(foreign.len()))?;
        if first.is_empty() || self.canary.accepts_shared_selector() {
            return None;
        }
        let more = if foreign.len() > NAMED { ", …" } else { "" };
        let said = format!(
            "{} of the {} pods behind Service {} are not of Deployment {}: {}{more}",
            foreign.len(),
            pods.len(),
            self.service,
            self.name,
            first.join(", ")
        );
        let hint = format!(
            "give these pods a label that tells them apart, or accept it: kubectl annotate canary {} {}=true -n {}",
            self.canary.metadata.name.as_deref().unwrap_or_default(),
            names::ALLOW_SHARED_SELECTOR,
            self.canary.namespace_name()
        );
        Some(Check::warn("selector", said).hint(hint))
    }

    fn who_writes(&self) -> String {
        format!(
            "the server writes it back unless something hinders it (line `canary`); who wrote it: kubectl get service {} -n {} -o yaml --show-managed-fields",
            self.service,
            self.canary.namespace_name()
        )
    }
}

/// Ports that the routes ask for, by number or by name.
fn ports(canary: &Canary, around: &Around) -> Vec<Check> {
    let ours = [
        canary.apex().to_owned(),
        canary.primary_service(),
        canary.canary_service(),
    ];
    let routes = [
        canary.route().map(|it| it.name.clone()),
        canary.canary_route(),
    ];
    let routes = routes.iter().flatten();
    let mut checks = Vec::new();
    for route in routes.filter_map(|name| by_name(&around.routes, name)) {
        let rules = route["spec"]["http"].as_array().into_iter().flatten();
        let backends = rules
            .filter_map(|rule| rule["backends"].as_array())
            .flatten();
        for backend in backends {
            let service = backend["serviceName"].as_str().unwrap_or_default();
            let Some(live) = by_name(&around.services, service) else {
                continue;
            };
            let asked = &backend["servicePort"];
            let lacks = !asked.is_null() && !has_port(live, asked);
            if lacks && ours.iter().any(|name| name == service) {
                checks.push(missing(canary, route, live, &backend["servicePort"]));
            }
        }
    }
    checks.dedup();
    checks
}

fn missing(canary: &Canary, route: &Value, service: &Value, asked: &Value) -> Check {
    let all = service["spec"]["ports"].as_array().into_iter().flatten();
    let there: Vec<String> = all
        .map(|it| match it["name"].as_str() {
            Some(name) => format!("{} ({name})", shown_port(it)),
            None => shown_port(it),
        })
        .collect();
    let asked = asked
        .as_str()
        .map_or_else(|| asked.to_string(), str::to_owned);
    let (route, service) = (named(route), named(service));
    let said = format!(
        "ApisixRoute {route} asks Service {service} for port {asked}, and it has {}",
        there.join(", ")
    );
    let namespace = canary.namespace_name();
    let hint = if canary.canary_route().as_deref() == Some(route) {
        format!(
            "the server writes both from spec.service.port unless something hinders it (line `canary`): kubectl edit canary {} -n {namespace}",
            canary.metadata.name.as_deref().unwrap_or_default()
        )
    } else {
        format!("kubectl edit apisixroute {route} -n {namespace}")
    };
    Check::fail("ports", said).hint(hint)
}
