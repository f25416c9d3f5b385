//! What `CanaryPolicies` hold.
//!
//! ```text
//!  start   ─► Waiting           until the freeze ends, a slot is free, …
//!  advance ─► Progressing       at its weight; checks go on, and failures roll back
//!  promote ─► WaitingPromotion  likewise, or until a person promotes it
//! ```
//! Policies that cannot be read hold each promotion: what they say may be no. A rollback is never held. A hold ends by its time, or by a change of the policy; both wake us.

use jiff::Timestamp;

use crate::message::{Approval, Message};
use crate::names;
use crate::policy::{Objection, UNREADABLE};
use crate::release::draft::Draft;
use crate::release::{conditions, gates, promotion};
use crate::request::Verb;
use crate::status::{CanaryStatus, Phase};

/// What a release is kept from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    Start,
    Advance,
    Promote,
}

/// In `release.passed`: a holder of the verb `bypass` let it through.
const BROKEN_GLASS: &str = "break-glass";
/// What `waitingFor` begins with when it is no webhook of the Canary.
const POLICY: &str = "CanaryPolicy ";

/// What keeps a release, in the words of its status.
struct Held {
    gate: String,
    why: String,
    reason: &'static str,
    /// Nothing but a person's leave is missing.
    approval: bool,
}

/// Whether policies keep the release from it. Said once for a hold, and kept in `waitingFor`.
pub fn is_held(d: &mut Draft<'_>, hold: Hold) -> bool {
    let Some(found) = unread(d, hold).or_else(|| objected(d, hold)) else {
        return false;
    };
    if d.release().waiting_for.as_ref() != Some(&found.gate) {
        d.say(if found.approval {
            Message::WaitingForApproval {
                approval: Approval::Promotion,
                hook: found.gate.clone(),
            }
        } else {
            Message::Held(found.why.clone())
        });
    }
    d.release().waiting_for = Some(found.gate);
    d.condition(conditions::HELD, found.reason, &found.why);
    wake(d);
    true
}

/// No break-glass and no approval opens it: nobody knows what it would have to open.
fn unread(d: &Draft<'_>, hold: Hold) -> Option<Held> {
    let why = d.facts.policy.unreadable.as_ref()?;
    (hold == Hold::Promote).then(|| Held {
        gate: UNREADABLE.to_owned(),
        why: why.clone(),
        reason: "PoliciesUnreadable",
        approval: false,
    })
}

fn objected(d: &Draft<'_>, hold: Hold) -> Option<Held> {
    let against = against(d, hold);
    if against.is_empty() {
        return None;
    }
    let mut gates: Vec<String> = against.iter().map(|it| it.gate()).collect();
    gates.dedup();
    let approval = hold == Hold::Promote && going_on_is_free(d);
    Some(Held {
        gate: gates.join(", "),
        why: sentence(&against),
        reason: if approval { "Approval" } else { "CanaryPolicy" },
        approval,
    })
}

fn is_free(d: &Draft<'_>, hold: Hold) -> bool {
    unread(d, hold).is_none() && against(d, hold).is_empty()
}

/// The next check of a release that is held where it is: no later than the hold ends.
pub fn check_again(d: &mut Draft<'_>, hold: Hold) {
    let end = end(&against(d, hold));
    d.schedule_next_check();
    let now = d.now();
    let release = d.release();
    if let (Some(end), Some(due)) = (end, release.next_check_at)
        && end > now
        && end < due
    {
        release.next_check_at = Some(end);
        d.wake_at(end);
    }
}

/// True if what held a running release is no more: the check that it waits for is due at once.
pub fn lifted(d: &mut Draft<'_>) -> bool {
    if !is_waiting(&d.status) {
        return false;
    }
    let advance = is_free(d, Hold::Advance);
    let promotes = d.phase() == Phase::WaitingPromotion || promotion::unanalysed(d);
    let promote = !promotes || is_free(d, Hold::Promote);
    if !(advance && promote) {
        wake(d);
        return false;
    }
    let now = d.now();
    let release = d.release();
    release.waiting_for = None;
    release.next_check_at = release.next_check_at.map(|due| due.min(now));
    true
}

/// Whether the release in progress waits for a policy.
pub fn is_waiting(status: &CanaryStatus) -> bool {
    let release = status.release.as_ref();
    release
        .filter(|release| release.outcome.is_none())
        .and_then(|release| release.waiting_for.as_deref())
        .is_some_and(|gate| gate.starts_with(POLICY))
}

/// Nobody wants it analysed, and a policy keeps it from being promoted: checks and steps that go on
/// meanwhile do not end that.
pub fn keeps_unanalysed(d: &Draft<'_>) -> bool {
    promotion::unanalysed(d) && is_waiting(&d.status)
}

/// Why a request is refused; admission says the same where it is asked.
pub fn forbids(d: &Draft<'_>) -> Option<String> {
    let against: Vec<&Objection> = d.facts.policy.request.iter().collect();
    (!against.is_empty() && !is_new_glass(d)).then(|| sentence(&against))
}

fn against<'a>(d: &Draft<'a>, hold: Hold) -> Vec<&'a Objection> {
    let holds = &d.facts.policy.holds;
    let timed = match hold {
        Hold::Start => &holds.start,
        Hold::Advance => &holds.advance,
        Hold::Promote => &holds.promote,
    };
    if !timed.is_empty() && !d.has_passed(BROKEN_GLASS) {
        return timed.iter().collect();
    }
    let agreed =
        d.has_passed(gates::approval_mark(Approval::Promotion)) || d.has_passed(promotion::FULL);
    match hold {
        Hold::Promote if !agreed => holds.approval.iter().collect(),
        _ => Vec::new(),
    }
}

/// Nothing but a person's leave is missing.
fn going_on_is_free(d: &Draft<'_>) -> bool {
    d.facts.policy.holds.promote.is_empty() || d.has_passed(BROKEN_GLASS)
}

fn sentence(against: &[&Objection]) -> String {
    let all: Vec<String> = against.iter().map(ToString::to_string).collect();
    all.join("; ")
}

/// When the last of them ends; none if one does not end by itself.
fn end(against: &[&Objection]) -> Option<Timestamp> {
    let ends: Option<Vec<Timestamp>> = against.iter().map(|it| it.until).collect();
    ends?.into_iter().max()
}

fn wake(d: &mut Draft<'_>) {
    if let Some(edge) = d.facts.policy.holds.edge.filter(|edge| *edge > d.facts.now) {
        d.wake_at(edge);
    }
}

// --- break-glass

/// Notes a break-glass that came to the target with a new template: the release of that template is
/// let through. One that was there before opens nothing, and nor does one that came alone: nobody
/// asked its author for the verb.
pub fn notice_glass(d: &mut Draft<'_>) {
    let target = d.target();
    if d.status.break_glass.target == target.break_glass {
        return;
    }
    let revision = target.revision.as_str();
    let seen = [
        d.status.last_applied_spec.as_deref().unwrap_or_default(),
        d.status.target.as_ref().map_or("", |seen| &seen.revision),
        d.released_revision(),
    ];
    let glass = target.break_glass.as_deref().unwrap_or_default();
    let opens = !glass.trim().is_empty() && !seen.contains(&revision);
    d.status.break_glass.opens = opens.then(|| revision.to_owned());
    d.status.break_glass.target.clone_from(&target.break_glass);
}

/// Notes a break-glass that came with a request.
pub fn notice_request(d: &mut Draft<'_>, verb: Verb) {
    if !is_new_glass(d) || matches!(verb, Verb::Rollback | Verb::Pause | Verb::Resume) {
        return;
    }
    d.status.break_glass.opens = Some(d.target().revision.clone());
    let running = d.status.release.as_ref();
    if running.is_some_and(|release| release.outcome.is_none()) {
        open(d);
    }
}

/// Lets the release in progress through if a break-glass was for it. It serves once.
pub fn open(d: &mut Draft<'_>) {
    let opens = d.status.break_glass.opens.take();
    if opens.is_some_and(|revision| revision == d.released_revision()) {
        d.pass(BROKEN_GLASS);
    }
}

/// The Canary has one that was not there when it was last looked at.
fn is_new_glass(d: &Draft<'_>) -> bool {
    let glass = glass(d);
    let some = glass.is_some_and(|reason| !reason.trim().is_empty());
    some && glass != d.status.break_glass.canary.as_deref()
}

fn glass<'a>(d: &Draft<'a>) -> Option<&'a str> {
    let annotations = d.canary.metadata.annotations.as_ref()?;
    annotations.get(names::BREAK_GLASS).map(String::as_str)
}

/// What is there now opens nothing any more.
pub fn remember_glass(d: &mut Draft<'_>) {
    d.status.break_glass.canary = glass(d).map(str::to_owned);
    if !is_waiting(&d.status) {
        d.clear_condition(conditions::HELD);
    }
}
