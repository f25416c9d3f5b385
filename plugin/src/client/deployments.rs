//! A Deployment's template, changed as kubectl would change it.

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{Request, Status};
use serde_json::{Value, json};

use super::{Access, Cluster, FIELD_MANAGER, PatchError, deployment};
use crate::exit::{Error, denial};

/// Who changes it, and with which verb of kubectl.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// kubectl's own, so that both are one owner of the field.
    SetImage,
    Rollback,
}

/// The patch with the reason for it, where `kubectl rollout history` looks.
pub fn explained(mut patch: Value, reason: Option<&str>) -> Value {
    if let Some(reason) = reason {
        patch["metadata"]["annotations"] = json!({ "kubernetes.io/change-cause": reason });
    }
    patch
}

// === impl Author ===

impl Author {
    const fn field_manager(self) -> &'static str {
        match self {
            Self::SetImage => "kubectl-set",
            Self::Rollback => FIELD_MANAGER,
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// The Deployment of that name, which has to be there.
    pub async fn deployment(&self, name: &str) -> Result<Value, Error> {
        let namespace = self.namespace.as_str();
        let found = self.look(Some(namespace), name, &deployment()).await?;
        found.ok_or_else(|| Error::NoObject {
            message: format!("deployment {namespace}/{name} not found"),
            hint: format!("kubectl get deployments -n {namespace}"),
        })
    }

    /// A strategic merge patch of a Deployment, or only its rehearsal; the warnings that came with the
    /// answer. `hint` helps whom a policy denies it.
    pub async fn patch_deployment(
        &self,
        (name, author): (&str, Author),
        patch: &Value,
        dry_run: bool,
        hint: &str,
    ) -> Result<Vec<String>, PatchError> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &deployment());
        let params = PatchParams {
            field_manager: Some(author.field_manager().into()),
            dry_run,
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
        if status.code == 409 {
            return Err(PatchError::Conflict);
        }
        Err(match self.refused(Access::Write, &status) {
            Error::WriteForbidden(_) => Error::Denied {
                message: denial(&status.message),
                hint: hint.to_owned(),
            },
            other => other,
        }
        .into())
    }
}
