//! Policies, and what decides whether they apply.

use std::collections::BTreeMap;

use canary_core::policy::CanaryPolicy;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Request, Status};
use kube::discovery::ApiResource;
use serde_json::Value;

use super::{Access, Cluster, FIELD_MANAGER};
use crate::exit::{Error, denial, one_line};

/// What the API server said to an object that was not stored.
pub struct Review {
    pub denied: Option<String>,
    pub warnings: Vec<String>,
}

impl Cluster {
    /// Applies an object without storing it.
    pub async fn dry_run(
        &self,
        object: &Value,
        namespace: &str,
        name: &str,
    ) -> Result<Review, Error> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or_default();
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let request = Request::new(api.resource_url())
            .patch(name, &params, &Patch::Apply(object))
            .map_err(|error| Error::Api(error.to_string()))?;
        let (success, body, warnings) = self.exchange(request).await?;
        if success {
            return Ok(Review {
                denied: None,
                warnings,
            });
        }
        let status: Status = serde_json::from_slice(&body).map_err(|error| {
            Error::Api(format!("{} is no Kubernetes API: {error}", self.server))
        })?;
        if status.message.contains("denied request")
            || status.message.contains("denied the request")
        {
            return Ok(Review {
                denied: Some(denial(&status.message)),
                warnings,
            });
        }
        Err(self.refused(Access::Write, &status))
    }

    /// All policies that can be read; none where their CRD is not installed.
    pub async fn policies(&self) -> Result<Vec<CanaryPolicy>, Error> {
        let api = Api::all(self.client.clone());
        match self.each(api, &ListParams::default()).await {
            Ok(list) => Ok(self.readable("CanaryPolicy", list)),
            Err(Error::NoCrd) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Labels of a namespace; none where this user may not read them, or it does not exist.
    pub async fn namespace_labels(
        &self,
        namespace: &str,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        match self.call(Access::Read, api.get_metadata(namespace)).await {
            Ok(found) => Ok(Some(found.metadata.labels.unwrap_or_default())),
            Err(Error::NotFound { .. } | Error::NoCrd | Error::ReadForbidden(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether this user holds a right.
    pub async fn may(&self, right: ResourceAttributes) -> Result<bool, Error> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(right),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = self
            .call(Access::Read, api.create(&PostParams::default(), &review))
            .await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Whether a `ServiceAccount` holds a right. To ask this is a right of its own.
    pub async fn may_account(
        &self,
        (namespace, name): (&str, &str),
        right: ResourceAttributes,
    ) -> Result<bool, Error> {
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let all = "system:serviceaccounts";
        let groups = [
            all.to_owned(),
            format!("{all}:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{namespace}:{name}")),
                groups: Some(groups.to_vec()),
                resource_attributes: Some(right),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = self
            .call(Access::Read, api.create(&PostParams::default(), &review))
            .await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

/// The text of a header `299 - "text"`.
pub(super) fn quoted(warning: &str) -> String {
    let text = warning.split_once('"').map_or(warning, |(_, text)| text);
    let text = text.strip_suffix('"').unwrap_or(text);
    one_line(&text.replace("\\\"", "\""))
}
