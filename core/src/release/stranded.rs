//! A release that begins where the primary has no ready pods and the canary has traffic. Nobody could
//! be sent back to the primary, and waiting for it would keep the fix from those who need it: the new
//! revision is analysed at the weight that is there. Once the primary serves again, the release
//! begins anew from 100/0, like any other.

use crate::message::Message;
use crate::release::draft::Draft;
use crate::release::weights::Routes;
use crate::status::Phase;

/// In `release.passed`.
const MARK: &str = "stranded";

/// To be called when a release has begun.
pub fn note(d: &mut Draft<'_>) {
    if d.weight() > 0 {
        d.pass(MARK);
    }
}

pub fn is_stranded(d: &Draft<'_>) -> bool {
    d.has_passed(MARK)
}

/// True if the primary has got its traffic back just now.
pub fn return_to_primary(d: &mut Draft<'_>) -> bool {
    if !is_stranded(d) || !d.route(Routes::ALL_PRIMARY) {
        return false;
    }
    d.status.iterations = 0;
    let release = d.release();
    release.passed.retain(|mark| mark != MARK);
    release.step_since = None;
    release.next_check_at = None;
    release.waiting_for = None;
    if d.phase() == Phase::WaitingPromotion {
        d.set_phase(Phase::Progressing);
    }
    d.say(Message::PrimaryServesAgain);
    true
}

/// The step that the release finds itself at.
pub fn begin_in_place(d: &mut Draft<'_>) {
    d.say(Message::Stranded(d.weight()));
    d.begin_step();
}
