//! A plan in the making: small verbs, so that the phases read as prose.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::canary::Canary;
use crate::message::Message;
use crate::release::conditions;
use crate::release::facts::{Facts, Question, Workload};
use crate::release::plan::{Action, Ended, Plan};
use crate::release::weights::Routes;
use crate::release::worst::worst;
use crate::status::{
    AfterDrain, CanaryStatus, Drain, MetricCheck, Outcome, Phase, Release, ReleaseRecord,
};

/// How many ended releases status remembers.
const HISTORY: usize = 10;

#[derive(Clone)]
pub struct Draft<'a> {
    pub canary: &'a Canary,
    pub facts: &'a Facts,
    pub status: CanaryStatus,
    /// The canary's weight in the router, once the actions so far are done.
    routed: Option<i64>,
    actions: Vec<Action>,
    wake: Option<Timestamp>,
    ended: Option<Ended>,
    checked: bool,
    /// Answers that were looked at.
    pub used: BTreeSet<Question>,
}

// === impl Draft ===

impl<'a> Draft<'a> {
    pub fn new(canary: &'a Canary, facts: &'a Facts) -> Self {
        let mut status = canary.status.clone().unwrap_or_default();
        let weighted = facts.settings.capability.weighted;
        let routed = facts
            .routes
            .filter(|_| weighted)
            .map(|routes| routes.canary);
        // A weight that was routed counts even if its status was not stored: whoever got it has
        // connections that must drain.
        let running = status
            .release
            .as_mut()
            .filter(|release| release.ended_at.is_none());
        if let (Some(release), Some(routed)) = (running, routed) {
            release.peak_weight = release.peak_weight.max(routed);
        }
        Self {
            canary,
            facts,
            status,
            routed,
            actions: Vec::new(),
            wake: None,
            ended: None,
            checked: false,
            used: BTreeSet::new(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.facts.now
    }

    pub fn target(&self) -> &'a Workload {
        &self.facts.target
    }

    /// Something is missing or refused, or somebody does not want it: nothing goes forward.
    pub fn is_hindered(&self) -> bool {
        !self.facts.problems.is_empty() || self.is_suspended()
    }

    /// A Canary that is created suspended has its baseline taken all the same.
    pub fn is_suspended(&self) -> bool {
        self.canary.suspended() && self.phase() != Phase::New
    }

    pub fn phase(&self) -> Phase {
        self.status.phase
    }

    /// The release in progress. Every phase that asks has one; a status that lost it gets an
    /// empty one, which the current revision then supersedes.
    pub fn release(&mut self) -> &mut Release {
        self.status.release.get_or_insert_with(Release::default)
    }

    /// Whether the release got past something that is asked only once.
    pub fn has_passed(&self, mark: &str) -> bool {
        self.status
            .release
            .as_ref()
            .is_some_and(|release| release.passed.iter().any(|old| old == mark))
    }

    pub fn pass(&mut self, mark: &str) {
        if !self.has_passed(mark) {
            self.release().passed.push(mark.to_owned());
        }
    }

    pub fn released_revision(&self) -> &str {
        self.status
            .release
            .as_ref()
            .map_or("", |release| release.revision.as_str())
    }

    pub fn promoted(&self) -> &str {
        self.status
            .last_promoted_spec
            .as_deref()
            .unwrap_or_default()
    }

    pub fn say(&mut self, message: Message) {
        self.actions.push(Action::Say(message));
    }

    pub fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    pub fn checked(&mut self) {
        self.checked = true;
    }

    pub fn has_traffic(&self) -> bool {
        self.facts.settings.capability.weighted
    }

    /// The weight that the canary was given. The router may be a step ahead, if a crash came between
    /// its write and that of status: then the same step is decided again, not the one after it.
    pub fn weight(&self) -> i64 {
        self.status.canary_weight
    }

    /// The weight that the canary has.
    pub fn routed(&self) -> i64 {
        self.routed.unwrap_or(self.status.canary_weight)
    }

    /// Whether the canary may still have connections, although no more are sent there.
    pub fn served(&self) -> bool {
        let release = self.status.release.as_ref();
        self.has_traffic() && release.is_some_and(|release| release.peak_weight > 0)
    }

    /// Routes, unless the side that would get more has no ready pods. True if the wanted routes
    /// hold afterwards.
    pub fn route(&mut self, to: Routes) -> bool {
        if !self.has_traffic() {
            self.status.canary_weight = 0;
            return true;
        }
        let gains_ready = match to.canary.cmp(&self.routed()) {
            std::cmp::Ordering::Greater => self.canary_serves(),
            std::cmp::Ordering::Less => self.primary_serves(),
            std::cmp::Ordering::Equal => return self.settle(to),
        };
        if !gains_ready {
            return false;
        }
        self.actions.push(Action::Route(to));
        self.routed = Some(to.canary);
        self.settle(to)
    }

    /// Puts the router back to the weight that was decided, whoever changed it; not in the tick that
    /// changes the primary.
    pub fn hold_weight(&mut self) {
        let promotes = self
            .actions
            .iter()
            .any(|action| matches!(action, Action::Promote(_)));
        let raises = self.weight() > self.routed();
        let may = !(promotes || raises && self.is_hindered());
        if self.has_traffic() && may && self.routed() != self.weight() {
            self.route(Routes::to_canary(self.weight()));
        }
    }

    fn settle(&mut self, to: Routes) -> bool {
        self.status.canary_weight = to.canary;
        if let Some(release) = &mut self.status.release {
            release.peak_weight = release.peak_weight.max(to.canary);
        }
        true
    }

    /// Pods that get traffic are never taken away.
    pub fn scale_down(&mut self) {
        if self.target().replicas != 0 && self.routed() == 0 {
            self.actions.push(Action::Scale(0));
        }
    }

    pub fn interval(&self) -> Duration {
        self.canary.interval().max(self.facts.settings.min_interval)
    }

    pub fn after(&self, duration: Duration) -> Timestamp {
        let signed = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        self.now().saturating_add(signed).unwrap_or(Timestamp::MAX)
    }

    /// Whether what the release waits for had its time. The time starts when it is first found not
    /// to be ready, and ends with `rolling_since`, once it is. It does not run while the Deployment
    /// controller has not looked: see `observed`.
    pub fn past_deadline(&mut self, workload: &Workload) -> bool {
        !workload.is_unobserved() && self.had_its_time()
    }

    /// The same for what nobody has to look at first.
    pub fn had_its_time(&mut self) -> bool {
        let now = self.now();
        let deadline = SignedDuration::try_from(self.canary.progress_deadline())
            .unwrap_or(SignedDuration::MAX);
        let since = *self.release().rolling_since.get_or_insert(now);
        let end = since.saturating_add(deadline).unwrap_or(Timestamp::MAX);
        if end > now {
            self.wake_at(end);
        }
        end <= now
    }

    pub fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// The next check is due an interval after the last was due: a late tick does not shift the
    /// ones that follow. One that was missed altogether is not made up for.
    pub fn schedule_next_check(&mut self) {
        let fresh = self.after(self.interval());
        let interval = SignedDuration::try_from(self.interval()).unwrap_or(SignedDuration::MAX);
        let now = self.now();
        let release = self.release();
        let next = release
            .next_check_at
            .filter(|due| *due <= now)
            .and_then(|due| due.saturating_add(interval).ok())
            .filter(|next| *next > now)
            .unwrap_or(fresh);
        release.next_check_at = Some(next);
        self.wake_at(next);
    }

    /// A new step begins: its dwell counts from now. A paused release waits for no check.
    pub fn begin_step(&mut self) {
        let now = self.now();
        if self.release().paused.is_none() {
            self.schedule_next_check();
        }
        self.release().step_since = Some(now);
    }

    pub fn set_phase(&mut self, phase: Phase) {
        let (now, kind) = (self.now(), self.canary.spec.target_ref.kind.clone());
        self.status.phase = phase;
        conditions::set_promoted(&mut self.status, &kind, now);
    }

    pub fn condition(&mut self, type_: &str, reason: &str, message: &str) {
        let now = self.now();
        conditions::set(&mut self.status, type_, reason, message, now);
    }

    pub fn clear_condition(&mut self, type_: &str) {
        conditions::clear(&mut self.status, type_);
    }

    /// Drops a condition that was set for a reason which no longer holds.
    pub fn clear_condition_of(&mut self, type_: &str, reason: &str, still: bool) {
        if !still && conditions::get(&self.status, type_).is_some_and(|old| old.reason == reason) {
            conditions::clear(&mut self.status, type_);
        }
    }

    /// What hindered before was found in order this time. What the rules themselves watch (a primary
    /// that does not start, a suspension) is cleared where it is watched.
    pub fn clear_problem(&mut self) {
        let watched = [
            "Suspended",
            "PrimaryNotReady",
            conditions::BASELINE_REPLACED,
        ];
        self.status
            .conditions
            .retain(|old| old.type_ != conditions::READY || watched.contains(&old.reason.as_str()));
    }

    pub fn drain(&mut self, needed: bool, then: AfterDrain) {
        let until = if needed {
            self.after(self.facts.settings.drain)
        } else {
            self.now()
        };
        self.status.drain = Some(Drain { until, then });
        self.wake_at(until);
    }

    pub fn drained(&mut self, then: AfterDrain) -> bool {
        match &self.status.drain {
            Some(drain) if drain.then == then && drain.until <= self.facts.now => true,
            Some(drain) => {
                let until = drain.until;
                self.wake_at(until);
                false
            }
            None => false,
        }
    }

    /// Closes the release in progress and remembers it.
    pub fn end(&mut self, outcome: Outcome) {
        let now = self.now();
        self.status.drain = None;
        self.clear_condition(conditions::SPEC_PENDING);
        let Some(release) = &mut self.status.release else {
            return;
        };
        release.ended_at = Some(now);
        release.outcome = Some(outcome);
        release.next_check_at = None;
        release.step_since = None;
        release.rolling_since = None;
        release.paused = None;
        release.waiting_for = None;
        release.interrupted_at = None;
        let record = ReleaseRecord {
            number: release.number,
            revision: release.revision.clone(),
            from: release.from.clone(),
            images: release.images.clone(),
            by: release.by.clone(),
            started_at: release.started_at,
            ended_at: now,
            outcome,
            message: release.message.clone(),
            weight: release.peak_weight,
            worst: worst(&release.checks).map(MetricCheck::without_recent),
        };
        self.status.history.insert(0, record);
        self.status.history.truncate(HISTORY);
        self.clear_condition(conditions::PAUSED);
        // What failed a release stays to be read; what it got over, or what nobody waited for, does not.
        if outcome != Outcome::RolledBack {
            self.clear_condition(conditions::HALTED);
        }
        if outcome == Outcome::Promoted {
            self.clear_condition(conditions::BASELINE_FAILED);
        }
    }

    pub fn tell_end(&mut self, phase: Phase, skipped: bool) {
        self.ended = Some(Ended { phase, skipped });
    }

    /// The generation at which the target's template was last seen to be the known one.
    pub fn observe_generation(&mut self) {
        let target = self.target();
        if let Some(seen) = &mut self.status.target
            && seen.revision == target.revision
        {
            seen.uid.clone_from(&target.uid);
            seen.generation = target.generation;
        }
    }

    /// Status is stamped only if something in it changed: an idle Canary is never written. Whatever
    /// changed is looked at again at once, so that no phase has to know what the next one needs.
    pub fn finish(mut self) -> Plan {
        self.status.observed_generation = self.canary.metadata.generation;
        let before = self.canary.status.clone().unwrap_or_default();
        let changed = self.status != before;
        if changed {
            self.observe_generation();
            self.wake_at(self.now());
            let second = Timestamp::from_second(self.now().as_second()).unwrap_or(self.now());
            self.status.last_transition_time = Some(second);
        }
        Plan {
            actions: self.actions,
            status: self.status,
            wake: self.wake,
            ended: self.ended,
            checked: self.checked,
            used: self.used,
        }
    }
}
