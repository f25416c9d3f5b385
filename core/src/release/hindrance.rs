//! What is missing around a Canary, or refused. It closes the ways forward that rest on it, and none
//! of the ways back.
//!
//! ```text
//!  forward: start, next step, promotion, scale-down   closed while Facts::problems holds anything
//!  back:    100/0, threshold, deadline, pause, a person's rollback, the primary put back   always open
//! ```

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::canary::Canary;
use crate::message::Message;
use crate::release::conditions::{self, READY};
use crate::release::draft::Draft;
use crate::release::facts::Problem;
use crate::release::plan::{Action, Plan};
use crate::status::{CanaryStatus, Phase, Release};

/// Says what hinders once, and keeps it as condition `Ready` = `False` for as long as it does.
pub fn note(d: &mut Draft<'_>) {
    let problem = together(&d.facts.problems).or_else(|| d.facts.failed.clone());
    let Some(problem) = problem else {
        return d.clear_problem();
    };
    if set(&mut d.status, d.canary, &problem, d.facts.now) {
        d.say(Message::Problem(problem.message));
    }
}

/// One condition has one reason: the first problem's. The message has them all.
fn together(problems: &[Problem]) -> Option<Problem> {
    let first = problems.first()?;
    let mut texts: Vec<&str> = Vec::new();
    for problem in problems {
        if !texts.contains(&problem.message.as_str()) {
            texts.push(&problem.message);
        }
    }
    Some(Problem {
        reason: first.reason,
        message: texts.join("; "),
    })
}

/// True if that is news.
fn set(status: &mut CanaryStatus, canary: &Canary, problem: &Problem, now: Timestamp) -> bool {
    if status.conditions.is_empty() {
        // Not begun: the phase is for Flagger's readers, the baseline is still to be taken.
        let phase = status.phase;
        if phase == Phase::New {
            status.phase = Phase::Initializing;
        }
        conditions::set_promoted(status, &canary.spec.target_ref.kind, now);
        status.phase = phase;
    }
    let known = conditions::get(status, READY).is_some_and(|old| old.message == problem.message);
    conditions::set(status, READY, problem.reason, &problem.message, now);
    !known
}

/// What it comes to where nothing may be acted on at all: our status fields are dropped, or another
/// controller writes them. Said once, kept as a condition, and nothing touched.
pub fn untouched(canary: &Canary, problem: &Problem, now: Timestamp) -> Plan {
    let mut status = canary.status.clone().unwrap_or_default();
    let before = status.clone();
    let news = set(&mut status, canary, problem, now);
    let say = Action::Say(Message::Problem(problem.message.clone()));
    stored(
        canary,
        &before,
        status,
        if news { vec![say] } else { vec![] },
        now,
    )
}

/// What remains of a plan whose writes failed: a way back that was decided stays decided, although the
/// checks may pass the next time; what was not done is not said to be. The problem is told if it is
/// more than a passing one.
pub fn undone(canary: &Canary, plan: &Plan, problem: Option<&Problem>, now: Timestamp) -> Plan {
    let before = canary.status.clone().unwrap_or_default();
    let mut status = before.clone();
    let (mut ended, mut actions) = (None, Vec::new());
    if only_pods_stay(&before, plan) {
        status.clone_from(&plan.status);
        ended = plan.ended;
        let all = plan.actions.iter();
        let unsaid = all.skip_while(|action| !matches!(action, Action::Scale(_)));
        let unsaid = unsaid.filter(|action| matches!(action, Action::Say(_)));
        actions.extend(unsaid.cloned());
    } else if let Some(decided) = decided_rollback(&before, &plan.status) {
        keep_decision(&mut status, &plan.status, decided);
    } else if decided_to_put_back(&before, &plan.status) {
        keep_end(&mut status, &plan.status);
        ended = plan.ended;
    } else if is_put_back(&before) && !plan.actions.iter().any(is_route) {
        // Everybody is where the plan has them: only the primary is not.
        status.canary_weight = plan.status.canary_weight;
        status.last_request.clone_from(&plan.status.last_request);
    }
    if let Some(problem) = problem
        && set(&mut status, canary, problem, now)
    {
        actions.push(Action::Say(Message::Problem(problem.message.clone())));
    }
    let mut rest = stored(canary, &before, status, actions, now);
    rest.ended = ended;
    rest
}

/// All is done but that the target's pods go: nobody is sent to them, and they are tried again at rest. A policy
/// that wants pods of every Deployment must keep no release from ending, and no newer one waiting.
fn only_pods_stay(before: &CanaryStatus, plan: &Plan) -> bool {
    let at_rest = |phase| matches!(phase, Phase::Initialized | Phase::Succeeded | Phase::Failed);
    let scales = |action: &Action| matches!(action, Action::Say(_) | Action::Scale(0));
    !at_rest(before.phase) && at_rest(plan.status.phase) && plan.actions.iter().all(scales)
}

/// The release, if the plan decided to roll it back and it has to be gone on with.
fn decided_rollback<'a>(before: &CanaryStatus, after: &'a CanaryStatus) -> Option<&'a Release> {
    let (old, new) = (before.release.as_ref()?, after.release.as_ref()?);
    let same = old.number == new.number && old.revision == new.revision;
    let news = old.outcome.is_none() && new.outcome.is_some() && new.ended_at.is_none();
    (same && news && before.phase == after.phase).then_some(new)
}

/// A promotion that failed, or that somebody does not want: the primary is put back from now on, and each
/// look sends home whom this one could not.
fn decided_to_put_back(before: &CanaryStatus, after: &CanaryStatus) -> bool {
    matches!(before.phase, Phase::Promoting | Phase::Finalising) && is_put_back(after)
}

fn is_put_back(status: &CanaryStatus) -> bool {
    let release = status.release.as_ref();
    status.phase == Phase::Failed && release.is_some_and(|release| release.recovering)
}

const fn is_route(action: &Action) -> bool {
    matches!(action, Action::Route(_))
}

fn keep_end(status: &mut CanaryStatus, after: &CanaryStatus) {
    let routed = status.canary_weight;
    keep_answer(status, after);
    let answer = status.last_request.take();
    status.clone_from(after);
    status.last_request = answer;
    status.canary_weight = routed;
}

/// What was answered in this look is not carried out yet.
fn keep_answer(status: &mut CanaryStatus, after: &CanaryStatus) {
    if status.last_request == after.last_request {
        return;
    }
    status.last_request.clone_from(&after.last_request);
    if let Some(request) = &mut status.last_request {
        request.pending = true;
    }
}

fn keep_decision(status: &mut CanaryStatus, after: &CanaryStatus, decided: &Release) {
    keep_answer(status, after);
    status.failed_checks = after.failed_checks;
    status.conditions.clone_from(&after.conditions);
    status.events.clone_from(&after.events);
    // It may have begun with this plan only: a release that waits has applied nothing.
    status
        .last_applied_spec
        .clone_from(&after.last_applied_spec);
    status.tracked_configs.clone_from(&after.tracked_configs);
    if let Some(release) = &mut status.release {
        release.outcome = decided.outcome;
        release.message.clone_from(&decided.message);
        release.checks.clone_from(&decided.checks);
        release.next_check_at = None;
    }
}

fn stored(
    canary: &Canary,
    before: &CanaryStatus,
    mut status: CanaryStatus,
    actions: Vec<Action>,
    now: Timestamp,
) -> Plan {
    if status != *before {
        status.last_transition_time = Timestamp::from_second(now.as_second()).ok();
        status.observed_generation = canary.metadata.generation;
    }
    Plan {
        actions,
        status,
        wake: None,
        ended: None,
        checked: false,
        used: BTreeSet::new(),
    }
}
