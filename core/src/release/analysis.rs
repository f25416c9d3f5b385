//! Progressing: the canary gets traffic step by step while checks pass.
//!
//! ```text
//!  revision changed? ─► restart or abort        at once
//!  pods lost?        ─► 100/0, back when ready  at once
//!  check due?        ─► hooks ─► metrics ─► pass ─► gates ─► next step or promotion
//!                                       └─► fail ─► count, at the threshold roll back
//! ```

use crate::hook::HookKind;
use crate::message::{Message, RollbackReason};
use crate::release::change::{Change, change};
use crate::release::conditions;
use crate::release::draft::Draft;
use crate::release::facts::{Question, Readiness, Wait};
use crate::release::holds;
use crate::release::plan::Action;
use crate::release::weights::Routes;
use crate::release::{awaited, begin, metrics, promotion, stranded, strategy, suspended};
use crate::status::{Outcome, Release};

pub fn progressing(d: &mut Draft<'_>) -> Result<(), Question> {
    if let Some(outcome) = d.release().outcome {
        promotion::go_back(d, outcome);
        return Ok(());
    }
    if d.facts.target_gone {
        promotion::roll_back(d, RollbackReason::TargetGone, Outcome::RolledBack);
        return Ok(());
    }
    match change(d) {
        Change::None if d.released_revision() == d.target().revision => {}
        Change::BackToPromoted => {
            begin::abort(d);
            return Ok(());
        }
        Change::None | Change::New if d.is_suspended() => {
            suspended::keep_changed_away(d);
            return Ok(());
        }
        Change::None | Change::New => {
            begin::restart(d);
            return Ok(());
        }
    }
    if d.release().paused.is_none() && stranded::return_to_primary(d) {
        return Ok(());
    }
    remember_addresses(d);
    if let Readiness::Stuck(why) = &d.target().readiness {
        promotion::roll_back(
            d,
            RollbackReason::Deadline(why.clone()),
            Outcome::RolledBack,
        );
        return Ok(());
    }
    if keep_traffic_on_ready_pods(d) {
        return Ok(());
    }
    if d.target().replicas == 0 || is_default_sized(d) {
        // Somebody scaled it away: a release without pods proves nothing.
        if !d.is_hindered() {
            d.act(Action::Scale(d.facts.scale_up_to));
        }
        return Ok(());
    }
    if d.release().paused.is_some() || d.is_suspended() || holds::lifted(d) {
        return Ok(());
    }
    if d.release().step_since.is_none() {
        before_analysis(d)
    } else {
        checks(d)
    }
}

/// Before anybody is sent to it: its `replicas` were left out of a manifest, and a 1 was filled in.
fn is_default_sized(d: &Draft<'_>) -> bool {
    let begun = |release: &Release| release.step_since.is_some() || release.paused.is_some();
    let begun = d.status.release.as_ref().is_some_and(begun);
    !begun && !d.is_hindered() && d.target().replicas < d.facts.scale_up_to
}

/// Metrics measure the canary by the addresses that it had within their window.
fn remember_addresses(d: &mut Draft<'_>) {
    const MOST: usize = 64;
    let now = d.now();
    let current = &d.facts.canary_addresses;
    let release = d.release();
    for ip in current {
        match release.addresses.iter_mut().find(|seen| seen.ip == *ip) {
            // Once a minute is enough, and queries allow for it: each look would write status.
            Some(seen) if now.duration_since(seen.last_seen).as_secs() > 60 => seen.last_seen = now,
            Some(_) => {}
            None => release.addresses.push(crate::status::SeenAddress {
                ip: ip.clone(),
                last_seen: now,
            }),
        }
    }
    // Those that are gone are forgotten first.
    let mut surplus = release.addresses.len().saturating_sub(MOST);
    release.addresses.retain(|seen| {
        let forgotten = surplus > 0 && !current.contains(&seen.ip);
        surplus -= usize::from(forgotten);
        !forgotten
    });
    release.addresses.truncate(MOST);
}

/// True if the canary lost its pods or just got them back: nothing else is decided then.
fn keep_traffic_on_ready_pods(d: &mut Draft<'_>) -> bool {
    let weight = d.weight();
    if weight > 0 && !d.canary_serves() {
        let lost = d.lost();
        let moved = d.route(Routes::ALL_PRIMARY);
        if moved {
            d.say(lost);
            d.release().interrupted_at = Some(weight);
        }
        return moved;
    }
    let Some(weight) = d.release().interrupted_at else {
        return false;
    };
    if d.is_hindered() || d.not_ready().is_some() || !d.route(Routes::to_canary(weight)) {
        return false;
    }
    d.say(Message::ReadyAgain(weight));
    d.release().interrupted_at = None;
    d.release().next_check_at = None;
    d.begin_step();
    true
}

/// Nothing goes forward: something is missing, or it is not known how the canary's pods are.
fn is_closed(d: &Draft<'_>) -> bool {
    d.is_hindered() || d.target().is_unobserved()
}

fn is_due(d: &mut Draft<'_>) -> bool {
    let now = d.now();
    // What a webhook said at last is looked at, and all else anew.
    let due = d.facts.answers.news || d.release().next_check_at.is_none_or(|due| due <= now);
    if !due && let Some(due) = d.release().next_check_at {
        d.wake_at(due);
    }
    due
}

/// In `release.passed`: the pre-rollout hooks, which are not called again while a gate is closed.
const PRE_ROLLOUT: &str = "pre-rollout";

/// The canary is rolling, or its pre-rollout hooks have not passed yet.
fn before_analysis(d: &mut Draft<'_>) -> Result<(), Question> {
    if let Some(why) = d.not_ready() {
        wait_for_canary(d, why);
        return Ok(());
    }
    if d.is_hindered() {
        return Ok(());
    }
    if promotion::unanalysed(d) {
        promote_unanalysed(d);
        return Ok(());
    }
    if !is_due(d) {
        return Ok(());
    }
    if d.release().next_check_at.is_none() {
        d.say(Message::StartingAnalysis);
    }
    d.release().message = String::new();
    d.checked();
    if asked_to_roll_back(d)? {
        return Ok(());
    }
    if !d.has_passed(PRE_ROLLOUT) {
        match all_of(d, HookKind::PreRollout)? {
            Said::Passed => {}
            Said::Failed(hook, error) => {
                fail(d, "HookFailed", Message::PreRolloutFailed { hook, error });
                return Ok(());
            }
            Said::Late => {
                d.schedule_next_check();
                return Ok(());
            }
        }
        for (_, hook) in d.canary.hooks(HookKind::PreRollout) {
            d.say(Message::PreRolloutPassed(hook.name.clone()));
        }
        d.pass(PRE_ROLLOUT);
    }
    d.clear_condition(conditions::HALTED);
    if stranded::is_stranded(d) {
        stranded::begin_in_place(d);
        return Ok(());
    }
    strategy::step(d)
}

fn promote_unanalysed(d: &mut Draft<'_>) {
    if strategy::agreed(d) {
        return promotion::promote(d);
    }
    // It has its pods: should it lose them, they have their own time.
    d.release().rolling_since = None;
}

fn wait_for_canary(d: &mut Draft<'_>, why: String) {
    let now = d.now();
    let release = d.release();
    let noticed = !release.message.is_empty();
    let was_ready = release.next_check_at.is_some();
    if was_ready && !noticed {
        // It waits for a gate or a hook, not for its first pods: these have their own time.
        release.rolling_since = Some(now);
    }
    if d.past_deadline(d.target()) {
        return promotion::roll_back(d, RollbackReason::Deadline(why), Outcome::RolledBack);
    }
    // Said when its cause is pods that are not available, not while the rollout is being written.
    let settled = matches!(
        d.target().readiness,
        Readiness::Waiting(Wait::Unavailable { .. })
    );
    if (settled || was_ready) && !noticed {
        d.say(Message::CanaryNotReady(why.clone()));
        d.release().message = why;
    }
}

/// True if a rollback hook answered with success, and the release goes back.
fn asked_to_roll_back(d: &mut Draft<'_>) -> Result<bool, Question> {
    for (index, hook) in d.canary.hooks(HookKind::Rollback) {
        if awaited::hook(d, index)?.is_some_and(Result::is_ok) {
            d.say(Message::RollbackHookPassed(hook.name.clone()));
            promotion::roll_back(d, RollbackReason::Hook, Outcome::RolledBack);
            return Ok(true);
        }
    }
    Ok(false)
}

/// What all hooks of a kind say together.
enum Said {
    Passed,
    /// The first that does not answer with success, and its error.
    Failed(String, String),
    /// One has not answered: nothing passes, and what is known besides counts.
    Late,
}

fn all_of(d: &mut Draft<'_>, kind: HookKind) -> Result<Said, Question> {
    let mut all = Said::Passed;
    for (index, hook) in d.canary.hooks(kind) {
        match awaited::hook(d, index)? {
            Some(Ok(())) => {}
            Some(Err(error)) => return Ok(Said::Failed(hook.name.clone(), error.clone())),
            None => all = Said::Late,
        }
    }
    Ok(all)
}

fn checks(d: &mut Draft<'_>) -> Result<(), Question> {
    // Not looked at yet is no verdict.
    let not_ready = d.not_ready().filter(|_| !d.target().is_unobserved());
    // Where a policy holds it, checks go on.
    if promotion::unanalysed(d) && !is_closed(d) && not_ready.is_none() && strategy::agreed(d) {
        promotion::promote(d);
        return Ok(());
    }
    if !is_due(d) {
        return Ok(());
    }
    d.checked();
    if asked_to_roll_back(d)? {
        return Ok(());
    }
    if let Some(why) = not_ready {
        fail(d, "CanaryNotReady", Message::CanaryNotReady(why));
        return Ok(());
    }
    let said = all_of(d, HookKind::Rollout)?;
    if let Said::Failed(hook, error) = said {
        fail(d, "HookFailed", Message::RolloutHookFailed { hook, error });
        return Ok(());
    }
    if let Some(message) = metrics::first_failure(d)? {
        fail(d, "MetricFailed", message);
        return Ok(());
    }
    if let Said::Late = said {
        d.schedule_next_check();
        return Ok(());
    }
    d.release().message = String::new();
    d.clear_condition(conditions::HALTED);
    if is_closed(d) {
        d.schedule_next_check();
        return Ok(());
    }
    strategy::step(d)
}

/// Says and counts a failed check; the one that reaches the threshold rolls back at once.
fn fail(d: &mut Draft<'_>, reason: &str, message: Message) {
    d.condition(conditions::HALTED, reason, &message.text(d.canary));
    d.say(message);
    d.status.failed_checks += 1;
    let threshold = d.canary.threshold();
    if d.status.failed_checks >= threshold {
        return promotion::roll_back(d, RollbackReason::Threshold(threshold), Outcome::RolledBack);
    }
    d.schedule_next_check();
}
