//! Leader election. The holder knows until when it may write, by the monotonic clock: a process
//! that was stopped for longer than its lease finds out before its next write, not at its next
//! renewal. That moment is what a ready-made lease manager does not give.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tracing::{info, warn};

use crate::clock::Clock;

pub const LEASE_DURATION: Duration = Duration::from_secs(10);
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Until when this process may write.
#[derive(Debug)]
pub struct Fence {
    clock: Clock,
    /// Milliseconds of the clock's monotonic time; 0 while not the holder.
    until: AtomicU64,
}

pub struct Election {
    pub api: Api<LeaseObject>,
    pub name: String,
    pub identity: String,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the lease is lost: another process leads, or it could not be renewed for {LEASE_DURATION:?}"
)]
pub struct Lost;

// === impl Fence ===

impl Fence {
    pub const fn new(clock: Clock) -> Self {
        Self {
            clock,
            until: AtomicU64::new(0),
        }
    }

    /// For a server that is alone: never expires.
    pub const fn open(clock: Clock) -> Self {
        Self {
            clock,
            until: AtomicU64::new(u64::MAX),
        }
    }

    pub fn holds(&self) -> bool {
        (self.clock.elapsed().as_millis() as u64) < self.until.load(Ordering::Acquire)
    }

    fn extend(&self, asked_at: Duration) {
        let until = asked_at + LEASE_DURATION;
        self.until
            .store(until.as_millis() as u64, Ordering::Release);
    }

    fn drop_now(&self) {
        self.until.store(0, Ordering::Release);
    }
}

// === impl Election ===

impl Election {
    /// Returns once this process leads.
    pub async fn acquire(&self, fence: &Fence) {
        let mut waiting = false;
        // Another's lease is free when it did not change for its duration by our own clock:
        // clocks of two machines need not agree.
        let mut seen: Option<(String, Duration)> = None;
        loop {
            let asked_at = fence.clock.elapsed();
            match self.try_acquire(fence, &mut seen).await {
                Ok(true) => {
                    fence.extend(asked_at);
                    info!(identity = self.identity, "leading");
                    return;
                }
                Ok(false) if !waiting => {
                    waiting = true;
                    info!(identity = self.identity, "another process leads, waiting");
                }
                Ok(false) => {}
                Err(error) => warn!(%error, "the lease cannot be read or written"),
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Renews until the lease is lost.
    pub async fn keep(&self, fence: &Fence) -> Lost {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            if !fence.holds() {
                return Lost;
            }
            let asked_at = fence.clock.elapsed();
            match self.renew(fence).await {
                Ok(true) => fence.extend(asked_at),
                Ok(false) => {
                    fence.drop_now();
                    return Lost;
                }
                Err(error) => warn!(%error, "the lease was not renewed"),
            }
        }
    }

    /// Gives the lease away, so that a successor need not wait.
    pub async fn release(&self, fence: &Fence) {
        if !fence.holds() {
            return;
        }
        fence.drop_now();
        if let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await {
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if spec.holder_identity.as_deref() == Some(&self.identity) {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                let _ = self
                    .api
                    .replace(&self.name, &PostParams::default(), &lease)
                    .await;
            }
        }
    }

    async fn try_acquire(
        &self,
        fence: &Fence,
        seen: &mut Option<(String, Duration)>,
    ) -> kube::Result<bool> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = self.object(None, fence.clock.now());
            return written(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if !holder.is_empty() && holder != self.identity {
            let version = lease.metadata.resource_version.clone().unwrap_or_default();
            let now = fence.clock.elapsed();
            let since = match seen {
                Some((known, since)) if *known == version => *since,
                _ => {
                    *seen = Some((version, now));
                    now
                }
            };
            let duration = spec
                .lease_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok());
            let duration = duration.map_or(LEASE_DURATION, Duration::from_secs);
            if now.saturating_sub(since) < duration {
                // A holder that died long ago need not be waited for: its clock would have to be
                // wrong by more than a lease.
                let renewed = spec.renew_time.map_or(Timestamp::MIN, |time| time.0);
                let grace = SignedDuration::try_from(duration * 2).unwrap_or(SignedDuration::MAX);
                if fence.clock.now().duration_since(renewed) < grace {
                    return Ok(false);
                }
            }
        }
        self.replace(&lease, fence).await
    }

    async fn renew(&self, fence: &Fence) -> kube::Result<bool> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return Ok(false);
        };
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        if holder != Some(&self.identity) {
            return Ok(false);
        }
        self.replace(&lease, fence).await
    }

    async fn replace(&self, old: &LeaseObject, fence: &Fence) -> kube::Result<bool> {
        let lease = self.object(Some(old), fence.clock.now());
        let params = PostParams::default();
        written(self.api.replace(&self.name, &params, &lease).await)
    }

    fn object(&self, old: Option<&LeaseObject>, now: Timestamp) -> LeaseObject {
        let spec = old.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = spec.holder_identity.as_deref() == Some(&self.identity);
        let transitions = spec.lease_transitions.unwrap_or(0);
        LeaseObject {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: old.and_then(|lease| lease.metadata.resource_version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
                acquire_time: if ours {
                    spec.acquire_time
                } else {
                    Some(MicroTime(now))
                },
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(if ours || old.is_none() {
                    transitions
                } else {
                    transitions + 1
                }),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// A conflict is another process being quicker, not an error.
fn written(result: kube::Result<LeaseObject>) -> kube::Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
