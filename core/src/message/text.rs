//! The sentences themselves.

use std::time::Duration;

use super::{Approval, Message, RollbackReason};
use crate::canary::Canary;
use crate::status::ImageChange;

// === impl Message ===

impl Message {
    /// What Flagger says as a release moves on.
    pub(super) fn life_cycle_text(
        &self,
        canary: &Canary,
        id: &str,
        target: &str,
    ) -> Option<String> {
        let primary = format!("{}.{}", canary.primary_name(), canary.namespace_name());
        Some(match self {
            Self::ProvidersAvailable => "all the metrics providers are available!".to_owned(),
            Self::ProvidersUnavailable(error) => {
                format!("Error checking metric providers: {error}")
            }
            Self::Initialized => format!("Initialization done! {id}"),
            Self::PrimaryNotReady(why) => format!("{primary} not ready: {why}"),
            Self::CanaryNotReady(why) => format!("canary deployment {target} not ready: {why}"),
            Self::NewRevision => format!("New revision detected! Scaling up {target}"),
            Self::RestartingAnalysis => {
                format!("New revision detected! Restarting analysis for {target}")
            }
            Self::StartingAnalysis => format!("Starting canary analysis for {target}"),
            Self::AdvanceWeight(weight) => format!("Advance {id} canary weight {weight}"),
            Self::AdvanceIteration { done, of } => {
                format!("Advance {id} canary iteration {done}/{of}")
            }
            Self::AdvancePrimary(weight) => format!("Advance {id} primary weight {weight}"),
            Self::Copying => format!("Copying {target} template spec to {primary}"),
            Self::RoutingToPrimary => "Routing all traffic to primary".to_owned(),
            Self::RoutingToCanary => "Routing all traffic to canary".to_owned(),
            Self::PromotionCompleted => format!("Promotion completed! Scaling down {target}"),
            Self::PromotionCompletedSkipped => {
                format!("Promotion completed! Canary analysis was skipped for {target}")
            }
            Self::RollingBack(reason) => format!("Rolling back {id} {}", reason.why()),
            Self::CanaryFailed => format!("Canary failed! Scaling down {id}"),
            Self::PromotionFailed(why) => {
                format!("Promotion of {id} failed, primary not ready: {why}")
            }
            Self::Terminating => format!("Terminating canary {id}"),
            Self::Terminated => format!("Terminated canary {id}"),
            Self::Suspended => "skipping canary run as object is suspended".to_owned(),
            _ => return None,
        })
    }

    /// What webhooks of the Canary answered.
    pub(super) fn hook_text(&self, id: &str) -> Option<String> {
        Some(match self {
            Self::WaitingForApproval { approval, hook } => {
                let what = match approval {
                    Approval::Rollout => "approval",
                    Approval::TrafficIncrease => "traffic increase approval",
                    Approval::Promotion => "promotion approval",
                };
                format!("Halt {id} advancement waiting for {what} {hook}")
            }
            Self::HookPassed { approval, hook } => {
                let kind = match approval {
                    Approval::Rollout => "Confirm-rollout",
                    Approval::TrafficIncrease => "Confirm-traffic-increase",
                    Approval::Promotion => "Confirm-promotion",
                };
                format!("{kind} check {hook} passed")
            }
            Self::PreRolloutPassed(hook) => format!("Pre-rollout check {hook} passed"),
            Self::PreRolloutFailed { hook, error } => {
                format!("Halt {id} advancement pre-rollout check {hook} failed {error}")
            }
            Self::RolloutHookFailed { hook, error } => {
                format!("Halt {id} advancement external check {hook} failed {error}")
            }
            Self::PostRolloutPassed(hook) => format!("Post-rollout check {hook} passed"),
            Self::PostRolloutFailed { hook, error } => {
                format!("Post-rollout hook {hook} failed {error}")
            }
            Self::RollbackHookPassed(hook) => format!("Rollback check {hook} passed"),
            Self::RollbackHookQuiet(hook) => {
                format!("Rollback hook {hook} not signaling a rollback")
            }
            _ => return None,
        })
    }

    /// What a metric said.
    pub(super) fn metric_text(&self, canary: &Canary, id: &str) -> Option<String> {
        let target = target_id(canary);
        Some(match self {
            Self::SuccessRateBelow { value, min } => {
                format!("Halt {id} advancement success rate {value:.2}% < {min}%")
            }
            Self::SuccessRateAbove { value, max } => {
                format!("Halt {id} advancement success rate {value:.2}% > {max}%")
            }
            Self::DurationAbove { millis, max } => {
                format!(
                    "Halt {id} advancement request duration {} > {}",
                    go_millis(*millis),
                    go_millis(*max)
                )
            }
            Self::DurationBelow { millis, min } => {
                format!(
                    "Halt {id} advancement request duration {} < {}",
                    go_millis(*millis),
                    go_millis(*min)
                )
            }
            Self::MetricAbove { metric, value, max } => {
                format!("Halt {id} advancement {metric} {value:.2} > {max}")
            }
            Self::MetricBelow { metric, value, min } => {
                format!("Halt {id} advancement {metric} {value:.2} < {min}")
            }
            Self::NoValuesSuccessRate {
                provider,
                metric,
                error,
            } => format!(
                "Halt advancement no values found for {provider} metric {metric} probably {target} is not receiving traffic: {error}"
            ),
            Self::NoValuesDuration { provider, metric } => format!(
                "Halt advancement no values found for {provider} metric {metric} probably {target} is not receiving traffic"
            ),
            Self::NoValuesInline(metric) => {
                format!("Halt advancement no values found for metric: {metric}")
            }
            Self::NoValuesTemplate { metric, error } => {
                format!("Halt advancement no values found for custom metric: {metric}: {error}")
            }
            Self::QueryFailed(error) => format!("Prometheus query failed: {error}"),
            Self::QueryFailedFor { metric, error } => {
                format!("Metric query failed for {metric}: {error}")
            }
            Self::TemplateError { template, error } => {
                format!("Metric template {template} {error}")
            }
            Self::NothingToMeasure(metric) => {
                format!(
                    "Metric query failed for no usable metrics template and query were configured: {metric}"
                )
            }
            _ => return None,
        })
    }

    /// Of pods that come and go, and what is sent to them.
    pub(super) fn pods_text(&self, canary: &Canary, id: &str, target: &str) -> Option<String> {
        Some(match self {
            Self::ChangedWhileSuspended => format!(
                "{target} changed while Canary {id} is suspended, routing all traffic to primary; the new revision is released once spec.suspend is false"
            ),
            Self::NoReadyPods => {
                format!("Canary {id} has no ready pods, routing all traffic to primary")
            }
            Self::Unreachable => format!(
                "Service {}.{} leads to no ready pod of Canary {id}, routing all traffic to primary",
                canary.canary_service(),
                canary.namespace_name(),
            ),
            Self::ReadyAgain(weight) => {
                format!("Canary {id} is ready again, routing weight {weight}")
            }
            Self::Stranded(weight) => format!(
                "Primary of {id} has no ready pods to return to, analysing the new revision at weight {weight}"
            ),
            Self::PrimaryServesAgain => {
                format!("Primary of {id} has ready pods again, routing all traffic to primary")
            }
            Self::BaselineFailed { number, promoted } => {
                baseline_failed(canary, target, *number, promoted)
            }
            Self::BaselineReplaced => format!(
                "{}.{} never became ready, {target} as it is now takes its place",
                canary.primary_name(),
                canary.namespace_name(),
            ),
            _ => return None,
        })
    }

    /// What only we say.
    pub(super) fn own_text(&self, canary: &Canary, id: &str, target: &str) -> String {
        match self {
            Self::PrimaryRestored => {
                format!(
                    "Primary of {id} is ready with the promoted revision again, routing all traffic to it"
                )
            }
            Self::Held(why) => format!("Halt {id} advancement: {why}"),
            Self::Paused { by, reason } => {
                format!("Paused {id} on request of {by}{}", because(reason))
            }
            Self::Resumed { by } => format!("Resumed {id} on request of {by}"),
            Self::PauseOver => format!("Resumed {id}, its pause is over"),
            Self::Requested { what, by, reason } => {
                format!("Request of {by} for {id}: {what}{}", because(reason))
            }
            Self::RequestRefused { by, why } => format!("Request of {by} for {id} refused: {why}"),
            Self::ScaledBack { manager, replicas } => format!(
                "{target} was scaled to {replicas} by {manager} without a new revision, scaling it back to 0: leave replicas out of its manifest"
            ),
            Self::DriftStopped { manager, times } => format!(
                "{manager} scaled {target} up {times} times without a new revision, not scaling it back any more: leave replicas out of its manifest"
            ),
            Self::ApexContested { replicas } => format!(
                "the selector of Service {}.{} was changed again after its repair, keeping {target} at {replicas} replicas so that it serves either way: leave the selector out of its manifest",
                canary.apex(),
                canary.namespace_name(),
            ),
            Self::UnanalysedChange => {
                format!(
                    "{target} changed while being promoted, routing all traffic to primary; the new revision follows as a release of its own"
                )
            }
            Self::NotObserved { primary } => not_observed(canary, *primary),
            Self::Unanswered {
                hook,
                asked,
                called,
            } => format!(
                "webhook {hook} of {id} {}: the release goes no further until it answers or its timeout is over; checks go on, and going back does not wait for it",
                match called {
                    Some(called) => format!("was called at {called:.0} and has not answered"),
                    None => format!(
                        "has waited for its turn since {asked:.0}, behind calls of this namespace that have not ended (--calls-per-namespace)"
                    ),
                }
            ),
            Self::Problem(text) => text.clone(),
            // Every other variant has its text above; the golden test proves that none is empty.
            _ => String::new(),
        }
    }
}

fn baseline_failed(canary: &Canary, target: &str, number: i64, promoted: &[ImageChange]) -> String {
    let images: Vec<String> = promoted
        .iter()
        .filter_map(|it| Some(format!("{}={}", it.container, it.to.as_ref()?)))
        .collect();
    let help = if images.is_empty() {
        "apply the manifest that served before".to_owned()
    } else {
        format!(
            "kubectl set image deployment/{} {} -n {}",
            canary.target_name(),
            images.join(" "),
            canary.namespace_name()
        )
    };
    format!(
        "{target} has the template that release {number} went back from, and no primary is left that serves another: it becomes the primary, and nobody analysed it. To serve what was promoted before: {help}"
    )
}

fn not_observed(canary: &Canary, primary: bool) -> String {
    let name = if primary {
        canary.primary_name()
    } else {
        canary.target_name().to_owned()
    };
    format!(
        "the Deployment controller has not looked at {name}.{} for more than a minute, no deadline runs meanwhile: check that kube-controller-manager runs and keeps up",
        canary.namespace_name()
    )
}

pub(super) fn target_id(canary: &Canary) -> String {
    format!("{}.{}", canary.target_name(), canary.namespace_name())
}

// === impl RollbackReason ===

impl RollbackReason {
    /// The end of the sentence that says so.
    pub fn why(&self) -> String {
        match self {
            Self::Threshold(count) => format!("failed checks threshold reached {count}"),
            Self::Deadline(why) => format!("progress deadline exceeded {why}"),
            Self::Hook => "manual webhook invoked".to_owned(),
            Self::Requested { by, reason } => format!("on request of {by}{}", because(reason)),
            Self::SetBack => "target was set back to the promoted revision".to_owned(),
            Self::TargetGone => "the target does not exist any more".to_owned(),
        }
    }
}

fn because(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

/// Milliseconds as Go prints a duration: `500ms`, `1.25s`, `1m0.5s`.
pub(super) fn go_millis(millis: f64) -> String {
    // Flagger cuts to whole milliseconds before it compares and prints.
    let duration = Duration::from_millis(millis.max(0.0) as u64);
    let millis = duration.as_millis();
    if (1..1000).contains(&millis) {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = rest as f64 / 1000.0;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}
