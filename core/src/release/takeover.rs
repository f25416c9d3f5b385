//! A Canary that Flagger ran until now. Its hashes cannot be computed here, so what is promoted and
//! what is applied are read anew, and no pod template changes until the next promotion.

use crate::release::draft::Draft;
use crate::release::facts::Question;
use crate::release::plan::Action;
use crate::release::{in_force, initialize};
use crate::revision;
use crate::status::{CanaryStatus, ObservedTarget, Outcome, Phase, Release};

pub fn needed(d: &Draft<'_>) -> bool {
    d.status
        .last_applied_spec
        .as_deref()
        .is_some_and(|spec| !revision::is_ours(spec))
}

pub fn take_over(d: &mut Draft<'_>) -> Result<(), Question> {
    let Some(primary) = &d.facts.primary else {
        // Nobody knows any more what was promoted: the target is all there is.
        d.status = CanaryStatus {
            events: d.status.events.clone(),
            ..CanaryStatus::default()
        };
        return initialize::adopt(d);
    };
    let target = d.target();
    let (promoted, applied) = (primary.revision.clone(), target.revision.clone());
    d.act(Action::Record(applied.clone()));
    d.act(Action::Rebaseline {
        from: String::new(),
        to: promoted.clone(),
    });
    d.status.last_promoted_spec = Some(promoted.clone());
    d.status.last_applied_spec = Some(if changed_at_rest(d) {
        promoted.clone()
    } else {
        applied.clone()
    });
    d.status.tracked_configs = Some(d.facts.configs.clone());
    d.status.target = Some(ObservedTarget {
        uid: target.uid.clone(),
        generation: target.generation,
        revision: applied.clone(),
    });
    d.status.canary_weight = match d.phase() {
        Phase::Initialized | Phase::Succeeded | Phase::Waiting => 0,
        _ => d.routed(),
    };
    d.status.iterations = d.status.iterations.max(0);
    take_over_release(d, applied, promoted);
    Ok(())
}

/// At rest the two run the same images, unless somebody changed the target while nobody looked: that is
/// a release. Nothing else is compared, because Flagger leaves some metadata out of its copy.
fn changed_at_rest(d: &Draft<'_>) -> bool {
    let at_rest = matches!(d.phase(), Phase::Initialized | Phase::Succeeded);
    let images = d.facts.primary.as_ref().map(|primary| &primary.images);
    at_rest && images.is_some_and(|images| *images != d.target().images)
}

fn take_over_release(d: &mut Draft<'_>, applied: String, promoted: String) {
    let (now, weight, failed) = (d.now(), d.weight(), d.phase() == Phase::Failed);
    let in_progress = d.phase().is_of_release();
    if !in_progress && !failed {
        return;
    }
    let iterated = d.status.iterations > 0;
    d.status.in_force = Some(in_force::of(d.canary, &d.target().labels));
    d.status.release = Some(Release {
        number: 1,
        revision: applied,
        from: promoted,
        started_at: now,
        ended_at: failed.then_some(now),
        outcome: failed.then_some(Outcome::RolledBack),
        // Its canary still serves: Flagger's promotion failed, and left everybody there.
        recovering: failed && weight > 0,
        step_since: (in_progress && iterated).then_some(now),
        peak_weight: weight,
        ..Release::default()
    });
    if in_progress && weight > 0 {
        d.begin_step();
    }
}
