//! What the leader does: it keeps certificates young, and the API servers trusting them.
//!
//! Nothing is polled: the Secret and the two configurations are watched, and a timer runs until a
//! certificate is due.

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use tokio::sync::watch;
use tracing::{error, info, warn};

use super::follow::Kept;
use super::issue::{Lives, Step, step};
use super::publish::{CONFIGURATION, WebhookTarget, kinds, published};
use super::secret::Place;
use super::{TlsError, publish};
use crate::clock::Clock;
use crate::lease::Fence;

const TRY_AGAIN: Duration = Duration::from_secs(10);
/// Nothing is due that soon; a change wakes us.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Between writes against somebody who keeps changing a configuration back.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A configuration that nobody has changed for so long is put right at once.
const QUIET: Duration = Duration::from_secs(600);

/// Keeps certificates and configurations as they should be.
pub struct Keeper {
    pub client: Client,
    pub place: Place,
    pub names: Vec<String>,
    pub lives: Lives,
    pub target: WebhookTarget,
    /// From when on an API server surely knows a CA that was published.
    pub trust_after: Duration,
    pub clock: Clock,
    pub kept: watch::Receiver<Kept>,
}

/// One of the two configurations.
struct Registration {
    events: BoxStream<'static, watcher::Result<Option<DynamicObject>>>,
    live: Live,
    written: Option<Written>,
}

/// What is known of a configuration.
#[derive(Clone)]
enum Live {
    Unknown,
    Missing,
    There(Box<DynamicObject>),
}

/// The last write to a configuration.
struct Written {
    ca: String,
    at: Duration,
    pause: Duration,
}

/// What is remembered between two looks.
struct Memory {
    registrations: [Registration; 2],
    /// The CAs that both configurations have, and since when.
    published: Option<(String, Duration)>,
    /// The last failure, which is said once.
    said: String,
}

// === impl Keeper ===

impl Keeper {
    /// Does so for as long as it is polled, and as the process leads.
    pub async fn keep(mut self, fence: &Fence) {
        let mut memory = Memory {
            registrations: kinds().map(|kind| Registration {
                events: watch_object(
                    Api::<DynamicObject>::all_with(self.client.clone(), &kind),
                    CONFIGURATION,
                )
                .default_backoff()
                .boxed(),
                live: Live::Unknown,
                written: None,
            }),
            published: None,
            said: String::new(),
        };
        loop {
            let wait = if fence.holds() {
                self.look(&mut memory).await
            } else {
                TRY_AGAIN
            };
            let [mutating, validating] = &mut memory.registrations;
            tokio::select! {
                changed = self.kept.changed() => if changed.is_err() { return },
                Some(event) = mutating.events.next() => mutating.take(event),
                Some(event) = validating.events.next() => validating.take(event),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Does what is due, and says when to look again at the latest.
    async fn look(&mut self, memory: &mut Memory) -> Duration {
        let kept = self.kept.borrow_and_update().clone();
        if !kept.synced {
            return LONG;
        }
        let mut wait = LONG;
        if let Some(bundle) = kept.bundle.as_ref().filter(|bundle| !bundle.ca.is_empty()) {
            match self.publish(memory, &bundle.ca).await {
                Ok(again) => wait = again,
                Err(error) => wait = memory.say(&error),
            }
        }
        match self.renew(&kept, memory).await {
            Ok(again) => wait.min(again),
            Err(error) => wait.min(memory.say(&error)),
        }
    }

    /// Puts `ca` into both configurations, where it is not.
    async fn publish(&self, memory: &mut Memory, ca: &str) -> Result<Duration, TlsError> {
        let now = self.clock.elapsed();
        let mut everywhere = true;
        let mut wait = LONG;
        for (registration, kind) in memory.registrations.iter_mut().zip(kinds()) {
            let live = match registration.live.clone() {
                Live::There(live) => live,
                Live::Unknown => {
                    everywhere = false;
                    continue;
                }
                Live::Missing => {
                    memory.published = None;
                    let kind = kind.kind;
                    return Err(TlsError::NotRegistered { kind });
                }
            };
            if published(&live, ca, &self.target) {
                continue;
            }
            everywhere = false;
            let due = registration.due(ca, now);
            if due > Duration::ZERO {
                wait = wait.min(due);
                continue;
            }
            registration.note(ca, now);
            let written = publish::publish(&self.client, &kind, &live, ca, &self.target).await?;
            info!(kind = kind.kind, "caBundle is published");
            registration.live = Live::There(Box::new(written));
        }
        memory.published = match memory.published.take() {
            _ if !everywhere => None,
            Some((same, since)) if same == ca => Some((same, since)),
            _ => Some((ca.to_owned(), now)),
        };
        // Written a moment ago: looked at once more, to start the time of trust.
        Ok(if everywhere {
            LONG
        } else {
            wait.min(PATIENCE.0)
        })
    }

    /// Makes what is due.
    async fn renew(&self, kept: &Kept, memory: &mut Memory) -> Result<Duration, TlsError> {
        let since = kept.bundle.as_ref().and_then(|bundle| {
            let (ca, since) = memory.published.as_ref()?;
            (*ca == bundle.ca).then_some(*since)
        });
        let left =
            since.map(|since| (since + self.trust_after).saturating_sub(self.clock.elapsed()));
        let step = step(
            kept.bundle.as_ref(),
            kept.known.as_ref(),
            &self.names,
            self.lives,
            self.clock.now(),
            left == Some(Duration::ZERO),
        );
        let names = || self.names.join(", ");
        match step.map_err(|source| TlsError::Issue {
            names: names(),
            source,
        })? {
            Step::Rest(until) => Ok(self.clock.until(until).min(LONG)),
            Step::AwaitTrust => Ok(left.unwrap_or(LONG)),
            Step::NotOurs => Err(TlsError::NotRenewable {
                secret: self.place.to_string(),
                names: names(),
            }),
            Step::Write(bundle) => {
                let version = kept.bundle.as_ref().and(kept.version.clone());
                let written = self.place.write(&self.client, &bundle, version).await?;
                let what = written.map_or("was changed meanwhile", |_| "is written");
                info!("{} {what}", self.place);
                Ok(TRY_AGAIN)
            }
        }
    }
}

// === impl Registration ===

impl Registration {
    fn take(&mut self, event: watcher::Result<Option<DynamicObject>>) {
        match event {
            Ok(Some(live)) => self.live = Live::There(Box::new(live)),
            Ok(None) => self.live = Live::Missing,
            Err(error) => warn!(%error, "cannot watch our webhook configurations"),
        }
    }

    /// How long to wait before `ca` may be written.
    fn due(&self, ca: &str, now: Duration) -> Duration {
        match &self.written {
            Some(last) if last.ca == ca => (last.at + last.pause).saturating_sub(now),
            _ => Duration::ZERO,
        }
    }

    /// A write that undoes somebody's, and not long after the last, is followed by a longer pause.
    fn note(&mut self, ca: &str, at: Duration) {
        let (least, most) = PATIENCE;
        let again = self
            .written
            .as_ref()
            .filter(|last| last.ca == ca && at.saturating_sub(last.at) < QUIET);
        if again.is_some() {
            warn!("somebody has changed our webhook configurations: they are put back");
        }
        self.written = Some(Written {
            ca: ca.to_owned(),
            at,
            pause: again.map_or(Duration::ZERO, |last| (last.pause * 2).clamp(least, most)),
        });
    }
}

// === impl Memory ===

impl Memory {
    fn say(&mut self, error: &TlsError) -> Duration {
        let text = error.to_string();
        if text != self.said {
            error!("{text}");
            self.said = text;
        }
        TRY_AGAIN
    }
}
