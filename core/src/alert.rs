//! What people and machines are told of a release, in the form that each receiver takes.
//!
//! ```text
//!  Message ─► Notice ─┬─ wanted by a Canary's alert, or by the server's own? ─┐
//!                     └─ Service::body ◄──────────────────────────────────────┘
//!                          chat: only what has an alert     machines: also that a release ended
//! ```

mod chat;
mod machine;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use crate::canary::{Canary, Strategy};
use crate::message::{AlertSeverity, Message, RollbackReason};
use crate::status::CanaryStatus;

/// Who receives alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Slack,
    Discord,
    Rocket,
    MsTeams,
    GoogleChat,
    /// API v2. Flagger has no such provider.
    Alertmanager,
    /// Structured mode over HTTP. Flagger has no such provider.
    CloudEvents,
}

/// Where in the life of a release something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The target is kept from now on.
    Initialized,
    Began,
    /// A person, or a gate, has to open.
    Waits,
    /// It goes on nevertheless, so far.
    Check,
    /// Ended, and the old revision serves.
    Failed,
    /// Ended by a person, without a fault of the release.
    Aborted,
    Promoted,
}

/// One thing said about one release. It is complete: it may wait for its receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub name: String,
    pub namespace: String,
    /// Kind and name.
    pub target: (String, String),
    pub uid: String,
    /// Empty if the server was given no name of its cluster.
    pub cluster: String,
    pub occasion: Occasion,
    pub text: String,
    /// None: no person needs to be told, only machines that keep a state.
    pub severity: Option<AlertSeverity>,
    /// Names and values.
    pub fields: Vec<(&'static str, String)>,
    /// Of the release, where there is one.
    pub number: Option<i64>,
    pub at: Timestamp,
    /// Of the Canary's Event, which tells one notice from another.
    pub sequence: i64,
}

/// How a chat shows who speaks, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    pub channel: String,
    pub username: String,
}

/// Whether an alert with this least severity (as a Canary has it) is for `severity`. Without one it is `info`,
/// as Flagger documents; Flagger itself sends nothing then.
pub fn wanted(least: Option<&str>, severity: AlertSeverity) -> bool {
    let least = match least.unwrap_or_default() {
        "error" => AlertSeverity::Error,
        "warn" => AlertSeverity::Warn,
        _ => AlertSeverity::Info,
    };
    severity >= least
}

// === impl Service ===

impl Service {
    const ALL: [Self; 7] = [
        Self::Slack,
        Self::Discord,
        Self::Rocket,
        Self::MsTeams,
        Self::GoogleChat,
        Self::Alertmanager,
        Self::CloudEvents,
    ];

    /// By the type of an `AlertProvider`.
    pub fn of(type_: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == type_)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Rocket => "rocket",
            Self::MsTeams => "msteams",
            Self::GoogleChat => "gchat",
            Self::Alertmanager => "alertmanager",
            Self::CloudEvents => "cloudevents",
        }
    }

    pub const fn content_type(self) -> &'static str {
        match self {
            Self::CloudEvents => "application/cloudevents+json",
            _ => "application/json",
        }
    }

    /// Where `address` of a provider is called.
    pub fn url(self, address: &str) -> String {
        let address = address.trim().trim_end_matches('/');
        let with = |end: &str| {
            if address.ends_with(end) {
                address.to_owned()
            } else {
                format!("{address}{end}")
            }
        };
        match self {
            // Discord takes Slack's form under this path.
            Self::Discord => with("/slack"),
            Self::Alertmanager => with("/api/v2/alerts"),
            _ => address.to_owned(),
        }
    }

    /// What it is sent at `url`, where `least` is the least severity that is wanted; none if there is nothing for
    /// it in this notice.
    pub fn body(
        self,
        notice: &Notice,
        least: Option<&str>,
        recipient: &Recipient,
        url: &str,
    ) -> Option<Value> {
        let severity = notice.severity.unwrap_or(AlertSeverity::Info);
        let wanted = wanted(least, severity);
        match self {
            // An end is told in any case: what was fired must not burn on.
            Self::Alertmanager => machine::alertmanager(notice, wanted),
            Self::CloudEvents => wanted.then(|| machine::cloud_event(notice)),
            _ if !wanted || notice.severity.is_none() => None,
            Self::GoogleChat => Some(chat::google(notice)),
            Self::MsTeams if chat::is_workflow(url) => Some(chat::adaptive(notice, severity)),
            Self::MsTeams => Some(chat::teams(notice, severity)),
            Self::Rocket => Some(chat::slack(notice, recipient, chat::ROCKET.of(severity))),
            Self::Discord => Some(chat::slack(notice, recipient, chat::SLACK.of(severity))),
            Self::Slack => {
                let notice = Notice {
                    text: chat::escaped(&notice.text),
                    ..notice.clone()
                };
                Some(chat::slack(&notice, recipient, chat::SLACK.of(severity)))
            }
        }
    }
}

// === impl Notice ===

impl Notice {
    /// None if nobody outside needs to hear of it.
    pub fn of(
        message: &Message,
        canary: &Canary,
        status: &CanaryStatus,
        cluster: &str,
        at: Timestamp,
    ) -> Option<Self> {
        let occasion = occasion(message)?;
        let alert = message.alert(canary);
        let mut fields = Vec::new();
        if !cluster.is_empty() {
            fields.push(("Cluster", cluster.to_owned()));
        }
        if alert.as_ref().is_some_and(|alert| alert.with_fields) {
            fields.extend(metadata(canary));
        }
        let severity = alert.as_ref().map(|alert| alert.severity);
        Some(Self {
            name: canary.name_any(),
            namespace: canary.namespace_name().to_owned(),
            target: (
                canary.spec.target_ref.kind.clone(),
                canary.target_name().to_owned(),
            ),
            uid: canary.uid().unwrap_or_default(),
            cluster: cluster.to_owned(),
            occasion,
            text: alert.map_or_else(|| message.text(canary), |alert| alert.text),
            severity,
            fields,
            number: status.release.as_ref().map(|release| release.number),
            at,
            sequence: status.events.sequence,
        })
    }

    /// As Flagger names a Canary in alerts and Events.
    pub fn id(&self) -> String {
        format!("{}.{}", self.name, self.namespace)
    }
}

fn occasion(message: &Message) -> Option<Occasion> {
    Some(match message {
        Message::Initialized => Occasion::Initialized,
        Message::NewRevision => Occasion::Began,
        Message::WaitingForApproval { .. } => Occasion::Waits,
        Message::PreRolloutFailed { .. } => Occasion::Check,
        Message::RollingBack(RollbackReason::Requested { .. } | RollbackReason::SetBack) => {
            Occasion::Aborted
        }
        Message::RollingBack(_) | Message::PromotionFailed(_) => Occasion::Failed,
        Message::PromotionCompleted | Message::PromotionCompletedSkipped => Occasion::Promoted,
        _ => return None,
    })
}

fn metadata(canary: &Canary) -> [(&'static str, String); 4] {
    let kind = &canary.spec.target_ref.kind;
    let target = format!(
        "{kind}/{}.{}",
        canary.target_name(),
        canary.namespace_name()
    );
    let deadline = canary.progress_deadline().as_secs();
    [
        ("Target", target),
        ("Failed checks threshold", canary.threshold().to_string()),
        ("Progress deadline", format!("{deadline}s")),
        ("Traffic routing", routing(canary)),
    ]
}

fn routing(canary: &Canary) -> String {
    match canary.strategy() {
        Strategy::AbTesting => "A/B Testing".to_owned(),
        Strategy::BlueGreen => "Blue/Green".to_owned(),
        Strategy::Canary if canary.step_weights().is_empty() => format!(
            "Weight step: {} max: {}",
            canary.step_weight(),
            canary.max_weight()
        ),
        Strategy::Canary => {
            let steps: Vec<_> = canary.step_weights().iter().map(i64::to_string).collect();
            format!(
                "Weight steps: {} max: {}",
                steps.join(","),
                canary.max_weight()
            )
        }
    }
}
