//! What somebody applied to a Service, as his tool noted it: kubectl in an annotation, a server-side apply in the
//! managers of fields, Helm by naming its release.

use serde_json::Value;

use crate::target::{generated, taken};

const KUBECTL: &str = "kubectl.kubernetes.io/last-applied-configuration";
const HELM: &str = "meta.helm.sh/release-name";

/// The manifest that `kubectl apply` noted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied(Value);

// === impl Applied ===

impl Applied {
    /// None if nobody applied a Service's spec. A copy of what we generated is no manifest of anybody's.
    pub fn of(live: &Value) -> Option<Self> {
        let annotations = live.pointer("/metadata/annotations")?;
        let text = annotations.get(KUBECTL)?.as_str()?;
        let manifest: Value = serde_json::from_str(text).ok()?;
        let copied = generated::is_marked(&manifest) || generated::has_canary(&manifest);
        (manifest["spec"]["ports"].is_array() && !copied).then_some(Self(manifest))
    }

    pub fn ports(&self) -> &[Value] {
        let ports = self.0.pointer("/spec/ports").and_then(Value::as_array);
        ports.map(Vec::as_slice).unwrap_or_default()
    }

    pub fn has_label(&self, key: &str) -> bool {
        let labels = self.0.pointer("/metadata/labels");
        labels.is_some_and(|all| all.get(key).is_some())
    }

    pub fn annotation(&self, key: &str) -> Option<&Value> {
        self.0.pointer("/metadata/annotations")?.get(key)
    }

    /// What somebody made the Service select: as he applied it, if that is still so, or as it is. An apply leaves
    /// labels that were there before beside its own.
    pub fn selector_of(live: &Value) -> Value {
        let now = &live["spec"]["selector"];
        let applied = Self::of(live).map(|applied| applied.0["spec"]["selector"].clone());
        let is_so = |applied: &Value| {
            let applied = applied.as_object();
            applied.is_some_and(|all| all.iter().all(|(key, value)| now[key] == *value))
        };
        applied.filter(is_so).unwrap_or_else(|| now.clone())
    }
}

/// Whether somebody has applied this Service: it has a manifest of its own somewhere. `applied_server_side` is
/// what the managers of its fields say.
pub fn is_claimed(live: &Value, desired: &Value, applied_server_side: bool) -> bool {
    // The Canary itself may ask for this annotation.
    let helm = |object: &Value| {
        let annotations = object.pointer("/metadata/annotations");
        annotations.and_then(|all| all.get(HELM)).cloned()
    };
    applied_server_side
        || taken::is_taken_over(live)
        || Applied::of(live).is_some()
        || helm(live).is_some_and(|release| helm(desired) != Some(release))
}

/// Whether a server-side apply of somebody else's has said what the Service selects.
pub fn is_applied_server_side(live: &Value) -> bool {
    let entries = live.pointer("/metadata/managedFields");
    let mut entries = entries.and_then(Value::as_array).into_iter().flatten();
    entries.any(|entry| {
        entry["operation"] == "Apply"
            && entry["manager"] != crate::api::MANAGER
            && entry.pointer("/fieldsV1/f:spec/f:selector").is_some()
    })
}
