//! Checksums of what the target refers to. Metadata is watched; data is read when it changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use canary_core::names;
use serde_json::Value;

use crate::api::ApiError;
use crate::cache::Key;
use crate::target::config::{self, ConfigRef};
use crate::tick::{Context, TickError, kept};
use crate::world::World;

/// What was read last, by resourceVersion. None for what must not be tracked.
#[derive(Debug, Default)]
pub struct Checksums {
    known: Mutex<HashMap<Slot, Read>>,
}

/// Which copies are written, and what of the old ones is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// Those that are not there: a primary that is lost needs the data that it had.
    Missing,
    /// All of them, for a baseline that nobody has used yet.
    Baseline,
    /// All of them, and what this release replaces is kept.
    Release(i64),
}

/// A reference, and the namespace that it is made in.
type Slot = (ConfigRef, String);

/// What was read: of which version, and its checksum; none for what must not be tracked.
#[derive(Clone, Debug)]
struct Read {
    version: String,
    checksum: Option<String>,
}

// === impl Context ===

impl Context {
    /// Copies what was analysed: data that changed since is a new revision.
    pub(super) async fn copy_configs(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        copying: Copying,
    ) -> Result<(), TickError> {
        for (reference, checksum) in configs {
            let kind = reference.kind();
            let source = self
                .cluster
                .get(kind, &world.namespace, &reference.name)
                .await?;
            if config::checksum(&source) != *checksum {
                return Err(TickError::Stale(format!(
                    "{} changed meanwhile",
                    reference.id()
                )));
            }
            let name = names::primary_of(&reference.name);
            let live = match self.cluster.get(kind, &world.namespace, &name).await {
                Ok(live) => Some(live),
                Err(ApiError::NotFound { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            self.copy_config(world, reference, &source, live.as_ref(), copying)
                .await?;
        }
        Ok(())
    }

    async fn copy_config(
        &self,
        world: &World,
        reference: &ConfigRef,
        source: &Value,
        live: Option<&Value>,
        copying: Copying,
    ) -> Result<(), TickError> {
        let canary = &world.canary;
        if let Some(live) = live {
            let owned = config::is_copy_of(live, canary);
            if !config::may_write_copy(live, canary) {
                return Err(kept::not_ours(&names::primary_of(&reference.name)));
            }
            let same = config::checksum(live) == config::checksum(source);
            if owned && (same || copying == Copying::Missing) {
                return Ok(());
            }
            if let Copying::Release(number) = copying
                && owned
            {
                self.keep_config(world, reference, live, number).await?;
            }
        }
        let copy = config::copy(source, live, canary, &self.options.label_prefixes);
        self.write_copy(world, reference.kind(), &copy, live).await
    }
}

// === impl Checksums ===

impl Checksums {
    pub(super) async fn of(
        &self,
        context: &Context,
        world: &World,
    ) -> Result<BTreeMap<ConfigRef, String>, TickError> {
        let mut checksums = BTreeMap::new();
        if !context.options.config_tracking {
            return Ok(checksums);
        }
        for reference in &world.target.configs {
            let key = Key::new(&world.namespace, &reference.name);
            // One that is missing is left to the kubelet: it may be optional.
            let Some(meta) = context.caches.configs(reference.kind()).get_key(&key) else {
                continue;
            };
            if config::opted_out(&meta.annotations) {
                continue;
            }
            let slot = (reference.clone(), world.namespace.clone());
            let version = format!("{}/{}", meta.uid, meta.resource_version);
            let read = match self.remembered(&slot, &version) {
                Some(read) => read,
                None => self.read(context, slot, version).await?,
            };
            if let Some(checksum) = read.checksum {
                checksums.insert(reference.clone(), checksum);
            }
        }
        Ok(checksums)
    }

    fn remembered(&self, slot: &Slot, version: &str) -> Option<Read> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(slot)
            .filter(|read| read.version == version)
            .cloned()
    }

    async fn read(
        &self,
        context: &Context,
        slot: Slot,
        version: String,
    ) -> Result<Read, TickError> {
        let (reference, namespace) = &slot;
        let object = context
            .cluster
            .get(reference.kind(), namespace, &reference.name)
            .await;
        let checksum = match object {
            Ok(object) => config::is_trackable(&object).then(|| config::checksum(&object)),
            Err(ApiError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let read = Read { version, checksum };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(slot, read.clone());
        Ok(read)
    }
}
