//! `spec.suspend`: nothing goes forward, and nothing is asked of hooks and metric servers. The ways back stay
//! open: a release that is under way goes back for lost pods, for a person, and for a target that is gone.

use crate::message::Message;
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::weights::Routes;
use crate::status::Phase;

/// What a request is told that would go forward.
pub const REFUSED: &str = "the Canary is suspended";

/// Says once that it is suspended. What is missing besides keeps it from nothing more.
pub fn note(d: &mut Draft<'_>) {
    let text = Message::Suspended.text(d.canary);
    if conditions::get(&d.status, conditions::READY).is_none_or(|ready| ready.reason != "Suspended")
    {
        d.say(Message::Suspended);
    }
    d.condition(conditions::READY, "Suspended", &text);
}

/// Nobody is on anything but the primary, and nothing brings anybody there: it is left as it is.
pub fn is_at_rest(d: &Draft<'_>) -> bool {
    match d.phase() {
        Phase::Initialized | Phase::Succeeded | Phase::Failed => !d.status.is_going_back(),
        phase => !phase.is_of_release(),
    }
}

/// The target is not what was analysed any more, and no release of the new template begins.
pub fn keep_changed_away(d: &mut Draft<'_>) {
    let weight = d.weight();
    if weight > 0 && d.route(Routes::ALL_PRIMARY) {
        d.say(Message::ChangedWhileSuspended);
        // Should it be set back, it gets what it had once nothing keeps it.
        d.release().interrupted_at = Some(weight);
    }
}
