//! A primary that an earlier Canary of the name left: what was promoted, and serves. The target may have a template
//! that went back, so nothing else may take its place.
//!
//! ```text
//!  deleted, and created at once   the garbage collector is about to take it: it is ours before that
//!  deleted with --cascade=orphan  nobody's: it is ours once somebody hands it over
//! ```

use canary_core::status::Phase;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::target::generated::{self, earlier, is_marked, is_of, may_take};
use crate::target::recorded;
use crate::tick::{Context, TickError, phase};
use crate::world::World;

// === impl Context ===

impl Context {
    /// Makes such a primary, and the template that was kept of it, this Canary's. True if anything was written.
    pub(super) async fn inherit_primary(&self, world: &World) -> Result<bool, TickError> {
        let canary = &world.canary;
        let Some(primary) = world.primary.as_ref().filter(|primary| !primary.deleting) else {
            return Ok(false);
        };
        let theirs = &primary.ownership;
        let leaving = earlier(theirs, canary).is_some();
        let left = leaving || is_marked(theirs) && may_take(theirs, canary);
        let Some(promoted) = primary.promoted.as_ref().filter(|_| left) else {
            return Ok(false);
        };
        if phase(canary) != Phase::New || is_of(theirs, canary) {
            return Ok(false);
        }
        let kept = recorded::object_name(canary, promoted);
        let has_template = self.make_ours(world, Kind::Revision, &kept).await?;
        if leaving && !has_template {
            // One that is collected all the same could not be made anew.
            return Ok(false);
        }
        self.make_ours(world, Kind::Deployment, &canary.primary_name())
            .await
    }

    /// Whether it is there, and this Canary's from now on.
    async fn make_ours(&self, world: &World, kind: Kind, name: &str) -> Result<bool, TickError> {
        let canary = &world.canary;
        let live = match self.cluster.get(kind, &world.namespace, name).await {
            Ok(live) => live,
            Err(ApiError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if is_of(&live, canary) {
            return Ok(true);
        }
        if earlier(&live, canary).is_none() && !is_marked(&live) {
            return Ok(false);
        }
        let owned = generated::own(bare(&live), canary);
        let patch = json!({ "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "labels": owned["metadata"]["labels"],
            "ownerReferences": owned["metadata"]["ownerReferences"],
        } });
        match self
            .cluster
            .merge(kind, &world.namespace, name, &patch)
            .await
        {
            Ok(stored) => {
                self.caches.written(kind, stored);
                Ok(true)
            }
            Err(ApiError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Without owners: names are given once, so that a Canary that it names is gone.
fn bare(live: &Value) -> Value {
    let owners = live["metadata"]["ownerReferences"].as_array();
    let others = owners.into_iter().flatten();
    let others: Vec<&Value> = others.filter(|owner| owner["kind"] != "Canary").collect();
    json!({ "metadata": { "ownerReferences": others } })
}
