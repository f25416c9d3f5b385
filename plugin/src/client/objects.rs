//! Objects of any kind: applied, deleted, waited for.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

use super::{Access, Cluster};
use crate::exit::{Error, one_line};
use crate::manifests::Reference;

/// Tells an installation from what people ask for.
const INSTALLER: &str = "kubectl-canary-install";

// === impl Cluster ===

impl Cluster {
    /// Server-side apply. `force` takes fields over that others have applied.
    pub async fn apply(&self, object: &Value, force: bool) -> Result<(), Error> {
        let mut params = PatchParams::apply(INSTALLER);
        params.force = force;
        let (api, patch) = (self.api_of(object), Patch::Apply(object));
        let request = api.patch(name_of(object), &params, &patch);
        self.installing(object, request).await.map(drop)
    }

    /// A merge patch, of the status if `subresource` says so.
    pub async fn merge(
        &self,
        object: &Value,
        subresource: Option<&str>,
        patch: &Value,
    ) -> Result<(), Error> {
        let (api, name) = (self.api_of(object), name_of(object));
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = match subresource {
            Some(part) => {
                let request = api.patch_subresource(part, name, &params, &patch);
                self.installing(object, request).await
            }
            None => {
                self.installing(object, api.patch(name, &params, &patch))
                    .await
            }
        };
        patched.map(drop)
    }

    /// False if it was not there. What it owns is deleted after it: the other way round would take the
    /// pods away before whatever holds the object has been done.
    pub async fn delete(&self, object: &Value) -> Result<bool, Error> {
        let api = self.api_of(object);
        let params = DeleteParams::background();
        match self
            .installing(object, api.delete(name_of(object), &params))
            .await
        {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::NoCrd) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The object as it is, if it is there.
    pub async fn current(&self, object: &Value) -> Result<Option<Value>, Error> {
        let api = self.api_of(object);
        match self.call(Access::Read, api.get(name_of(object))).await {
            Ok(live) => serde_json::to_value(live)
                .map(Some)
                .map_err(|error| Error::Api(error.to_string())),
            Err(Error::NotFound { .. } | Error::NoCrd) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    fn api_of(&self, object: &Value) -> Api<DynamicObject> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion")
            .split_once('/')
            .unwrap_or(("", text("apiVersion")));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
        match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn installing<T>(
        &self,
        object: &Value,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let Ok(answer) = tokio::time::timeout(self.patience(), request).await else {
            return Err(self.no_answer());
        };
        answer.map_err(|error| match &error {
            kube::Error::Api(status) if status.code == 403 => {
                Error::NotAdministrator(one_line(&status.message))
            }
            kube::Error::Api(status) if status.code == 409 => Error::Applied {
                object: Reference(object).to_string(),
                cause: one_line(&status.message),
            },
            error => self.error(Access::Write, error),
        })
    }
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
