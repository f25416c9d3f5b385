//! At rest the target has no replicas. Somebody who keeps scaling it up is told, not fought.

use jiff::{SignedDuration, Timestamp};

use crate::message::Message;
use crate::names;
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::plan::Action;
use crate::status::Drift;

/// Scaled back so often within the window, and no more.
const LIMIT: i64 = 3;
const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Traffic that somebody keeps sending to the target must meet pods there: both sides stay up, with
/// the promoted template, until the Service is left alone.
fn hold_at_primary(d: &mut Draft<'_>) {
    let replicas = d
        .facts
        .primary
        .as_ref()
        .map_or(1, |primary| primary.replicas.max(1));
    let message = Message::ApexContested { replicas };
    let text = message.text(d.canary);
    if conditions::get(&d.status, conditions::DRIFT)
        .is_none_or(|drift| drift.reason != "SelectorChanged")
    {
        d.say(message);
    }
    d.condition(conditions::DRIFT, "SelectorChanged", &text);
    // A revision that failed must not serve by this way.
    if d.target().replicas == 0 && d.target().revision == d.promoted() {
        d.act(Action::Scale(replicas));
    }
}

pub fn hold_at_zero(d: &mut Draft<'_>) {
    if d.facts.serving.contested {
        return hold_at_primary(d);
    }
    if conditions::get(&d.status, conditions::DRIFT)
        .is_some_and(|drift| drift.reason == "SelectorChanged")
    {
        // These pods are our own doing: they go without a word.
        d.clear_condition(conditions::DRIFT);
        return d.scale_down();
    }
    let (now, target) = (d.now(), d.target());
    let (replicas, generation) = (target.replicas, target.generation);
    if target.replicas_manager == names::FIELD_MANAGER && replicas > 0 {
        // They are left from a release: somebody keeps them from being scaled away.
        return d.scale_down();
    }
    let manager = if target.replicas_manager.is_empty() {
        "somebody"
    } else {
        &target.replicas_manager
    };
    let manager = manager.to_owned();
    let old = d
        .status
        .drift
        .take()
        .filter(|old| now.duration_since(old.since) < WINDOW);
    if replicas == 0 {
        return settle(d, old);
    }
    let count = old.as_ref().map_or(0, |old| old.count);
    let since = old.as_ref().map_or(now, |old| old.since);
    let handled = old.as_ref().is_some_and(|old| old.generation == generation);
    let stopped = count > LIMIT || (count == LIMIT && !handled);
    if stopped {
        let since = if handled { since } else { now };
        return give_up(
            d,
            Drift {
                count: LIMIT + 1,
                since,
                generation,
                manager,
            },
        );
    }
    if handled {
        d.status.drift = old;
        return d.scale_down();
    }
    // Status first: once the target is scaled back nothing shows any more that it had to be.
    d.say(Message::ScaledBack {
        manager: manager.clone(),
        replicas,
    });
    d.status.drift = Some(Drift {
        count: count + 1,
        since,
        generation,
        manager,
    });
}

/// Not scaled back any more. The window begins anew with each change; once it is over, the target
/// is scaled back again.
fn give_up(d: &mut Draft<'_>, drift: Drift) {
    let message = Message::DriftStopped {
        manager: drift.manager.clone(),
        times: LIMIT,
    };
    let text = message.text(d.canary);
    if conditions::get(&d.status, conditions::DRIFT).is_none() {
        d.say(message);
    }
    d.condition(conditions::DRIFT, "ReplicasNotZero", &text);
    wake_after_window(d, drift.since);
    d.status.drift = Some(drift);
}

fn settle(d: &mut Draft<'_>, old: Option<Drift>) {
    match old {
        Some(old) => {
            wake_after_window(d, old.since);
            d.status.drift = Some(old);
        }
        None => d.clear_condition(conditions::DRIFT),
    }
}

fn wake_after_window(d: &mut Draft<'_>, since: Timestamp) {
    if let Ok(end) = since.saturating_add(WINDOW) {
        d.wake_at(end);
    }
}
