//! What is written on the target beside its spec: marks that admission reads while we are down.
//!
//! Another webhook (a tag becomes a digest, a sidecar is injected) may rewrite the template on such a write. That
//! is nobody's release: the rewritten template takes the place of the one that was known. It is seen by the
//! answer, as a write of ours is refused if the target is not the one that was read; and after a crash by an
//! annotation of the same write, with the revision that we saw.

use canary_core::names;
use canary_core::status::{CanaryStatus, Outcome, Phase};
use serde_json::{Map, Value, json};
use tracing::info;

use crate::api::{ApiError, Kind};
use crate::target::view::Deployment;
use crate::tick::{Context, TickError, phase};
use crate::world::World;

/// A patch that takes them off.
pub(super) fn none(version: Option<&str>) -> Value {
    let mut metadata = json!({
        "labels": { names::MANAGED_LABEL: null },
        "annotations": {
            names::PROMOTED_IMAGES: null,
            names::LOCKED_BY: null,
            names::SEEN_REVISION: null,
            names::SIZE: null,
            names::FAILED: null,
        },
    });
    if let Some(version) = version {
        metadata["resourceVersion"] = json!(version);
    }
    json!({ "metadata": metadata })
}

/// A patch for a target whose Canary is gone. Its size and the images that served are for a Canary that is made
/// anew.
pub(super) fn departed(version: &str) -> Value {
    json!({ "metadata": {
        "resourceVersion": version,
        "labels": { names::MANAGED_LABEL: null },
        "annotations": { names::LOCKED_BY: null, names::SEEN_REVISION: null },
    } })
}

// === impl Context ===

impl Context {
    /// The label that webhooks select by, the images that are a rollback, and the lock of a promotion.
    /// One write, and none if all is so already.
    pub(super) async fn ensure_marks(&self, world: &World) -> Result<bool, TickError> {
        if let Some(seen) = &world.target.seen {
            self.follow_rewriting(world, seen, &world.target).await?;
        }
        let mut annotations = Map::new();
        if let Some(images) = promoted_images(world)
            && world.target.promoted_images.as_ref() != Some(&images)
        {
            annotations.insert(names::PROMOTED_IMAGES.to_owned(), Value::from(images));
        }
        let lock = self.lock(world);
        if world.target.locked_by != lock {
            annotations.insert(names::LOCKED_BY.to_owned(), Value::from(lock));
        }
        if let Some(failed) = world
            .canary
            .status
            .as_ref()
            .and_then(|status| failed(status, &world.target))
        {
            annotations.insert(names::FAILED.to_owned(), failed);
        }
        if let Some(size) = Self::size(world, !annotations.is_empty()) {
            annotations.insert(names::SIZE.to_owned(), Value::from(size.to_string()));
        }
        if world.target.managed && annotations.is_empty() {
            return Ok(false);
        }
        annotations.insert(
            names::SEEN_REVISION.to_owned(),
            json!(world.target.revision),
        );
        let patch = json!({ "metadata": {
            "resourceVersion": world.target.resource_version,
            "labels": { names::MANAGED_LABEL: names::MANAGED_VALUE },
            "annotations": annotations,
        } });
        self.write_target(world, &world.target, &patch).await?;
        Ok(true)
    }

    /// 0 is written on the Deployment itself. A Scale of 0 says nothing (`omitempty`), and so the API server
    /// strikes out whoever owned `spec.replicas`, and notes nobody who scales it afterwards: whose number it
    /// is could not be told any more (`target::view`).
    pub(super) async fn scale_away(
        &self,
        world: &World,
        status: &CanaryStatus,
        target: &Deployment,
    ) -> Result<(), TickError> {
        let mut patch = json!({
            "metadata": {
                "resourceVersion": target.resource_version,
                "annotations": { names::SEEN_REVISION: target.revision },
            },
            "spec": { "replicas": 0 },
        });
        if let Some(failed) = failed(status, target) {
            patch["metadata"]["annotations"][names::FAILED] = failed;
        }
        let replicas = self.write_target(world, target, &patch).await?;
        if replicas == 0 {
            return Ok(());
        }
        Err(TickError::Api(ApiError::Rewritten {
            what: format!(
                "Deployment {}.{}",
                world.canary.target_name(),
                world.namespace
            ),
            message: format!("its replicas are {replicas} instead of 0"),
        }))
    }

    /// A write on the target that notes which template was seen. How many replicas it has then.
    async fn write_target(
        &self,
        world: &World,
        seen: &Deployment,
        patch: &Value,
    ) -> Result<i32, TickError> {
        let name = world.canary.target_name();
        let stored = self
            .cluster
            .merge(Kind::Deployment, &world.namespace, name, patch)
            .await?;
        let answer = Deployment::from_raw(&stored);
        self.caches.written(Kind::Deployment, stored);
        self.follow_rewriting(world, &seen.revision, &answer)
            .await?;
        Ok(answer.replicas)
    }

    /// `now` is what a write of ours made of a target that had the template `seen`. What was decided on is stale
    /// if that is another.
    async fn follow_rewriting(
        &self,
        world: &World,
        seen: &str,
        now: &Deployment,
    ) -> Result<(), TickError> {
        let status = world.canary.status.as_ref();
        let Some(status) = status.and_then(|status| renamed(status, seen, now)) else {
            return Ok(());
        };
        let name = world.canary.target_name();
        info!(
            canary = world.canary.id(),
            "another webhook rewrote the template of deployment {name} on a write of ours: {seen} is {} from now on, and no release",
            now.revision,
        );
        self.store_status(&world.canary, &status).await?;
        Err(TickError::Stale(format!(
            "another webhook rewrote deployment {name}"
        )))
    }

    /// How many pods the primary has, if that is news. In mid-release it waits for another reason to write:
    /// the target's controller would have to look at it again.
    fn size(world: &World, writes: bool) -> Option<i32> {
        if !world.sizes_itself() {
            return None;
        }
        let resting = matches!(
            phase(&world.canary),
            Phase::Initializing | Phase::Initialized | Phase::Succeeded | Phase::Failed
        );
        let size = match &world.primary {
            Some(primary) => primary.replicas,
            None => world.scale_primary_to(),
        };
        let news = size > 0 && world.target.remembered != Some(size);
        (news && (resting || writes || !world.target.managed)).then_some(size)
    }

    /// Status says Promoting before the primary is given anything, so the lock is there by then.
    fn lock(&self, world: &World) -> Option<String> {
        let status = world.canary.status.as_ref()?;
        let asked = || {
            let policies = self.caches.policies_of(&world.namespace);
            let mut protected = policies.iter().filter_map(|it| it.rules.spec.protect);
            protected.any(|protect| protect.lock_during_promotion)
        };
        if !matches!(status.phase, Phase::Promoting | Phase::Finalising) || !asked() {
            return None;
        }
        let name = world.canary.metadata.name.as_deref().unwrap_or_default();
        Some(format!("{name} {}", status.release.as_ref()?.revision))
    }
}

/// The status in which the template that the target has now stands for the one that it had. None if that is so
/// already, or if nothing is known of the old one: then it is a change like any other.
fn renamed(status: &CanaryStatus, seen: &str, now: &Deployment) -> Option<CanaryStatus> {
    if now.revision == seen {
        return None;
    }
    let mut status = status.clone();
    let waiting = status.phase == Phase::Waiting;
    if let Some(target) = &mut status.target
        && target.uid == now.uid
        && target.revision == seen
        && target.generation != now.generation
    {
        // Another revision of one generation is the same template under another name: the rules rename it
        // everywhere.
        target.generation = now.generation;
        return Some(status);
    }
    // A release that waits to start is not the target's last known template yet.
    let release = status.release.as_mut().filter(|_| waiting)?;
    let known = release.revision == seen;
    known.then(|| release.revision.clone_from(&now.revision))?;
    Some(status)
}

/// The note of a template that went back, if it is news: what is to be written. A template that was promoted after all
/// is noted no more.
fn failed(status: &CanaryStatus, target: &Deployment) -> Option<Value> {
    let noted = target.failed.as_ref();
    let release = status.release.as_ref().filter(|release| {
        let outcome = matches!(
            release.outcome,
            Some(Outcome::RolledBack | Outcome::PromotionFailed)
        );
        outcome && status.phase == Phase::Failed && release.revision == target.revision
    });
    if let Some(release) = release {
        let (number, revision) = (release.number, release.revision.clone());
        let note = json!(format!("{number} {revision}"));
        return (noted != Some(&(number, revision))).then_some(note);
    }
    let promoted = status.last_promoted_spec.as_ref();
    noted
        .is_some_and(|(_, revision)| Some(revision) == promoted)
        .then_some(Value::Null)
}

/// What the primary runs; none while it is given something else.
fn promoted_images(world: &World) -> Option<String> {
    let status: &CanaryStatus = world.canary.status.as_ref()?;
    let promoted = status.last_promoted_spec.as_ref()?;
    let primary = world.primary.as_ref();
    let images = match primary.filter(|primary| primary.promoted.as_ref() == Some(promoted)) {
        Some(primary) => &primary.images,
        None if world.target.revision == *promoted => &world.target.images,
        None => return None,
    };
    serde_json::to_string(images).ok()
}

#[cfg(test)]
mod tests {
    use canary_core::status::{ObservedTarget, Release};

    use super::*;

    fn target(revision: &str, generation: i64) -> Deployment {
        Deployment {
            uid: "d1".to_owned(),
            revision: revision.to_owned(),
            generation,
            ..Deployment::default()
        }
    }

    fn status(phase: Phase) -> CanaryStatus {
        CanaryStatus {
            phase,
            target: Some(ObservedTarget {
                uid: "d1".to_owned(),
                generation: 3,
                revision: "v1-a".to_owned(),
            }),
            release: Some(Release {
                revision: "v1-w".to_owned(),
                ..Release::default()
            }),
            ..CanaryStatus::default()
        }
    }

    #[test]
    fn a_template_that_was_rewritten_on_our_write_is_the_known_one_of_a_new_generation() {
        let status = status(Phase::Succeeded);
        let renamed = |seen: &str, now: &Deployment| renamed(&status, seen, now);
        let found = renamed("v1-a", &target("v1-b", 5)).unwrap().target.unwrap();
        assert_eq!((found.generation, found.revision.as_str()), (5, "v1-a"));
        assert_eq!(renamed("v1-a", &target("v1-a", 4)), None, "not rewritten");
        assert_eq!(renamed("v1-a", &target("v1-b", 3)), None, "renamed already");
        assert_eq!(
            renamed("v1-c", &target("v1-b", 5)),
            None,
            "a release that is due"
        );
        let mut other = target("v1-b", 5);
        other.uid = "d2".to_owned();
        assert_eq!(renamed("v1-a", &other), None, "another Deployment");
    }

    #[test]
    fn a_target_whose_canary_is_gone_is_locked_no_more_and_its_size_is_remembered() {
        let metadata = &departed("7")["metadata"];
        assert_eq!(metadata["resourceVersion"], "7");
        assert_eq!(metadata["labels"], json!({ names::MANAGED_LABEL: null }));
        let annotations = metadata["annotations"].as_object().unwrap();
        assert!(annotations.contains_key(names::LOCKED_BY));
        for kept in [names::SIZE, names::PROMOTED_IMAGES] {
            assert!(!annotations.contains_key(kept), "{kept}");
        }
    }

    #[test]
    fn a_release_that_waits_is_that_of_the_rewritten_template() {
        let of = |phase| renamed(&status(phase), "v1-w", &target("v1-x", 5));
        let release = of(Phase::Waiting).unwrap().release.unwrap();
        assert_eq!(release.revision, "v1-x");
        assert_eq!(of(Phase::Succeeded), None);
    }

    #[test]
    fn a_template_that_went_back_is_noted_until_it_is_promoted() {
        let mut status = status(Phase::Failed);
        let with = |outcome: Outcome, status: &CanaryStatus| {
            let mut status = status.clone();
            if let Some(release) = &mut status.release {
                release.number = 3;
                release.outcome = Some(outcome);
            }
            status
        };
        let note = Some(json!("3 v1-w"));
        let bad = target("v1-w", 3);
        for outcome in [Outcome::RolledBack, Outcome::PromotionFailed] {
            assert_eq!(failed(&with(outcome, &status), &bad), note, "{outcome:?}");
        }
        assert_eq!(failed(&with(Outcome::Aborted, &status), &bad), None);
        let other = target("v1-x", 3);
        assert_eq!(failed(&with(Outcome::RolledBack, &status), &other), None);

        let mut noted = bad;
        noted.failed = Some((3, "v1-w".to_owned()));
        assert_eq!(
            failed(&with(Outcome::RolledBack, &status), &noted),
            None,
            "it is so already"
        );
        status.phase = Phase::Progressing;
        assert_eq!(failed(&status, &noted), None, "tried once more");
        status.phase = Phase::Succeeded;
        status.last_promoted_spec = Some("v1-w".to_owned());
        assert_eq!(failed(&status, &noted), Some(Value::Null));
    }
}
