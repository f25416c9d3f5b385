//! Checksums of what the target refers to. Metadata is watched; data is read when it changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::api::ApiError;
use crate::cache::Key;
use crate::target::config::{self, ConfigRef};
use crate::tick::{Context, TickError};
use crate::world::World;

/// What was read last, by resourceVersion. None for what must not be tracked.
#[derive(Debug, Default)]
pub struct Checksums {
    known: Mutex<HashMap<(ConfigRef, String), (String, Option<String>)>>,
}

// === impl Checksums ===

impl Checksums {
    pub(super) async fn of(&self, context: &Context, world: &World) -> Result<BTreeMap<ConfigRef, String>, TickError> {
        let mut checksums = BTreeMap::new();
        if !context.options.config_tracking {
            return Ok(checksums);
        }
        for reference in &world.target.configs {
            let key = Key::new(&world.namespace, &reference.name);
            // One that is missing is left to the kubelet: it may be optional.
            let Some(meta) = context.caches.configs(reference.kind()).get_key(&key) else { continue };
            if config::opted_out(&meta.annotations) {
                continue;
            }
            let slot = (reference.clone(), world.namespace.clone());
            let version = format!("{}/{}", meta.uid, meta.resource_version);
            let checksum = match self.remembered(&slot, &version) {
                Some(known) => known,
                None => self.read(context, slot, version).await?,
            };
            if let Some(checksum) = checksum {
                checksums.insert(reference.clone(), checksum);
            }
        }
        Ok(checksums)
    }

    fn remembered(&self, slot: &(ConfigRef, String), version: &str) -> Option<Option<String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(slot).filter(|(old, _)| old == version).map(|(_, checksum)| checksum.clone())
    }

    async fn read(&self, context: &Context, slot: (ConfigRef, String), version: String) -> Result<Option<String>, TickError> {
        let (reference, namespace) = &slot;
        let object = match context.cluster.get(reference.kind(), namespace, &reference.name).await {
            Ok(object) => object,
            Err(ApiError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let checksum = config::is_trackable(&object).then(|| config::checksum(&object));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(slot, (version, checksum.clone()));
        Ok(checksum)
    }
}
