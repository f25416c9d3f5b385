//! What is written on a Canary: annotations, on the version that was read.

use canary_core::canary::Canary;
use kube::api::{Api, Patch, PatchParams};
use serde_json::Value;

use super::{Access, Cluster, FIELD_MANAGER};
use crate::exit::Error;

/// Why a change was not written.
pub enum PatchError {
    /// The object is not any more what was read.
    Conflict,
    Other(Error),
}

// === impl Cluster ===

impl Cluster {
    /// Changes annotations of a Canary, if it is still as it was read.
    pub async fn annotate(
        &self,
        canary: &Canary,
        annotations: Value,
    ) -> Result<Canary, PatchError> {
        self.annotate_or_not(canary, annotations, false).await
    }

    /// The same; in a dry run admission and policies answer, and nothing is stored.
    pub async fn annotate_or_not(
        &self,
        canary: &Canary,
        annotations: Value,
        dry_run: bool,
    ) -> Result<Canary, PatchError> {
        let namespace = canary.metadata.namespace.as_deref().unwrap_or_default();
        let name = canary.metadata.name.as_deref().unwrap_or_default();
        let api: Api<Canary> = Api::namespaced(self.client.clone(), namespace);
        let patch = serde_json::json!({
            "metadata": { "resourceVersion": canary.metadata.resource_version, "annotations": annotations },
        });
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            dry_run,
            ..PatchParams::default()
        };
        let patched = tokio::time::timeout(
            self.patience(),
            api.patch(name, &params, &Patch::Merge(patch)),
        )
        .await;
        match patched {
            Ok(Ok(canary)) => Ok(canary),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(PatchError::Conflict),
            Ok(Err(error)) => Err(PatchError::Other(self.error(Access::Write, &error))),
            Err(_) => Err(PatchError::Other(self.no_answer())),
        }
    }
}

// === impl PatchError ===

impl PatchError {
    /// `canary` is the one that it was about.
    pub fn of(self, canary: &str) -> Error {
        match self {
            Self::Conflict => Error::Conflict(canary.to_owned()),
            Self::Other(error) => error,
        }
    }
}

impl From<Error> for PatchError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}
