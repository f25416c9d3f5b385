//! `canary.required` is about Deployments that no Canary manages, which our webhooks are not asked for.
//! While a policy has the rule, the registration has one entry more, without the label.

use canary_core::names;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Error;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::api::Cluster;
use crate::tls::CONFIGURATION;

const ENTRY: &str = "required.validate.kubectl-canary.dev";
/// What it is made from, so that it is reached the same way.
const PATTERN: &str = "deployments.validate.kubectl-canary.dev";
const MANAGER: &str = "kubectl-canary-required";

/// Puts the entry there, or takes it away. False if there is nothing yet that it could be made from.
pub async fn ensure(cluster: &Cluster, wanted: bool) -> Result<bool, Error> {
    let kind = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
    let api: Api<DynamicObject> = Api::all_with(cluster.client().clone(), &kind);
    let live = api.get_opt(CONFIGURATION).await?;
    let webhooks = live
        .as_ref()
        .and_then(|live| live.data["webhooks"].as_array());
    let webhooks = webhooks.map(Vec::as_slice).unwrap_or_default();
    let operations = change(webhooks, wanted);
    if operations.is_empty() || !cluster.may_write() {
        return Ok(!wanted || webhooks.iter().any(|webhook| webhook["name"] == ENTRY));
    }
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch: Patch<Value> = Patch::Json(json_patch::Patch(operations));
    api.patch(CONFIGURATION, &params, &patch)
        .await
        .map(|_| true)
}

/// A list that changed meanwhile fails the test, or has the name already.
fn change(webhooks: &[Value], wanted: bool) -> Vec<PatchOperation> {
    let find = |name: &str| webhooks.iter().position(|webhook| webhook["name"] == name);
    match (find(ENTRY), find(PATTERN)) {
        (None, Some(pattern)) if wanted => vec![PatchOperation::Add(AddOperation {
            path: PointerBuf::from_tokens(["webhooks", "-"]),
            value: entry(&webhooks[pattern]),
        })],
        (Some(there), _) if !wanted => {
            let index = there.to_string();
            vec![
                PatchOperation::Test(TestOperation {
                    path: PointerBuf::from_tokens(["webhooks", &index, "name"]),
                    value: json!(ENTRY),
                }),
                PatchOperation::Remove(RemoveOperation {
                    path: PointerBuf::from_tokens(["webhooks", &index]),
                }),
            ]
        }
        _ => Vec::new(),
    }
}

fn entry(pattern: &Value) -> Value {
    let mut entry = pattern.clone();
    entry["name"] = json!(ENTRY);
    // Those with the label are judged by the entry that this one is made from.
    entry["objectSelector"] = json!({ "matchExpressions": [
        { "key": names::MANAGED_LABEL, "operator": "DoesNotExist" },
    ] });
    entry["rules"][0]["operations"] = json!(["CREATE", "UPDATE"]);
    let conditions = entry["matchConditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        if condition["name"] == "template-changed" {
            condition["expression"] = json!(
                "request.operation == 'CREATE' || object.spec.template != oldObject.spec.template"
            );
        }
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> Vec<Value> {
        use serde::Deserialize as _;
        let text = include_str!("../../../manifests/base/webhooks.yaml");
        let documents = serde_yaml::Deserializer::from_str(text);
        let mut all = documents.map(|it| Value::deserialize(it).unwrap());
        let validating = all.find(|it| it["kind"] == "ValidatingWebhookConfiguration");
        validating.unwrap()["webhooks"].as_array().unwrap().clone()
    }

    fn after(webhooks: &[Value], wanted: bool) -> Vec<Value> {
        let mut object = json!({ "webhooks": webhooks });
        json_patch::patch(&mut object, &change(webhooks, wanted)).unwrap();
        object["webhooks"].as_array().unwrap().clone()
    }

    #[test]
    fn the_entry_is_for_what_no_label_selects_and_reached_as_the_others_are() {
        let before = registered();
        let with = after(&before, true);
        let entry = with.last().unwrap();
        let pattern = before.iter().find(|it| it["name"] == PATTERN).unwrap();
        assert_eq!(entry["name"], ENTRY);
        assert_eq!(entry["clientConfig"], pattern["clientConfig"]);
        assert_eq!(entry["rules"][0]["operations"], json!(["CREATE", "UPDATE"]));
        let selector = &entry["objectSelector"];
        assert_eq!(selector["matchExpressions"][0]["operator"], "DoesNotExist");
        assert!(selector.get("matchLabels").is_none());
    }

    #[test]
    fn it_comes_once_and_goes_without_a_trace() {
        let before = registered();
        let with = after(&before, true);
        assert_eq!(after(&with, true), with);
        assert_eq!(after(&with, false), before);
        assert_eq!(after(&before, false), before);
    }
}
