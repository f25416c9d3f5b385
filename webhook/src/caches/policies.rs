//! `CanaryPolicies`, and the namespaces that they are for.

use std::collections::BTreeMap;
use std::sync::Arc;

use canary_core::canary::Canary;
use canary_core::policy::{CanaryPolicy, Policy, is_releasing};
use serde_json::Value;

use crate::cache::Key;
use crate::caches::store::put;
use crate::caches::{Caches, key_of, text};
use crate::target::view::strings;

/// A policy as it was read, and as it is stored.
#[derive(Clone, Debug)]
pub struct Stated {
    pub rules: Policy,
    pub object: CanaryPolicy,
}

pub type Labels = BTreeMap<String, String>;

// === impl Caches ===

impl Caches {
    /// The policies that apply to a namespace, by name.
    pub fn policies_of(&self, namespace: &str) -> Vec<Arc<Stated>> {
        let labels = self.namespaces.get("", namespace).unwrap_or_default();
        let mut found = self.policies.in_namespace("");
        found.retain(|policy| policy.rules.applies(&labels));
        found
    }

    /// Canaries of the namespace whose release runs, but for that one.
    pub fn others_releasing(&self, namespace: &str, canary: Option<&str>) -> usize {
        self.targets.releasing_but(namespace, canary)
    }

    /// What a policy says is news; its status is our own.
    pub(super) fn store_policy(
        &self,
        object: Value,
        written: bool,
    ) -> Result<bool, serde_json::Error> {
        let (key, version) = (key_of(&object), text(&object, "/metadata/resourceVersion"));
        let object: CanaryPolicy = serde_json::from_value(object)?;
        let before = self.policies.get_key(&key);
        let same = before.is_some_and(|before| before.object.spec == object.spec);
        let stated = Stated {
            rules: Policy::read(&object),
            object,
        };
        let news = put(&self.policies, key, &version, stated, written);
        if news && !written {
            self.policies_changed.notify_one();
        }
        if news && !same {
            self.wake_all();
        }
        Ok(news)
    }

    /// Labels decide which policies apply.
    pub(super) fn store_namespace(&self, object: &Value, written: bool) -> bool {
        let (key, version) = (key_of(object), text(object, "/metadata/resourceVersion"));
        let labels = strings(object.pointer("/metadata/labels"));
        let before = self.namespaces.get_key(&key);
        let same = before.is_some_and(|before| *before == labels);
        let news = put(&self.namespaces, key.clone(), &version, labels, written);
        if news && !same {
            self.wake_namespace(&key.name);
        }
        news
    }

    /// A release that ended leaves its place to another that waits for it.
    pub(super) fn pass_on_place(&self, key: &Key, before: Option<&Canary>) {
        let was = before.is_some_and(is_releasing);
        let still = self.canaries.get_key(key);
        if was && !still.is_some_and(|canary| is_releasing(&canary)) && self.counts_releases(key) {
            self.wake_namespace(&key.namespace);
        }
    }

    fn counts_releases(&self, key: &Key) -> bool {
        let policies = self.policies_of(&key.namespace);
        policies.iter().any(|policy| policy.rules.counts_releases())
    }
}
