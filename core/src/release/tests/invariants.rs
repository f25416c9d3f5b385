//! What must hold of every plan, whatever the Canary and the facts.

use super::holds::{
    a_hold_keeps_no_rollback, held, no_advance_under_a_hold, no_promotion_under_a_hold,
    no_start_under_a_hold,
};
use super::world::World;
use crate::canary::{Canary, Strategy};
use crate::release::weights::max_weight;
use crate::release::{Action, Facts, Plan, Readiness, Routes};
use crate::revision;
use crate::status::{CanaryStatus, Phase, Release};

/// One decision, with what it rested on.
pub struct Decision<'a> {
    pub canary: &'a Canary,
    pub before: &'a CanaryStatus,
    pub facts: &'a Facts,
    pub plan: &'a Plan,
    pub world: &'a World,
}

pub type Invariant = fn(&Decision<'_>) -> bool;

/// The name is the sentence that is broken when it answers false.
pub const INVARIANTS: &[(&str, Invariant)] = &[
    ("weights sum to 100", weights_sum_to_100),
    (
        "no route raises the weight of a workload without ready pods",
        no_route_to_pods_that_are_not_there,
    ),
    (
        "a canary that loses all ready pods gets 100/0 at once",
        lost_pods_get_nothing,
    ),
    (
        "a canary that is ready again returns to its step",
        ready_again_returns,
    ),
    (
        "at most one check fails in an interval",
        one_failure_an_interval,
    ),
    (
        "no promotion after a failed check",
        no_promotion_after_a_failed_check,
    ),
    (
        "before promotion the canary has at most its maximum",
        at_most_its_maximum,
    ),
    (
        "after a rollback the primary has everything",
        primary_has_everything_after_rollback,
    ),
    ("a paused release keeps its weight", paused_keeps_its_weight),
    (
        "no plan routes to the canary and promotes",
        no_route_with_promotion,
    ),
    (
        "pods with traffic are never scaled away",
        traffic_before_pods,
    ),
    ("what is said is remembered", what_is_said_is_remembered),
    (
        "only a recorded template is promoted",
        only_recorded_is_promoted,
    ),
    (
        "the promoted revision changes only where a promotion ends",
        promoted_by_promotion_only,
    ),
    (
        "the first condition follows the phase",
        condition_follows_phase,
    ),
    ("phases follow their arrows", phases_follow_arrows),
    ("an idle plan sleeps", idle_sleeps),
    ("a request is answered once", request_answered_once),
    (
        "the last ten releases are remembered, and no more",
        history_is_short,
    ),
    (
        "no release starts while a policy holds its start",
        no_start_under_a_hold,
    ),
    (
        "no canary gets more while a policy holds it",
        no_advance_under_a_hold,
    ),
    (
        "no promotion begins while a policy holds it",
        no_promotion_under_a_hold,
    ),
    ("a hold never keeps a rollback", a_hold_keeps_no_rollback),
];

// === impl Decision ===

impl Decision<'_> {
    fn weighted(&self) -> bool {
        self.facts.settings.capability.weighted
    }

    fn routed_before(&self) -> i64 {
        self.facts.routes.map_or(0, |routes| routes.canary)
    }

    fn routed_after(&self) -> i64 {
        self.plan
            .routes()
            .last()
            .map_or(self.routed_before(), |routes| routes.canary)
    }

    /// Each route of the plan, with the weight that it finds.
    fn moves(&self) -> impl Iterator<Item = (i64, Routes)> + '_ {
        self.plan
            .routes()
            .scan(self.routed_before(), |weight, routes| {
                let found = std::mem::replace(weight, routes.canary);
                Some((found, routes))
            })
    }

    fn primary_ready(&self) -> bool {
        self.facts
            .primary
            .as_ref()
            .is_some_and(|primary| primary.ready > 0)
    }

    pub fn release(&self) -> Option<&Release> {
        self.before.release.as_ref()
    }

    pub fn on_trial(&self) -> bool {
        matches!(
            self.before.phase,
            Phase::Progressing | Phase::WaitingPromotion
        )
    }

    /// Taken over from Flagger in this very tick.
    pub fn taken_over(&self) -> bool {
        self.before
            .last_applied_spec
            .as_deref()
            .is_some_and(|spec| !revision::is_ours(spec))
    }

    /// Only names changed in this tick; the next one looks at the rest.
    fn renamed(&self) -> bool {
        self.plan
            .actions
            .iter()
            .any(|action| matches!(action, Action::Rebaseline { .. }))
    }

    fn canary_ready(&self) -> bool {
        let reachable = !self.weighted() || self.facts.serving.canary > 0;
        self.facts.target.ready > 0 && reachable
    }

    fn asked(&self) -> bool {
        self.plan.status.last_request != self.before.last_request
    }

    /// The canary got no more than it had, and could not be given less: the primary has no ready
    /// pods, or nothing but a person's wish or a name was looked at.
    fn left_where_it_was(&self) -> bool {
        let paused = self.release().is_some_and(|it| it.paused.is_some());
        let looked_at = !paused && !self.canary.suspended() && !self.asked() && !self.renamed();
        let before = self.before.canary_weight.max(self.routed_before());
        let after = self.plan.status.canary_weight.max(self.routed_after());
        after <= before && !(self.primary_ready() && looked_at)
    }

    /// Neither a person nor a change of what is released decides this tick.
    fn undisturbed(&self) -> bool {
        let same_template = self
            .release()
            .is_some_and(|r| r.revision == self.facts.target.revision)
            && self.before.last_applied_spec.as_ref() == Some(&self.facts.target.revision);
        let same_configs = self.before.tracked_configs.as_ref() == Some(&self.facts.configs);
        let ending = self
            .release()
            .is_some_and(|release| release.outcome.is_some());
        let quiet =
            !self.asked() && !self.taken_over() && !self.renamed() && !self.canary.suspended();
        quiet && same_template && same_configs && !ending
    }
}

fn weights_sum_to_100(d: &Decision<'_>) -> bool {
    d.plan
        .routes()
        .all(|to| to.primary + to.canary == 100 && (0..=100).contains(&to.canary))
}

fn no_route_to_pods_that_are_not_there(d: &Decision<'_>) -> bool {
    d.moves().all(|(found, to)| match to.canary.cmp(&found) {
        std::cmp::Ordering::Greater => d.canary_ready(),
        std::cmp::Ordering::Less => d.primary_ready(),
        std::cmp::Ordering::Equal => true,
    })
}

fn lost_pods_get_nothing(d: &Decision<'_>) -> bool {
    let matters = d.on_trial() || d.before.phase == Phase::Promoting;
    let lost = !d.canary_ready() && d.primary_ready() && d.weighted();
    // What somebody routed there in the tick of a promotion is put back in the next one.
    let ours = d.routed_before() == d.before.canary_weight || !d.plan.promotes();
    let looked_at = ours && !d.taken_over() && !d.asked() && !d.renamed();
    !(matters && lost && looked_at) || d.routed_after() == 0
}

fn ready_again_returns(d: &Decision<'_>) -> bool {
    let Some(step) = d.release().and_then(|release| release.interrupted_at) else {
        return true;
    };
    let ready = d.facts.target.is_ready() && d.canary_ready();
    !(ready && d.on_trial() && d.undisturbed())
        || (d.routed_after() == step && d.plan.status.canary_weight == step)
}

fn one_failure_an_interval(d: &Decision<'_>) -> bool {
    let (before, after) = (d.before.failed_checks, d.plan.status.failed_checks);
    if after <= before {
        return true;
    }
    let due = d
        .release()
        .is_none_or(|release| release.next_check_at.is_none_or(|due| due <= d.facts.now));
    // A webhook that is late at one check says no before the next.
    let due = due || d.facts.answers.news;
    let again = d.plan.status.release.as_ref();
    let later = again
        .is_some_and(|r| r.outcome.is_some() || r.next_check_at.is_some_and(|at| at > d.facts.now));
    after == before + 1 && due && later
}

fn no_promotion_after_a_failed_check(d: &Decision<'_>) -> bool {
    let starts = d.plan.status.phase == Phase::Promoting && d.before.phase != Phase::Promoting;
    let passed = d.plan.checked && d.plan.status.failed_checks == d.before.failed_checks;
    let wanted = d
        .release()
        .is_some_and(|r| r.passed.iter().any(|mark| mark == "approved:full"));
    !starts || passed || wanted || d.asked() || d.canary.skip_analysis()
}

fn at_most_its_maximum(d: &Decision<'_>) -> bool {
    let status = &d.plan.status;
    let promoted = matches!(
        status.phase,
        Phase::Promoting | Phase::Finalising | Phase::Failed
    );
    let max = match d.canary.strategy() {
        Strategy::Canary => max_weight(d.canary),
        Strategy::BlueGreen if status.iterations < d.canary.iterations() => 0,
        Strategy::BlueGreen | Strategy::AbTesting => 100,
    };
    let routed = d
        .plan
        .routes()
        .map(|to| to.canary)
        .max()
        .unwrap_or_default();
    let within = status.canary_weight.max(routed) <= max;
    promoted || d.taken_over() || d.world.inherited || within || d.left_where_it_was()
}

fn primary_has_everything_after_rollback(d: &Decision<'_>) -> bool {
    let back = d.plan.status.phase == Phase::Failed
        && !d
            .plan
            .status
            .release
            .as_ref()
            .is_some_and(|release| release.recovering);
    // As above.
    let ours = d.routed_before() == d.before.canary_weight || !d.plan.promotes();
    // What somebody routes at rest is theirs while it is suspended.
    let recovered = d.release().is_some_and(|release| !release.recovering);
    let left_alone = d.canary.suspended() && d.before.phase == Phase::Failed && recovered;
    let possible =
        d.primary_ready() && ours && !left_alone && d.weighted() && !d.taken_over() && !d.renamed();
    !(back && possible) || d.routed_after() == 0
}

fn paused_keeps_its_weight(d: &Decision<'_>) -> bool {
    let paused = d
        .release()
        .is_some_and(|r| r.paused.is_some() && r.interrupted_at.is_none());
    let sound = d.canary_ready() && !matches!(d.facts.target.readiness, Readiness::Stuck(_));
    let held = !d.weighted() || d.routed_before() == d.before.canary_weight;
    !(paused && sound && held && d.undisturbed())
        || (d.plan.routes().next().is_none()
            && d.plan.status.canary_weight == d.before.canary_weight)
}

fn no_route_with_promotion(d: &Decision<'_>) -> bool {
    !d.plan.promotes() || d.moves().all(|(found, to)| to.canary <= found)
}

fn traffic_before_pods(d: &Decision<'_>) -> bool {
    let scaled_away = d.plan.actions.contains(&Action::Scale(0));
    // Somebody else's edit is mended without a drain, for it had none either.
    let ours = d.routed_before() == d.before.canary_weight;
    let drains = !d.facts.settings.drain.is_zero() && ours;
    !scaled_away || (d.routed_after() == 0 && (!drains || d.routed_before() == 0))
}

fn what_is_said_is_remembered(d: &Decision<'_>) -> bool {
    let mut after = d.plan.status.clone();
    after.last_transition_time = d.before.last_transition_time;
    d.plan.messages().next().is_none() || after != *d.before
}

fn only_recorded_is_promoted(d: &Decision<'_>) -> bool {
    d.plan.actions.iter().all(|action| match action {
        Action::Promote(revision) => {
            d.world.recorded.contains(revision)
                || d.plan.actions.contains(&Action::Record(revision.clone()))
        }
        _ => true,
    })
}

fn promoted_by_promotion_only(d: &Decision<'_>) -> bool {
    let same = d.plan.status.last_promoted_spec == d.before.last_promoted_spec;
    let begun = matches!(d.before.phase, Phase::New | Phase::Initializing);
    same || d.renamed() || begun || d.taken_over() || d.before.phase == Phase::Finalising
}

fn condition_follows_phase(d: &Decision<'_>) -> bool {
    let status = &d.plan.status;
    let first = status.conditions.first();
    // Flagger's own condition stays until the phase changes.
    let inherited = d.world.inherited && status.phase == d.before.phase;
    status.phase == Phase::New
        || inherited
        || first.is_some_and(|c| c.type_ == "Promoted" && c.reason == format!("{:?}", status.phase))
}

fn phases_follow_arrows(d: &Decision<'_>) -> bool {
    use Phase::{
        Failed, Finalising, Initialized, Initializing, New, Progressing, Promoting, Succeeded,
        Waiting, WaitingPromotion,
    };
    let (from, to) = (d.before.phase, d.plan.status.phase);
    // What Flagger ran without a primary begins anew.
    from == to
        || (d.taken_over() && to == Initializing)
        || match from {
            New => to == Initializing,
            Initializing => to == Initialized,
            Initialized | Succeeded | Failed => matches!(to, Waiting | Progressing),
            Waiting => matches!(to, Progressing | Initialized | Failed),
            Progressing => matches!(to, WaitingPromotion | Promoting | Failed) || held(d, to),
            WaitingPromotion => matches!(to, Progressing | Promoting | Failed) || held(d, to),
            Promoting => matches!(to, Finalising | Failed),
            Finalising => matches!(to, Succeeded | Failed),
            Phase::Terminating | Phase::Terminated => false,
        }
}

fn idle_sleeps(d: &Decision<'_>) -> bool {
    let idle = d.plan.actions.is_empty() && d.plan.status == *d.before;
    !idle || d.plan.wake.is_none_or(|wake| wake > d.facts.now)
}

fn request_answered_once(d: &Decision<'_>) -> bool {
    let (before, after) = (&d.before.last_request, &d.plan.status.last_request);
    let ids = (
        before.as_ref().map(|r| &r.id),
        after.as_ref().map(|r| &r.id),
    );
    before == after || ids.0 != ids.1
}

fn history_is_short(d: &Decision<'_>) -> bool {
    d.plan.status.history.len() <= 10
}
