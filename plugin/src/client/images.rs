//! A Deployment's images, changed as `kubectl set image` changes them.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{Request, Status};
use serde_json::Value;

use super::{Access, Cluster, deployment};
use crate::exit::{Error, denial};

/// kubectl's own, so that both are one owner of the field.
const FIELD_MANAGER: &str = "kubectl-set";

// === impl Cluster ===

impl Cluster {
    /// A strategic merge patch of a Deployment; the warnings that came with the answer.
    pub async fn patch_images(
        &self,
        name: &str,
        patch: &Value,
        hint: &str,
    ) -> Result<Vec<String>, Error> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &deployment());
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let request = Request::new(api.resource_url())
            .patch(name, &params, &Patch::Strategic(patch))
            .map_err(|error| Error::Api(error.to_string()))?;
        let (success, body, warnings) = self.exchange(request).await?;
        if success {
            return Ok(warnings);
        }
        let status: Status = serde_json::from_slice(&body).map_err(|error| {
            Error::Api(format!("{} is no Kubernetes API: {error}", self.server))
        })?;
        Err(match self.refused(Access::Write, &status) {
            Error::WriteForbidden(_) => Error::Denied {
                message: denial(&status.message),
                hint: hint.to_owned(),
            },
            other => other,
        })
    }
}
