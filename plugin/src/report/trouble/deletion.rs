//! A Canary that is being deleted and is still there: nothing else is done for it. Pure.

use canary_core::canary::Canary;
use canary_core::names;

use super::super::Attention;
use super::DELETING;

pub(super) fn of(canary: &Canary) -> Option<Attention> {
    canary.metadata.deletion_timestamp.as_ref()?;
    let name = canary.metadata.name.as_deref().unwrap_or_default();
    let finalizers = canary.metadata.finalizers.as_deref().unwrap_or_default();
    let waits = match finalizers {
        [] => String::new(),
        [one] => format!(": it waits for finalizer {one}"),
        several => format!(": it waits for finalizers {}", several.join(", ")),
    };
    Some(Attention {
        type_: DELETING.to_owned(),
        reason: "DeletionRequested".to_owned(),
        message: format!("Canary {name} is being deleted{waits}"),
        hint: hint(canary, name, finalizers),
    })
}

/// Of finalizers of others first: nobody else tells about them.
fn hint(canary: &Canary, name: &str, finalizers: &[String]) -> Option<String> {
    let namespace = canary.namespace_name();
    if let Some(other) = finalizers.iter().find(|it| names::is_foreign_finalizer(it)) {
        return Some(format!(
            "whoever set {other} has to take it off. If its owner is gone, take it out of metadata.finalizers: kubectl edit canary {name} -n {namespace}"
        ));
    }
    if finalizers.iter().any(|it| names::is_finalizer(it)) {
        return Some(format!(
            "canary-webhook takes its own off once Deployment {} serves again: kubectl canary doctor {name} -n {namespace}",
            canary.target_name()
        ));
    }
    let collected = !finalizers.is_empty();
    collected.then(|| "the garbage collector takes it off: nothing has to be done".to_owned())
}
