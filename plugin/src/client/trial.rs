//! What the API server says to an object that is not stored.

use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::client::Body;
use kube::core::{GroupVersionKind, Request, Status};
use kube::discovery::{ApiResource, Scope};
use serde_json::Value;

use super::policies::quoted;
use super::{Access, Cluster, FIELD_MANAGER};
use crate::exit::{Error, denial, one_line};

/// The answer to a dry run.
#[derive(Debug, Default)]
pub struct Trial {
    pub denied: Option<String>,
    /// Fields that are wrong, and why.
    pub causes: Vec<(String, String)>,
    pub warnings: Vec<String>,
}

// === impl Cluster ===

impl Cluster {
    /// Applies an object of any kind without storing it. An object without a namespace is in the current one.
    /// Only what says nothing about the object is an error.
    pub async fn try_apply(&self, object: &Value) -> Result<Trial, Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let version = text("/apiVersion").unwrap_or_default();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = text("/kind").unwrap_or_default();
        let Some(name) = text("/metadata/name") else {
            return Ok(Trial::default());
        };
        let Some((resource, scope)) = self.resource(group, version, kind).await? else {
            return Ok(Trial::denied(format!(
                "this API server has no kind {kind} in {group}/{version}"
            )));
        };
        let api: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => {
                let namespace = text("/metadata/namespace").unwrap_or(&self.namespace);
                Api::namespaced_with(self.client.clone(), namespace, &resource)
            }
        };
        let params = PatchParams {
            dry_run: true,
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let request = Request::new(api.resource_url())
            .patch(name, &params, &Patch::Apply(object))
            .map_err(|error| Error::Api(error.to_string()))?;
        let (success, body, warnings) = self.exchange(request).await?;
        let said = if success {
            Trial::default()
        } else {
            self.said(&body)?
        };
        Ok(Trial { warnings, ..said })
    }

    /// Sends a write: whether it succeeded, what came back, and the warnings, which kube's own methods keep
    /// to themselves.
    pub(super) async fn exchange(
        &self,
        request: http::Request<Vec<u8>>,
    ) -> Result<(bool, Vec<u8>, Vec<String>), Error> {
        let sent = async {
            let response = self.client.send(request.map(Body::from)).await?;
            let (head, body) = response.into_parts();
            Ok((head, body.collect_bytes().await?))
        };
        let (head, body) = self.call(Access::Write, sent).await?;
        // UTF-8 as the server has it: `to_str` knows only ASCII, and an arrow is none.
        let warnings = head.headers.get_all("warning").iter();
        let warnings = warnings
            .map(|warning| quoted(&String::from_utf8_lossy(warning.as_bytes())))
            .collect();
        Ok((head.status.is_success(), body.to_vec(), warnings))
    }

    /// What a refusal says of the object.
    fn said(&self, body: &[u8]) -> Result<Trial, Error> {
        let status: Status = serde_json::from_slice(body).map_err(|error| {
            Error::Api(format!("{} is no Kubernetes API: {error}", self.server))
        })?;
        let denied = status.message.contains("denied request")
            || status.message.contains("denied the request");
        match status.code {
            // The namespace is not there, the object is not valid, or somebody refuses it.
            400 | 404 | 409 | 422 => {}
            403 if denied || status.message.contains("because it is being terminated") => {}
            _ => return Err(self.refused(Access::Write, &status)),
        }
        let causes = status.details.iter().flat_map(|details| &details.causes);
        Ok(Trial {
            causes: causes
                .filter(|cause| !cause.field.is_empty() && !denied)
                .map(|cause| (cause.field.clone(), one_line(&cause.message)))
                .collect(),
            denied: Some(denial(&status.message)),
            warnings: Vec::new(),
        })
    }

    /// The resource of a kind and whether it has a namespace; none where the API server does not know it.
    async fn resource(
        &self,
        group: &str,
        version: &str,
        kind: &str,
    ) -> Result<Option<(ApiResource, Scope)>, Error> {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let found = kube::discovery::pinned_kind(&self.client, &kind);
        match tokio::time::timeout(self.patience(), found).await {
            Ok(Ok((resource, capabilities))) => Ok(Some((resource, capabilities.scope))),
            Ok(Err(kube::Error::Discovery(_))) => Ok(None),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(error)) => Err(self.error(Access::Read, &error)),
            Err(_) => Err(self.no_answer()),
        }
    }
}

// === impl Trial ===

impl Trial {
    fn denied(message: String) -> Self {
        Self {
            denied: Some(message),
            ..Self::default()
        }
    }
}
