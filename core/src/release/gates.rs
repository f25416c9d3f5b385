//! Gates: webhooks that hold a release until they answer with success.

use serde_json::json;

use crate::canary::Canary;
use crate::hook::{Hook, HookKind};
use crate::message::{Approval, Message};
use crate::release::awaited;
use crate::release::draft::Draft;
use crate::release::facts::Question;
use crate::revision;

/// What a person's promote leaves in `release.passed` to open the gates of a kind.
pub fn approval_mark(approval: Approval) -> &'static str {
    match approval {
        Approval::Rollout => "approved:rollout",
        Approval::TrafficIncrease => "approved:traffic-increase",
        Approval::Promotion => "approved:promotion",
    }
}

/// Whether a gate let the release in progress through for good: by its own answer, or because a
/// person opened its kind.
pub fn is_gate_passed(canary: &Canary, kind: HookKind, hook: &Hook) -> bool {
    let approval = match kind {
        HookKind::ConfirmRollout => Approval::Rollout,
        HookKind::ConfirmTrafficIncrease => Approval::TrafficIncrease,
        HookKind::ConfirmPromotion => Approval::Promotion,
        _ => return false,
    };
    let release = canary.status.as_ref().and_then(|it| it.release.as_ref());
    let passed = release.map_or(&[][..], |release| &release.passed);
    let own = gate_mark(&format!("{kind} {}", hook.name), &hook.url);
    let has = |mark: &str| passed.iter().any(|passed| passed == mark);
    has(&own) || has(approval_mark(approval))
}

/// Asks the gates of a kind in order. A closed one is said once, kept in `waitingFor`, and asked
/// again when the next check is due.
pub fn open(d: &mut Draft<'_>, kind: HookKind, approval: Approval) -> Result<bool, Question> {
    if d.has_passed(approval_mark(approval)) {
        return Ok(true);
    }
    for (index, hook) in d.canary.hooks(kind) {
        let mark = gate_mark(&format!("{kind} {}", hook.name), &hook.url);
        if d.has_passed(&mark) {
            continue;
        }
        let hook = hook.name.clone();
        let open = awaited::hook(d, index)?.is_some_and(Result::is_ok);
        if !open {
            if d.release().waiting_for.as_ref() != Some(&hook) {
                d.say(Message::WaitingForApproval {
                    approval,
                    hook: hook.clone(),
                });
            }
            d.release().waiting_for = Some(hook);
            d.schedule_next_check();
            return Ok(false);
        }
        d.say(Message::HookPassed { approval, hook });
        // Asked before each step anew, unlike the gates that open once for a release.
        if approval != Approval::TrafficIncrease {
            d.pass(&mark);
        }
    }
    d.release().waiting_for = None;
    Ok(true)
}

/// The URL belongs to it: two gates may have one name, and each of them holds. Only its checksum is
/// kept, for a URL may hold a password or a token.
fn gate_mark(gate: &str, url: &str) -> String {
    format!("{gate} {}", revision::checksum(&json!(url)))
}

/// Marks were kept with the whole URL once.
pub fn forget_urls(d: &mut Draft<'_>) {
    let release = d.status.release.as_mut();
    for mark in release.into_iter().flat_map(|release| &mut release.passed) {
        if let Some((gate, url)) = mark.rsplit_once(' ').filter(|(_, url)| url.contains("://")) {
            *mark = gate_mark(gate, url);
        }
    }
}
