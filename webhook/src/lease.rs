//! Leader election. The holder knows until when it may write, by the monotonic clock: a process
//! that was stopped for longer than its lease finds out before its next write, not at its next
//! renewal. That moment is what a ready-made lease manager does not give.
//!
//! Whoever has the holder's identity is the holder: a container that is started again goes on at once. So no two
//! processes may have one identity. Who has none given makes one up, and two with the same one find out: the
//! holder knows the time of each renewal of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease as LeaseObject, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tracing::{error, info, warn};

use crate::clock::Clock;

pub const LEASE_DURATION: Duration = Duration::from_secs(10);
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
const RETRY_EVERY: Duration = Duration::from_secs(1);
const TRIES: usize = 64;

/// Until when this process may write.
#[derive(Debug)]
pub struct Fence {
    clock: Clock,
    /// Milliseconds of the clock's monotonic time; 0 while not the holder.
    until: AtomicU64,
}

pub struct Election {
    api: Api<LeaseObject>,
    name: &'static str,
    identity: String,
    /// Times of renewals that this process has written, or may have: the last that is sure comes first.
    written: Mutex<Vec<Timestamp>>,
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
    /// `identity` is one that somebody else keeps unique, as Kubernetes does names of pods.
    pub fn new(
        api: Api<LeaseObject>,
        name: &'static str,
        identity: Option<&str>,
    ) -> Result<Self, getrandom::Error> {
        Ok(Self {
            api,
            name,
            identity: match identity {
                Some(identity) => identity.to_owned(),
                None => made_up(name)?,
            },
            written: Mutex::default(),
        })
    }

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
        if let Ok(Some(mut lease)) = self.api.get_opt(self.name).await {
            let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
            if self.is_held(spec) {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                let _ = self
                    .api
                    .replace(self.name, &PostParams::default(), &lease)
                    .await;
            }
        }
    }

    async fn try_acquire(
        &self,
        fence: &Fence,
        seen: &mut Option<(String, Duration)>,
    ) -> kube::Result<bool> {
        let Some(lease) = self.api.get_opt(self.name).await? else {
            let lease = self.object(None, fence.clock.now());
            let created = self.api.create(&PostParams::default(), &lease).await;
            return self.written(created);
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
        let Some(lease) = self.api.get_opt(self.name).await? else {
            return Ok(false);
        };
        if !lease.spec.as_ref().is_some_and(|spec| self.is_held(spec)) {
            return Ok(false);
        }
        self.replace(&lease, fence).await
    }

    async fn replace(&self, old: &LeaseObject, fence: &Fence) -> kube::Result<bool> {
        let lease = self.object(Some(old), fence.clock.now());
        let params = PostParams::default();
        self.written(self.api.replace(self.name, &params, &lease).await)
    }

    /// By this process. One with its name that renews it meanwhile is another.
    fn is_held(&self, spec: &LeaseSpec) -> bool {
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return false;
        }
        let renewed = spec.renew_time.as_ref().map(|time| time.0);
        let ours = renewed.is_some_and(|renewed| self.times().contains(&renewed));
        if !ours {
            error!(
                identity = self.identity,
                "another process leads by this identity: give each an --identity of its own"
            );
        }
        ours
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Vec<Timestamp>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A conflict is another process being quicker, not an error. What failed may be stored all the same.
    fn written(&self, result: kube::Result<LeaseObject>) -> kube::Result<bool> {
        match result {
            Ok(_) => {
                let mut times = self.times();
                let sure = times.len().saturating_sub(1);
                times.drain(..sure);
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn object(&self, old: Option<&LeaseObject>, now: Timestamp) -> LeaseObject {
        // As it is stored: in microseconds.
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        let mut times = self.times();
        times.push(now);
        // So many tries that failed: the lease is lost for long.
        let forgotten = times.len().saturating_sub(TRIES);
        times.drain(..forgotten);
        drop(times);
        let spec = old.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = spec.holder_identity.as_deref() == Some(&self.identity);
        let transitions = spec.lease_transitions.unwrap_or(0);
        LeaseObject {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
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

/// As no other process has it, of this host or of another.
fn made_up(name: &str) -> Result<String, getrandom::Error> {
    Ok(format!("{name}_{:016x}", getrandom::u64()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_processes_without_an_identity_have_the_same() {
        let all: std::collections::BTreeSet<String> = (0..1000)
            .map(|_| made_up("canary-webhook").unwrap())
            .collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|it| it.starts_with("canary-webhook_")));
    }
}
