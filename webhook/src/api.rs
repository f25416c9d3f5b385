//! Reads and writes of the API server. Every write passes the fence first, and what the server
//! answers goes straight into the caches.

use std::sync::Arc;
use std::time::Duration;

use canary_core::guard::{Guard, Unreadable};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::{ApiResource, Status};
use kube::{Client, Error};
use serde_json::{Value, json};
use tracing::warn;

use crate::lease::Fence;
use crate::target::generated::{self, Generated};
use crate::text::said;

/// Field manager of everything that we write.
pub const MANAGER: &str = canary_core::names::FIELD_MANAGER;

/// The kinds that the controller works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Canary,
    Deployment,
    Service,
    EndpointSlice,
    Autoscaler,
    /// A `PodDisruptionBudget`.
    Disruption,
    Route,
    ConfigMap,
    Secret,
    MetricTemplate,
    AlertProvider,
    Revision,
    Event,
    Definition,
    Policy,
    Namespace,
    /// A `ValidatingAdmissionPolicy`.
    Enforcer,
    StatefulSet,
    DaemonSet,
    Job,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("the lease is not held: nothing is written")]
    Fenced,
    /// A fault of ours: nothing is generated that could not be told from what others made.
    #[error("{what} was to be written whole without the mark of its Canary")]
    Unmarked { what: String },
    #[error("{what} changed meanwhile")]
    Conflict { what: String },
    #[error("{what} exists already")]
    Exists { what: String },
    #[error("{what} not found")]
    NotFound { what: String },
    #[error("not allowed to {verb} {resource}: {message}")]
    Forbidden {
        verb: &'static str,
        resource: String,
        message: String,
    },
    /// The object is not valid, or is not as an immutable field demands: trying again does not help.
    #[error("the API server refuses to {verb} {what}: {message}")]
    Rejected {
        verb: &'static str,
        what: String,
        message: String,
    },
    /// Written, and stored as something else: another admission webhook changed it on the way.
    #[error("another admission webhook changes {what} while it is written: {message}")]
    Rewritten { what: String, message: String },
    #[error("the API server has not answered for {} s while {what}", .after.as_secs())]
    Late { what: String, after: Duration },
    #[error("{verb} {what} failed: {message}")]
    Failed {
        verb: &'static str,
        what: String,
        message: String,
    },
}

#[derive(Clone)]
pub struct Cluster {
    client: Client,
    fence: Arc<Fence>,
}

// === impl Kind ===

impl Kind {
    /// Group, version, kind and plural.
    const fn names(self) -> [&'static str; 4] {
        match self {
            Self::Canary => ["flagger.app", "v1beta1", "Canary", "canaries"],
            Self::MetricTemplate => [
                "flagger.app",
                "v1beta1",
                "MetricTemplate",
                "metrictemplates",
            ],
            Self::AlertProvider => ["flagger.app", "v1beta1", "AlertProvider", "alertproviders"],
            Self::Deployment => ["apps", "v1", "Deployment", "deployments"],
            Self::StatefulSet => ["apps", "v1", "StatefulSet", "statefulsets"],
            Self::DaemonSet => ["apps", "v1", "DaemonSet", "daemonsets"],
            Self::Job => ["batch", "v1", "Job", "jobs"],
            Self::Revision => ["apps", "v1", "ControllerRevision", "controllerrevisions"],
            Self::Service => ["", "v1", "Service", "services"],
            Self::ConfigMap => ["", "v1", "ConfigMap", "configmaps"],
            Self::Secret => ["", "v1", "Secret", "secrets"],
            Self::Event => ["", "v1", "Event", "events"],
            Self::EndpointSlice => ["discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"],
            Self::Autoscaler => [
                "autoscaling",
                "v2",
                "HorizontalPodAutoscaler",
                "horizontalpodautoscalers",
            ],
            Self::Disruption => [
                "policy",
                "v1",
                "PodDisruptionBudget",
                "poddisruptionbudgets",
            ],
            Self::Route => ["apisix.apache.org", "v2", "ApisixRoute", "apisixroutes"],
            Self::Definition => [
                "apiextensions.k8s.io",
                "v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            ],
            Self::Namespace => ["", "v1", "Namespace", "namespaces"],
            Self::Policy => [
                "policy.kubectl-canary.dev",
                "v1alpha1",
                "CanaryPolicy",
                "canarypolicies",
            ],
            Self::Enforcer => [
                "admissionregistration.k8s.io",
                "v1",
                "ValidatingAdmissionPolicy",
                "validatingadmissionpolicies",
            ],
        }
    }

    pub fn resource(self) -> ApiResource {
        let [group, version, kind, plural] = self.names();
        let api_version = if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        };
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version,
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

// === impl ApiError ===

impl ApiError {
    /// A person has to do something about it: trying again helps once that is done.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. } | Self::Rejected { .. } | Self::Rewritten { .. }
        )
    }

    fn new(verb: &'static str, kind: Kind, (namespace, name): (&str, &str), error: Error) -> Self {
        let resource = kind.resource();
        let what = format!("{} {name}.{namespace}", resource.kind);
        match error {
            Error::Api(status) => Self::from_status(verb, &resource, what, *status),
            error => Self::Failed {
                verb,
                what,
                message: said(&error),
            },
        }
    }

    fn from_status(
        verb: &'static str,
        resource: &ApiResource,
        what: String,
        status: Status,
    ) -> Self {
        match status.code {
            409 if status.reason == "AlreadyExists" => Self::Exists { what },
            409 => Self::Conflict { what },
            404 => Self::NotFound { what },
            403 if is_of_rights(&status.message) => {
                let group = if resource.group.is_empty() {
                    String::new()
                } else {
                    format!(".{}", resource.group)
                };
                Self::Forbidden {
                    verb,
                    resource: format!("{}{group}", resource.plural),
                    message: status.message,
                }
            }
            400 | 403 | 422 => Self::Rejected {
                verb,
                what,
                message: status.message,
            },
            _ => Self::Failed {
                verb,
                what,
                message: said(&Error::Api(Box::new(status))),
            },
        }
    }

    /// Another server leads.
    pub const fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced)
    }

    /// Nothing was written, and deciding again on what is so now is all that is needed.
    pub fn is_stale(&self) -> bool {
        matches!(
            self,
            Self::Conflict { .. } | Self::NotFound { .. } | Self::Exists { .. }
        )
    }
}

// === impl Cluster ===

impl Cluster {
    pub fn new(client: Client, fence: Arc<Fence>) -> Self {
        Self { client, fence }
    }

    pub const fn client(&self) -> &Client {
        &self.client
    }

    pub fn may_write(&self) -> bool {
        self.fence.holds()
    }

    /// Without a namespace: of the cluster.
    pub fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        if namespace.is_empty() {
            return Api::all_with(self.client.clone(), &kind.resource());
        }
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }

    /// Whatever is written whole is generated, and is marked as such.
    fn pass_whole(&self, kind: Kind, object: &Value) -> Result<(), ApiError> {
        self.pass()?;
        if generated::is_marked(object) {
            return Ok(());
        }
        let (namespace, name) = names(object);
        let what = format!("{} {name}.{namespace}", kind.resource().kind);
        Err(ApiError::Unmarked { what })
    }

    fn pass(&self) -> Result<(), ApiError> {
        if self.fence.holds() {
            Ok(())
        } else {
            Err(ApiError::Fenced)
        }
    }

    pub async fn get(&self, kind: Kind, namespace: &str, name: &str) -> Result<Value, ApiError> {
        let object = self.api(kind, namespace).get(name).await;
        answered(object, "get", kind, (namespace, name))
    }

    /// Objects of a namespace, but for those that cannot be read: of each that is said.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: &str,
        params: &ListParams,
    ) -> Result<Vec<Value>, ApiError> {
        let api: Api<Guard<DynamicObject>> =
            Api::namespaced_with(self.client.clone(), namespace, &kind.resource());
        let objects = api.list(params).await;
        let objects =
            objects.map_err(|error| ApiError::new("list", kind, (namespace, "*"), error))?;
        let read = objects.items.into_iter().filter_map(|object| {
            let said = |bad: &Unreadable| {
                warn!(kind = %kind.resource().kind, object = %bad.id(), error = %bad.error, "cannot be read and is left alone");
            };
            object.0.inspect_err(said).ok()
        });
        Ok(read.map(into_value).collect())
    }

    pub async fn create(&self, kind: Kind, object: &Value) -> Result<Value, ApiError> {
        self.pass_whole(kind, object)?;
        let (namespace, name) = names(object);
        let created = match parse(object) {
            Ok(object) => self.api(kind, namespace).create(&posted(), &object).await,
            Err(error) => Err(error),
        };
        answered(created, "create", kind, (namespace, name))
    }

    pub async fn replace(&self, kind: Kind, object: &Value) -> Result<Value, ApiError> {
        self.pass_whole(kind, object)?;
        let (namespace, name) = names(object);
        let replaced = match parse(object) {
            Ok(object) => {
                let api = self.api(kind, namespace);
                api.replace(name, &posted(), &object).await
            }
            Err(error) => Err(error),
        };
        answered(replaced, "update", kind, (namespace, name))
    }

    pub async fn merge(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        self.pass()?;
        let api = self.api(kind, namespace);
        let patched = api.patch(name, &patched_by(), &Patch::Merge(patch)).await;
        answered(patched, "patch", kind, (namespace, name))
    }

    pub async fn merge_status(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, ApiError> {
        self.pass()?;
        let api = self.api(kind, namespace);
        let patched = api
            .patch_status(name, &patched_by(), &Patch::Merge(patch))
            .await;
        answered(patched, "patch status of", kind, (namespace, name))
    }

    /// Returns the Deployment's new resourceVersion: the answer is a Scale, and the Deployment itself
    /// comes by the watch.
    pub async fn scale(
        &self,
        namespace: &str,
        name: &str,
        replicas: i32,
        version: &str,
    ) -> Result<String, ApiError> {
        self.pass()?;
        let patch =
            json!({ "metadata": { "resourceVersion": version }, "spec": { "replicas": replicas } });
        let api = self.api(Kind::Deployment, namespace);
        let scaled = api
            .patch_scale(name, &patched_by(), &Patch::Merge(&patch))
            .await;
        let scale = scaled.map_err(|error| {
            of_scale(ApiError::new(
                "patch",
                Kind::Deployment,
                (namespace, name),
                error,
            ))
        })?;
        let stored = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        // A limit is another matter.
        if (stored == 0) != (replicas == 0) {
            return Err(ApiError::Rewritten {
                what: format!("Deployment {name}.{namespace}"),
                message: format!("its replicas are {stored} instead of {replicas}"),
            });
        }
        Ok(scale.metadata.resource_version.unwrap_or_default())
    }

    /// Deletes what a Canary generated, if it is still the object that was read: in the meantime it may
    /// have become somebody else's.
    pub async fn delete(
        &self,
        kind: Kind,
        namespace: &str,
        object: Generated<'_>,
    ) -> Result<(), ApiError> {
        self.pass()?;
        let Generated { name, uid, version } = object;
        let same = Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
        };
        let params = DeleteParams {
            preconditions: Some(same),
            ..DeleteParams::background()
        };
        let deleted = self.api(kind, namespace).delete(name, &params).await;
        deleted
            .map(|_| ())
            .map_err(|error| ApiError::new("delete", kind, (namespace, name), error))
    }
}

fn answered(
    result: Result<DynamicObject, Error>,
    verb: &'static str,
    kind: Kind,
    names: (&str, &str),
) -> Result<Value, ApiError> {
    result
        .map(into_value)
        .map_err(|error| ApiError::new(verb, kind, names, error))
}

/// Whether somebody lacks a right. A quota, another limit and a policy refuse with the same code.
fn is_of_rights(message: &str) -> bool {
    message.contains("User \"") && message.contains(" cannot ")
}

/// Rights are granted on the subresource.
fn of_scale(error: ApiError) -> ApiError {
    match error {
        ApiError::Forbidden { verb, message, .. } => ApiError::Forbidden {
            verb,
            resource: "deployments/scale.apps".to_owned(),
            message,
        },
        error => error,
    }
}

fn posted() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn patched_by() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn names(object: &Value) -> (&str, &str) {
    let text = |pointer| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    (text("/metadata/namespace"), text("/metadata/name"))
}

fn parse(object: &Value) -> Result<DynamicObject, Error> {
    serde_json::from_value(object.clone()).map_err(Error::SerdeError)
}

fn into_value(object: DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}
