//! Makes our CA known to the API server: `caBundle` in the two webhook configurations.

use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchOperation, ReplaceOperation, TestOperation};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::TlsError;

/// Owns `caBundle` and nothing else, so that whoever applies the manifests and we never fight.
pub const CA_FIELD_MANAGER: &str = "kubectl-canary-ca";
/// Name of both configurations.
pub const CONFIGURATION: &str = "canary-webhook";

/// How the API server reaches us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookTarget {
    /// By the Service that the manifests name.
    Service,
    /// By a URL without path, as `https://10.0.0.1:8443`: we run outside the cluster, and what
    /// the manifests say about a Service is replaced.
    Url(String),
}

/// The two kinds of configuration.
pub fn kinds() -> [ApiResource; 2] {
    [
        ApiResource::erase::<MutatingWebhookConfiguration>(&()),
        ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
    ]
}

/// Whether every webhook in `live` is called as it should be.
pub fn published(live: &DynamicObject, ca_pem: &str, target: &WebhookTarget) -> bool {
    let wanted = |webhook: &Value| webhook["clientConfig"] == wanted(webhook, ca_pem, target);
    live.data["webhooks"]
        .as_array()
        .is_none_or(|webhooks| webhooks.iter().all(wanted))
}

/// Writes `ca_pem` into a configuration, which is returned as it is then.
pub async fn publish(
    client: &Client,
    kind: &ApiResource,
    live: &DynamicObject,
    ca_pem: &str,
    target: &WebhookTarget,
) -> Result<DynamicObject, TlsError> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), kind);
    let Some((patch, params)) = patch(live, kind, ca_pem, target) else {
        return Ok(live.clone());
    };
    let written = api.patch(CONFIGURATION, &params, &patch).await;
    written.map_err(|source| TlsError::Api {
        verb: "patch",
        object: format!("{} {CONFIGURATION}", kind.kind),
        source: Box::new(source),
    })
}

/// `clientConfig` as it should be.
fn wanted(webhook: &Value, ca_pem: &str, target: &WebhookTarget) -> Value {
    let bundle = json!(ByteString(ca_pem.as_bytes().to_vec()));
    match target {
        WebhookTarget::Service => {
            let mut config = webhook["clientConfig"].clone();
            config["caBundle"] = bundle;
            config
        }
        WebhookTarget::Url(base) => json!({"url": url(base, webhook), "caBundle": bundle}),
    }
}

/// None if there is nothing to change.
fn patch(
    live: &DynamicObject,
    kind: &ApiResource,
    ca_pem: &str,
    target: &WebhookTarget,
) -> Option<(Patch<Value>, PatchParams)> {
    let bundle = json!(ByteString(ca_pem.as_bytes().to_vec()));
    let webhooks = live.data["webhooks"].as_array()?;
    if published(live, ca_pem, target) {
        return None;
    }
    Some(match target {
        WebhookTarget::Service => {
            let only = |webhook: &Value| json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}});
            let apply = json!({
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": CONFIGURATION},
                "webhooks": webhooks.iter().map(only).collect::<Vec<_>>(),
            });
            (
                Patch::Apply(apply),
                PatchParams::apply(CA_FIELD_MANAGER).force(),
            )
        }
        // Apply cannot take away the Service, which another manager owns. A list that changed
        // meanwhile fails the test.
        WebhookTarget::Url(_) => {
            let replace = |(index, webhook): (usize, &Value)| {
                let at = |field: &str| {
                    PointerBuf::from_tokens(["webhooks", index.to_string().as_str(), field])
                };
                let (name, config) = (webhook["name"].clone(), wanted(webhook, ca_pem, target));
                [
                    PatchOperation::Test(TestOperation {
                        path: at("name"),
                        value: name,
                    }),
                    PatchOperation::Replace(ReplaceOperation {
                        path: at("clientConfig"),
                        value: config,
                    }),
                ]
            };
            let operations = webhooks.iter().enumerate().flat_map(replace).collect();
            let params = PatchParams {
                field_manager: Some(CA_FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            (Patch::Json(json_patch::Patch(operations)), params)
        }
    })
}

fn url(base: &str, webhook: &Value) -> String {
    let name = webhook["name"].as_str().unwrap_or_default();
    let path = if name.contains(".mutate.") {
        "mutate"
    } else {
        "validate"
    };
    format!("{}/{path}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize as _;

    use super::*;

    /// The configuration as the manifests install it.
    fn installed() -> DynamicObject {
        let text = include_str!("../../../manifests/base/webhooks.yaml");
        let first = serde_yaml::Deserializer::from_str(text).next().unwrap();
        DynamicObject::deserialize(first).unwrap()
    }

    fn ask(live: &DynamicObject, target: &WebhookTarget) -> Option<Patch<Value>> {
        let kind = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        patch(live, &kind, "PEM", target).map(|(patch, _)| patch)
    }

    #[test]
    fn behind_a_service_only_the_ca_bundle_is_applied() {
        let Some(Patch::Apply(applied)) = ask(&installed(), &WebhookTarget::Service) else {
            panic!("not applied");
        };
        assert_eq!(applied["metadata"], json!({"name": "canary-webhook"}));
        assert_eq!(
            applied["webhooks"],
            json!([
                {"name": "deployments.mutate.kubectl-canary.dev", "clientConfig": {"caBundle": "UEVN"}},
                {"name": "canaries.mutate.kubectl-canary.dev", "clientConfig": {"caBundle": "UEVN"}},
                {"name": "policies.mutate.kubectl-canary.dev", "clientConfig": {"caBundle": "UEVN"}},
            ])
        );
    }

    #[test]
    fn outside_the_cluster_the_url_takes_the_place_of_the_service() {
        let target = WebhookTarget::Url("https://10.0.0.1:8443/".to_owned());
        let live = installed();
        let Some(Patch::Json(patch)) = ask(&live, &target) else {
            panic!("not patched")
        };
        let mut after = live.data.clone();
        json_patch::patch(&mut after, &patch).unwrap();
        for webhook in after["webhooks"].as_array().unwrap() {
            assert_eq!(
                webhook["clientConfig"],
                json!({"url": "https://10.0.0.1:8443/mutate", "caBundle": "UEVN"})
            );
        }
        let after = DynamicObject {
            data: after,
            ..live
        };
        assert!(
            ask(&after, &target).is_none(),
            "a second start writes nothing"
        );
    }

    #[test]
    fn what_is_there_already_is_not_written() {
        let mut live = installed();
        for webhook in live.data["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = json!("UEVN");
        }
        assert!(ask(&live, &WebhookTarget::Service).is_none());
    }
}
