//! Objects of a generated name that have no mark yet (Flagger's, those of an older version), or lost their owner,
//! get it here, and what goes is deleted here.

use std::collections::BTreeSet;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::names;
use serde_json::{Value, json};

use crate::api::{ApiError, Kind};
use crate::cache::Key;
use crate::target::config::{ConfigRef, own_copy};
use crate::target::generated::{self, Generated};
use crate::target::kept;
use crate::target::service::Side;
use crate::tick::{Context, TickError};

/// What to mark, and the patch that does it.
struct Marking {
    kind: Kind,
    name: String,
    live: Option<Arc<Value>>,
    patch: Value,
}

// === impl Context ===

impl Context {
    /// One write of metadata for each object, once. It rests on names alone, so that whatever hinders a
    /// Canary, what it generated is known as such.
    pub(super) async fn mark_generated(&self, canary: &Canary) -> Result<bool, ApiError> {
        let mut wrote = false;
        for Marking {
            kind,
            name,
            live,
            patch,
        } in self.unmarked(canary)
        {
            let namespace = canary.namespace_name();
            self.check_stays(namespace, live.as_deref(), &patch).await?;
            let stored = self.cluster.merge(kind, namespace, &name, &patch).await?;
            self.caches.written(kind, stored);
            wrote = true;
        }
        Ok(wrote)
    }

    fn unmarked(&self, canary: &Canary) -> Vec<Marking> {
        let objects = self.of_generated_names(canary).into_iter();
        let unmarked = objects.filter_map(|(kind, name, live)| {
            let patch = generated::marking(&live, canary)?;
            Some(Marking {
                kind,
                name,
                live: Some(live),
                patch,
            })
        });
        unmarked.chain(self.unmarked_configs(canary)).collect()
    }

    /// What is there under the names that this Canary generates, whosever it is; copies of configuration apart.
    pub(super) fn of_generated_names(&self, canary: &Canary) -> Vec<(Kind, String, Arc<Value>)> {
        let namespace = canary.namespace_name();
        let caches = &self.caches;
        let mut found = Vec::new();
        let mut look = |kind: Kind, name: &str, object: Arc<Value>| {
            found.push((kind, name.to_owned(), object));
        };
        for side in [Side::Apex, Side::Primary, Side::Canary] {
            let name = side.name(canary);
            if let Some(service) = caches.service(namespace, &name) {
                look(Kind::Service, &name, service);
            }
        }
        if let Some(name) = canary.canary_route()
            && let Some(route) = caches.route(namespace, &name)
        {
            look(Kind::Route, &name, route);
        }
        let primary = canary.primary_name();
        for autoscaler in caches.autoscalers_of(namespace, &primary) {
            let name = autoscaler["metadata"]["name"].as_str().unwrap_or_default();
            if name.ends_with(names::PRIMARY_SUFFIX) {
                look(Kind::Autoscaler, name, autoscaler.clone());
            }
        }
        let deployment = caches.deployments.get(namespace, &primary);
        let pods: Vec<_> = deployment.iter().map(|it| &it.pod_labels).collect();
        for budget in caches.disruptions_of(canary, &pods) {
            let name = budget["metadata"]["name"].as_str().unwrap_or_default();
            if name.ends_with(names::PRIMARY_SUFFIX) {
                look(Kind::Disruption, name, budget.clone());
            }
        }
        if let Some(deployment) = deployment {
            let mut object = deployment.ownership.clone();
            object["metadata"]["resourceVersion"] = json!(deployment.resource_version);
            look(Kind::Deployment, &primary, Arc::new(object));
        }
        found
    }

    /// Copies of what the target and its primary refer to, and what a promotion replaces of them.
    fn unmarked_configs(&self, canary: &Canary) -> Vec<Marking> {
        let namespace = canary.namespace_name();
        let uid = canary.metadata.uid.as_deref().unwrap_or_default();
        let unmarked = |(kind, name): (Kind, String)| {
            let meta = self.caches.configs(kind).get(namespace, &name)?;
            let unmarked = meta.mark.is_none() && meta.canaries.iter().any(|owner| owner == uid);
            let version = Some(meta.resource_version.as_str());
            unmarked.then(|| Marking {
                kind,
                name,
                live: None,
                patch: generated::mark(canary, version),
            })
        };
        let names = self.config_names(canary);
        names.into_iter().filter_map(unmarked).collect()
    }

    pub(super) fn config_names(&self, canary: &Canary) -> BTreeSet<(Kind, String)> {
        let refs_of = |name: &str| {
            let deployment = self.caches.deployments.get(canary.namespace_name(), name);
            deployment.map_or_else(Vec::new, |it| it.configs.clone())
        };
        let status = canary.status.as_ref();
        let tracked = status.and_then(|status| status.tracked_configs.as_ref());
        let tracked = tracked.into_iter().flat_map(|all| all.keys());
        let mut sources = refs_of(canary.target_name());
        sources.extend(tracked.filter_map(|id| ConfigRef::parse(id)));
        let of_primary = refs_of(&canary.primary_name())
            .into_iter()
            .filter(|reference| reference.name.ends_with(names::PRIMARY_SUFFIX))
            .map(|reference| (reference.kind(), reference.name));
        sources
            .iter()
            .flat_map(|source| {
                [
                    (source.kind(), names::primary_of(&source.name)),
                    (source.kind(), own_copy(canary, &source.name)),
                    (source.kind(), kept::name(canary, source)),
                ]
            })
            .chain(of_primary)
            .collect()
    }

    /// What an earlier Canary of this name left: names are given once, so that one is gone, and what it generated
    /// is about to go. Nobody waits for the garbage collector.
    pub(super) async fn clear_what_an_earlier_one_left(
        &self,
        canary: &Canary,
    ) -> Result<bool, TickError> {
        let (namespace, caches) = (canary.namespace_name(), &self.caches);
        let services = [Side::Apex, Side::Primary, Side::Canary].map(|side| side.name(canary));
        let services = services
            .iter()
            .filter_map(|name| caches.service(namespace, name));
        let mut all: Vec<(Kind, Value)> = services
            .map(|service| (Kind::Service, Value::clone(&service)))
            .collect();
        let route = canary.canary_route();
        let route = route.and_then(|name| caches.route(namespace, &name));
        all.extend(route.map(|route| (Kind::Route, Value::clone(&route))));
        let mut wrote = false;
        for (kind, object) in all {
            let Some(earlier) = generated::earlier(&object, canary) else {
                continue;
            };
            self.delete_generated(&earlier, kind, &object).await?;
            wrote = true;
        }
        Ok(wrote)
    }

    /// Deletes `object` if it is the Canary's, whose mark it gets first if it has none. What is somebody
    /// else's is left alone, and what is gone is well.
    pub(super) async fn delete_generated(
        &self,
        canary: &Canary,
        kind: Kind,
        object: &Value,
    ) -> Result<(), TickError> {
        let namespace = canary.namespace_name();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let marked = if let Some(patch) = generated::marking(object, canary) {
            Some(self.cluster.merge(kind, namespace, name, &patch).await?)
        } else {
            None
        };
        let Some(proof) = Generated::of(marked.as_ref().unwrap_or(object), canary) else {
            return Ok(());
        };
        match self.cluster.delete(kind, namespace, proof).await {
            Ok(()) | Err(ApiError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.caches.removed(kind, &Key::new(namespace, name));
        Ok(())
    }
}
