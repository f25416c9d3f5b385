//! Templates kept as ControllerRevisions.

use canary_core::canary::Canary;
use canary_core::revision;
use canary_core::status::CanaryStatus;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::target::generated::is_generated;
use crate::target::recorded;
use crate::tick::{Context, TickError};
use crate::world::World;

// === impl Context ===

impl Context {
    /// Keeps the target's template: it must be the one that was decided on.
    pub(super) async fn record(
        &self,
        world: &World,
        status: &CanaryStatus,
        wanted: &str,
    ) -> Result<(), TickError> {
        let name = world.canary.target_name();
        let target = self
            .cluster
            .get(Kind::Deployment, &world.namespace, name)
            .await?;
        let template = &target["spec"]["template"];
        if revision::revision(template) != wanted {
            return Err(TickError::Stale(format!(
                "deployment {name} changed meanwhile"
            )));
        }
        self.keep(world, status, wanted, template).await?;
        self.caches.written(Kind::Deployment, target);
        Ok(())
    }

    /// Numbered as its release; the baseline is the first. What is kept already stays as it is.
    pub(super) async fn keep(
        &self,
        world: &World,
        status: &CanaryStatus,
        revision: &str,
        template: &Value,
    ) -> Result<(), TickError> {
        let number = status
            .release
            .as_ref()
            .map_or(1, |release| release.number + 1);
        let object = recorded::to_object(&world.canary, revision, template, number);
        match self.cluster.create(Kind::Revision, &object).await {
            Ok(_) => Ok(()),
            Err(ApiError::Exists { .. }) => self.inherit(world, &object).await,
            Err(error) => Err(error.into()),
        }
    }

    /// One of its name is there. If it is of an earlier Canary, it is about to go with that one.
    async fn inherit(&self, world: &World, object: &Value) -> Result<(), TickError> {
        let (canary, kind) = (&world.canary, Kind::Revision);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let live = self.cluster.get(kind, &world.namespace, name).await?;
        let same = live["data"] == object["data"];
        if same && is_generated(&live, canary) {
            return Ok(());
        }
        if same {
            let of = |field: &str| object["metadata"][field].clone();
            let patch = json!({ "metadata": {
                "resourceVersion": live["metadata"]["resourceVersion"],
                "labels": of("labels"), "ownerReferences": of("ownerReferences"),
            } });
            self.cluster
                .merge(kind, &world.namespace, name, &patch)
                .await?;
            return Ok(());
        }
        let error = ApiError::Rejected {
            verb: "create",
            what: format!("ControllerRevision {name}.{}", world.namespace),
            message: "one of this name has another template: delete it".to_owned(),
        };
        Err(error.into())
    }

    /// The template of a revision, as it was kept. One that is lost is taken from the target, if that has it.
    pub(super) async fn template_of(
        &self,
        world: &World,
        target: &Value,
        wanted: &str,
    ) -> Result<Value, TickError> {
        let name = recorded::object_name(&world.canary, wanted);
        let is_it = |template: &&Value| revision::revision(template) == wanted;
        match self
            .cluster
            .get(Kind::Revision, &world.namespace, &name)
            .await
        {
            Ok(kept) => {
                if let Some(template) = recorded::template(&kept).filter(is_it) {
                    return Ok(template.clone());
                }
            }
            Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(template) = target.pointer("/spec/template").filter(is_it) {
            return Ok(template.clone());
        }
        let error = ApiError::Rejected {
            verb: "read",
            what: format!("ControllerRevision {name}.{}", world.namespace),
            message: format!(
                "the template of revision {wanted} is not there any more: set Deployment {} back to it, or to what is to be released instead",
                world.canary.target_name()
            ),
        };
        Err(error.into())
    }

    /// Lets the oldest go. Nobody waits for it, so it comes after status.
    pub(super) async fn prune(
        &self,
        canary: &Canary,
        status: &CanaryStatus,
    ) -> Result<(), TickError> {
        let kept = self.kept(canary).await?;
        let needed: Vec<String> = [
            status.last_applied_spec.as_deref(),
            status.last_promoted_spec.as_deref(),
        ]
        .into_iter()
        .flatten()
        .map(|revision| recorded::object_name(canary, revision))
        .collect();
        for object in recorded::surplus(&kept, &needed) {
            let deleted = self.delete_generated(canary, Kind::Revision, object);
            match deleted.await {
                Ok(()) | Err(TickError::Api(ApiError::Conflict { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn kept(&self, canary: &Canary) -> Result<Vec<Value>, TickError> {
        let label = format!("{}={}", recorded::CANARY_LABEL, recorded::label(canary));
        let objects = self
            .cluster
            .list(
                Kind::Revision,
                canary.namespace_name(),
                &ListParams::default().labels(&label),
            )
            .await?;
        let mut kept = Vec::new();
        for object in objects {
            if is_generated(&object, canary) {
                kept.push(object);
            } else if let Some(patch) = recorded::marking(&object, canary) {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                let marked =
                    self.cluster
                        .merge(Kind::Revision, canary.namespace_name(), name, &patch);
                kept.push(marked.await?);
            }
        }
        Ok(kept)
    }
}
