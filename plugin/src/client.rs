//! The one way to the API server: each request has a limit, each error a cause and a hint.

mod below;
mod deployments;
mod each;
mod events;
mod inspect;
mod objects;
mod policies;
mod selected;
mod trial;
mod writes;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use canary_core::canary::Canary;
use canary_core::guard::Guard;
use futures::{Stream, StreamExt};
use kube::api::{DynamicObject, ListParams};
use kube::config::ExecInteractiveMode;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config, Resource};

pub use self::deployments::{Author, explained};
pub use self::policies::Review;
pub use self::trial::Trial;
pub use self::writes::PatchError;
use crate::args::Global;
use crate::env::Env;
use crate::exit::{Error, denial, one_line};
use crate::kubeconfig::{self, chain};

/// Tells what people asked for from what the controller wrote.
const FIELD_MANAGER: &str = "kubectl-canary-cli";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a watch may fail before the command does.
const WATCH_PATIENCE: Duration = Duration::from_secs(30);

/// A cluster, and the namespace that names are looked up in.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    pub namespace: String,
    server: String,
    limit: Option<Duration>,
    told: each::Told,
}

/// A Canary, or the reason why this version cannot read it.
pub type Guarded = Guard<Canary>;

#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

// === impl Cluster ===

impl Cluster {
    pub async fn connect(flags: &Global, env: &Env) -> Result<Self, Error> {
        Self::of(kubeconfig::config(flags, env).await?, flags)
    }

    /// The same, where nobody can be asked for anything.
    pub async fn connect_unattended(flags: &Global, env: &Env) -> Result<Self, Error> {
        let mut config = kubeconfig::config(flags, env).await?;
        if let Some(plugin) = &mut config.auth_info.exec {
            plugin.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        Self::of(config, flags)
    }

    fn of(config: Config, flags: &Global) -> Result<Self, Error> {
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let namespace = config.default_namespace.clone();
        let limit =
            Some(flags.request_timeout.unwrap_or(REQUEST_TIMEOUT)).filter(|limit| !limit.is_zero());
        let client = Client::try_from(config).map_err(|error| Error::Kubeconfig(chain(&error)))?;
        Ok(Self {
            client,
            namespace,
            server,
            limit,
            told: each::Told::default(),
        })
    }

    pub async fn canary(&self, namespace: &str, name: &str) -> Result<Canary, Error> {
        let api = self.guarded(Some(namespace));
        match self.call(Access::Read, api.get(name)).await {
            Ok(guarded) => read(guarded),
            Err(Error::NotFound { .. }) => Err(Error::NotFound {
                near: self.near(namespace, name).await,
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            Err(error) => Err(error),
        }
    }

    /// All Canaries of a namespace, or of all namespaces.
    pub async fn canaries(&self, namespace: Option<&str>) -> Result<Vec<Guarded>, Error> {
        let api = self.guarded(namespace);
        self.each(api, &ListParams::default()).await
    }

    /// All Canaries that can be read. Each other one is told.
    pub async fn readable_canaries(&self, namespace: Option<&str>) -> Result<Vec<Canary>, Error> {
        Ok(self.readable("canary", self.canaries(namespace).await?))
    }

    /// An object that only adds to the picture; `None` where it does not exist.
    pub async fn find(
        &self,
        namespace: Option<&str>,
        name: &str,
        resource: &ApiResource,
    ) -> Result<Option<DynamicObject>, Error> {
        let api: Api<Guard<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        match self.call(Access::Read, api.get(name)).await {
            Ok(object) => readable(&resource.kind, object).map(Some),
            Err(Error::NotFound { .. } | Error::NoCrd) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `None` where it does not exist (any more). Ends with an error only if it cannot go on.
    pub fn watch_canary(
        &self,
        namespace: &str,
        name: &str,
    ) -> impl Stream<Item = Result<Option<Guarded>, Error>> + use<> {
        self.persistent(
            watcher::watch_object(self.guarded(Some(namespace)), name).default_backoff(),
        )
    }

    pub fn watch_canaries(
        &self,
        namespace: Option<&str>,
    ) -> impl Stream<Item = Result<watcher::Event<Guarded>, Error>> + use<> {
        self.persistent(
            watcher(self.guarded(namespace), watcher::Config::default()).default_backoff(),
        )
    }

    /// Something that only adds to the picture: its errors are not worth ending for.
    pub fn watch_extra(
        &self,
        namespace: &str,
        name: &str,
        resource: &ApiResource,
    ) -> impl Stream<Item = Option<DynamicObject>> + use<> {
        let api: Api<Guard<DynamicObject>> =
            Api::namespaced_with(self.client.clone(), namespace, resource);
        let fields = watcher::Config::default().fields(&format!("metadata.name={name}"));
        // Of one that cannot be read what was seen last stays.
        watcher(api, fields)
            .default_backoff()
            .filter_map(|event| async move {
                match event {
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                        object.0.ok().map(Some)
                    }
                    Ok(watcher::Event::Delete(_)) => Some(None),
                    _ => None,
                }
            })
    }

    /// The version that the API server says it has.
    pub async fn server_version(&self) -> Result<String, Error> {
        let version = self
            .call(Access::Read, self.client.apiserver_version())
            .await?;
        Ok(version.git_version)
    }

    fn guarded(&self, namespace: Option<&str>) -> Api<Guarded> {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Objects of all namespaces by label.
    pub async fn list_labelled(
        &self,
        labels: &str,
        resource: &ApiResource,
    ) -> Result<Vec<DynamicObject>, Error> {
        let found = self.list_each_labelled(labels, resource).await?;
        Ok(self.readable(&resource.kind, found))
    }

    /// The same, with those that cannot be read.
    pub async fn list_each_labelled(
        &self,
        labels: &str,
        resource: &ApiResource,
    ) -> Result<Vec<Guard<DynamicObject>>, Error> {
        let api = Api::all_with(self.client.clone(), resource);
        self.each(api, &ListParams::default().labels(labels)).await
    }

    async fn call<T>(
        &self,
        access: Access,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.patience(), request).await {
            Ok(answer) => answer.map_err(|error| self.error(access, &error)),
            Err(_) => Err(self.no_answer()),
        }
    }

    fn patience(&self) -> Duration {
        self.limit
            .unwrap_or(Duration::from_secs(u64::from(u32::MAX)))
    }

    fn no_answer(&self) -> Error {
        Error::NoAnswer {
            server: self.server.clone(),
            after: self.patience(),
        }
    }

    /// Names that a person may have meant.
    async fn near(&self, namespace: &str, name: &str) -> Vec<String> {
        let Ok(all) = self.canaries(Some(namespace)).await else {
            return Vec::new();
        };
        let names = all.iter().filter_map(|canary| canary.meta().name.clone());
        near_names(name, names.collect())
    }

    fn error(&self, access: Access, error: &kube::Error) -> Error {
        match error {
            kube::Error::Api(status) => self.refused(access, status),
            kube::Error::Auth(_) => Error::Unauthorized {
                server: self.server.clone(),
                detail: format!(": {}", one_line(&chain(error))),
            },
            kube::Error::Service(_) | kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => {
                Error::Unreachable {
                    server: self.server.clone(),
                    cause: root(error),
                }
            }
            kube::Error::SerdeError(cause) => {
                Error::Api(format!("{} is no Kubernetes API: {cause}", self.server))
            }
            other => Error::Api(chain(other)),
        }
    }

    fn refused(&self, access: Access, status: &kube::core::Status) -> Error {
        let named = status
            .details
            .as_ref()
            .is_some_and(|details| !details.name.is_empty());
        match (status.code, access) {
            (401, _) => Error::Unauthorized {
                server: self.server.clone(),
                detail: String::new(),
            },
            (403, Access::Read) => Error::ReadForbidden(denial(&status.message)),
            (403, Access::Write) => Error::WriteForbidden(denial(&status.message)),
            (404, _) if status.reason == "NotFound" && named => Error::NotFound {
                namespace: String::new(),
                name: String::new(),
                near: Vec::new(),
            },
            (404, _) => Error::NoCrd,
            (422 | 400, Access::Write) if status.message.contains("denied") => {
                Error::WriteForbidden(denial(&status.message))
            }
            (code, _) => Error::Api(format!(
                "the Kubernetes API at {} answered {code}: {}",
                self.server,
                one_line(&status.message)
            )),
        }
    }

    /// A watch goes on over a lost connection, but not for ever, and not without rights.
    fn persistent<T: Debug, S>(&self, stream: S) -> impl Stream<Item = Result<T, Error>> + use<T, S>
    where
        S: Stream<Item = watcher::Result<T>>,
    {
        let cluster = self.clone();
        stream
            .scan(None::<tokio::time::Instant>, move |failing_since, item| {
                let verdict = match item {
                    Ok(value) => {
                        *failing_since = None;
                        Some(Ok(value))
                    }
                    Err(error) => {
                        let since = *failing_since.get_or_insert_with(tokio::time::Instant::now);
                        let error = cluster.watch_error(&error);
                        let lasting = matches!(
                            error,
                            Error::Unauthorized { .. } | Error::ReadForbidden(_) | Error::NoCrd
                        );
                        (lasting || since.elapsed() > WATCH_PATIENCE).then_some(Err(error))
                    }
                };
                futures::future::ready(Some(verdict))
            })
            .filter_map(futures::future::ready)
    }

    fn watch_error(&self, error: &watcher::Error) -> Error {
        match error {
            watcher::Error::InitialListFailed(cause)
            | watcher::Error::WatchStartFailed(cause)
            | watcher::Error::WatchFailed(cause) => self.error(Access::Read, cause),
            watcher::Error::WatchError(status) => self.refused(Access::Read, status),
            watcher::Error::NoResourceVersion => Error::Api(chain(error)),
        }
    }
}

/// The Canary, or a sentence that says why this version cannot read it.
pub fn read(guarded: Guarded) -> Result<Canary, Error> {
    readable("canary", guarded)
}

/// The object, or a sentence that says why this version cannot read it.
pub fn readable<K>(kind: &str, guarded: Guard<K>) -> Result<K, Error> {
    guarded.0.map_err(|invalid| Error::Unreadable {
        kind: kind.to_owned(),
        name: invalid.metadata.name.clone().unwrap_or_default(),
        cause: one_line(&invalid.error),
    })
}

pub fn deployment() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"))
}

/// A ConfigMap's kind, or a Secret's.
pub fn configuration(secret: bool) -> ApiResource {
    let kind = if secret { "Secret" } else { "ConfigMap" };
    ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind))
}

/// The route's kind, in the version that the Canary names.
pub fn apisix_route(api_version: &str) -> ApiResource {
    let (group, version) = api_version
        .split_once('/')
        .unwrap_or(("apisix.apache.org", "v2"));
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(group, version, "ApisixRoute"),
        "apisixroutes",
    )
}

/// What lies at the bottom of an error, which is all that a person needs.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    one_line(&last.to_string())
}

/// The nearest first, at most three; a prefix or two typing errors count as near.
fn near_names(name: &str, all: Vec<String>) -> Vec<String> {
    let mut near: Vec<_> = all
        .into_iter()
        .map(|other| (strsim::damerau_levenshtein(name, &other), other))
        .filter(|(distance, other)| {
            *distance <= 2 || other.starts_with(name) || name.starts_with(other.as_str())
        })
        .collect();
    near.sort();
    near.into_iter().take(3).map(|(_, other)| other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_person_may_have_meant_come_nearest_first() {
        let all = || {
            ["podinfo", "podinfo-eu", "backend", "podnfo"]
                .map(str::to_owned)
                .to_vec()
        };
        assert_eq!(near_names("podifo", all()), ["podinfo", "podnfo"]);
        assert_eq!(
            near_names("podinfo", all()),
            ["podinfo", "podnfo", "podinfo-eu"]
        );
        assert!(near_names("zzz", all()).is_empty());
    }
}
