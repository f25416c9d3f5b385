//! Every sentence that a user reads about a release, in one place.
//!
//! ```text
//!  rules ── Say(Message) ──► text()      Event, log line, event webhook
//!                        ├─► severity()  Normal or Warning
//!                        └─► alert()     what is sent to people, if anything
//! ```
//! The texts that Flagger has are interface: dashboards, alerts and scripts match on them.

use std::time::Duration;

use crate::canary::Canary;

/// Type of the Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertSeverity {
    Info,
    Warn,
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub text: String,
    pub severity: AlertSeverity,
    /// Flagger sends target, threshold, deadline and weights with the first two alerts of a run.
    pub with_fields: bool,
}

/// The gates that hold a release until somebody outside opens them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    Rollout,
    TrafficIncrease,
    Promotion,
}

/// Why traffic goes back to the primary before a promotion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollbackReason {
    Threshold(i64),
    Deadline(String),
    Hook,
    Requested { by: String, reason: String },
    SetBack,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    ProvidersAvailable,
    ProvidersUnavailable(String),
    Initialized,
    PrimaryNotReady(String),
    CanaryNotReady(String),
    NewRevision,
    RestartingAnalysis,
    StartingAnalysis,
    AdvanceWeight(i64),
    AdvanceIteration {
        done: i64,
        of: i64,
    },
    AdvancePrimary(i64),
    WaitingForApproval {
        approval: Approval,
        hook: String,
    },
    HookPassed {
        approval: Approval,
        hook: String,
    },
    PreRolloutPassed(String),
    PreRolloutFailed {
        hook: String,
        error: String,
    },
    RolloutHookFailed {
        hook: String,
        error: String,
    },
    PostRolloutPassed(String),
    PostRolloutFailed {
        hook: String,
        error: String,
    },
    RollbackHookPassed(String),
    RollbackHookQuiet(String),
    SuccessRateBelow {
        value: f64,
        min: f64,
    },
    SuccessRateAbove {
        value: f64,
        max: f64,
    },
    DurationAbove {
        millis: f64,
        max: f64,
    },
    DurationBelow {
        millis: f64,
        min: f64,
    },
    MetricAbove {
        metric: String,
        value: f64,
        max: f64,
    },
    MetricBelow {
        metric: String,
        value: f64,
        min: f64,
    },
    NoValuesSuccessRate {
        provider: String,
        metric: String,
        error: String,
    },
    NoValuesDuration {
        provider: String,
        metric: String,
    },
    NoValuesInline(String),
    NoValuesTemplate {
        metric: String,
        error: String,
    },
    QueryFailed(String),
    QueryFailedFor {
        metric: String,
        error: String,
    },
    TemplateError {
        template: String,
        error: String,
    },
    NothingToMeasure(String),
    Copying,
    RoutingToPrimary,
    RoutingToCanary,
    PromotionCompleted,
    PromotionCompletedSkipped,
    RollingBack(RollbackReason),
    CanaryFailed,
    PromotionFailed(String),
    PrimaryRestored,
    Terminating,
    Terminated,
    Suspended,
    NoReadyPods,
    ReadyAgain(i64),
    Paused {
        by: String,
        reason: String,
    },
    Resumed {
        by: String,
    },
    Requested {
        what: String,
        by: String,
        reason: String,
    },
    RequestRefused {
        by: String,
        why: String,
    },
    ScaledBack {
        manager: String,
        replicas: i32,
    },
    DriftStopped {
        manager: String,
        times: i64,
    },
    ApexContested {
        replicas: i32,
    },
    UnanalysedChange,
    Problem(String),
}

impl Message {
    pub fn text(&self, canary: &Canary) -> String {
        let id = canary.id();
        let target = target_id(canary);
        self.life_cycle_text(canary, &id, &target)
            .or_else(|| self.hook_text(&id))
            .or_else(|| self.metric_text(canary, &id))
            .unwrap_or_else(|| self.own_text(canary, &id, &target))
    }

    /// What Flagger says as a release moves on.
    fn life_cycle_text(&self, canary: &Canary, id: &str, target: &str) -> Option<String> {
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
            Self::RollingBack(reason) => rollback_text(id, reason),
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
    fn hook_text(&self, id: &str) -> Option<String> {
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
    fn metric_text(&self, canary: &Canary, id: &str) -> Option<String> {
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

    /// What only we say.
    fn own_text(&self, canary: &Canary, id: &str, target: &str) -> String {
        match self {
            Self::PrimaryRestored => {
                format!(
                    "Primary of {id} is ready with the promoted revision again, routing all traffic to it"
                )
            }
            Self::NoReadyPods => {
                format!("Canary {id} has no ready pods, routing all traffic to primary")
            }
            Self::ReadyAgain(weight) => {
                format!("Canary {id} is ready again, routing weight {weight}")
            }
            Self::Paused { by, reason } => {
                format!("Paused {id} on request of {by}{}", because(reason))
            }
            Self::Resumed { by } => format!("Resumed {id} on request of {by}"),
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
            Self::Problem(text) => text.clone(),
            // Every other variant has its text above; the golden test proves that none is empty.
            _ => String::new(),
        }
    }

    pub fn severity(&self) -> Severity {
        match self {
            Self::ProvidersAvailable
            | Self::Initialized
            | Self::NewRevision
            | Self::RestartingAnalysis
            | Self::StartingAnalysis
            | Self::AdvanceWeight(_)
            | Self::AdvanceIteration { .. }
            | Self::AdvancePrimary(_)
            | Self::HookPassed { .. }
            | Self::PreRolloutPassed(_)
            | Self::PostRolloutPassed(_)
            | Self::RollbackHookQuiet(_)
            | Self::Copying
            | Self::RoutingToPrimary
            | Self::RoutingToCanary
            | Self::PromotionCompleted
            | Self::PromotionCompletedSkipped
            | Self::PrimaryRestored
            | Self::Terminating
            | Self::Terminated
            | Self::Suspended
            | Self::ReadyAgain(_)
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::Requested { .. } => Severity::Normal,
            _ => Severity::Warning,
        }
    }

    pub fn alert(&self, canary: &Canary) -> Option<Alert> {
        let kind = &canary.spec.target_ref.kind;
        let (text, severity, with_fields) = match self {
            Self::Initialized => (
                format!("New {kind} detected, initialization completed."),
                AlertSeverity::Info,
                true,
            ),
            Self::NewRevision => (
                "New revision detected, progressing canary analysis.".to_owned(),
                AlertSeverity::Info,
                true,
            ),
            Self::WaitingForApproval { approval, .. } => {
                (approval_alert(*approval), AlertSeverity::Warn, false)
            }
            Self::RollingBack(RollbackReason::Hook) => (
                "Rolling back manual webhook invoked".to_owned(),
                AlertSeverity::Warn,
                false,
            ),
            Self::RollingBack(RollbackReason::Threshold(count)) => (
                format!("Failed checks threshold reached {count}"),
                AlertSeverity::Error,
                false,
            ),
            Self::RollingBack(RollbackReason::Deadline(why)) => (
                format!("Progress deadline exceeded {why}"),
                AlertSeverity::Error,
                false,
            ),
            Self::PromotionCompleted => (
                "Canary analysis completed successfully, promotion finished.".to_owned(),
                AlertSeverity::Info,
                false,
            ),
            Self::PromotionCompletedSkipped => (
                "Canary analysis was skipped, promotion finished.".to_owned(),
                AlertSeverity::Info,
                false,
            ),
            Self::PromotionFailed(why) => (
                format!("Promotion failed, primary not ready: {why}"),
                AlertSeverity::Error,
                false,
            ),
            _ => return None,
        };
        Some(Alert {
            text,
            severity,
            with_fields,
        })
    }
}

fn approval_alert(approval: Approval) -> String {
    match approval {
        Approval::Rollout => "Canary is waiting for approval.",
        Approval::TrafficIncrease => "Canary traffic increase is waiting for approval.",
        Approval::Promotion => "Canary promotion is waiting for approval.",
    }
    .to_owned()
}

fn target_id(canary: &Canary) -> String {
    format!("{}.{}", canary.target_name(), canary.namespace_name())
}

fn rollback_text(id: &str, reason: &RollbackReason) -> String {
    match reason {
        RollbackReason::Threshold(count) => {
            format!("Rolling back {id} failed checks threshold reached {count}")
        }
        RollbackReason::Deadline(why) => {
            format!("Rolling back {id} progress deadline exceeded {why}")
        }
        RollbackReason::Hook => format!("Rolling back {id} manual webhook invoked"),
        RollbackReason::Requested { by, reason } => {
            format!("Rolling back {id} on request of {by}{}", because(reason))
        }
        RollbackReason::SetBack => {
            format!("Rolling back {id} target was set back to the promoted revision")
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
pub fn go_millis(millis: f64) -> String {
    // Flagger cuts to whole milliseconds before it compares and prints.
    let duration = Duration::from_millis(millis.max(0.0) as u64);
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        1..1000 => format!("{millis}ms"),
        _ => {
            let (minutes, rest) = (millis / 60_000, millis % 60_000);
            let seconds = rest as f64 / 1000.0;
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}
