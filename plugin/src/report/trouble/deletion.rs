//! A Canary that is being deleted and is still there. What is told of it rests on whether its release can still
//! go back. Pure.
//!
//! ```text
//!  a release runs, and others' finalizers hold the Canary ─► it goes no further, and can be rolled back
//!  everything else ─────────────────────────────────────────► nothing is done for it any more
//! ```

use canary_core::canary::Canary;
use canary_core::names;
use canary_core::status::{CanaryStatus, Phase};

use super::super::Attention;
use super::DELETING;

/// Reason of a deletion that leaves the way back open.
pub(super) const GOES_BACK: &str = "DeletionWaits";

pub(super) fn of(canary: &Canary) -> Option<Attention> {
    canary.metadata.deletion_timestamp.as_ref()?;
    let name = canary.metadata.name.as_deref().unwrap_or_default();
    let finalizers = canary.metadata.finalizers.as_deref().unwrap_or_default();
    let waits = waits_for(finalizers);
    let reason = if goes_back(canary, finalizers) {
        GOES_BACK
    } else {
        "DeletionRequested"
    };
    Some(Attention {
        type_: DELETING.to_owned(),
        reason: reason.to_owned(),
        message: format!("Canary {name} is being deleted{waits}"),
        hint: hint(canary, name, finalizers),
    })
}

/// As it follows what is being deleted.
pub fn waits_for(finalizers: &[String]) -> String {
    match finalizers {
        [] => String::new(),
        [one] => format!(": it waits for finalizer {one}"),
        several => format!(": it waits for finalizers {}", several.join(", ")),
    }
}

/// What helps an object of ours that waits for a finalizer; `edit` is the command that changes it.
pub fn taken_off(finalizers: &[String], edit: &str) -> String {
    match finalizers.iter().find(|it| names::is_foreign_finalizer(it)) {
        Some(other) => format!(
            "whoever set {other} has to take it off. If its owner is gone, take it out of metadata.finalizers: {edit}"
        ),
        None => "the garbage collector ends it: nothing has to be done".to_owned(),
    }
}

/// Reason of `Ready` by which the server says the same.
pub(super) const SAID: &str = "Deleting";

/// The server acts on it for as long as others hold it. With a finalizer of its own it brings the target back
/// instead, which is a way back, too.
fn goes_back(canary: &Canary, finalizers: &[String]) -> bool {
    let status = canary.status.as_ref();
    let under_way = status.is_some_and(CanaryStatus::is_under_way);
    let own = finalizers.iter().any(|it| names::is_finalizer(it));
    let held = finalizers.iter().any(|it| names::is_foreign_finalizer(it));
    under_way && held && !(own && canary.revert_on_deletion())
}

/// Of finalizers of others first: nobody else tells about them.
fn hint(canary: &Canary, name: &str, finalizers: &[String]) -> Option<String> {
    let namespace = canary.namespace_name();
    let target = canary.target_name();
    if let Some(other) = finalizers.iter().find(|it| names::is_foreign_finalizer(it)) {
        return Some(format!(
            "whoever set {other} has to take it off{}. If its owner is gone, take it out of metadata.finalizers: kubectl edit canary {name} -n {namespace}",
            what_goes(canary)
        ));
    }
    if finalizers.iter().any(|it| names::is_finalizer(it)) {
        return Some(format!(
            "canary-webhook takes its own off once Deployment {target} serves again: kubectl canary doctor {name} -n {namespace}"
        ));
    }
    let collected = !finalizers.is_empty();
    collected.then(|| "the garbage collector takes it off: nothing has to be done".to_owned())
}

/// With the last finalizer the Canary goes, and the primary, which serves, with it.
fn what_goes(canary: &Canary) -> String {
    let unadopted = matches!(phase(canary), Phase::New | Phase::Initializing);
    let reverted = matches!(phase(canary), Phase::Terminating | Phase::Terminated);
    if unadopted || reverted {
        return String::new();
    }
    let (primary, target, namespace) = (
        canary.primary_name(),
        canary.target_name(),
        canary.namespace_name(),
    );
    format!(
        ". Then Deployment {primary}, which serves, goes too: first let Deployment {target} have pods (kubectl scale deployment {target} --replicas N -n {namespace}) and lead people to it"
    )
}

fn phase(canary: &Canary) -> Phase {
    let status = canary.status.as_ref();
    status.map(|status| status.phase).unwrap_or_default()
}
