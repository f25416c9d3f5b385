//! Who else keeps the image of a Deployment, and would set it again after a rollback.

use serde_json::Value;

/// What a person has to do beside: nothing in the cluster says what is in Git.
pub fn note(live: &Value) -> String {
    let name = live["metadata"]["name"].as_str().unwrap_or_default();
    let owners = owners(live);
    if owners.is_empty() {
        return "note: if the manifest is kept in Git, put the image back there too".to_owned();
    }
    format!(
        "note: {} keeps the image of deployment {name}: put it back in Git too, or it is released again",
        owners.join(", ")
    )
}

/// Tools that set an image; kubectl is a person's.
fn owners(live: &Value) -> Vec<&str> {
    let entries = live["metadata"]["managedFields"].as_array();
    let sets_image = |entry: &Value| {
        let spec = &entry["fieldsV1"]["f:spec"]["f:template"]["f:spec"];
        ["f:containers", "f:initContainers"]
            .iter()
            .filter_map(|list| spec[list].as_object())
            .flat_map(|containers| containers.values())
            .any(|container| !container["f:image"].is_null())
    };
    let mut owners: Vec<&str> = entries
        .into_iter()
        .flatten()
        .filter(|entry| sets_image(entry))
        .filter_map(|entry| entry["manager"].as_str())
        .filter(|manager| !manager.starts_with("kubectl"))
        .collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live(manager: &str, field: &str) -> Value {
        let container = json!({"k:{\"name\":\"app\"}": {field: {}, "f:name": {}}});
        json!({"metadata": {"name": "web", "managedFields": [
            {"manager": "kubectl-set", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"app\"}": {"f:image": {}}}}}}}},
            {"manager": manager, "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}}},
            {"manager": "kube-controller-manager", "fieldsV1": {"f:status": {}}},
        ]}})
    }

    #[test]
    fn a_tool_that_keeps_the_image_is_named() {
        assert_eq!(
            note(&live("argocd-controller", "f:image")),
            "note: argocd-controller keeps the image of deployment web: put it back in Git too, or it is released again"
        );
        assert_eq!(
            note(&live("kustomize-controller", "f:image"))
                .matches("kustomize-controller")
                .count(),
            1
        );
    }

    #[test]
    fn kubectl_is_a_person_and_other_fields_are_no_image() {
        for other in [
            live("kubectl-client-side-apply", "f:image"),
            live("argocd-controller", "f:ports"),
            json!({}),
        ] {
            assert_eq!(
                note(&other),
                "note: if the manifest is kept in Git, put the image back there too"
            );
        }
    }
}
