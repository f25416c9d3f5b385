//! A namespace as its people see it, with the objects of a release.

use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use http::request::Builder;
use kube::Client;
use serde_json::{Value, json};

use super::record::Progress;
use super::{ALICE, BOB, LIMIT, Recorder, canary, deployment, route};
use crate::clock::eventually;
use crate::control_plane::ControlPlane;
use crate::fixtures::locked;
use crate::fixtures::prometheus::{Answer, Prometheus};
use crate::plugin::plugin;
use crate::process::Output;

/// A namespace of one test. Alice edits in it, bob operates; the methods that name nobody act as alice.
pub struct Namespace<'a> {
    pub name: String,
    pub plane: &'a ControlPlane,
    /// Answers 100 to whatever is asked, until it is told otherwise: every check passes.
    pub prometheus: Prometheus,
    alice: Client,
    admin: Client,
    recorded: Mutex<Vec<(String, Progress)>>,
}

/// The API group of a resource, as it stands in paths.
pub fn group_of(resource: &str) -> &'static str {
    match resource {
        "deployments" | "replicasets" | "controllerrevisions" | "statefulsets" | "daemonsets" => {
            "apis/apps/v1"
        }
        "jobs" => "apis/batch/v1",
        "canaries" | "metrictemplates" | "alertproviders" => "apis/flagger.app/v1beta1",
        "apisixroutes" => "apis/apisix.apache.org/v2",
        "horizontalpodautoscalers" => "apis/autoscaling/v2",
        "poddisruptionbudgets" => "apis/policy/v1",
        "endpointslices" => "apis/discovery.k8s.io/v1",
        "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
        _ => "api/v1",
    }
}

impl<'a> Namespace<'a> {
    /// A new one with `name` in its name.
    pub async fn new(plane: &'a ControlPlane, name: &str) -> Result<Self> {
        let name = plane.namespace(name).await?;
        let prometheus = Prometheus::start().await?;
        prometheus.answer("", Answer::value(100.0));
        // What it is asked to find out whether it is there.
        prometheus.answer("vector(1)", Answer::value(1.0));
        let namespace = Self {
            alice: plane.client_for(ALICE, &[]).await?,
            admin: plane.client().await?,
            name,
            plane,
            prometheus,
            recorded: Mutex::default(),
        };
        for (user, role) in [(ALICE, "edit"), (BOB, "view"), (BOB, "canary-operator")] {
            namespace.bind(user, role).await?;
        }
        namespace.may_write_canaries().await?;
        Ok(namespace)
    }

    /// Gives `user` the rights of that `ClusterRole` here.
    pub async fn bind(&self, user: &str, role: &str) -> Result<()> {
        let group = "rbac.authorization.k8s.io";
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        });
        self.post(&self.admin, &binding).await?;
        Ok(())
    }

    /// Roles are aggregated, and bindings are known, a moment after they are stored.
    async fn may_write_canaries(&self) -> Result<()> {
        eventually("alice's rights", LIMIT, async || {
            for object in [canary(""), route()] {
                let path = format!("{}?dryRun=All", self.path(&plural(&object)?));
                let request = http::Request::post(path).body(serde_json::to_vec(&object)?)?;
                if let Err(kube::Error::Api(status)) = self.alice.request::<Value>(request).await
                    && status.is_forbidden()
                    && !status.message.contains("admission webhook")
                {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// The path of `resource` or `resource/name` in this namespace.
    pub fn path(&self, object: &str) -> String {
        let resource = object.split(['/', '?']).next().unwrap_or(object);
        format!("/{}/namespaces/{}/{object}", group_of(resource), self.name)
    }

    async fn ask(&self, client: &Client, request: Builder, body: &Value) -> Result<Value> {
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body)?
        };
        Ok(client.request(request.body(body)?).await?)
    }

    async fn post(&self, client: &Client, object: &Value) -> Result<Value> {
        let request = http::Request::post(self.path(&plural(object)?));
        self.ask(client, request, object).await
    }

    /// Creates an object.
    pub async fn create(&self, object: &Value) -> Result<Value> {
        let created = self.post(&self.alice, object).await;
        created.with_context(|| format!("create {} {}", object["kind"], object["metadata"]["name"]))
    }

    /// Creates an object that people of the namespace may not create.
    pub async fn create_as_admin(&self, object: &Value) -> Result<Value> {
        self.post(&self.admin, object).await
    }

    /// Target, route and Canary as they are by default.
    pub async fn create_all(&self) -> Result<()> {
        self.create_with(|_| ()).await
    }

    /// Target, route, and a Canary that `change` made different.
    pub async fn create_with(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        self.create(&deployment()).await?;
        self.create(&route()).await?;
        let mut canary = self.canary();
        change(&mut canary);
        self.create(&canary).await?;
        Ok(())
    }

    /// The Canary that asks this namespace's Prometheus; it is not yet created.
    pub fn canary(&self) -> Value {
        canary(&self.prometheus.url())
    }

    /// Reads `resource/name`, whoever may.
    pub async fn get(&self, object: &str) -> Result<Value> {
        let request = http::Request::get(self.path(object));
        self.ask(&self.admin, request, &Value::Null).await
    }

    /// Reads `resource/name`, which may not be there.
    pub async fn find(&self, object: &str) -> Result<Option<Value>> {
        let request = http::Request::get(self.path(object)).body(Vec::new())?;
        match self.admin.request(request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The objects of a resource, by name.
    pub async fn list(&self, resource: &str) -> Result<Vec<Value>> {
        let list = self.get(resource).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// A merge patch of `resource/name`.
    pub async fn patch(&self, object: &str, patch: &Value) -> Result<Value> {
        self.merge(&self.alice, object, patch).await
    }

    /// A merge patch that people of the namespace may not make.
    pub async fn patch_as_admin(&self, object: &str, patch: &Value) -> Result<Value> {
        self.merge(&self.admin, object, patch).await
    }

    async fn merge(&self, client: &Client, object: &str, patch: &Value) -> Result<Value> {
        let request = http::Request::patch(self.path(object))
            .header("content-type", "application/merge-patch+json");
        self.ask(client, request, patch).await
    }

    /// Deletes `resource/name`; what has a finalizer may stay a while.
    pub async fn delete(&self, object: &str) -> Result<()> {
        let request = http::Request::delete(self.path(object));
        self.ask(&self.alice, request, &Value::Null).await?;
        Ok(())
    }

    /// The image of the target's container becomes podinfo of that version.
    pub async fn set_image(&self, version: &str) -> Result<()> {
        let image = format!("podinfod=stefanprodan/podinfo:{version}");
        self.kubectl(ALICE, &["set", "image", "deployment/podinfo", &image])
            .await?
            .ok()?;
        Ok(())
    }

    /// Waits until `resource/name` is as `check` wants it; says how it was if that never happens.
    pub async fn until(&self, object: &str, check: impl Fn(&Value) -> bool) -> Result<Value> {
        let waited = eventually(object, LIMIT, async || {
            let found = self.find(object).await?;
            Ok(found.filter(|value| check(value)))
        });
        match waited.await {
            Ok(value) => {
                self.catch_up().await?;
                Ok(value)
            }
            Err(error) => {
                let last = self.find(object).await?.unwrap_or_default();
                let (status, events) = (&last["status"], self.events().await?);
                bail!(
                    "{error}; last:\n{status:#}\n{:#}\n{events:#?}",
                    last["spec"]
                )
            }
        }
    }

    /// Waits until `resource/name` is not there any more.
    pub async fn gone(&self, object: &str) -> Result<()> {
        let what = format!("{object} to be gone");
        eventually(&what, LIMIT, async || {
            Ok(self.find(object).await?.is_none().then_some(()))
        })
        .await
    }

    /// Waits for a phase of the Canary.
    pub async fn phase(&self, phase: &str) -> Result<Value> {
        let waited = self.until("canaries/podinfo", |canary| {
            canary["status"]["phase"] == phase
        });
        waited.await.with_context(|| format!("phase {phase}"))
    }

    /// Waits for a condition of the Canary with that type, status and reason; returns its message.
    pub async fn condition(&self, kind: &str, status: &str, reason: &str) -> Result<String> {
        let matches = |canary: &Value| {
            let conditions = canary["status"]["conditions"].as_array()?;
            let found = conditions.iter().find(|condition| {
                condition["type"] == kind
                    && condition["status"] == status
                    && condition["reason"] == reason
            })?;
            found["message"].as_str().map(str::to_owned)
        };
        let waited = self.until("canaries/podinfo", |canary| matches(canary).is_some());
        let canary = waited
            .await
            .with_context(|| format!("condition {kind}={status} {reason}"))?;
        Ok(matches(&canary).unwrap_or_default())
    }

    /// Texts of the Canary's Events as the API server lists them when sorted by creation.
    pub async fn events(&self) -> Result<Vec<String>> {
        let mut events = self.list("events").await?;
        events.retain(|event| event["involvedObject"]["kind"] == "Canary");
        events.sort_by_key(|event| event["eventTime"].as_str().unwrap_or_default().to_owned());
        let text = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
        Ok(events.iter().map(text).collect())
    }

    /// Waits for an Event of the Canary whose text contains `part`, and returns the text.
    pub async fn event(&self, part: &str) -> Result<String> {
        let what = format!("an event with {part:?}");
        let found = eventually(&what, LIMIT, async || {
            let events = self.events().await?;
            Ok(events.into_iter().find(|text| text.contains(part)))
        });
        match found.await {
            Ok(text) => Ok(text),
            Err(error) => bail!("{error}; there are:\n{:#?}", self.events().await?),
        }
    }

    /// A watch lags a little behind what a read has just shown: waits until every recorder has it.
    async fn catch_up(&self) -> Result<()> {
        let recorded = {
            let mut recorded = locked(&self.recorded);
            recorded.retain(|(_, progress)| progress.is_followed());
            recorded.clone()
        };
        for (object, progress) in recorded {
            let Some(stored) = self.find(&object).await? else {
                continue;
            };
            let what = format!("the watch of {object}");
            eventually(&what, LIMIT, async || {
                Ok(progress.has(&stored).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Records each stored version of `resource/name` from now on. What [`Self::until`] and those that
    /// rest on it waited for is recorded when they return.
    pub async fn record(&self, object: &str) -> Result<Recorder> {
        let (resource, name) = object.split_once('/').context("resource/name")?;
        let path = self.path(resource);
        let selected = format!("{path}?watch=true&fieldSelector=metadata.name={name}");
        let recorder = Recorder::start(&self.admin, &selected).await?;
        locked(&self.recorded).push((object.to_owned(), recorder.progress()));
        Ok(recorder)
    }

    /// Records each stored version of the `EndpointSlices` of a Service from now on.
    pub async fn record_endpoints(&self, service: &str) -> Result<Recorder> {
        let path = self.path("endpointslices");
        let label = "kubernetes.io/service-name";
        let selected = format!("{path}?watch=true&labelSelector={label}={service}");
        Recorder::start(&self.admin, &selected).await
    }

    /// The generated route's weights of primary and canary.
    pub async fn weights(&self) -> Result<(i64, i64)> {
        let route = self.get("apisixroutes/podinfo-podinfo-canary").await?;
        let weight = |side: usize| route["spec"]["http"][0]["backends"][side]["weight"].as_i64();
        Ok((weight(0).context("weight")?, weight(1).context("weight")?))
    }

    /// A kubeconfig of somebody, with this namespace as the current one.
    pub fn kubeconfig(&self, user: &str) -> Result<PathBuf> {
        self.plane.kubeconfig_for(user, &[])
    }

    /// kubectl as `user` in this namespace.
    pub async fn kubectl(&self, user: &str, args: &[&str]) -> Result<Output> {
        self.kubectl_with(user, args, "").await
    }

    /// kubectl as `user` in this namespace, with something on its stdin.
    pub async fn kubectl_with(&self, user: &str, args: &[&str], input: &str) -> Result<Output> {
        let args: Vec<&str> = ["-n", &self.name].iter().chain(args).copied().collect();
        let kubeconfig = self.kubeconfig(user)?;
        self.plane.kubectl_with(&kubeconfig, &args, input).await
    }

    /// kubectl as the administrator in this namespace, with something on its stdin.
    pub async fn kubectl_as_admin(&self, args: &[&str], input: &str) -> Result<Output> {
        let args: Vec<&str> = ["-n", &self.name].iter().chain(args).copied().collect();
        let kubeconfig = self.plane.admin_kubeconfig();
        self.plane.kubectl_with(kubeconfig, &args, input).await
    }

    /// `kubectl canary` as `user` in this namespace.
    pub async fn plugin(&self, user: &str, args: &[&str]) -> Result<Output> {
        let args: Vec<&str> = args.iter().chain(&["-n", &self.name]).copied().collect();
        plugin(&self.kubeconfig(user)?, &args).await
    }
}

fn plural(object: &Value) -> Result<String> {
    let kind = object["kind"].as_str().context("an object has a kind")?;
    Ok(match kind {
        "Canary" => "canaries".to_owned(),
        kind => format!("{}s", kind.to_lowercase()),
    })
}
