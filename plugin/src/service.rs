//! Services.

use serde_json::Value;

/// Whether a Service sends requests to pods with these labels; one without a selector has its addresses from
/// somebody else.
pub fn selects(service: &Value, labels: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_some_and(|selector| {
        !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}
