//! The verbs of people, asked of the API server where no policy of its own asks for them.

use std::sync::OnceLock;
use std::time::Duration;

use futures::future::BoxFuture;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};
use tracing::{info, warn};

use crate::admission::{Request, Right, Rights};
use crate::text::said;

const POLICIES: (&str, &str) = (
    "admissionregistration.k8s.io/v1",
    "validatingadmissionpolicies",
);
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Answers by `SubjectAccessReview`.
pub struct ApiRights {
    client: Client,
    /// Whether the API server knows policies; until that is known we ask, too.
    policies: OnceLock<bool>,
}

// === impl ApiRights ===

impl ApiRights {
    pub const fn new(client: Client) -> Self {
        Self {
            client,
            policies: OnceLock::new(),
        }
    }

    /// Finds out once whether the API server has policies; goes on trying until it says so.
    pub async fn discover(&self) {
        let (version, name) = POLICIES;
        let resources = loop {
            match self.client.list_api_group_resources(version).await {
                Ok(found) => break found.resources,
                Err(error) => warn!(
                    error = said(&error),
                    "cannot find out whether there are policies"
                ),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        };
        let known = resources.iter().any(|resource| resource.name == name);
        if !known {
            info!(
                "there are no ValidatingAdmissionPolicies: the verbs promote and rollback are checked here"
            );
        }
        let _ = self.policies.set(known);
    }
}

impl Rights for ApiRights {
    fn asked(&self) -> bool {
        self.policies.get() != Some(&true)
    }

    fn allowed<'a>(
        &'a self,
        request: &'a Request,
        right: Right,
    ) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(async move {
            let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
            let question = question(request, &right);
            let answer = reviews.create(&PostParams::default(), &question).await;
            let status = answer.map_err(|error| said(&error))?.status;
            Ok(status.is_some_and(|status| status.allowed))
        })
    }
}

fn question(request: &Request, right: &Right) -> SubjectAccessReview {
    let user = &request.user_info;
    let (group, resource, namespace, name) = match right {
        Right::Bypass(policy) => ("policy.kubectl-canary.dev", "canarypolicies", None, policy),
        Right::Promote | Right::Rollback => (
            "flagger.app",
            "canaries",
            request.namespace.clone(),
            &request.name,
        ),
    };
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username.clone(),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                verb: Some(right.verb().to_owned()),
                namespace,
                name: Some(name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}
