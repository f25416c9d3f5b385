//! What is kept of each kind of object.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use canary_core::names;
use serde_json::Value;
use tracing::warn;

use super::{Autoscaler, Caches, ConfigMeta, Disruption, Route, Service, Slice, key_of, text};
use crate::api::Kind;
use crate::cache::{Cache, Key};
use crate::target::pods;
use crate::target::tracking::Tracked;
use crate::target::view::{Deployment, strings};

// === impl Caches ===

impl Caches {
    /// True if it is news. What cannot be read is said, and what is known of it stays.
    pub(super) fn take_in(&self, kind: Kind, object: Value, written: bool) -> bool {
        let key = key_of(&object);
        let version = text(&object, "/metadata/resourceVersion");
        match self.store(kind, object, written) {
            Ok(news) => {
                self.note_readable(kind, &key);
                news
            }
            Err(error) => {
                self.note_unreadable(kind, &key, &version, &error.to_string());
                false
            }
        }
    }

    fn store(
        &self,
        kind: Kind,
        mut object: Value,
        written: bool,
    ) -> Result<bool, serde_json::Error> {
        let key = key_of(&object);
        let version = text(&object, "/metadata/resourceVersion");
        if kind == Kind::Canary {
            self.note_status_manager(&key, &object);
        }
        if !matches!(kind, Kind::Deployment | Kind::Service)
            && let Some(metadata) = object["metadata"].as_object_mut()
        {
            metadata.remove("managedFields");
        }
        Ok(match kind {
            Kind::Canary => {
                let before = self.canaries.get_key(&key);
                let news = parsed(&self.canaries, key.clone(), &version, object, written)?;
                self.targets.update(&key, &self.canaries);
                self.pass_on_place(&key, before.as_deref());
                news
            }
            Kind::Policy => self.store_policy(object, written)?,
            Kind::Namespace => self.store_namespace(&object, written),
            Kind::Enforcer => put(&self.enforcers, key, &version, (), written),
            Kind::MetricTemplate => parsed(&self.templates, key, &version, object, written)?,
            Kind::Deployment => put(
                &self.deployments,
                key,
                &version,
                Deployment::from_raw(&object),
                written,
            ),
            Kind::EndpointSlice => put(&self.slices, key, &version, slice(&object), written),
            Kind::Service => {
                let service = Service::of(&object);
                let news = put(&self.services, key.clone(), &version, service, written);
                self.selecting.update(&key, self);
                news
            }
            Kind::Autoscaler => put(
                &self.autoscalers,
                key,
                &version,
                Autoscaler::of(&object),
                written,
            ),
            Kind::Disruption => self.store_disruption(key, &version, object, written),
            Kind::Route => put(&self.routes, key, &version, Route::of(&object), written),
            Kind::ConfigMap | Kind::Secret => put(
                self.configs(kind),
                key,
                &version,
                config_meta(&object),
                written,
            ),
            Kind::Definition => self.look_at_schema(&object),
            Kind::Revision
            | Kind::Event
            | Kind::AlertProvider
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::Job => false,
        })
    }

    /// Its status changes with each pod, and is nobody's business here.
    fn store_disruption(&self, key: Key, version: &str, object: Value, written: bool) -> bool {
        let budget = Disruption::of(object);
        let known = self.disruptions.get_key(&key);
        let same = known.is_some_and(|known| known.says_the_same(&budget));
        put(&self.disruptions, key, version, budget, written) && !same
    }

    fn note_status_manager(&self, key: &Key, canary: &Value) {
        let entries = canary
            .pointer("/metadata/managedFields")
            .and_then(Value::as_array);
        let of_status = entries
            .into_iter()
            .flatten()
            .filter(|entry| entry["subresource"] == "status");
        let newest = of_status
            .filter(|entry| entry["manager"] != crate::api::MANAGER)
            .max_by_key(|entry| entry["time"].as_str().unwrap_or_default().to_owned());
        if let Some(manager) = newest.and_then(|entry| entry["manager"].as_str()) {
            let mut managers = self
                .status_managers
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            managers.insert(key.clone(), manager.to_owned());
        }
    }

    /// The last other than ourselves who wrote a Canary's status.
    pub fn status_manager(&self, key: &Key) -> String {
        let managers = self
            .status_managers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        managers
            .get(key)
            .cloned()
            .unwrap_or_else(|| "another controller".to_owned())
    }

    fn look_at_schema(&self, definition: &Value) -> bool {
        let versions = definition
            .pointer("/spec/versions")
            .and_then(Value::as_array);
        let ours = versions.into_iter().flatten().any(|version| {
            version["name"] == "v1beta1"
                && version
                    .pointer("/schema/openAPIV3Schema/properties/status/properties/release/properties/revision")
                    .is_some()
        });
        let changed = self.schema.swap(ours, Ordering::AcqRel) != ours;
        if changed {
            self.wake_all();
        }
        if !ours {
            warn!(
                "the installed definition of canaries.flagger.app drops our status fields: apply manifests/crds.yaml; nothing is acted on until then"
            );
        }
        changed
    }
}

pub(super) fn put<T>(cache: &Cache<T>, key: Key, version: &str, value: T, written: bool) -> bool {
    if written {
        cache.put_written(key, version, value);
        return true;
    }
    cache.put(key, version, value)
}

fn parsed<T: serde::de::DeserializeOwned>(
    cache: &Cache<T>,
    key: Key,
    version: &str,
    object: Value,
    written: bool,
) -> Result<bool, serde_json::Error> {
    let value = serde_json::from_value(object)?;
    Ok(put(cache, key, version, value, written))
}

pub(super) fn slice(object: &Value) -> Slice {
    let endpoints = object["endpoints"].as_array();
    let ready = endpoints.into_iter().flatten().filter(|endpoint| {
        endpoint
            .pointer("/conditions/ready")
            .and_then(Value::as_bool)
            .unwrap_or(true)
    });
    let addresses = ready
        .filter_map(|endpoint| endpoint["addresses"].as_array())
        .flatten();
    let ports = object["ports"].as_array().into_iter().flatten();
    let ports = ports.map(|port| text(port, "/name"));
    let pods = endpoints.into_iter().flatten();
    let pods = pods.filter(|endpoint| endpoint["targetRef"]["kind"] == "Pod");
    let pods = pods.filter_map(|endpoint| endpoint["targetRef"]["name"].as_str());
    Slice {
        owners: pods.map(|pod| pods::owner_of(pod).into()).collect(),
        service: text(object, "/metadata/labels/kubernetes.io~1service-name"),
        ports: ports.collect(),
        ready: addresses
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    }
}

fn config_meta(object: &Value) -> ConfigMeta {
    ConfigMeta {
        uid: text(object, "/metadata/uid"),
        resource_version: text(object, "/metadata/resourceVersion"),
        annotations: strings(object.pointer("/metadata/annotations")),
        mark: object
            .pointer("/metadata/labels")
            .and_then(|all| all.get(names::GENERATED)?.as_str())
            .map(str::to_owned),
        tracked: Tracked::of(object),
        canaries: object["metadata"]["ownerReferences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|owner| owner["kind"] == "Canary")
            .filter_map(|owner| owner["uid"].as_str().map(str::to_owned))
            .collect(),
    }
}
