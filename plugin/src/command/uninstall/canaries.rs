//! Canaries as an uninstallation finds and leaves them. Raw: one that this version cannot read must
//! not be what blocks it.

use std::fmt;

use canary_core::canary::Canary;
use canary_core::names;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::client::{self, Cluster};
use crate::exit::Error;

/// A Canary of the cluster.
pub struct Left(Value);

/// All of them; none without the definition.
pub async fn all(cluster: &Cluster) -> Result<Vec<Left>, Error> {
    let resource = ApiResource::erase::<Canary>(&());
    let found = match cluster.list_each_labelled("", &resource).await {
        Ok(found) => found,
        Err(Error::NoCrd) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for object in found {
        // Nobody knows what is to be done for it, and it must not be left behind unseen.
        let object = client::readable("canary", object)?;
        let mut value =
            serde_json::to_value(object).map_err(|error| Error::Api(error.to_string()))?;
        value["apiVersion"] = json!(resource.api_version);
        value["kind"] = json!(resource.kind);
        all.push(Left(value));
    }
    Ok(all)
}

// === impl Left ===

impl Left {
    pub const fn object(&self) -> &Value {
        &self.0
    }

    pub fn namespace(&self) -> &str {
        self.0["metadata"]["namespace"].as_str().unwrap_or_default()
    }

    pub fn target(&self) -> &str {
        let target = &self.0["spec"]["targetRef"]["name"];
        target.as_str().unwrap_or_default()
    }

    /// What it has in progress.
    pub fn release(&self) -> Option<String> {
        let phase = self.phase();
        let resting = ["", "Initializing", "Initialized", "Succeeded", "Failed"];
        if resting.contains(&phase) {
            return None;
        }
        Some(format!("{phase}, {} % of the traffic", self.weight()))
    }

    /// A promotion failed, and the canary serves until the primary is ready again.
    pub fn recovers(&self) -> bool {
        self.phase() == "Failed" && self.weight() > 0
    }

    /// Nobody is left who would take it away.
    pub fn without_our_finalizer(&self) -> Option<Value> {
        let finalizers = self.finalizers();
        let others: Vec<&str> = finalizers
            .iter()
            .copied()
            .filter(|name| *name != names::FINALIZER)
            .collect();
        (others.len() < finalizers.len()).then(|| json!({"metadata": {"finalizers": others}}))
    }

    /// Flagger cannot read our hashes, and would take the template for a new one. In this phase it takes
    /// what is there for the baseline, and touches neither primary nor weights. A release in progress it
    /// begins anew by itself.
    pub fn for_flagger(&self) -> Option<Value> {
        let at_rest = ["Initialized", "Succeeded", "Failed"].contains(&self.phase());
        at_rest.then(|| json!({"status": {"phase": "Initializing"}}))
    }

    /// Its target serves again before it goes, and the server sees to that.
    pub fn to_be_reverted(&self) -> Value {
        let mut finalizers = self.finalizers();
        if !finalizers.contains(&names::FINALIZER) {
            finalizers.push(names::FINALIZER);
        }
        json!({"metadata": {"finalizers": finalizers}, "spec": {"revertOnDeletion": true}})
    }

    pub fn is_deleted(&self) -> bool {
        self.0["metadata"]["deletionTimestamp"].is_string()
    }

    /// What is left of what was generated longest: the primary.
    pub fn primary(&self) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": names::primary_of(self.target()),
                "namespace": self.0["metadata"]["namespace"],
            },
        })
    }

    pub fn owns(&self, object: &Value) -> bool {
        let owners = object["metadata"]["ownerReferences"].as_array();
        owners
            .into_iter()
            .flatten()
            .any(|owner| owner["uid"] == self.0["metadata"]["uid"])
    }

    fn phase(&self) -> &str {
        self.0["status"]["phase"].as_str().unwrap_or_default()
    }

    fn weight(&self) -> i64 {
        self.0["status"]["canaryWeight"].as_i64().unwrap_or(0)
    }

    fn finalizers(&self) -> Vec<&str> {
        let all = self.0["metadata"]["finalizers"].as_array();
        all.into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |key: &str| self.0["metadata"][key].as_str().unwrap_or_default();
        write!(f, "{}/{}", text("namespace"), text("name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canary(phase: &str, weight: i64, finalizers: &Value) -> Left {
        Left(json!({
            "metadata": {"namespace": "test", "name": "podinfo", "finalizers": finalizers},
            "status": {"phase": phase, "canaryWeight": weight},
        }))
    }

    #[test]
    fn only_our_finalizer_is_taken_away() {
        let table = [
            (json!(null), None),
            (json!(["other"]), None),
            (json!([names::FLAGGER_FINALIZER]), None),
            (
                json!(["other", names::FINALIZER]),
                Some(json!({"metadata": {"finalizers": ["other"]}})),
            ),
        ];
        for (finalizers, patch) in table {
            assert_eq!(canary("", 0, &finalizers).without_our_finalizer(), patch);
        }
    }

    #[test]
    fn flagger_gets_what_is_at_rest_as_new_and_a_release_as_it_is() {
        for (phase, patched, release) in [
            ("Initialized", true, None),
            ("Succeeded", true, None),
            ("Failed", true, None),
            ("Initializing", false, None),
            (
                "Progressing",
                false,
                Some("Progressing, 20 % of the traffic"),
            ),
            ("Waiting", false, Some("Waiting, 20 % of the traffic")),
        ] {
            let canary = canary(phase, 20, &json!([]));
            assert_eq!(canary.for_flagger().is_some(), patched, "{phase}");
            assert_eq!(canary.release().as_deref(), release, "{phase}");
        }
    }

    #[test]
    fn a_canary_that_still_serves_after_its_failure_is_known() {
        assert!(canary("Failed", 100, &json!([])).recovers());
        assert!(!canary("Failed", 0, &json!([])).recovers());
        assert!(!canary("Progressing", 20, &json!([])).recovers());
    }

    #[test]
    fn a_reversal_keeps_the_finalizers_of_others() {
        let patch = canary("Failed", 0, &json!(["other"])).to_be_reverted();
        assert_eq!(
            patch["metadata"]["finalizers"],
            json!(["other", names::FINALIZER])
        );
        let patch = canary("Failed", 0, &json!([names::FINALIZER])).to_be_reverted();
        assert_eq!(patch["metadata"]["finalizers"], json!([names::FINALIZER]));
    }
}
