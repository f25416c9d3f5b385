//! When a release may start, go on and be promoted.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use super::calendar::Freeze;
use super::{
    Enforcement, FrozenRun, FrozenStart, Objection, OnRunningRelease, Policy, ReleaseRules,
};
use crate::canary::Canary;
use crate::names::BREAK_GLASS;
use crate::status::{Outcome, Phase};

/// A Canary at a moment, as far as policies care.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// None for a Deployment that no Canary manages.
    pub canary: Option<&'a Canary>,
    /// Other Canaries of the namespace for which [`is_releasing`] is true.
    pub others_releasing: usize,
    pub now: Timestamp,
}

/// What keeps a release from going on by itself. Only policies that `Deny` hold; a rollback is
/// never held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Against its start: it waits in phase Waiting.
    pub start: Vec<Objection>,
    /// Against more traffic for the canary.
    pub advance: Vec<Objection>,
    /// Against its promotion.
    pub promote: Vec<Objection>,
    /// Against its promotion until a person asks for it.
    pub approval: Vec<Objection>,
    /// The target's template is locked while its revision is being promoted.
    pub lock: bool,
    /// When the answer may be another one without any change.
    pub edge: Option<Timestamp>,
}

/// Whether its release counts as running. One that waits for its start does not: two that wait
/// would wait for each other.
pub fn is_releasing(canary: &Canary) -> bool {
    let phase = canary.status.as_ref().map(|status| status.phase);
    matches!(
        phase,
        Some(Phase::Progressing | Phase::WaitingPromotion | Phase::Promoting | Phase::Finalising)
    )
}

/// What keeps the release of a Canary from starting or going on, by the policies that apply to
/// its namespace. `broken_glass`: its start was let through by a break-glass, which opens the
/// rest of that release too; approvals stay.
pub fn holds<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    moment: &Moment<'_>,
    broken_glass: bool,
) -> Holds {
    let mut holds = Holds::default();
    for policy in policies {
        // It locks nothing by itself: a target is locked so that admission has what to look at.
        holds.lock |= policy
            .spec
            .protect
            .is_some_and(|protect| protect.lock_during_promotion);
        if policy.spec.enforcement != Enforcement::Deny {
            continue;
        }
        holds.approval.extend(policy.approval());
        if broken_glass {
            continue;
        }
        holds.start.extend(policy.start(moment));
        let going_on = policy.going_on(moment.now);
        holds.advance.extend(going_on.clone());
        holds.promote.extend(going_on);
        let ends = holds.start.iter().filter_map(|hold| hold.until);
        let edges = ends.chain(policy.calendar.outlook(moment.now).edge);
        holds.edge = edges.chain(holds.edge).min();
    }
    holds
}

/// Everything that would keep a new revision of a Canary from being released now, whatever is to
/// become of it; and what its release would wait for after that.
pub fn blocks<'a>(
    policies: impl IntoIterator<Item = &'a Policy>,
    moment: &Moment<'_>,
) -> Vec<Objection> {
    let mut found = Vec::new();
    for policy in policies {
        found.extend(policy.start(moment));
        found.extend(policy.running(moment));
    }
    found
}

// === impl Moment ===

impl Moment<'_> {
    /// The revision that the primary runs.
    pub fn promoted(&self) -> Option<&str> {
        self.canary?.status.as_ref()?.last_promoted_spec.as_deref()
    }

    /// When the last release ended; one that a newer took over from has not.
    fn last_end(&self) -> Option<Timestamp> {
        let status = self.canary?.status.as_ref()?;
        let last = status
            .release
            .as_ref()
            .and_then(|release| Some((release.outcome?, release.ended_at?)));
        let history = status
            .history
            .iter()
            .map(|record| (record.outcome, record.ended_at));
        history
            .chain(last)
            .filter(|(outcome, _)| *outcome != Outcome::Superseded)
            .map(|(_, at)| at)
            .max()
    }

    fn is_releasing(&self) -> bool {
        self.canary.is_some_and(is_releasing)
    }
}

// === impl Policy ===

impl Policy {
    /// Against the start of a release that is no rollback.
    pub fn start(&self, moment: &Moment<'_>) -> Vec<Objection> {
        let Some(rules) = &self.spec.release else {
            return Vec::new();
        };
        let frozen = (rules.on_freeze.new_releases == FrozenStart::Deny)
            .then(|| self.frozen(moment.now, "releases are frozen"))
            .flatten();
        // A release that runs has its slot, and the next one takes it over.
        let free = !moment.is_releasing();
        let interval = free.then(|| self.interval(rules, moment)).flatten();
        let slots = free.then(|| self.slots(rules, moment)).flatten();
        [frozen, interval, slots].into_iter().flatten().collect()
    }

    /// Against a running release that goes on or is promoted.
    pub fn going_on(&self, now: Timestamp) -> Option<Objection> {
        let rules = self.spec.release.as_ref()?;
        (rules.on_freeze.running == FrozenRun::Hold)
            .then(|| self.frozen(now, "releases are held in a freeze"))
            .flatten()
    }

    /// Against a promotion that nobody asked for.
    pub fn approval(&self) -> Option<Objection> {
        let rules = self.spec.approvals.as_ref()?.promote.as_ref()?;
        rules.required.then(|| {
            self.objection(
                "spec.approvals.promote.required",
                "a promotion needs a person's leave: kubectl canary promote".to_owned(),
            )
        })
    }

    /// Against a new template while a release runs.
    pub fn running(&self, moment: &Moment<'_>) -> Option<Objection> {
        let rules = self.spec.release.as_ref()?;
        let canary = moment.canary.filter(|canary| is_releasing(canary))?;
        (rules.on_running_release == OnRunningRelease::Deny).then(|| {
            self.objection(
                "spec.release.onRunningRelease",
                format!(
                    "a release of Canary {0} is running; wait for its end, or roll it back first (kubectl canary rollback {0})",
                    canary.name_any()
                ),
            )
        })
    }

    fn frozen(&self, now: Timestamp, what: &str) -> Option<Objection> {
        let Freeze {
            window,
            reason,
            until,
            ..
        } = self.calendar.freeze(now)?;
        let until_text =
            until.map_or_else(|| "for good".to_owned(), |until| format!("until {until}"));
        let why = reason
            .map(|reason| format!(" ({reason})"))
            .unwrap_or_default();
        let mut objection = self.objection(
            &format!("spec.release.freezeWindows[{window}]"),
            format!(
                "{what} {until_text}{why}; wait, or ask a holder of the verb bypass to add {BREAK_GLASS}"
            ),
        );
        objection.until = until;
        Some(objection)
    }

    /// Whether releases of a namespace may have to wait for one another.
    pub fn counts_releases(&self) -> bool {
        let rules = self.spec.release.as_ref();
        rules.is_some_and(|rules| rules.max_concurrent_per_namespace.is_some())
    }

    fn interval(&self, rules: &ReleaseRules, moment: &Moment<'_>) -> Option<Objection> {
        let text = rules.min_interval.as_ref()?;
        let length = SignedDuration::try_from(self.min_interval?).ok()?;
        let free = moment.last_end()?.checked_add(length).ok()?;
        (moment.now < free).then(|| {
            let mut objection = self.objection(
                "spec.release.minInterval",
                format!("the last release ended less than {text} ago; wait until {free}"),
            );
            objection.until = Some(free);
            objection
        })
    }

    fn slots(&self, rules: &ReleaseRules, moment: &Moment<'_>) -> Option<Objection> {
        let most = rules.max_concurrent_per_namespace?;
        let running = i64::try_from(moment.others_releasing).unwrap_or(i64::MAX);
        (running >= most).then(|| {
            self.objection(
                "spec.release.maxConcurrentPerNamespace",
                format!(
                    "{running} of {most} releases run in this namespace; wait for the end of one"
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests;
