//! Templates kept as ControllerRevisions.

use canary_core::canary::Canary;
use canary_core::revision;
use kube::api::ListParams;
use serde_json::Value;

use crate::api::{ApiError, Kind};
use crate::target::{is_owned, recorded};
use crate::tick::{Context, TickError};
use crate::world::World;

// === impl Context ===

impl Context {
    /// Keeps the target's template: it must be the one that was decided on.
    pub(super) async fn record(&self, world: &World, wanted: &str) -> Result<(), TickError> {
        let target = self
            .cluster
            .get(
                Kind::Deployment,
                &world.namespace,
                world.canary.target_name(),
            )
            .await?;
        let template = &target["spec"]["template"];
        if revision::revision(template) != wanted {
            return Err(TickError::Stale(format!(
                "deployment {} changed meanwhile",
                world.canary.target_name()
            )));
        }
        self.keep(world, wanted, template).await?;
        self.caches.written(Kind::Deployment, target);
        Ok(())
    }

    pub(super) async fn keep(
        &self,
        world: &World,
        revision: &str,
        template: &Value,
    ) -> Result<(), TickError> {
        let canary = &world.canary;
        let kept = self.kept(canary).await?;
        let name = recorded::object_name(canary, revision);
        if !kept
            .iter()
            .any(|object| object["metadata"]["name"] == name.as_str())
        {
            let number = kept
                .iter()
                .filter_map(|object| object["revision"].as_i64())
                .max()
                .unwrap_or(0)
                + 1;
            let object = recorded::to_object(canary, revision, template, number);
            match self.cluster.create(Kind::Revision, &object).await {
                Ok(_) | Err(ApiError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let status = canary.status.as_ref();
        let needed: Vec<String> = [
            Some(revision),
            status.and_then(|status| status.last_promoted_spec.as_deref()),
        ]
        .into_iter()
        .flatten()
        .map(|revision| recorded::object_name(canary, revision))
        .collect();
        for object in recorded::surplus(&kept, &needed) {
            let text = |pointer| {
                object
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
            };
            let (name, uid) = (text("/metadata/name"), text("/metadata/uid"));
            match self
                .cluster
                .delete(Kind::Revision, &world.namespace, name, uid)
                .await
            {
                Ok(()) | Err(ApiError::NotFound { .. } | ApiError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn kept(&self, canary: &Canary) -> Result<Vec<Value>, TickError> {
        let label = format!(
            "{}={}",
            recorded::CANARY_LABEL,
            canary.metadata.name.as_deref().unwrap_or_default()
        );
        let objects = self
            .cluster
            .list(
                Kind::Revision,
                canary.namespace_name(),
                &ListParams::default().labels(&label),
            )
            .await?;
        Ok(objects
            .into_iter()
            .filter(|object| is_owned(object, canary))
            .collect())
    }
}
