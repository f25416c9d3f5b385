//! A primary that Flagger made: what it runs is found out, and written on it, before anything is
//! decided. Its template is not touched.

use std::collections::{BTreeMap, BTreeSet};

use canary_core::revision;
use serde_json::Value;

use crate::api::Kind;
use crate::target::config::ConfigRef;
use crate::target::generated::is_of;
use crate::target::primary::original_template;
use crate::target::view::Deployment;
use crate::tick::Context;
use crate::tick::ensure::EnsureError;
use crate::world::World;

// === impl Context ===

impl Context {
    pub(super) async fn take_over(
        &self,
        world: &World,
        primary: &Deployment,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> Result<bool, EnsureError> {
        // One that was handed over never ran a revision of the target: it is given the promoted one.
        let made_by_flagger = is_of(&primary.ownership, &world.canary);
        if primary.promoted.is_some() || !made_by_flagger {
            return Ok(false);
        }
        let name = world.canary.primary_name();
        let live = self
            .cluster
            .get(Kind::Deployment, &world.namespace, &name)
            .await?;
        let template = self.before_the_copy(world, &live, configs);
        let found = revision::revision(&template);
        let status = world.canary.status.clone().unwrap_or_default();
        self.keep(world, &status, &found, &template).await?;
        self.annotate_primary(world, primary, &found).await?;
        Ok(true)
    }

    fn before_the_copy(
        &self,
        world: &World,
        primary: &Value,
        configs: &BTreeMap<ConfigRef, String>,
    ) -> Value {
        let tracked: BTreeSet<ConfigRef> = configs.keys().cloned().collect();
        let labels = &self.options.selector_labels;
        original_template(
            &primary["spec"]["template"],
            &world.canary,
            &world.selector,
            labels,
            &tracked,
        )
    }
}
