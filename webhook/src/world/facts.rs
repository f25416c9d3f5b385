//! What the rules are told of a world.

use std::collections::BTreeMap;

use canary_core::canary::Canary;
use canary_core::release::readiness::readiness;
use canary_core::release::{
    Answers, Facts, Governance, Serving, Settings, WentBack, Wish, Workload,
};
use canary_core::{names, request, size};
use jiff::Timestamp;
use serde_json::Value;

use super::{Options, World};
use crate::caches::Caches;
use crate::target::autoscaler;
use crate::target::config::ConfigRef;
use crate::target::generated::is_of;
use crate::target::service;
use crate::target::view::Deployment;

impl World {
    pub fn facts(
        &self,
        caches: &Caches,
        options: &Options,
        configs: BTreeMap<ConfigRef, String>,
        now: Timestamp,
    ) -> Facts {
        let canary = &self.canary;
        let primary_addresses = caches.reachable(&self.namespace, &canary.primary_service());
        let apex_addresses = caches.addresses(&self.namespace, canary.apex());
        Facts {
            now,
            settings: Settings {
                capability: self.capability,
                min_interval: options.min_interval,
                drain: options.drain,
            },
            problems: self.problems.clone(),
            failed: None,
            target_gone: self.target_gone,
            target: self.target_workload(),
            primary: self
                .primary
                .as_ref()
                .map(|primary| self.primary_workload(primary)),
            routes: self.routes(),
            serving: Serving {
                primary: primary_addresses.len(),
                canary: caches
                    .reachable(&self.namespace, &canary.canary_service())
                    .len(),
                apex: apex_addresses
                    .iter()
                    .filter(|address| primary_addresses.contains(address))
                    .count(),
                adopted: self
                    .apex
                    .as_ref()
                    .is_some_and(|apex| !self.selects_primary(apex)),
                contested: false,
                pointed: self.pointed(),
            },
            configs: self.known_configs(configs),
            scale_up_to: self.scale_up_to(),
            request: wish(canary),
            policy: Governance::default(),
            canary_addresses: caches.addresses(&self.namespace, &canary.canary_service()),
            answers: Answers::default(),
        }
    }

    fn selects_primary(&self, apex: &Value) -> bool {
        service::leads_to_primary(apex, &self.selector)
    }

    fn pointed(&self) -> bool {
        let apex = self
            .apex
            .as_ref()
            .is_some_and(|apex| self.selects_primary(apex));
        apex && (self.router.is_none() || self.routes().is_some())
    }

    /// Of a target that is gone: what is known of it, so that its absence is no change.
    fn known_configs(&self, configs: BTreeMap<ConfigRef, String>) -> BTreeMap<String, String> {
        if self.target_gone || self.configs_unknown {
            let status = self.canary.status.as_ref();
            let tracked = status.and_then(|status| status.tracked_configs.clone());
            return tracked.unwrap_or_default();
        }
        let known = configs.into_iter();
        known
            .map(|(config, checksum)| (config.id(), checksum))
            .collect()
    }

    fn target_workload(&self) -> Workload {
        if self.target_gone {
            return Workload::remembered(&self.canary.status.clone().unwrap_or_default());
        }
        let target = &self.target;
        let threshold = self.canary.canary_ready_threshold();
        Workload {
            uid: target.uid.clone(),
            generation: target.generation,
            revision: target.revision.clone(),
            replicas: target.replicas,
            ready: target.counts.ready,
            readiness: readiness(self.canary.target_name(), target.counts, threshold),
            images: target.images.clone(),
            labels: target.match_labels.clone(),
            replicas_manager: target.replicas_manager.clone(),
            wanted: size::wanted(target.replicas, target.wish).filter(|_| self.sizes_itself()),
            changed_by: target
                .triggered
                .as_ref()
                .filter(|(revision, _)| *revision == target.revision)
                .map(|(_, by)| by.clone()),
            break_glass: target.break_glass.clone(),
            failed: went_back(target),
        }
    }

    fn primary_workload(&self, primary: &Deployment) -> Workload {
        let threshold = self.canary.primary_ready_threshold();
        Workload {
            uid: primary.uid.clone(),
            generation: primary.generation,
            // One of an earlier Canary is about to go with that one.
            revision: primary
                .promoted
                .clone()
                .filter(|_| is_of(&primary.ownership, &self.canary))
                .unwrap_or_default(),
            replicas: primary.replicas,
            ready: primary.counts.ready,
            readiness: readiness(&self.canary.primary_name(), primary.counts, threshold),
            images: primary.images.clone(),
            labels: primary.match_labels.clone(),
            replicas_manager: primary.replicas_manager.clone(),
            wanted: None,
            changed_by: None,
            break_glass: None,
            failed: None,
        }
    }

    /// Replicas of a primary that is created.
    pub fn scale_primary_to(&self) -> i32 {
        match &self.autoscaler {
            Some(autoscaler) if self.target.replicas == 0 => autoscaler::min_replicas(autoscaler),
            Some(_) => self.target.replicas,
            None => {
                let target = &self.target;
                size::of_new_primary(target.replicas, target.wish, target.remembered)
            }
        }
    }

    /// Nothing else says how many pods the primary has.
    pub const fn sizes_itself(&self) -> bool {
        self.autoscaler.is_none()
            && !self.autoscaler_missing
            && self.ambiguous_autoscalers.is_empty()
    }

    fn scale_up_to(&self) -> i32 {
        let target = &self.target;
        let status = self.canary.status.as_ref();
        let release = status.and_then(|status| status.release.as_ref());
        let wanted = release
            .filter(|release| release.revision == target.revision)
            .and_then(|release| release.replicas);
        let primary = self.primary.as_ref().map(|primary| primary.replicas);
        match &self.autoscaler {
            Some(autoscaler) if target.replicas == 0 => autoscaler::min_replicas(autoscaler),
            Some(_) => target.replicas,
            None => size::of_canary(target.replicas, target.wish, wanted, primary),
        }
    }
}

/// Of the template that the target has now.
fn went_back(target: &Deployment) -> Option<WentBack> {
    let (number, revision) = target.failed.as_ref()?;
    let images = target.promoted_images.as_deref().unwrap_or_default();
    (*revision == target.revision).then(|| WentBack {
        number: *number,
        images: serde_json::from_str(images).unwrap_or_default(),
    })
}

fn wish(canary: &Canary) -> Option<Wish> {
    let annotations = canary.metadata.annotations.as_ref()?;
    // Empty, it was taken back: see `admission::mutate`.
    let raw = annotations.get(names::REQUEST);
    let raw = raw.filter(|raw| !raw.is_empty())?;
    let parsed = request::parse(raw);
    let reason = annotations.get(names::REQUEST_REASON);
    let reason = reason.and_then(|reason| parsed.as_ref().ok()?.reason(reason));
    Some(Wish {
        raw: raw.clone(),
        reason: reason.map(str::to_owned),
        by: annotations.get(names::REQUESTED_BY).cloned(),
        parsed: parsed.map_err(|error| error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(annotations: &serde_json::Value) -> Option<Wish> {
        let canary = json!({
            "metadata": { "name": "podinfo", "annotations": annotations },
            "spec": { "targetRef": { "kind": "Deployment", "name": "podinfo" }, "service": { "port": 80 } },
        });
        wish(&serde_json::from_value(canary).unwrap())
    }

    #[test]
    fn a_request_that_was_taken_back_is_none() {
        assert!(asked(&json!({ names::REQUEST: "" })).is_none());
        assert!(asked(&json!({ names::REQUEST: "pause" })).is_some());
    }

    #[test]
    fn the_reason_of_an_earlier_request_is_not_taken_for_that_of_this_one() {
        let reason = |annotation: &str, request: &str| {
            let annotations = json!({ names::REQUEST: request, names::REQUEST_REASON: annotation });
            asked(&annotations).unwrap().reason
        };
        let request = "promote v1-1 uid 2";
        assert_eq!(reason("2 lunch", request).as_deref(), Some("lunch"));
        assert_eq!(reason("1 lunch", request), None);
        assert_eq!(reason("lunch", request), None);
        assert_eq!(reason("2 lunch", "promote"), None);
    }
}
