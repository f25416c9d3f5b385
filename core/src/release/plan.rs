//! What is to be done, as data.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::message::Message;
use crate::release::facts::Question;
use crate::release::weights::Routes;
use crate::status::{CanaryStatus, Phase};

/// Done in order; the first that fails ends the tick, status stays, and the next tick decides again.
/// Every action is idempotent, so that a crash between any two is repaired that way too.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Say(Message),
    /// Keep the target's template, which has this revision, as a ControllerRevision.
    Record(String),
    /// Point the apex Service at the primary and create the generated route, all on the primary.
    Point,
    Route(Routes),
    /// Give the primary the recorded template of this revision.
    Promote(String),
    /// The API server fills in a new default: the same template has another revision now.
    Rebaseline {
        from: String,
        to: String,
    },
    /// Scale the target.
    Scale(i32),
    /// Put the user's Services back and remove the generated route.
    Unpoint,
    /// Let the Canary go.
    ReleaseFinalizers,
}

/// Told to the outside once status is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// `Succeeded` or `Failed`: what post-rollout hooks are told.
    pub phase: Phase,
    pub skipped: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub actions: Vec<Action>,
    pub status: CanaryStatus,
    /// When to decide again if nothing happens before.
    pub wake: Option<Timestamp>,
    pub ended: Option<Ended>,
    /// A check ran: its duration is worth measuring.
    pub checked: bool,
    /// Answers that this rests on. They are for it alone; others are for a decision that is still to come.
    pub used: BTreeSet<Question>,
}
