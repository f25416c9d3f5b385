//! What a Service that leads to the primary names of its pods. The Canary's spec and the target's template are
//! ahead of the primary until the promotion, so such a Service goes on with what the primary's pods have.
//!
//! ```text
//!  spec: http ─► web     template: http ─► web     the Service that leads to the primary
//!        web                       http            http, or its number if `web` has the same
//!        web                       web             the same, while pods of the template before are left
//!        web                       web             web
//! ```
//! It follows from what is live now. The same question gets the same answer when the answer is live.
//! All of it pure.

use canary_core::release::readiness::Counts;
use serde_json::{Value, json};

use crate::target::declared::{Port, find};
use crate::target::ports::{apart, is_same, protocol};
use crate::target::view::Deployment;

/// What the Canary asks for. The first of the ports is the spec's, and the others are discovered.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub ports: &'a [Value],
    /// The same, with what is discovered in the primary's template.
    pub by_primary: &'a [Value],
    /// What the target's template declares.
    pub declared: &'a [Port],
    pub discovers: bool,
}

/// The ports of a Service that leads to the primary.
pub fn followed(wanted: Wanted<'_>, live: &[Value], primary: &Deployment) -> Vec<Value> {
    let Some(main) = wanted.ports.first() else {
        return Vec::new();
    };
    let now = counterpart(main, live).map(|port| &port["targetPort"]);
    let mut main = main.clone();
    main["targetPort"] = target_port(&main["targetPort"], now, wanted.declared, primary);
    let mut ports = vec![main];
    if !wanted.discovers {
        return ports;
    }
    let settled = live.is_empty() || is_settled(&primary.counts);
    let all = if settled { wanted.by_primary } else { live };
    for found in all.iter().filter(|port| port["port"] == port["targetPort"]) {
        if is_another(found, &ports, primary) {
            ports.push(found.clone());
        }
    }
    apart(ports)
}

/// What of the wanted ports is not followed yet, for people.
pub fn not_yet(wanted: &[Value], followed: &[Value]) -> Vec<String> {
    let with = |port: &Value| followed.iter().find(|it| is_same(it, port));
    let mut waiting = Vec::new();
    for (index, port) in wanted.iter().enumerate() {
        let named = &port["targetPort"];
        if with(port).is_some_and(|it| it["targetPort"] == *named) {
            continue;
        }
        let shown = named
            .as_str()
            .map_or_else(|| named.to_string(), str::to_owned);
        let field = if index == 0 {
            "targetPort"
        } else {
            "portDiscovery"
        };
        waiting.push(format!("spec.service.{field} {shown}"));
    }
    waiting
}

/// The live port that one takes the place of: of its number, of its name, or the only one.
fn counterpart<'a>(port: &Value, live: &'a [Value]) -> Option<&'a Value> {
    let same = live.iter().find(|it| is_same(it, port));
    let named = || live.iter().find(|it| it["name"] == port["name"]);
    let only = || live.first().filter(|_| live.len() == 1);
    same.or_else(named).or_else(only)
}

/// What is discovered is not what the first port leads to.
fn is_another(found: &Value, ports: &[Value], primary: &Deployment) -> bool {
    ports.iter().all(|port| {
        let named = &port["targetPort"];
        let stands_for = find(&primary.ports, named).map(|port| json!(port.port));
        protocol(found) != protocol(port)
            || found["port"] != port["port"]
                && found["port"] != *named
                && stands_for.is_none_or(|number| found["port"] != number)
    })
}

fn target_port(
    wanted: &Value,
    now: Option<&Value>,
    declared: &[Port],
    primary: &Deployment,
) -> Value {
    let has = |it: &Value| find(&primary.ports, it);
    let Some(other) = now.filter(|now| *now != wanted) else {
        // A container may listen to a number that it does not declare.
        let serves = wanted.is_number() || has(wanted).is_some();
        // Pods of the template before may have the name.
        let may_serve = now.is_some() && !has_come(wanted, wanted, &primary.counts);
        let instead = || in_place_of(wanted, declared, &primary.ports);
        return (!serves && !may_serve)
            .then(instead)
            .flatten()
            .unwrap_or_else(|| wanted.clone());
    };
    if has(wanted).is_some() {
        let come = has_come(wanted, other, &primary.counts);
        return if come { wanted } else { other }.clone();
    }
    let number = find(declared, wanted).map(|port| port.port);
    if let Some(port) = has(other) {
        // Pods of both templates are found by the number that both names stand for.
        let same = wanted.is_string() && number == Some(port.port);
        return if same {
            json!(port.port)
        } else {
            other.clone()
        };
    }
    if !has_come(wanted, other, &primary.counts) {
        return other.clone();
    }
    match (wanted.is_string(), other.is_string()) {
        (true, true) => {
            in_place_of(wanted, declared, &primary.ports).unwrap_or_else(|| wanted.clone())
        }
        (true, false) => other.clone(),
        // The target's template brings it, or nothing is known of either.
        (false, false) if number.is_some() => other.clone(),
        (false, _) => wanted.clone(),
    }
}

/// Whether enough pods are of the primary's template for what it declares to be led to. Of two names the new one
/// is taken as soon as it finds as many ready pods as the old one: later, those of the old one would get fewer
/// and fewer. A number serves pods of both templates, and what a promotion that fails takes back is not known of
/// a number: it is taken when no pod of the template before is left.
const fn has_come(wanted: &Value, now: &Value, counts: &Counts) -> bool {
    let old = counts.replicas - counts.updated;
    let names = matches!((wanted, now), (Value::String(_), Value::String(_)));
    let seen = counts.observed_generation >= counts.generation;
    is_settled(counts) || seen && names && counts.ready - old >= old
}

/// No pod is left of the template before.
const fn is_settled(counts: &Counts) -> bool {
    counts.observed_generation >= counts.generation && counts.updated >= counts.replicas
}

/// What the primary's pods have instead of a port that the target's template declares: its number under another
/// name, or what stands at its place. A name that no pod has leads nowhere, so that a guess is no loss.
fn in_place_of(wanted: &Value, declared: &[Port], primary: &[Port]) -> Option<Value> {
    let new = find(declared, wanted)?;
    if primary.iter().any(|port| port.port == new.port) {
        return Some(json!(new.port));
    }
    let old = primary.iter().find(|port| port.is_in_place_of(new))?;
    let name = old.name.as_ref().map(|name| json!(name));
    Some(name.unwrap_or_else(|| json!(old.port)))
}

#[cfg(test)]
mod tests;
