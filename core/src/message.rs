//! Every sentence that a user reads about a release, in one place.
//!
//! ```text
//!  rules ── Say(Message) ──► text()      Event, log line, event webhook
//!                        ├─► severity()  Normal or Warning
//!                        └─► alert()     what is sent to people, if anything
//! ```
//! The texts that Flagger has are interface: dashboards, alerts and scripts match on them.

#[cfg(test)]
mod tests;
mod text;

use jiff::Timestamp;

use crate::canary::Canary;
use crate::status::ImageChange;
use text::target_id;

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
    TargetGone,
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
    /// `CanaryPolicies` hold the release; the sentence is theirs.
    Held(String),
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
    ChangedWhileSuspended,
    NoReadyPods,
    /// It has ready pods, and its Service leads to none.
    Unreachable,
    ReadyAgain(i64),
    Stranded(i64),
    PrimaryServesAgain,
    BaselineReplaced,
    /// Release `number` of an earlier Canary; what was promoted then.
    BaselineFailed {
        number: i64,
        promoted: Vec<ImageChange>,
    },
    Paused {
        by: String,
        reason: String,
    },
    Resumed {
        by: String,
    },
    /// It had an end.
    PauseOver,
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
    /// The Deployment controller does not look at a change of ours.
    NotObserved {
        primary: bool,
    },
    /// A webhook that was asked has not answered, or could not even be called: others take long.
    Unanswered {
        hook: String,
        asked: Timestamp,
        called: Option<Timestamp>,
    },
    Problem(String),
}

impl Message {
    pub fn text(&self, canary: &Canary) -> String {
        let id = canary.id();
        let target = target_id(canary);
        self.life_cycle_text(canary, &id, &target)
            .or_else(|| self.hook_text(&id))
            .or_else(|| self.metric_text(canary, &id))
            .or_else(|| self.pods_text(canary, &id, &target))
            .unwrap_or_else(|| self.own_text(canary, &id, &target))
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
            | Self::PrimaryServesAgain
            | Self::BaselineReplaced
            | Self::Paused { .. }
            | Self::Resumed { .. }
            | Self::PauseOver
            | Self::Requested { .. } => Severity::Normal,
            _ => Severity::Warning,
        }
    }

    fn is_muted(&self, canary: &Canary) -> bool {
        let Self::WaitingForApproval { hook, .. } = self else {
            return false;
        };
        let mut hooks = canary.analysis().webhooks.iter();
        hooks.any(|it| it.name == *hook && it.mutes_alert())
    }

    /// None where nobody needs to be told, and at a gate whose author wants it so.
    pub fn alert(&self, canary: &Canary) -> Option<Alert> {
        if self.is_muted(canary) {
            return None;
        }
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
            Self::PreRolloutFailed { hook, error } => (
                format!("Pre-rollout check {hook} failed: {error}"),
                AlertSeverity::Warn,
                false,
            ),
            Self::RollingBack(reason) => {
                let (text, severity) = rollback_alert(reason, kind)?;
                (text, severity, false)
            }
            Self::NotObserved { .. } => (self.text(canary), AlertSeverity::Warn, false),
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

/// A person's own rollback, and a target that was set back, are no news to anybody.
fn rollback_alert(reason: &RollbackReason, kind: &str) -> Option<(String, AlertSeverity)> {
    Some(match reason {
        RollbackReason::Hook => (
            "Rolling back manual webhook invoked".to_owned(),
            AlertSeverity::Warn,
        ),
        RollbackReason::Threshold(count) => (
            format!("Failed checks threshold reached {count}"),
            AlertSeverity::Error,
        ),
        RollbackReason::TargetGone => (
            format!("{kind} was deleted during its release, rolled back"),
            AlertSeverity::Error,
        ),
        RollbackReason::Deadline(why) => (
            format!("Progress deadline exceeded {why}"),
            AlertSeverity::Error,
        ),
        RollbackReason::Requested { .. } | RollbackReason::SetBack => return None,
    })
}

fn approval_alert(approval: Approval) -> String {
    match approval {
        Approval::Rollout => "Canary is waiting for approval.",
        Approval::TrafficIncrease => "Canary traffic increase is waiting for approval.",
        Approval::Promotion => "Canary promotion is waiting for approval.",
    }
    .to_owned()
}
