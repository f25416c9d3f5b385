//! A Canary that is being deleted: with `revertOnDeletion` the target serves again before anything
//! of ours goes away.

use crate::canary::Canary;
use crate::message::Message;
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
        return;
    }
    if !d.target().is_ready() || d.target().ready == 0 {
        return;
    }
    if d.status.drain.is_none() {
        if d.facts.routes.is_some() {
            d.route(Routes::ALL_CANARY);
        }
        d.act(Action::Unpoint);
        d.drain(true, AfterDrain::Recovered);
        return;
    }
    if d.drained(AfterDrain::Recovered) {
        d.say(Message::Terminated);
        d.act(Action::ReleaseFinalizers);
    }
}
