//! A primary that an earlier Canary of the name left: what was promoted, and serves. The target may have a template
//! that went back, so nothing else may take its place.
//!
//! ```text
//!  deleted, and created at once   the garbage collector is about to take it: it is ours before that
//!  deleted with --cascade=orphan  nobody's: it is ours, with all else that was generated and left
//! ```

use canary_core::canary::Canary;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::target::generated::{self, earlier, is_marked, is_of, may_take};
use crate::target::recorded;
use crate::tick::ensure::serving;
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
        let handed_over = is_marked(theirs) && may_take(theirs, canary);
        let nobodys = world.problems.is_empty() && self.was_left(theirs, canary);
        let left = leaving || handed_over || nobodys;
        let Some(promoted) = primary.promoted.as_ref().filter(|_| left) else {
            return Ok(false);
        };
        if serving(phase(canary)) || is_of(theirs, canary) {
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

    /// All else that a Canary that is gone generated and left. The primary comes before it.
    pub(super) async fn inherit_rest(&self, world: &World) -> Result<bool, TickError> {
        let (canary, mut wrote) = (&world.canary, false);
        let objects = self.of_generated_names(canary).into_iter();
        let left = objects.filter(|(.., live)| self.was_left(live, canary));
        let left = left.map(|(kind, name, _)| (kind, name));
        let configs = self.config_names(canary).into_iter();
        let left_configs = configs.filter(|(kind, name)| self.was_config_left(canary, *kind, name));
        for (kind, name) in left.chain(left_configs) {
            wrote |= self.make_ours(world, kind, &name).await?;
        }
        Ok(wrote)
    }

    fn was_left(&self, object: &Value, canary: &Canary) -> bool {
        generated::left_by(object, canary).is_some_and(|uid| self.is_gone(canary, uid))
    }

    fn was_config_left(&self, canary: &Canary, kind: Kind, name: &str) -> bool {
        let namespace = canary.namespace_name();
        let meta = self.caches.configs(kind).get(namespace, name);
        meta.is_some_and(|meta| {
            let mark = meta.mark.as_deref().filter(|_| meta.canaries.is_empty());
            mark.is_some_and(|uid| uid != generated::uid(canary) && self.is_gone(canary, uid))
        })
    }

    /// A Canary of that uid is not in the namespace. One that cannot be read may be it.
    fn is_gone(&self, canary: &Canary, uid: &str) -> bool {
        let namespace = canary.namespace_name();
        !self.caches.has_unreadable(Kind::Canary, namespace) && !self.knows(namespace, uid)
    }

    /// Whether a Canary of the namespace has that uid.
    pub(super) fn knows(&self, namespace: &str, uid: &str) -> bool {
        let canaries = self.caches.canaries.in_namespace(namespace);
        canaries.iter().any(|one| generated::uid(one) == uid)
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
