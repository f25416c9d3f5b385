//! What a Canary leaves that is not its own to take along, once it is gone without `revertOnDeletion`: the user's
//! own Services, and marks on the target.
//!
//! ```text
//!  Canary gone ─► marks off the target ─► the garbage collector took the primary ─► Services as they were
//!                                         └─ it stays (orphaned), and serves ─────► left alone
//! ```
//! Nothing is taken from a Service that leads to pods. Who gives the target its pods back is served by it then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::selector::{self, Labels};
use tracing::{info, warn};

use crate::api::{ApiError, Kind};
use crate::target::taken;
use crate::target::view::strings;
use crate::tick::{Context, marks};

/// How often is looked whether the garbage collector has been there, which takes seconds.
const LOOKS: u32 = 120;
const BETWEEN: Duration = Duration::from_secs(1);

// === impl Context ===

impl Context {
    /// Namespaces where a Canary may have gone while no server ran.
    pub fn perhaps_departed(&self) -> BTreeSet<Arc<str>> {
        let services = self.caches.adopted_services();
        let targets = self.caches.deployments.keys().into_iter();
        let managed = targets.filter(|key| {
            let found = self.caches.deployments.get_key(key);
            found.is_some_and(|it| it.managed)
        });
        let keys = services.into_iter().chain(managed);
        keys.map(|key| key.namespace).collect()
    }

    /// Until all is as it was, or it is clear that the primary stays.
    pub async fn tidy_up(&self, namespace: &str) {
        for _ in 0..LOOKS {
            match self.tidy_up_once(namespace).await {
                Ok(true) | Err(ApiError::Fenced) => return,
                Ok(false) => {}
                Err(error) if error.is_stale() => {}
                Err(error) => warn!("what a Canary left in {namespace} stays for now: {error}"),
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// True if nothing is left to be done.
    async fn tidy_up_once(&self, namespace: &str) -> Result<bool, ApiError> {
        // One that cannot be read may still release what seems to be nobody's.
        if self.caches.has_unreadable(Kind::Canary, namespace) {
            return Ok(true);
        }
        let canaries = self.caches.canaries.in_namespace(namespace);
        self.unmark_targets(namespace, &canaries).await?;
        let mut done = true;
        for key in self.caches.adopted_services() {
            if &*key.namespace != namespace {
                continue;
            }
            let Some(live) = self.caches.service(namespace, &key.name) else {
                continue;
            };
            let Some(patch) = taken::restore_patch(&live) else {
                continue;
            };
            let original = taken::original_selector(&live);
            if canaries
                .iter()
                .any(|it| self.uses(it, &key.name, &original))
            {
                continue;
            }
            if self.has_workload(namespace, &strings(live.pointer("/spec/selector"))) {
                done = false;
                continue;
            }
            let kind = Kind::Service;
            let stored = self.cluster.merge(kind, namespace, &key.name, &patch);
            self.caches.written(kind, stored.await?);
            info!("Service {key} is as it was before its Canary, which is gone");
        }
        Ok(done)
    }

    /// Labels and locks are nobody's use any more. What is noted for a Canary that is made anew stays.
    async fn unmark_targets(
        &self,
        namespace: &str,
        canaries: &[Arc<Canary>],
    ) -> Result<(), ApiError> {
        let left = self.caches.deployments.pick(namespace, |name, found| {
            let used = canaries.iter().any(|canary| releases(canary, name));
            (found.managed && !used).then(|| (name.to_owned(), found.resource_version.clone()))
        });
        for (name, version) in left {
            let (kind, patch) = (Kind::Deployment, marks::departed(&version));
            let stored = self.cluster.merge(kind, namespace, &name, &patch).await?;
            self.caches.written(kind, stored);
        }
        Ok(())
    }

    /// Whether a Canary that is there leads this Service to its primary.
    fn uses(&self, canary: &Canary, service: &str, original: &Labels) -> bool {
        let adopted = canary.status.as_ref().and_then(|it| it.in_force.as_ref());
        let target = self
            .caches
            .deployments
            .get(canary.namespace_name(), canary.target_name());
        canary.apex() == service
            || adopted.is_some_and(|names| names.service == service)
            || target.is_some_and(|it| selector::selects(original, &it.pod_labels))
    }

    fn has_workload(&self, namespace: &str, selector: &Labels) -> bool {
        let found = self.caches.deployments.pick(namespace, |_, found| {
            selector::selects(selector, &found.pod_labels).then_some(())
        });
        !found.is_empty()
    }
}

fn releases(canary: &Canary, target: &str) -> bool {
    let adopted = canary.status.as_ref().and_then(|it| it.in_force.as_ref());
    canary.target_name() == target || adopted.is_some_and(|names| names.target == target)
}
