//! Conditions of a Canary. The first is `Promoted`, word for word as Flagger writes it.

use jiff::Timestamp;

use crate::status::{CanaryCondition, CanaryStatus, Phase};

pub const PROMOTED: &str = "Promoted";
/// False while something outside keeps the Canary from being acted on.
pub const READY: &str = "Ready";
/// Reason of `Ready`: the primary is about to be given a new baseline.
pub const BASELINE_REPLACED: &str = "BaselineReplaced";
/// Reason of `Ready`: the Canary is being deleted, and its target does not serve yet.
pub const REVERTING: &str = "Reverting";
/// True from an adoption that had nothing to serve but a template that went back, until another is promoted.
pub const BASELINE_FAILED: &str = "BaselineFailed";
/// True while the Deployment controller has not looked at a change of ours for a minute.
pub const NOT_OBSERVED: &str = "NotObserved";
/// True while the spec names things that are followed once the release in progress has ended, or once the
/// primary's pods have them.
pub const SPEC_PENDING: &str = "SpecPending";
/// Reason of `SpecPending`: a port that the primary's pods do not have yet.
pub const PRIMARY_PORT: &str = "PrimaryPort";
pub const PAUSED: &str = "Paused";
pub const DRIFT: &str = "Drift";
/// True while a `CanaryPolicy`, or that none can be read, keeps the release from starting, going on or being
/// promoted.
pub const HELD: &str = "Held";
/// True while Services of the Canary select pods that are not the application's, or might.
pub const SELECTOR: &str = "SharedSelector";
/// True while other Services of the target have no pods, because it is at rest.
pub const OTHERS: &str = "OtherServices";
/// True while the primary's pods have no disruption budget although the target's have.
pub const UNCOVERED: &str = "PrimaryUncovered";
/// True while a copy of configuration that the primary refers to is not there, or is not what was promoted, and
/// nothing has the data that was.
pub const CONFIG_LOST: &str = "ConfigLost";
/// True while somebody keeps changing the weights of the generated route, which are written back each time.
pub const REROUTED: &str = "Rerouted";
/// True while a webhook was asked more than a minute ago and has not answered.
pub const UNANSWERED: &str = "Unanswered";
/// True from a check that did not pass, or a metric server that did not answer, until one does: why,
/// in the words of the Event.
pub const HALTED: &str = "Halted";

/// What `Promoted` says in a phase: status and message.
fn promoted(phase: Phase, kind: &str) -> (&'static str, String) {
    match phase {
        Phase::New | Phase::Initializing | Phase::Terminating | Phase::Terminated => (
            "Unknown",
            format!("New {kind} detected, starting initialization."),
        ),
        Phase::Initialized => ("True", format!("{kind} initialization completed.")),
        Phase::Waiting | Phase::WaitingPromotion => ("Unknown", "Waiting for approval.".to_owned()),
        Phase::Progressing => (
            "Unknown",
            "New revision detected, progressing canary analysis.".to_owned(),
        ),
        Phase::Promoting => (
            "Unknown",
            "Canary analysis completed, starting primary rolling update.".to_owned(),
        ),
        Phase::Finalising => (
            "Unknown",
            "Canary analysis completed, routing all traffic to primary.".to_owned(),
        ),
        Phase::Succeeded => (
            "True",
            "Canary analysis completed successfully, promotion finished.".to_owned(),
        ),
        Phase::Failed => (
            "False",
            format!("Canary analysis failed, {kind} scaled to zero."),
        ),
    }
}

/// Follows the phase; rewritten only if status or reason changed.
pub fn set_promoted(status: &mut CanaryStatus, kind: &str, now: Timestamp) {
    let phase = status.phase;
    let (value, message) = promoted(phase, kind);
    let reason = format!("{phase:?}");
    let old = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == PROMOTED);
    if old.is_some_and(|old| old.status == value && old.reason == reason) {
        return;
    }
    let since = old
        .filter(|old| old.status == value)
        .and_then(|old| old.last_transition_time)
        .unwrap_or_else(|| seconds(now));
    let condition = CanaryCondition {
        type_: PROMOTED.to_owned(),
        status: value.to_owned(),
        reason,
        message,
        last_update_time: Some(seconds(now)),
        last_transition_time: Some(since),
    };
    status
        .conditions
        .retain(|condition| condition.type_ != PROMOTED);
    status.conditions.insert(0, condition);
}

/// Sets one of ours. `Ready` is set when it is false, the others when they are true.
pub fn set(status: &mut CanaryStatus, type_: &str, reason: &str, message: &str, now: Timestamp) {
    let value = if type_ == READY { "False" } else { "True" };
    if let Some(old) = status
        .conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_)
    {
        if old.reason != reason || old.message != message {
            reason.clone_into(&mut old.reason);
            message.clone_into(&mut old.message);
            old.last_update_time = Some(seconds(now));
        }
        return;
    }
    status.conditions.push(CanaryCondition {
        type_: type_.to_owned(),
        status: value.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_update_time: Some(seconds(now)),
        last_transition_time: Some(seconds(now)),
    });
}

/// What a condition says was found to be so again.
pub fn confirm(status: &mut CanaryStatus, type_: &str, now: Timestamp) {
    let mut all = status.conditions.iter_mut();
    if let Some(old) = all.find(|condition| condition.type_ == type_) {
        old.last_update_time = Some(seconds(now));
    }
}

pub fn clear(status: &mut CanaryStatus, type_: &str) {
    status
        .conditions
        .retain(|condition| condition.type_ != type_);
}

pub fn get<'a>(status: &'a CanaryStatus, type_: &str) -> Option<&'a CanaryCondition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

fn seconds(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
