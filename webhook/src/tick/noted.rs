//! Conditions that say what was found, and hinder nothing.

use canary_core::message::Message;
use canary_core::release::conditions::{self, REROUTED};
use canary_core::release::{Action, Plan};
use jiff::Timestamp;

use super::ensure::serving;
use super::{Context, phase};
use crate::target::generated::is_of;
use crate::world::World;

/// Keeps a condition for as long as there is a text for it, which is said when it is another one.
pub(super) fn keep(
    plan: &mut Plan,
    (type_, reason): (&'static str, &'static str),
    text: Option<&str>,
    now: Timestamp,
) {
    let Some(text) = text else {
        return conditions::clear(&mut plan.status, type_);
    };
    let known = conditions::get(&plan.status, type_);
    if known.is_none_or(|known| known.message != text) {
        let message = Message::Problem(text.to_owned());
        plan.actions.push(Action::Say(message));
    }
    conditions::set(&mut plan.status, type_, reason, text, now);
}

// === impl Context ===

impl Context {
    /// A choice that would be a guess is said, and hinders nothing.
    pub(super) fn note_autoscalers(&self, world: &World, plan: &mut Plan) {
        const TYPE: &str = "AutoscalerAmbiguous";
        if world.ambiguous_autoscalers.is_empty() {
            return conditions::clear(&mut plan.status, TYPE);
        }
        let names = world.ambiguous_autoscalers.join(", ");
        let text = format!(
            "{names} all scale {}: name one in spec.autoscalerRef; none is used",
            world.canary.target_name()
        );
        conditions::set(&mut plan.status, TYPE, "Several", &text, self.clock.now());
    }

    /// Names and ports that are followed later, and a route that is followed already.
    pub(super) fn note_names(&self, world: &World, plan: &mut Plan) {
        let status = &mut plan.status;
        if world.problems.is_empty()
            && let Some(names) = &mut status.in_force
        {
            names.route = world.canary.route().map(|route| route.name.clone());
        }
        let release = status.release.as_ref();
        let runs = release.is_some_and(|release| release.ended_at.is_none());
        let names: &[String] = if runs { &world.pending } else { &[] };
        match pending(names, &self.ports_not_yet(world)) {
            None => conditions::clear(status, conditions::SPEC_PENDING),
            Some((reason, text)) => {
                let type_ = conditions::SPEC_PENDING;
                conditions::set(status, type_, reason, &text, self.clock.now());
            }
        }
    }

    /// Weights that somebody else keeps changing. One change is a mistake, and only mended.
    pub(super) fn note_reroutes(&self, world: &World, plan: &mut Plan) {
        let (key, now) = (world.key(), self.clock.now());
        let until = self.reroutes.until(&key, now);
        plan.wake = plan.wake.into_iter().chain(until).min();
        let text = until.map(|_| {
            format!(
                "somebody else keeps changing the weights of the generated route {}.{}: they are written back each time, and requests go elsewhere meanwhile",
                world.canary.canary_route().unwrap_or_default(),
                world.namespace
            )
        });
        keep(plan, (REROUTED, "WeightsChanged"), text.as_deref(), now);
    }

    fn ports_not_yet(&self, world: &World) -> Vec<String> {
        let name = world.canary.primary_service();
        let live = self.caches.service(&world.namespace, &name);
        // What is not generated yet is said elsewhere.
        let live = live.filter(|live| is_of(live, &world.canary));
        live.map(|live| world.ports_not_yet(Some(&live)))
            .unwrap_or_default()
    }
}

/// The weights that were routed last are written once more.
pub(super) fn is_repair(world: &World, plan: &Plan) -> bool {
    let status = world.canary.status.as_ref();
    let routed = status.map(|status| status.canary_weight);
    // An adoption begins with what it finds.
    let adopted = serving(phase(&world.canary));
    let strayed = world.routes().map(|routes| routes.canary) != routed;
    let written_back = |action: &Action| match action {
        Action::Route(to) => Some(to.canary) == routed,
        _ => false,
    };
    adopted && strayed && plan.actions.iter().any(written_back)
}

/// Reason and message of what waits: names for the end of the release, ports for the primary.
fn pending(names: &[String], ports: &[String]) -> Option<(&'static str, String)> {
    let followed = |once: &str, all: &[String]| {
        (!all.is_empty()).then(|| format!("followed once {once}: {}", all.join(", ")))
    };
    let names = followed("the release in progress has ended", names);
    let reason = if names.is_some() {
        "ReleaseRunning"
    } else {
        conditions::PRIMARY_PORT
    };
    let ports = followed("the primary's pods have that port", ports);
    let all: Vec<String> = names.into_iter().chain(ports).collect();
    (!all.is_empty()).then(|| (reason, all.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_wait_for_the_end_of_the_release_and_ports_for_the_primary() {
        let all = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        let (name, port) = (
            all(&["spec.routeRef shop"]),
            all(&["spec.service.targetPort web"]),
        );
        assert_eq!(pending(&[], &[]), None);
        let (reason, text) = pending(&name, &[]).unwrap();
        let by_name = "followed once the release in progress has ended: spec.routeRef shop";
        assert_eq!((reason, text.as_str()), ("ReleaseRunning", by_name));
        let (reason, text) = pending(&[], &port).unwrap();
        let by_port =
            "followed once the primary's pods have that port: spec.service.targetPort web";
        assert_eq!((reason, text.as_str()), ("PrimaryPort", by_port));
        let (reason, text) = pending(&name, &port).unwrap();
        assert_eq!(
            (reason, text),
            ("ReleaseRunning", format!("{by_name}; {by_port}"))
        );
    }
}
