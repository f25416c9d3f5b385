//! Labels and annotations by which a tool finds what it applied. Such a tool deletes whatever has them and is not in its
//! manifests, or fights over it. What is generated is in no manifest, so it carries none of them.
//!
//! ```text
//!  source ── untracked ──► labels and annotations of a copy
//!  a copy that has one all the same: an older version made it ── Tracked ──► loses it
//! ```

use canary_core::names::{FLUX_DRIFT_DETECTION, FLUX_RECONCILE};
use serde_json::{Map, Value, json};

use crate::target::generated::is_marked;

/// How a mark is told by its key.
#[derive(Clone, Copy, Debug)]
enum Key {
    /// The whole key.
    Is(&'static str),
    /// How it begins.
    Begins(&'static str),
    /// The part before the slash is this domain, or one below it.
    Domain(&'static str),
}

/// The marks, and what their tool does by them.
const TRACKING: [(Key, &str); 40] = [
    (
        Key::Domain("applyset.kubernetes.io"),
        "kubectl apply --prune --applyset deletes what has the label of its set",
    ),
    (
        Key::Begins("addonmanager.kubernetes.io/"),
        "the addon manager of a control plane prunes by the label",
    ),
    (
        Key::Is("kubernetes.io/cluster-service"),
        "older addon managers prune by the label",
    ),
    (
        Key::Domain("fluxcd.io"),
        "Flux finds what it applied by labels and checksums",
    ),
    (
        Key::Domain("argoproj.io"),
        "Argo CD prunes by tracking-id and instance",
    ),
    (
        Key::Is("app.kubernetes.io/instance"),
        "Argo CD prunes by it, where it tracks by label",
    ),
    (
        Key::Is("app.kubernetes.io/managed-by"),
        "says that a tool made the object, and none of them did",
    ),
    (
        Key::Domain("meta.helm.sh"),
        "Helm takes the object for one of its release",
    ),
    (
        Key::Is("helm.sh/hook"),
        "Helm and Argo CD take the object for a hook",
    ),
    (
        Key::Is("helm.sh/hook-delete-policy"),
        "Argo CD deletes hooks by it",
    ),
    (
        Key::Domain("kapp.k14s.io"),
        "kapp deletes what has the label of its app",
    ),
    (
        Key::Domain("carvel.dev"),
        "kapp-controller finds the objects of a package",
    ),
    (
        Key::Domain("objectset.rio.cattle.io"),
        "k3s and Rancher delete what has the hash of their set",
    ),
    (
        Key::Domain("fleet.cattle.io"),
        "Fleet finds the objects of a bundle",
    ),
    (
        Key::Domain("config.k8s.io"),
        "cli-utils and kpt prune by owning-inventory",
    ),
    (
        Key::Domain("cli-utils.sigs.k8s.io"),
        "cli-utils and kpt prune by inventory-id",
    ),
    (
        Key::Domain("config.kubernetes.io"),
        "kustomize and kpt note where an object is from",
    ),
    (Key::Domain("kpt.dev"), "kpt notes which package it is of"),
    (
        Key::Domain("configmanagement.gke.io"),
        "Config Sync deletes what it manages and Git has not",
    ),
    (
        Key::Domain("configsync.gke.io"),
        "Config Sync deletes what it manages and Git has not",
    ),
    (
        Key::Domain("hnc.x-k8s.io"),
        "the namespace hierarchy deletes what is inherited from nothing",
    ),
    (
        Key::Domain("pulumi.com"),
        "Pulumi notes how it treats its objects",
    ),
    (
        Key::Domain("spinnaker.io"),
        "Spinnaker finds the objects of an application, and their versions",
    ),
    (
        Key::Domain("skaffold.dev"),
        "Skaffold finds the objects of a run",
    ),
    (Key::Domain("tilt.dev"), "Tilt finds the objects of a run"),
    (
        Key::Domain("garden.io"),
        "Garden deletes what has the label of its action",
    ),
    (
        Key::Domain("kluctl.io"),
        "Kluctl prunes by its discriminator",
    ),
    (
        Key::Domain("qbec.io"),
        "qbec deletes what has the labels of its application",
    ),
    (
        Key::Domain("tanka.dev"),
        "Tanka prunes by the label of its environment",
    ),
    (Key::Domain("ksonnet.io"), "kubecfg deletes by its tag"),
    (
        Key::Domain("werf.io"),
        "werf finds the objects of a release",
    ),
    (
        Key::Domain("harness.io"),
        "Harness prunes by the name of its release",
    ),
    (
        Key::Domain("oam.dev"),
        "KubeVela finds the objects of an application",
    ),
    (
        Key::Domain("karmada.io"),
        "Karmada deletes what has its label and no work",
    ),
    (
        Key::Domain("kubefed.io"),
        "KubeFed deletes what has its label and no source",
    ),
    (
        Key::Begins("olm."),
        "the lifecycle manager of operators deletes by owner labels",
    ),
    (
        Key::Domain("operator.istio.io"),
        "istioctl prunes by the label of a component",
    ),
    (
        Key::Domain("generate.kyverno.io"),
        "Kyverno deletes what it generated and no rule asks for",
    ),
    (
        Key::Domain("reconcile.external-secrets.io"),
        "External Secrets deletes Secrets of its label and another name",
    ),
    (
        Key::Domain("trust.cert-manager.io"),
        "trust-manager deletes targets of a bundle that it does not ask for",
    ),
];

/// What the API machinery keeps of an object is no other object's.
const MACHINERY: [Key; 3] = [
    Key::Domain("kubectl.kubernetes.io"),
    Key::Domain("deployment.kubernetes.io"),
    Key::Domain("kubectl-canary.dev"),
];

// === impl Key ===

impl Key {
    fn fits(self, key: &str) -> bool {
        match self {
            Self::Is(whole) => key == whole,
            Self::Begins(start) => key.starts_with(start),
            Self::Domain(domain) => {
                let of_key = key.split_once('/').map(|(of_key, _)| of_key);
                let rest = of_key.and_then(|of_key| of_key.strip_suffix(domain));
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

/// Whether a tool would find an object by it.
pub fn is_mark(key: &str) -> bool {
    TRACKING.iter().any(|(mark, _)| mark.fits(key))
}

/// Without the marks of tools and of the API machinery.
pub fn untracked(map: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut map = map.cloned().unwrap_or_default();
    map.retain(|key, _| !is_mark(key) && !MACHINERY.iter().any(|mark| mark.fits(key)));
    map
}

/// Labels that match one of the prefixes of `--include-label-prefix`; `*` is all of them.
pub fn included(labels: Option<&Map<String, Value>>, prefixes: &[String]) -> Map<String, Value> {
    let mut labels = untracked(labels);
    labels.retain(|key, _| {
        prefixes
            .iter()
            .any(|prefix| prefix == "*" || key.starts_with(prefix.as_str()))
    });
    labels
}

/// The marks that a generated object has all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    pub labels: Vec<String>,
    pub annotations: Vec<String>,
}

// === impl Tracked ===

impl Tracked {
    /// Nothing of what was not generated: what its owner's tools write there is theirs.
    pub fn of(object: &Value) -> Self {
        if !is_marked(object) {
            return Self::default();
        }
        let of = |field: &str| marks(&object["metadata"][field]);
        Self {
            labels: of("labels"),
            annotations: of("annotations"),
        }
    }

    /// The metadata of a patch that takes them off; none if there is nothing to take off. What its Services and its
    /// own selector find it by stays.
    pub fn removal(&self, needed: &str, version: &str) -> Option<Value> {
        let without = |keys: &[String]| {
            let all = keys.iter().filter(|key| *key != needed);
            all.map(|key| (key.clone(), Value::Null))
                .collect::<Map<_, _>>()
        };
        let (labels, annotations) = (without(&self.labels), without(&self.annotations));
        let any = !labels.is_empty() || !annotations.is_empty();
        any.then(|| {
            json!({ "metadata": {
                "resourceVersion": version, "labels": labels, "annotations": annotations,
            } })
        })
    }
}

/// In the order of their keys. Those by which we ask tools to leave it alone are ours.
fn marks(map: &Value) -> Vec<String> {
    let ours = [FLUX_DRIFT_DETECTION.0, FLUX_RECONCILE.0];
    let keys = map.as_object().into_iter().flatten().map(|(key, _)| key);
    let found = keys.filter(|key| is_mark(key) && !ours.contains(&key.as_str()));
    found.cloned().collect()
}

#[cfg(test)]
mod tests;
