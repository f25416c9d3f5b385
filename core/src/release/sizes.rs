//! What somebody wants of the size is kept with the release: once we scale the target, its number is ours.

use crate::release::draft::Draft;

pub fn note(d: &mut Draft<'_>) {
    let running = d.phase().is_of_release();
    let released = d.released_revision() == d.target().revision;
    let wanted = d.target().wanted.filter(|_| running && released);
    if wanted.is_some() {
        d.release().replicas = wanted;
    }
}
