//! Asks for the cluster's side of the installation.

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::client::Cluster;
use crate::command::install::found;
use crate::command::version;
use crate::doctor::Check;
use crate::doctor::server as judge;
use crate::env::now;
use crate::exit::Error;
use crate::manifests::{self, DEFAULT_NAMESPACE, SERVER, Settings};

const PLUGIN: &str = env!("CARGO_PKG_VERSION");
const DEFAULT_PROVIDER: &str = "apisix";
/// The webhooks are not asked about these: see manifests/base/webhooks.yaml.
const EXCLUDED: [&str; 2] = ["kube-system", "kube-node-lease"];
const REGISTRATIONS: [&str; 2] = [
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
];
const POLICIES: [&str; 2] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

/// What was found, and what else a diagnosis needs of it.
pub struct Found {
    pub checks: Vec<Check>,
    /// Whether its Deployment could be read.
    pub seen: bool,
    pub provider: String,
    pub metrics_server: Option<String>,
}

pub async fn look(cluster: &Cluster, kubernetes: &str) -> Found {
    let mut checks = vec![
        judge::kubernetes(kubernetes, cluster.server()),
        definitions(cluster).await,
    ];
    let (check, live) = deployment(cluster).await;
    checks.push(check);
    let namespace = live
        .as_ref()
        .and_then(|live| live["metadata"]["namespace"].as_str())
        .unwrap_or(DEFAULT_NAMESPACE);
    checks.push(lease(cluster, namespace).await);
    for kind in REGISTRATIONS {
        checks.push(registration(cluster, kind).await);
    }
    checks.push(webhook(cluster, namespace).await);
    checks.push(policies(cluster, namespace).await);
    if let Some(live) = &live {
        checks.push(its_rights(cluster, live).await);
    }
    checks.push(rights(cluster).await);
    let flag = |name: &str| live.as_ref().and_then(|live| flag(live, name));
    Found {
        checks,
        seen: live.is_some(),
        provider: flag("mesh-provider").unwrap_or_else(|| DEFAULT_PROVIDER.to_owned()),
        metrics_server: flag("metrics-server"),
    }
}

/// The value of a flag of the server.
fn flag(live: &Value, name: &str) -> Option<String> {
    let args = manifests::container(live)?["args"].as_array()?;
    let mut flags = args.iter().filter_map(Value::as_str);
    let value = flags.find_map(|arg| {
        arg.trim_start_matches('-')
            .strip_prefix(name)?
            .strip_prefix('=')
    });
    value.map(str::to_owned)
}

async fn definitions(cluster: &Cluster) -> Check {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = ApiResource::from_gvk(&kind);
    let wanted = match manifests::definitions() {
        Ok(wanted) => wanted,
        Err(error) => return Check::fail("crds", error.to_string()),
    };
    let mut live = Vec::new();
    for definition in &wanted {
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        match cluster.look(None, name, &resource).await {
            Ok(found) => live.push((name.to_owned(), found)),
            Err(Error::ReadForbidden(_)) => return by_use(cluster).await,
            Err(error) => return Check::unread("crds", &error),
        }
    }
    judge::definitions(&wanted, &live)
}

/// Reading definitions is a right of its own; the resource itself tells as much.
async fn by_use(cluster: &Cluster) -> Check {
    match cluster.canaries(Some(&cluster.namespace)).await {
        Ok(_) => Check::ok(
            "crds",
            "Canaries are served; the definitions are not visible to you",
        ),
        Err(Error::NoCrd) => Check::fail("crds", "canaries.flagger.app is not installed")
            .hint("`kubectl canary install` installs it"),
        Err(error) => Check::unread("crds", &error),
    }
}

async fn deployment(cluster: &Cluster) -> (Check, Option<Value>) {
    let live = match found::server(cluster).await {
        Ok(live) => live,
        // Several are there: that is one to look at.
        Err(Error::Usage(several)) => return (Check::warn("server", several), None),
        Err(error) => return (Check::unread("server", &error), None),
    };
    let image = live.as_ref().and_then(manifests::container);
    let version = image
        .and_then(|server| server["image"].as_str())
        .map(version::tag);
    let check = judge::deployment(live.as_ref(), version.as_deref(), PLUGIN);
    (check, live)
}

async fn lease(cluster: &Cluster, namespace: &str) -> Check {
    let kind = GroupVersionKind::gvk("coordination.k8s.io", "v1", "Lease");
    let resource = ApiResource::from_gvk(&kind);
    match cluster.look(Some(namespace), SERVER, &resource).await {
        Ok(live) => judge::lease(live.as_ref(), namespace, now()),
        Err(error) => Check::unread("controller", &error),
    }
}

async fn registration(cluster: &Cluster, kind: &str) -> Check {
    let resource = admission(kind);
    match cluster.look(None, SERVER, &resource).await {
        Ok(live) => judge::registration(kind, live.as_ref(), now()),
        Err(error) => Check::unread("certificate", &error),
    }
}

fn admission(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(
        "admissionregistration.k8s.io",
        "v1",
        kind,
    ))
}

/// A Canary that only the webhook refuses, and that is never stored.
async fn webhook(cluster: &Cluster, own: &str) -> Check {
    let namespace = cluster.namespace.as_str();
    if namespace == own || EXCLUDED.contains(&namespace) {
        return Check::skipped(
            "webhook",
            format!("is not asked about namespace {namespace}: name another with -n"),
        );
    }
    let trial = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "kubectl-canary-doctor", "namespace": namespace},
        "spec": {
            "provider": "istio",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "kubectl-canary-doctor"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 1, "maxWeight": 50, "stepWeight": 10},
        },
    });
    match cluster.try_apply(&trial).await {
        Ok(trial) => judge::answered(trial.denied.as_deref(), namespace),
        Err(Error::Api(said)) if said.contains("failed calling webhook") => {
            judge::answered(Some(&said), namespace)
        }
        Err(Error::WriteForbidden(_)) => Check::skipped(
            "webhook",
            format!("you may not create Canaries in namespace {namespace}, not even for a trial"),
        ),
        Err(error) => Check::unread("webhook", &error),
    }
}

async fn policies(cluster: &Cluster, namespace: &str) -> Check {
    let settings = Settings {
        namespace: namespace.to_owned(),
        ..Settings::default()
    };
    let objects = match manifests::objects(&settings) {
        Ok(objects) => objects,
        Err(error) => return Check::fail("policies", error.to_string()),
    };
    let (mut wanted, mut live) = (Vec::new(), Vec::new());
    for kind in POLICIES {
        let found = match cluster.look_at_all(None, &admission(kind)).await {
            Ok(Some(found)) => found,
            Ok(None) => {
                return Check::warn("policies", "this API server has no admission policies")
                    .hint("they came with Kubernetes 1.30");
            }
            Err(error) => return Check::unread("policies", &error),
        };
        // A binding may have the name of its policy.
        let named =
            |object: &Value| Some(format!("{kind}/{}", object["metadata"]["name"].as_str()?));
        wanted.extend(
            objects
                .iter()
                .filter(|it| it["kind"] == kind)
                .filter_map(named),
        );
        live.extend(found.iter().filter_map(named));
    }
    judge::policies(&wanted, &live)
}

async fn rights(cluster: &Cluster) -> Check {
    let table = [
        ("read Canaries", "get", "flagger.app", "canaries"),
        ("change Canaries", "patch", "flagger.app", "canaries"),
        ("promote", "promote", "flagger.app", "canaries"),
        ("roll back", "rollback", "flagger.app", "canaries"),
        ("change Deployments", "patch", "apps", "deployments"),
    ];
    let mut held = Vec::new();
    for (what, verb, group, resource) in table {
        match cluster.may(right(cluster, verb, group, resource)).await {
            Ok(may) => held.push((what, may)),
            Err(error) => return Check::unread("your rights", &error),
        }
    }
    judge::rights(&cluster.namespace, &held)
}

/// A resource, or `resource/subresource`.
fn right(cluster: &Cluster, verb: &str, group: &str, resource: &str) -> ResourceAttributes {
    let (resource, below) = resource.split_once('/').unwrap_or((resource, ""));
    ResourceAttributes {
        verb: Some(verb.into()),
        group: Some(group.into()),
        resource: Some(resource.into()),
        subresource: Some(below.to_owned()).filter(|below| !below.is_empty()),
        namespace: Some(cluster.namespace.clone()),
        ..ResourceAttributes::default()
    }
}

/// Without these nothing is released, routed or given back. All that it is given is in manifests/base/rbac.yaml.
const ITS_RIGHTS: [(&str, &str, &str, &str); 8] = [
    ("watch Canaries", "watch", "flagger.app", "canaries"),
    (
        "write the status of Canaries",
        "patch",
        "flagger.app",
        "canaries/status",
    ),
    ("change Deployments", "patch", "apps", "deployments"),
    ("write primaries", "update", "apps", "deployments"),
    (
        "keep ControllerRevisions",
        "create",
        "apps",
        "controllerrevisions",
    ),
    ("write Services", "update", "", "services"),
    (
        "write ApisixRoutes",
        "update",
        "apisix.apache.org",
        "apisixroutes",
    ),
    ("write Events", "create", "", "events"),
];

/// Of the server that is installed. Not everybody may ask for the rights of others.
async fn its_rights(cluster: &Cluster, live: &Value) -> Check {
    let text = |pointer: &str| live.pointer(pointer).and_then(Value::as_str);
    let namespace = text("/metadata/namespace").unwrap_or_default();
    let account = text("/spec/template/spec/serviceAccountName").unwrap_or("default");
    let answers = ITS_RIGHTS.map(|(what, verb, group, resource)| async move {
        let right = right(cluster, verb, group, resource);
        let may = cluster.may_account((namespace, account), right).await?;
        Ok::<_, Error>((what, may))
    });
    match futures::future::try_join_all(answers).await {
        Ok(held) => judge::its_rights(&format!("{namespace}/{account}"), &cluster.namespace, &held),
        Err(error) => Check::unread("its rights", &error),
    }
}
