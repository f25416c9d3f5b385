//! How it stands with each kind: whether it was ever read, whether its watch works, and which of its objects
//! cannot be read.
//!
//! A cache goes on with what it last had. What may not be done on knowledge that is old is asked here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::api::Kind;
use crate::cache::{Cache, Key};
use crate::caches::Caches;
use crate::watch::WatchError;

/// So long policies that were read are relied upon while their watch does not work.
pub const RELIED_ON: Duration = Duration::from_secs(30);
const SWITCH_OFF: &str = "start it with --policies=off if there are to be none";

#[derive(Debug, Default)]
pub(super) struct Conditions(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    kinds: HashMap<Kind, Standing>,
    unreadable: HashMap<(Kind, Key), Bad>,
    /// Nobody asks for policies.
    without_policies: bool,
}

/// How it stands with a kind.
#[derive(Debug, Default)]
struct Standing {
    /// It was read once.
    filled: bool,
    trouble: Option<Trouble>,
    /// All else goes on without it.
    given_up: bool,
}

#[derive(Debug)]
struct Trouble {
    since: Duration,
    code: Option<u16>,
    why: String,
}

/// An object that cannot be read, in which version, and why.
#[derive(Debug)]
struct Bad {
    version: String,
    error: String,
}

// === impl Caches ===

impl Caches {
    /// Nobody asks for policies: there are none. To be said before anything is watched.
    pub fn go_without_policies(&self) {
        self.conditions.lock().without_policies = true;
    }

    pub fn without_policies(&self) -> bool {
        self.conditions.lock().without_policies
    }

    /// Why nobody can tell what `CanaryPolicies` say, and what to do about it.
    pub fn unreadable_policies(&self, now: Duration) -> Option<String> {
        let selecting = || {
            let policies = self.policies.in_namespace("");
            let mut selectors = policies.iter().map(|it| &it.rules.spec.namespaces);
            selectors.any(|selector| !selector.match_labels.is_empty())
        };
        let conditions = self.conditions.lock();
        if conditions.without_policies {
            return None;
        }
        if let Some(why) = conditions.untold(Kind::Policy, now) {
            return Some(format!("CanaryPolicies cannot be read: {why}"));
        }
        let unread = conditions.never_read(Kind::Policy, &self.policies);
        if let Some((name, error)) = unread.into_iter().next() {
            return Some(format!(
                "CanaryPolicy {name} cannot be read: {error}; correct or delete it"
            ));
        }
        let why = conditions.untold(Kind::Namespace, now)?;
        selecting().then(|| {
            format!("labels of Namespaces, which CanaryPolicies select by, cannot be read: {why}")
        })
    }

    /// Why an object that is there cannot be read, as far as it was seen.
    pub fn unreadable(&self, kind: Kind, key: &Key) -> Option<String> {
        let conditions = self.conditions.lock();
        let bad = conditions.unreadable.get(&(kind, key.clone()))?;
        Some(bad.error.clone())
    }

    /// Whether an object of the namespace is there and cannot be read.
    pub fn has_unreadable(&self, kind: Kind, namespace: &str) -> bool {
        let conditions = self.conditions.lock();
        let mut bad = conditions.unreadable.keys();
        bad.any(|(of, key)| *of == kind && &*key.namespace == namespace)
    }

    /// All else goes on without it.
    pub(super) fn is_given_up(&self, kind: Kind) -> bool {
        let conditions = self.conditions.lock();
        conditions.without_policies && of_policies(kind)
            || conditions.kinds.get(&kind).is_some_and(|it| it.given_up)
    }

    pub(super) fn note_filled(&self, kind: Kind) {
        self.conditions.lock().of(kind).filled = true;
    }

    /// The watch works.
    pub(super) fn note_working(&self, kind: Kind) {
        let mut conditions = self.conditions.lock();
        let before = conditions.of(kind).trouble.take();
        drop(conditions);
        if let Some(trouble) = before {
            info!(?kind, "is watched again; it was not: {}", trouble.why);
            if of_policies(kind) {
                self.wake_all();
            }
        }
    }

    /// Each kind of error is said once, until the watch works again.
    pub(super) fn note_failed(&self, kind: Kind, error: &WatchError, now: Duration) {
        let mut conditions = self.conditions.lock();
        let standing = conditions.of(kind);
        let code = error.code();
        let before = standing.trouble.take();
        let since = before.as_ref().map_or(now, |trouble| trouble.since);
        // The words of one error may differ each time, and a condition that is written each time is noise.
        let same = before.filter(|trouble| trouble.code == code);
        let why = same.map_or_else(
            || {
                warn!(?kind, %error, "cannot watch");
                error.to_string()
            },
            |trouble| trouble.why,
        );
        let long = now.saturating_sub(since) > RELIED_ON;
        let hopeless = error.is_forbidden() || long;
        standing.given_up |= is_dispensable(kind) && !standing.filled && hopeless;
        standing.trouble = Some(Trouble { since, code, why });
    }

    /// Said once for each version of it. What the cache has of it stays.
    pub(super) fn note_unreadable(&self, kind: Kind, key: &Key, version: &str, error: &str) {
        let mut conditions = self.conditions.lock();
        let place = (kind, key.clone());
        let known = conditions.unreadable.get(&place);
        if known.is_some_and(|bad| bad.version == version) {
            return;
        }
        warn!(kind = kind.resource().kind, object = %key, %error, "cannot be read and is left alone");
        let bad = Bad {
            version: version.to_owned(),
            error: error.to_owned(),
        };
        conditions.unreadable.insert(place, bad);
    }

    /// It was read, or it is gone.
    pub(super) fn note_readable(&self, kind: Kind, key: &Key) {
        let mut conditions = self.conditions.lock();
        if !conditions.unreadable.is_empty() {
            conditions.unreadable.remove(&(kind, key.clone()));
        }
    }

    /// What a list did not have is not unreadable either.
    pub(super) fn keep_unreadable(&self, kind: Kind, listed: impl Fn(&Key) -> bool) {
        let mut conditions = self.conditions.lock();
        let unreadable = &mut conditions.unreadable;
        unreadable.retain(|(of, key), _| *of != kind || listed(key));
    }
}

// === impl Conditions ===

impl Conditions {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Inner ===

impl Inner {
    fn of(&mut self, kind: Kind) -> &mut Standing {
        self.kinds.entry(kind).or_default()
    }

    /// Why what was read of a kind, if anything was, is not to be relied upon, and what helps.
    fn untold(&self, kind: Kind, now: Duration) -> Option<String> {
        let standing = self.kinds.get(&kind)?;
        let trouble = standing.trouble.as_ref()?;
        let relied_on = now.saturating_sub(trouble.since) <= RELIED_ON;
        if standing.filled && relied_on {
            return None;
        }
        let resource = kind.resource().plural;
        let why = &trouble.why;
        Some(if trouble.code == Some(403) {
            format!(
                "{why}; give the server the right to list and watch {resource}, or {SWITCH_OFF}"
            )
        } else {
            format!("{why}; see the log of the server, or {SWITCH_OFF}")
        })
    }

    /// Objects of which no version was ever read.
    fn never_read<T>(&self, kind: Kind, cache: &Cache<T>) -> Vec<(String, String)> {
        let of_kind = self.unreadable.iter().filter(|((of, _), _)| *of == kind);
        let never = of_kind.filter(|((_, key), _)| cache.get_key(key).is_none());
        let mut found: Vec<_> = never
            .map(|((_, key), bad)| (key.name.to_string(), bad.error.clone()))
            .collect();
        found.sort_unstable();
        found
    }
}

/// All else goes on without it.
const fn is_dispensable(kind: Kind) -> bool {
    of_policies(kind) || matches!(kind, Kind::Disruption)
}

/// What tells which policies there are, and for whom.
pub(super) const fn of_policies(kind: Kind) -> bool {
    matches!(kind, Kind::Policy | Kind::Namespace | Kind::Enforcer)
}
