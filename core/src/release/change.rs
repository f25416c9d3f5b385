//! Whether the target is another one than the one that was last acted on.

use crate::release::draft::Draft;
use crate::release::plan::Action;
use crate::status::ObservedTarget;

pub fn observe_target(d: &mut Draft<'_>) {
    let target = d.target();
    d.status.target = Some(ObservedTarget {
        uid: target.uid.clone(),
        generation: target.generation,
        revision: target.revision.clone(),
    });
}

/// What differs from what was last acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// The target is what the primary runs.
    BackToPromoted,
    New,
}

pub fn change(d: &Draft<'_>) -> Change {
    let target = &d.target().revision;
    let configs_changed = d
        .status
        .tracked_configs
        .as_ref()
        .is_some_and(|old| *old != d.facts.configs);
    let template_changed = d.status.last_applied_spec.as_deref() != Some(target.as_str());
    match (template_changed, configs_changed) {
        (false, false) => Change::None,
        (true, false) if target == d.promoted() => Change::BackToPromoted,
        _ => Change::New,
    }
}

/// An API server that starts to fill in a new default changes the hash of every template: the
/// same object at the same generation is the same template, whatever its hash. True if all that was
/// known under the old name has to be looked at again under the new one.
pub fn rebaseline(d: &mut Draft<'_>) -> bool {
    let target = d.target();
    let Some(seen) = d.status.target.clone() else {
        observe_target(d);
        return false;
    };
    if seen.uid != target.uid
        || seen.generation != target.generation
        || seen.revision == target.revision
    {
        return false;
    }
    let (from, to) = (seen.revision, target.revision.clone());
    for revision in [
        &mut d.status.last_applied_spec,
        &mut d.status.last_promoted_spec,
    ] {
        if revision.as_deref() == Some(from.as_str()) {
            *revision = Some(to.clone());
        }
    }
    if let Some(release) = &mut d.status.release
        && release.revision == from
    {
        release.revision.clone_from(&to);
        release.former_revision = Some(from.clone());
    }
    d.act(Action::Rebaseline { from, to });
    observe_target(d);
    true
}
