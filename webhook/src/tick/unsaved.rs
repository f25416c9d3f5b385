//! A status that was decided and could not be written: it counts all the same, so that failed checks add up,
//! a rollback that is routed stays routed, and nothing is said twice. Nothing goes forward on it, for a server
//! that starts anew knows nothing of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use canary_core::canary::Canary;
use canary_core::status::CanaryStatus;

use crate::cache::Key;

#[derive(Debug, Default)]
pub struct Unsaved(Mutex<HashMap<Key, Decided>>);

#[derive(Clone, Debug)]
struct Decided {
    uid: Option<String>,
    /// What the API server has: once that is another, it counts.
    stored: Option<CanaryStatus>,
    status: CanaryStatus,
}

// === impl Unsaved ===

impl Unsaved {
    /// The Canary as it was decided last, if that is not written yet.
    pub(super) fn over(&self, key: &Key, stored: &Canary) -> Option<Arc<Canary>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let decided = all.get(key)?;
        if decided.uid != stored.metadata.uid || decided.stored != stored.status {
            all.remove(key);
            return None;
        }
        let mut canary = stored.clone();
        canary.status = Some(decided.status.clone());
        Some(Arc::new(canary))
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.contains_key(key)
    }

    /// What the API server has, where a Canary with the status `seen` was decided on.
    pub(super) fn stored(&self, key: &Key, seen: Option<&CanaryStatus>) -> Option<CanaryStatus> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(key) {
            Some(decided) => decided.stored.clone(),
            None => seen.cloned(),
        }
    }

    pub(super) fn keep(
        &self,
        key: &Key,
        canary: &Canary,
        stored: Option<CanaryStatus>,
        status: &CanaryStatus,
    ) {
        let decided = Decided {
            uid: canary.metadata.uid.clone(),
            stored,
            status: status.clone(),
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(key.clone(), decided);
    }

    /// It is written, or the Canary is gone.
    pub fn forget(&self, key: &Key) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use canary_core::status::Phase;
    use serde_json::json;

    use super::*;

    fn canary(uid: &str, phase: &str) -> Canary {
        let canary = json!({
            "metadata": { "name": "web", "namespace": "test", "uid": uid },
            "spec": { "targetRef": { "kind": "Deployment", "name": "web" }, "service": { "port": 80 } },
            "status": { "phase": phase },
        });
        serde_json::from_value(canary).unwrap()
    }

    #[test]
    fn what_was_decided_counts_until_the_stored_status_is_another() {
        let (unsaved, key) = (Unsaved::default(), Key::new("test", "web"));
        let stored = canary("1", "Progressing");
        let status = CanaryStatus {
            phase: Phase::Failed,
            ..CanaryStatus::default()
        };
        let keep = || unsaved.keep(&key, &stored, stored.status.clone(), &status);
        let phase = |stored: &Canary| {
            let decided = unsaved.over(&key, stored);
            decided.map(|canary| canary.status.as_ref().unwrap().phase)
        };
        assert_eq!(phase(&stored), None);
        keep();
        assert_eq!(phase(&stored), Some(Phase::Failed));
        assert_eq!(unsaved.stored(&key, Some(&status)), stored.status);
        // Somebody wrote it.
        assert_eq!(phase(&canary("1", "Waiting")), None);
        assert_eq!(phase(&stored), None);
        keep();
        // Another Canary of its name.
        assert_eq!(phase(&canary("2", "Progressing")), None);
    }
}
