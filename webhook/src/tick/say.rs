//! Messages of a plan, told: Event, log line, event webhook, metrics.

use std::time::Duration;

use canary_core::alert::Notice;
use canary_core::canary::Canary;
use canary_core::hook::{EventFacts, Payload};
use canary_core::message::Message;
use canary_core::release::{Action, Plan, Routes};
use canary_core::status::CanaryStatus;
use canary_core::status::Phase;

use crate::hook::{Outgoing, event_hooks};
use crate::notify::{self, NotifyError, Written};
use crate::telemetry::{Analysis, Workload};
use crate::tick::{Context, TickError};
use crate::world::World;

/// Whether an Event is the last one once more.
enum Said {
    First,
    Again,
}

/// Another Event may have the name if a status was lost; so many are stepped over.
const STEPS: i64 = 1000;

// === impl Context ===

impl Context {
    pub(super) async fn say_all(&self, canary: &Canary, plan: &mut Plan) -> Result<(), TickError> {
        for action in plan.actions.clone() {
            if let Action::Say(message) = action {
                self.say(canary, &message, &mut plan.status).await?;
            }
        }
        Ok(())
    }

    /// The Event comes before the status that counts it: after a crash it is there already, and
    /// that is success.
    pub(super) async fn say(
        &self,
        canary: &Canary,
        message: &Message,
        status: &mut CanaryStatus,
    ) -> Result<(), TickError> {
        let (text, now) = (message.text(canary), self.clock.now());
        if !self.cluster.may_write() {
            return Err(crate::api::ApiError::Fenced.into());
        }
        match self.tell(canary, message, &text, status).await {
            // What is said again and again is told people once.
            Ok(Said::Again) => {}
            Ok(Said::First) => self.alert(canary, message, status),
            Err(error) => {
                // A release must not hang on its Events. What ails the API server itself fails the
                // status as well, and then all of it is done again.
                tracing::error!(canary = canary.id(), "{error}");
                self.alert(canary, message, status);
            }
        }
        let type_ = notify::type_of(message.severity());
        for hook in event_hooks(canary, self.event_webhook.as_deref()) {
            let facts = EventFacts {
                message: &text,
                type_,
                at: now,
            };
            let payload = Payload::event(canary, &hook, status.phase, &facts);
            match Outgoing::new(&hook, &payload) {
                Ok(outgoing) => {
                    self.background.send(&canary.id(), outgoing);
                }
                Err(error) => tracing::error!(canary = canary.id(), "event not sent: {error}"),
            }
        }
        notify::log(&canary.id(), &text);
        Ok(())
    }

    fn alert(&self, canary: &Canary, message: &Message, status: &CanaryStatus) {
        let (cluster, now) = (&self.alerts.cluster_name, self.clock.now());
        if let Some(notice) = Notice::of(message, canary, status, cluster, now) {
            self.alerts.send(canary, &notice);
        }
    }

    async fn tell(
        &self,
        canary: &Canary,
        message: &Message,
        text: &str,
        status: &mut CanaryStatus,
    ) -> Result<Said, NotifyError> {
        if self.repeated(canary, text, status).await? {
            return Ok(Said::Again);
        }
        self.first(canary, message, text, status).await?;
        Ok(Said::First)
    }

    /// The last Event said the same: it is counted.
    async fn repeated(
        &self,
        canary: &Canary,
        text: &str,
        status: &mut CanaryStatus,
    ) -> Result<bool, NotifyError> {
        if status.events.sequence == 0 || status.events.last != text {
            return Ok(false);
        }
        let name = notify::event_name(canary, status.events.sequence);
        let count = status.events.count + 1;
        let shown = i32::try_from(count).unwrap_or(i32::MAX);
        let there = self
            .events
            .repeat(canary.namespace_name(), &name, shown, self.clock.now())
            .await?;
        if there {
            status.events.count = count;
        }
        Ok(there)
    }

    async fn first(
        &self,
        canary: &Canary,
        message: &Message,
        text: &str,
        status: &mut CanaryStatus,
    ) -> Result<(), NotifyError> {
        let now = self.clock.now();
        let mut sequence = status.events.sequence;
        for _ in 0..STEPS {
            sequence += 1;
            let event = notify::event(
                &self.reporter,
                canary,
                sequence,
                message.severity(),
                text,
                now,
            );
            if self.events.write(&event).await? != Written::Taken {
                break;
            }
        }
        status.events.sequence = sequence;
        text.clone_into(&mut status.events.last);
        status.events.count = 1;
        Ok(())
    }
}

/// Numbers for dashboards, by Flagger's names.
pub(super) fn measure(context: &Context, world: &World, plan: &Plan, took: Duration) {
    let canary = &world.canary;
    let workload = Workload {
        name: canary.target_name().to_owned(),
        namespace: world.namespace.clone(),
    };
    let metrics = &context.metrics;
    metrics.phase(&workload, plan.status.phase);
    let routed = plan.actions.iter().rev().find_map(|action| match action {
        Action::Route(routes) => Some(*routes),
        Action::Point => Some(Routes::ALL_PRIMARY),
        _ => None,
    });
    let routed = routed.or_else(|| world.routes());
    let weight = routed.map_or(plan.status.canary_weight, |routes| routes.canary);
    metrics.weights(&workload, 100 - weight, weight);
    for check in plan
        .status
        .release
        .iter()
        .flat_map(|release| &release.checks)
    {
        if let Some(value) = check.value {
            metrics.analysis(&workload, &check.name, value);
        }
    }
    if let Some(ended) = plan.ended {
        let analysis = if ended.skipped {
            Analysis::Skipped
        } else {
            Analysis::Completed
        };
        match ended.phase {
            Phase::Succeeded => metrics.succeeded(&workload, canary.strategy(), analysis),
            _ => metrics.failed(&workload, canary.strategy(), analysis),
        }
    }
    let wrote = plan
        .actions
        .iter()
        .any(|action| !matches!(action, Action::Say(_)));
    metrics.reconciled(&workload, if wrote { "acted" } else { "idle" }, took);
}
