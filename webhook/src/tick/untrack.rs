//! What an older version copied from the target by which a tool finds what it applied. A pruning tool would delete the
//! primary for it at its next run. It is a change of metadata: no pod moves.

use serde_json::Value;

use crate::api::Kind;
use crate::cache::Key;
use crate::target::generated::is_of;
use crate::target::tracking::Tracked;
use crate::tick::{Context, TickError};
use crate::world::World;

/// An object that has such marks.
struct Marked {
    kind: Kind,
    name: String,
    version: String,
    tracked: Tracked,
}

// === impl Context ===

impl Context {
    /// Takes them off the primary and its copies of configuration. All else that is generated is compared whole.
    pub(super) async fn untrack(&self, world: &World) -> Result<bool, TickError> {
        let mut wrote = false;
        for marked in self.tracked(world) {
            wrote |= self.untrack_one(world, &marked).await?;
        }
        Ok(wrote)
    }

    fn tracked(&self, world: &World) -> Vec<Marked> {
        let canary = &world.canary;
        let primary = world.primary.as_ref().filter(|primary| {
            primary.tracked != Tracked::default() && is_of(&primary.ownership, canary)
        });
        let mut all: Vec<Marked> = primary
            .map(|primary| Marked {
                kind: Kind::Deployment,
                name: canary.primary_name(),
                version: primary.resource_version.clone(),
                tracked: primary.tracked.clone(),
            })
            .into_iter()
            .collect();
        let uid = crate::target::generated::uid(canary);
        for kind in [Kind::ConfigMap, Kind::Secret] {
            let copies = self.caches.generated_configs(kind, &world.namespace, uid);
            let marked = copies
                .into_iter()
                .filter(|(_, meta)| meta.tracked != Tracked::default());
            all.extend(marked.map(|(name, meta)| Marked {
                kind,
                name,
                version: meta.resource_version,
                tracked: meta.tracked,
            }));
        }
        all
    }

    async fn untrack_one(&self, world: &World, marked: &Marked) -> Result<bool, TickError> {
        let Some(patch) = marked
            .tracked
            .removal(world.selector.key(), &marked.version)
        else {
            return Ok(false);
        };
        let (kind, key) = (marked.kind, Key::new(&world.namespace, &marked.name));
        let text = |tracked: &Tracked| format!("{tracked:?}");
        // Another webhook puts it back on every write: it is not asked for again.
        if self.answered.left(kind, &key) == Some(text(&marked.tracked)) {
            return Ok(false);
        }
        let stored = self
            .cluster
            .merge(kind, &world.namespace, &marked.name, &patch)
            .await?;
        let left = Tracked::of(&stored);
        let stays = left.removal(world.selector.key(), "").is_some();
        self.answered
            .note_left(kind, &key, stays.then(|| text(&left)));
        let changed = version(&stored) != Some(&marked.version);
        self.caches.written(kind, stored);
        Ok(changed)
    }
}

fn version(object: &Value) -> Option<&str> {
    object["metadata"]["resourceVersion"].as_str()
}
