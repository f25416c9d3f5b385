//! Checksums of what the target refers to. Metadata is watched; data is read when it changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use canary_core::canary::Canary;
use canary_core::names;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::target::config::{self, ConfigRef};
use crate::target::generated;
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

/// Whose an object of a copy's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ours,
    /// None is there, or one that may be taken.
    Nobodys,
    Others,
}

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
            let name = self.copy_name(world, reference);
            let live = self.find_config(world, kind, &name).await?;
            if let Some(live) = &live {
                self.copy_config(world, reference, &source, live, copying)
                    .await?;
            } else {
                self.first_copy(world, reference, &source, copying).await?;
            }
        }
        Ok(())
    }

    /// Name of the copy for the primary. The usual one, unless that is somebody else's: another Canary's, for two
    /// primaries that read one copy would get what only one of them analysed; or a user's, whose data it is.
    pub(super) fn copy_name(&self, world: &World, reference: &ConfigRef) -> String {
        let usual = names::primary_of(&reference.name);
        let own = config::own_copy(&world.canary, &reference.name);
        let whose = |name: &str| self.whose(world, reference.kind(), name);
        match (whose(&usual), whose(&own)) {
            // What is in use stays so, also where the usual name has become free.
            (Whose::Others, _) | (Whose::Nobodys, Whose::Ours) => own,
            _ => usual,
        }
    }

    fn whose(&self, world: &World, kind: Kind, name: &str) -> Whose {
        let canary = &world.canary;
        // What the target refers to is a source, whatever it is annotated with.
        if is_source(world, kind, name) {
            return Whose::Others;
        }
        let found = self.caches.configs(kind).get(&world.namespace, name);
        let Some(meta) = found else {
            return Whose::Nobodys;
        };
        let uid = generated::uid(canary);
        let named = meta.canaries.iter().any(|it| it == uid);
        let owner = match &meta.mark {
            Some(mark) => Some(mark),
            None if named => return Whose::Ours,
            None => meta.canaries.first(),
        };
        let handed_over = || {
            meta.annotations
                .get(names::ADOPT)
                .is_some_and(|it| it == "true")
        };
        match owner {
            Some(owner) if owner == uid => Whose::Ours,
            Some(owner) if self.is_of_another(canary, owner) => Whose::Others,
            // Of a Canary that is gone.
            Some(_) => Whose::Nobodys,
            None if handed_over() => Whose::Nobodys,
            None => Whose::Others,
        }
    }

    /// Whether that is the uid of another Canary, which is there.
    pub(super) fn is_of_another(&self, canary: &Canary, uid: &str) -> bool {
        uid != generated::uid(canary) && self.knows(canary.namespace_name(), uid)
    }

    pub(super) async fn find_config(
        &self,
        world: &World,
        kind: Kind,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        match self.cluster.get(kind, &world.namespace, name).await {
            Ok(live) => Ok(Some(live)),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// There is none of that name yet. A primary that shares the copy of another Canary, as older versions let
    /// it, has what that one says: it is what is kept, or copied, of it.
    async fn first_copy(
        &self,
        world: &World,
        reference: &ConfigRef,
        source: &Value,
        copying: Copying,
    ) -> Result<(), TickError> {
        let (canary, kind) = (&world.canary, reference.kind());
        let (name, usual) = (
            self.copy_name(world, reference),
            names::primary_of(&reference.name),
        );
        let shared = if name == usual {
            None
        } else {
            let found = self.find_config(world, kind, &usual).await?;
            found.filter(|it| generated::is_of(it, canary))
        };
        let data = match (&shared, copying) {
            (Some(shared), Copying::Missing) => shared,
            (Some(shared), Copying::Release(number)) => {
                self.keep_config(world, reference, shared, number).await?;
                source
            }
            _ => source,
        };
        let mut copy = config::copy(data, None, canary, &self.options.label_prefixes);
        copy["metadata"]["name"] = json!(name);
        self.write_copy(world, kind, &copy, None).await?;
        Ok(())
    }

    async fn copy_config(
        &self,
        world: &World,
        reference: &ConfigRef,
        source: &Value,
        live: &Value,
        copying: Copying,
    ) -> Result<(), TickError> {
        let (canary, kind) = (&world.canary, reference.kind());
        let name = live["metadata"]["name"].as_str().unwrap_or_default();
        let owned = config::is_copy_of(live, canary);
        if !config::may_write_copy(live, canary) || is_source(world, kind, name) {
            return Err(kept::not_ours(world, kind, name));
        }
        // It came since this look began: the next one knows of it.
        if generated::mark_of(live).is_some_and(|mark| self.is_of_another(canary, mark)) {
            return Err(TickError::Stale(format!("{name} is another Canary's copy")));
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
        let mut copy = config::copy(source, Some(live), canary, &self.options.label_prefixes);
        copy["metadata"]["name"] = json!(name);
        self.write_copy(world, reference.kind(), &copy, Some(live))
            .await?;
        Ok(())
    }
}

/// Whether the target refers to it itself.
fn is_source(world: &World, kind: Kind, name: &str) -> bool {
    let mut sources = world.target.configs.iter();
    sources.any(|source| source.kind() == kind && source.name == name)
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
            if let Some(checksum) = self.of_one(context, &world.namespace, reference).await? {
                checksums.insert(reference.clone(), checksum);
            }
        }
        Ok(checksums)
    }

    /// Of one that is there and may be tracked. It is read only if it changed since.
    pub(super) async fn of_one(
        &self,
        context: &Context,
        namespace: &str,
        reference: &ConfigRef,
    ) -> Result<Option<String>, TickError> {
        let known = context.caches.configs(reference.kind());
        let Some(meta) = known.get(namespace, &reference.name) else {
            return Ok(None);
        };
        let slot = (reference.clone(), namespace.to_owned());
        let version = format!("{}/{}", meta.uid, meta.resource_version);
        let read = match self.remembered(&slot, &version) {
            Some(read) => read,
            None => self.read(context, slot, version).await?,
        };
        Ok(read.checksum)
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
