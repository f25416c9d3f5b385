//! Copies of configuration that the primary refers to, and that somebody deleted or changed. They are made again from
//! whatever says what was promoted: the source, or what the promotion kept. Else it is said.

use std::collections::HashSet;

use canary_core::release::Plan;
use canary_core::release::conditions::CONFIG_LOST;
use canary_core::status::Phase;
use serde_json::{Value, json};

use crate::api::Kind;
use crate::cache::Key;
use crate::target::config::{self, ConfigRef, own_copy};
use crate::target::generated::{is_of, uid};
use crate::target::kept;
use crate::target::view::Deployment;
use crate::tick::{Context, TickError, noted, phase};
use crate::world::World;

/// A copy that the primary refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needed {
    copy: ConfigRef,
    source: ConfigRef,
    /// Of what was promoted.
    checksum: String,
}

/// What wakes a Canary for them: the copies, and their sources.
pub(super) fn interests(world: &World) -> HashSet<(Kind, Key)> {
    let of_primary = world.primary.iter().flat_map(|it| it.configs.clone());
    let noted = world.primary.iter().filter_map(|it| it.copies.as_ref());
    let sources = noted.flat_map(|note| note.names().into_keys());
    let all = of_primary.chain(sources);
    all.map(|it| (it.kind(), Key::new(&world.namespace, it.name)))
        .collect()
}

fn needed(world: &World, primary: &Deployment) -> Vec<Needed> {
    let is_used = |needed: &Needed| primary.configs.contains(&needed.copy);
    let needed = |source: ConfigRef, name: &str, checksum: &str| Needed {
        copy: ConfigRef {
            secret: source.secret,
            name: name.to_owned(),
        },
        source,
        checksum: checksum.to_owned(),
    };
    if let Some(note) = &primary.copies {
        let all = note
            .copies
            .iter()
            .filter_map(|(id, it)| Some(needed(ConfigRef::parse(id)?, &it.name, &it.checksum)));
        return all.filter(is_used).collect();
    }
    // An older version made it. At rest after a promotion what is tracked is what was promoted.
    let status = world.canary.status.as_ref();
    let promoted = matches!(phase(&world.canary), Phase::Initialized | Phase::Succeeded);
    let tracked = status.and_then(|status| status.tracked_configs.as_ref());
    let tracked = tracked.filter(|_| promoted).into_iter().flatten();
    let all = tracked.flat_map(|(id, checksum)| {
        let source = ConfigRef::parse(id);
        source.into_iter().flat_map(|source| {
            let both = [
                canary_core::names::primary_of(&source.name),
                own_copy(&world.canary, &source.name),
            ];
            both.map(|name| needed(source.clone(), &name, checksum))
        })
    });
    all.filter(is_used).collect()
}

// === impl Context ===

impl Context {
    /// True if any was written. Nothing is asked for while all of them are as they were.
    pub(super) async fn restore_copies(&self, world: &World) -> Result<bool, TickError> {
        let primary = world.primary.as_ref();
        let Some(primary) = primary.filter(|it| is_of(&it.ownership, &world.canary)) else {
            return Ok(false);
        };
        let (mut wrote, mut lost) = (false, Vec::new());
        for needed in needed(world, primary) {
            if !self.is_broken(world, primary, &needed).await? {
                continue;
            }
            match self.data_of(world, &needed).await? {
                Some(data) => wrote |= self.restore(world, &needed, &data).await?,
                None => lost.push(self.lost_text(world, &needed)),
            }
        }
        let said = (!lost.is_empty()).then(|| lost.join(". "));
        self.lost.set(world.key(), said);
        Ok(wrote)
    }

    /// It is not there; or it is at rest, and somebody gave it other data.
    async fn is_broken(
        &self,
        world: &World,
        primary: &Deployment,
        needed: &Needed,
    ) -> Result<bool, TickError> {
        let copy = &needed.copy;
        let known = self.caches.configs(copy.kind());
        let Some(meta) = known.get(&world.namespace, &copy.name) else {
            return Ok(true);
        };
        let status = world.canary.status.as_ref();
        let rests = status.is_none_or(|status| !status.is_under_way());
        let ours = meta.mark.as_deref() == Some(uid(&world.canary));
        if !ours || !rests || primary.copies.is_none() {
            return Ok(false);
        }
        let has = self.checksums.of_one(self, &world.namespace, copy).await?;
        Ok(has.is_some_and(|has| has != needed.checksum))
    }

    /// An object that says what was promoted.
    async fn data_of(&self, world: &World, needed: &Needed) -> Result<Option<Value>, TickError> {
        let kept = ConfigRef {
            name: kept::name(&world.canary, &needed.source),
            ..needed.source
        };
        for found in [&needed.source, &kept] {
            let checksum = self.checksums.of_one(self, &world.namespace, found).await?;
            if checksum.as_ref() != Some(&needed.checksum) {
                continue;
            }
            let object = self.find_config(world, found.kind(), &found.name).await?;
            let same = |object: &Value| config::checksum(object) == needed.checksum;
            if let Some(object) = object.filter(same) {
                return Ok(Some(object));
            }
        }
        Ok(None)
    }

    async fn restore(
        &self,
        world: &World,
        needed: &Needed,
        data: &Value,
    ) -> Result<bool, TickError> {
        let (kind, name) = (needed.copy.kind(), &needed.copy.name);
        let live = self.find_config(world, kind, name).await?;
        if live
            .as_ref()
            .is_some_and(|live| !is_of(live, &world.canary))
        {
            return Err(TickError::Stale(format!(
                "{name} is somebody else's by now"
            )));
        }
        let prefixes = &self.options.label_prefixes;
        let mut copy = config::copy(data, live.as_ref(), &world.canary, prefixes);
        copy["kind"] = json!(kind.resource().kind);
        copy["metadata"]["name"] = json!(name);
        self.write_copy(world, kind, &copy, live.as_ref()).await
    }

    fn lost_text(&self, world: &World, needed: &Needed) -> String {
        let of = |it: &ConfigRef| {
            let kind = &it.kind().resource().kind;
            format!("{kind} {}.{}", it.name, world.namespace)
        };
        let known = self.caches.configs(needed.copy.kind());
        let found = known.get(&world.namespace, &needed.copy.name);
        let what = if found.is_some() {
            "is not what was promoted"
        } else {
            "is not there"
        };
        format!(
            "{} {what}, and {} refers to it. {} does not say what was promoted either, so that it cannot be made again",
            of(&needed.copy),
            world.canary.primary_name(),
            of(&needed.source),
        )
    }

    /// Says which copies cannot be had again. It hinders nothing: going back needs none.
    pub(super) fn note_copies(&self, world: &World, plan: &mut Plan) {
        let text = self.lost.get(&world.key());
        let condition = (CONFIG_LOST, "CopyLost");
        noted::keep(plan, condition, text.as_deref(), self.clock.now());
    }
}
