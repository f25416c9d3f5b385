//! The primary: made from what was recorded, and given a recorded template.

use std::collections::BTreeMap;

use canary_core::release::Plan;
use canary_core::status::{CanaryStatus, Phase};
use canary_core::{names, revision, size};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::Kind;
use crate::target::config::{self, ConfigRef};
use crate::target::copies::{History, Note};
use crate::target::primary::{self, Id, Parts};
use crate::target::view::Deployment;
use crate::tick::configs::Copying;
use crate::tick::ensure::EnsureError;
use crate::tick::{Context, TickError};
use crate::world::World;

/// What a primary is rolled to.
struct Roll<'a> {
    revision: &'a str,
    id: &'a Id,
    /// As it stands; none if it is made.
    live: Option<&'a Value>,
    way: Way,
}

/// What a primary is given a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By this release, or as the baseline: what the target refers to now.
    On(i64),
    /// What it had before this release.
    Back(i64),
    /// It is lost, and made anew: whatever there is a copy of.
    Anew,
}

// === impl Context ===

impl Context {
    /// Gives the primary a recorded template, and the configuration that belongs to it.
    pub(super) async fn promote(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        plan: &Plan,
        revision: &str,
    ) -> Result<(), TickError> {
        let (way, number) = way_of(&plan.status);
        let back = way == Way::Back(number);
        self.configure(world, configs, plan, revision).await?;
        let Some(primary) = &world.primary else {
            return self.make_primary(world, configs, revision, way).await;
        };
        let live = self
            .cluster
            .get(
                Kind::Deployment,
                &world.namespace,
                &world.canary.primary_name(),
            )
            .await?;
        if live["metadata"]["generation"].as_i64() != Some(primary.generation) {
            return Err(TickError::Stale(format!(
                "deployment {} changed meanwhile",
                world.canary.primary_name()
            )));
        }
        let id = flagger_id(&[
            world.canary.metadata.uid.as_deref().unwrap_or_default(),
            revision,
            &number.to_string(),
            if back { "back" } else { "on" },
            &revision::checksum(&json!(plan.status.tracked_configs)),
        ]);
        let replicas = if !world.sizes_itself() {
            None
        } else if back {
            size_put_back(&plan.status, primary.replicas)
        } else {
            Some(size_of(world, &plan.status, primary.replicas))
        };
        let id = Id::next(&live, id, back);
        let roll = Roll {
            revision,
            id: &id,
            live: Some(&live),
            way,
        };
        let object = self
            .built(world, configs, &roll, |parts| {
                primary::promote(&live, parts, replicas)
            })
            .await?;
        let stored = self.cluster.replace(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    /// The copies that the template is to find: as they were, or as they were analysed.
    async fn configure(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        plan: &Plan,
        revision: &str,
    ) -> Result<(), TickError> {
        let (way, number) = way_of(&plan.status);
        if way == Way::Back(number) {
            return self.put_back_configs(world, &plan.status).await;
        }
        if world.primary.is_some() && number > 0 {
            self.check_sources(world, revision).await?;
        }
        self.copy_configs(world, configs, copying(&plan.status))
            .await
    }

    /// Creates the primary that is missing, from what was promoted last.
    pub(super) async fn create_primary(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> Result<bool, EnsureError> {
        let status = world.canary.status.as_ref();
        let Some(revision) = status.and_then(|status| status.last_promoted_spec.clone()) else {
            return Ok(false);
        };
        if !revision::is_ours(&revision) {
            return Ok(false);
        }
        self.copy_configs(world, configs, Copying::Missing).await?;
        self.make_primary(world, configs, &revision, Way::Anew)
            .await?;
        Ok(true)
    }

    async fn make_primary(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        revision: &str,
        way: Way,
    ) -> Result<(), TickError> {
        let replicas = world.scale_primary_to();
        let id = flagger_id(&[
            world.canary.metadata.uid.as_deref().unwrap_or_default(),
            revision,
        ]);
        let id = Id {
            now: id,
            before: None,
        };
        let roll = Roll {
            revision,
            id: &id,
            live: None,
            way,
        };
        let object = self
            .built(world, configs, &roll, |parts| {
                primary::create(parts, replicas)
            })
            .await?;
        let stored = self.cluster.create(Kind::Deployment, &object).await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }

    async fn built(
        &self,
        world: &World,
        configs: &BTreeMap<ConfigRef, String>,
        roll: &Roll<'_>,
        build: impl FnOnce(&Parts<'_>) -> Value + Send,
    ) -> Result<Value, TickError> {
        let (canary, revision) = (&world.canary, roll.revision);
        // A primary that is put back has from its target what it got when it was promoted.
        let target = if let Some(primary) = roll.live.filter(|_| world.target_gone) {
            primary.clone()
        } else {
            let name = canary.target_name();
            self.cluster
                .get(Kind::Deployment, &world.namespace, name)
                .await?
        };
        let template = &self.template_of(world, &target, revision).await?;
        let (names, mut history) = self.copied(world, template, configs, roll);
        if roll.way == Way::Anew {
            let said = self.said_by(world, &names).await?;
            history = history.promoted(Note::new(Note::ANEW, &names, &said));
        }
        Ok(build(&Parts {
            canary,
            target: &target,
            template,
            revision,
            selector: &world.selector,
            configs: &names,
            copies: &history,
            id: roll.id,
            label_prefixes: &self.options.label_prefixes,
        }))
    }

    /// The copies that a template is to refer to, and what is noted of them. What was analysed is what is promoted:
    /// a source that is gone, or was opted out, has none any more.
    fn copied(
        &self,
        world: &World,
        template: &Value,
        configs: &BTreeMap<ConfigRef, String>,
        roll: &Roll<'_>,
    ) -> (BTreeMap<ConfigRef, String>, History) {
        let noted = roll.live.map(History::of).unwrap_or_default();
        // What could not be read is not gone.
        let unknown = world.configs_unknown || world.target_gone;
        let history = match roll.way {
            Way::Back(release) => noted.put_back(release),
            Way::On(_) | Way::Anew => noted,
        };
        let names = match (&history.now, roll.way) {
            (Some(note), Way::Back(_)) => note.names(),
            (_, Way::On(_)) => self.copies_of(world, template, |it, _| configs.contains_key(it)),
            _ => self.copies_of(world, template, |it, is_there| {
                is_there || configs.contains_key(it)
            }),
        };
        let Way::On(release) = roll.way else {
            return (names, history);
        };
        if unknown {
            let all = |it: &ConfigRef, is_there| is_there || configs.contains_key(it);
            return (self.copies_of(world, template, all), history);
        }
        let note = Note::new(release, &names, configs);
        (names, history.promoted(note))
    }

    /// Checksums of copies as they are, by source.
    async fn said_by(
        &self,
        world: &World,
        names: &BTreeMap<ConfigRef, String>,
    ) -> Result<BTreeMap<ConfigRef, String>, TickError> {
        let mut all = BTreeMap::new();
        for (source, name) in names {
            let copy = ConfigRef {
                secret: source.secret,
                name: name.clone(),
            };
            let said = self.checksums.of_one(self, &world.namespace, &copy);
            all.extend(said.await?.map(|said| (source.clone(), said)));
        }
        Ok(all)
    }

    /// Of what a template refers to, the copies that `wanted` asks for: it is told the source, and whether its copy
    /// is there.
    fn copies_of(
        &self,
        world: &World,
        template: &Value,
        wanted: impl Fn(&ConfigRef, bool) -> bool,
    ) -> BTreeMap<ConfigRef, String> {
        let copy = |reference: ConfigRef| {
            let name = self.copy_name(world, &reference);
            let copies = self.caches.configs(reference.kind());
            let meta = copies.get(&world.namespace, &name);
            let is_there = meta.is_some_and(|meta| meta.mark.is_some());
            wanted(&reference, is_there).then_some((reference, name))
        };
        let references = config::references(template).into_iter();
        references.filter_map(copy).collect()
    }

    /// No pod of a template starts without what it needs: a primary that serves is not given one that lacks it.
    async fn check_sources(&self, world: &World, revision: &str) -> Result<(), TickError> {
        let is_there = |it: &ConfigRef| {
            let all = self.caches.configs(it.kind());
            all.get(&world.namespace, &it.name).is_some()
        };
        let known = !world.target_gone && !world.configs_unknown;
        if !known || world.target.configs.iter().all(is_there) {
            return Ok(());
        }
        let (kind, name) = (Kind::Deployment, world.canary.target_name());
        let target = self.cluster.get(kind, &world.namespace, name).await?;
        let template = self.template_of(world, &target, revision).await?;
        let needed = config::mandatory(&template).into_iter();
        match needed.into_iter().find(|it| !is_there(it)) {
            Some(missing) => Err(TickError::Missing(format!(
                "{} {}.{}, which Deployment {name} needs, is not there: {} is not given a template whose pods do not start",
                missing.kind().resource().kind,
                missing.name,
                world.namespace,
                world.canary.primary_name(),
            ))),
            None => Ok(()),
        }
    }

    pub(super) async fn rebaseline(
        &self,
        world: &World,
        status: &CanaryStatus,
        from: &str,
        to: &str,
    ) -> Result<(), TickError> {
        if world.target.revision == to {
            self.record(world, status, to).await?;
        }
        let Some(primary) = &world.primary else {
            return Ok(());
        };
        if primary.promoted.as_deref() != Some(from) {
            return Ok(());
        }
        self.annotate_primary(world, primary, to).await
    }

    pub(super) async fn annotate_primary(
        &self,
        world: &World,
        primary: &Deployment,
        revision: &str,
    ) -> Result<(), TickError> {
        let patch = json!({ "metadata": {
            "resourceVersion": primary.resource_version,
            "annotations": { names::REVISION: revision },
        } });
        let name = world.canary.primary_name();
        let stored = self
            .cluster
            .merge(Kind::Deployment, &world.namespace, &name, &patch)
            .await?;
        self.caches.written(Kind::Deployment, stored);
        Ok(())
    }
}

/// And the number of the release; 0 before the first.
fn way_of(status: &CanaryStatus) -> (Way, i64) {
    let number = status.release.as_ref();
    let number = number.map_or(0, |release| release.number);
    if status.phase == Phase::Failed {
        (Way::Back(number), number)
    } else {
        (Way::On(number), number)
    }
}

/// A promotion that failed leaves no other size behind than there was.
fn size_put_back(status: &CanaryStatus, primary: i32) -> Option<i32> {
    let release = status.release.as_ref()?;
    size::put_back(release.primary_size, release.replicas, primary)
}

/// What a primary that is given a template gets. At rest it has its size already.
fn size_of(world: &World, status: &CanaryStatus, primary: i32) -> i32 {
    let target = &world.target;
    match (status.phase, &status.release) {
        (Phase::Initializing, _) => {
            let wanted = size::wanted(target.replicas, target.wish);
            size::of_primary(wanted, primary, target.replicas)
        }
        (Phase::Promoting | Phase::Finalising, Some(release)) => {
            size::of_primary(release.replicas, primary, 0)
        }
        _ => size::of_primary(None, primary, 0),
    }
}

fn copying(status: &CanaryStatus) -> Copying {
    match (status.phase, &status.release) {
        (Phase::Promoting | Phase::Finalising, Some(release)) => Copying::Release(release.number),
        _ => Copying::Baseline,
    }
}

/// Shaped like the UUID that Flagger writes, but the same for the same promotion: a tick that is
/// run again must not roll the primary again.
fn flagger_id(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("/"));
    let hex = format!("{hash:x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32]
    )
}
