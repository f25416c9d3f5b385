//! A Canary that is being deleted: with `revertOnDeletion` the target serves again before anything
//! of ours goes away.

use crate::canary::Canary;
use crate::message::Message;
use crate::release::conditions::{READY, REVERTING};
use crate::release::draft::Draft;
use crate::release::facts::Facts;
use crate::release::plan::{Action, Plan};
use crate::release::weights::Routes;
use crate::status::{AfterDrain, Phase};

/// What a deletion finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// `revertOnDeletion`, and the target is there.
    Revert,
    /// Nothing to revert, or nothing that could be: the namespace ends, the target is gone.
    Go,
}

/// Make before break, backwards: target up and ready, traffic to it, connections drained, and
/// only then the finalizers.
pub fn terminate(canary: &Canary, facts: &Facts, leaving: Leaving) -> Plan {
    let mut d = Draft::new(canary, facts);
    match leaving {
        Leaving::Go => d.act(Action::ReleaseFinalizers),
        Leaving::Revert => revert(&mut d),
    }
    d.finish()
}

fn revert(d: &mut Draft<'_>) {
    if d.phase() != Phase::Terminating {
        d.say(Message::Terminating);
        d.status.drain = None;
        d.set_phase(Phase::Terminating);
    }
    let wanted = d
        .facts
        .primary
        .as_ref()
        .map_or(1, |primary| primary.replicas.max(1));
    if d.target().replicas == 0 {
        d.act(Action::Scale(wanted));
        return say_wait(d);
    }
    if !d.target().is_ready() || d.target().ready == 0 {
        if d.target().ready == 0 && d.status.drain.is_none() {
            // Who is on it finds nobody there.
            d.route(Routes::ALL_PRIMARY);
        }
        return say_wait(d);
    }
    if d.status.drain.is_none() {
        if d.facts.routes.is_some() {
            d.route(Routes::ALL_CANARY);
        }
        d.act(Action::Unpoint);
        d.drain(true, AfterDrain::Recovered);
        return say_drain(d);
    }
    if d.drained(AfterDrain::Recovered) {
        d.say(Message::Terminated);
        d.act(Action::ReleaseFinalizers);
    }
}

/// It may take for ever, and the primary serves meanwhile: people want to know what it hangs on.
fn say_wait(d: &mut Draft<'_>) {
    let (ready, replicas) = (d.target().ready, d.target().replicas);
    let name = d.canary.target_name();
    let why = match d.target().why() {
        why if why.is_empty() => String::new(),
        why => format!(" ({why})"),
    };
    let text = format!(
        "the deletion waits until deployment {name} can serve: {ready} of {replicas} pods are ready{why}; the primary serves until then"
    );
    d.condition(READY, REVERTING, &text);
}

fn say_drain(d: &mut Draft<'_>) {
    let name = d.canary.target_name();
    let text = format!(
        "deployment {name} serves: the Canary goes once connections to the primary have ended"
    );
    d.condition(READY, REVERTING, &text);
}
