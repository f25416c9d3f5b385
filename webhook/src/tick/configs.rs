//! Checksums of what the target refers to. Metadata is watched; data is read when it changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use canary_core::names;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::target::config::{self, ConfigRef};
use crate::target::is_owned;
use crate::tick::{Context, TickError};
use crate::world::World;

/// What was read last, by resourceVersion. None for what must not be tracked.
#[derive(Debug, Default)]
pub struct Checksums {
    known: Mutex<HashMap<Slot, Read>>,
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
            self.copy_config(world, kind, &source, live.as_ref())
                .await?;
        }
        Ok(())
    }

    async fn copy_config(
        &self,
        world: &World,
        kind: Kind,
        source: &Value,
        live: Option<&Value>,
    ) -> Result<(), TickError> {
        let copy = config::copy(source, live, &world.canary, &self.options.label_prefixes);
        let Some(live) = live else {
            let created = self.cluster.apply(kind, &copy).await?;
            self.caches.written(kind, created);
            return Ok(());
        };
        let name = copy["metadata"]["name"].as_str().unwrap_or_default();
        if !config::may_write_copy(live, &world.canary) {
            let resource = format!(
                "{name} (it exists and belongs to somebody else; annotate it {}=true)",
                names::ADOPT
            );
            return Err(ApiError::Forbidden {
                verb: "write",
                resource,
                message: "not ours".to_owned(),
            }
            .into());
        }
        if config::checksum(live) == config::checksum(source) && is_owned(live, &world.canary) {
            return Ok(());
        }
        // An immutable copy cannot be changed, only made anew.
        if live["immutable"] == json!(true) {
            let uid = live["metadata"]["uid"].as_str().unwrap_or_default();
            self.cluster
                .delete(kind, &world.namespace, name, uid)
                .await?;
        }
        let applied = self.cluster.apply(kind, &copy).await?;
        self.caches.written(kind, applied);
        Ok(())
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
