//! Whom a primary that is being changed serves, and who is sent to it: both ways of a promotion rest on it.

use crate::message::Message;
use crate::release::draft::Draft;
use crate::release::facts::Workload;
use crate::release::plan::Action;
use crate::release::weights::Routes;

/// The target is not what was analysed any more, or has no pods: nobody is sent there. The primary
/// rolls without ever being short of ready pods.
pub(super) fn keep_unanalysed_away(d: &mut Draft<'_>) {
    let changed = d.target().revision != d.released_revision();
    if d.weight() == 0 || !changed && d.canary_serves() {
        return;
    }
    if d.route(Routes::ALL_PRIMARY) {
        d.say(if changed {
            Message::UnanalysedChange
        } else {
            d.lost()
        });
    }
}

/// The primary, if it has this revision; otherwise it is given it: the promotion was not stored, or the
/// primary is gone.
pub(super) fn primary_with<'a>(d: &mut Draft<'a>, revision: String) -> Option<&'a Workload> {
    let primary = d.facts.primary.as_ref();
    let found = primary.filter(|primary| primary.revision == revision);
    if found.is_none() {
        d.act(Action::Promote(revision));
    }
    found
}

pub(super) fn serves(d: &Draft<'_>, primary: &Workload) -> bool {
    primary.is_ready() && d.facts.serving.primary > 0
}

/// What a person asked for is done once everybody is on the primary.
pub(super) fn routed_home(d: &mut Draft<'_>) {
    if let Some(request) = &mut d.status.last_request {
        request.pending = false;
    }
}

/// Percentage of the traffic that the primary carries while it is changed: all of it with as many ready
/// pods as served before the change, and with any where the canary has none.
pub(super) fn share(d: &Draft<'_>) -> i64 {
    let primary = d.facts.primary.as_ref();
    let (ready, wanted) = primary.map_or((0, 0), |primary| (primary.ready, primary.replicas));
    // It may have fewer by now, for its autoscaler or because it was made anew: more never come.
    let before = d
        .status
        .release
        .as_ref()
        .and_then(|release| release.primary_pods)
        .unwrap_or(1)
        .min(wanted);
    if ready == 0 {
        return 0;
    }
    if ready >= before || !d.canary_serves() {
        return 100;
    }
    i64::from(ready) * 100 / i64::from(before)
}

/// Sends everybody to a primary that is being changed, or as many as it carries; what it has it keeps.
/// True once it has everybody.
pub(super) fn send_home(d: &mut Draft<'_>) -> bool {
    let to_canary = (100 - share(d)).min(d.weight());
    // What somebody else took from the canary is given back by a look of its own: see `hold_weight`.
    if to_canary > d.routed() {
        return false;
    }
    d.route(Routes::to_canary(to_canary)) && to_canary == 0
}
