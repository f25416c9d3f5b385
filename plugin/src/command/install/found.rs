//! What is installed already.

use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

use super::MANAGED_BY;
use crate::client::{self, Cluster};
use crate::exit::Error;
use crate::manifests::{self, Settings};

const SERVERS: &str = "app.kubernetes.io/name=canary-webhook";
/// By Flagger's chart, and by its kustomization.
const FLAGGERS: [&str; 2] = ["app.kubernetes.io/name=flagger", "app=flagger"];

/// The server's Deployment.
pub async fn server(cluster: &Cluster) -> Result<Option<Value>, Error> {
    let mut all = deployments(cluster, SERVERS).await?;
    if all.len() > 1 {
        let names: Vec<String> = all.iter().map(text).collect();
        return Err(Error::Usage(format!(
            "several are installed: {}; remove all but one",
            names.join(", ")
        )));
    }
    Ok(all.pop())
}

/// Namespace and name of a Flagger that runs.
pub async fn flagger(cluster: &Cluster) -> Result<Option<(String, String)>, Error> {
    for labels in FLAGGERS {
        let all = deployments(cluster, labels).await?;
        let running = all.iter().find(|live| {
            let count = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
            count("/spec/replicas") > 0 || count("/status/replicas") > 0
        });
        if let Some(live) = running {
            let text = |key: &str| {
                live["metadata"][key]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            return Ok(Some((text("namespace"), text("name"))));
        }
    }
    Ok(None)
}

async fn deployments(cluster: &Cluster, labels: &str) -> Result<Vec<Value>, Error> {
    let resource = client::deployment();
    let found = cluster.list_labelled(labels, &resource).await?;
    let mut all = Vec::new();
    for object in found {
        let mut value =
            serde_json::to_value(object).map_err(|error| Error::Api(error.to_string()))?;
        // Items of a list do not repeat them.
        value["apiVersion"] = resource.api_version.clone().into();
        value["kind"] = resource.kind.clone().into();
        all.push(value);
    }
    Ok(all)
}

/// `canary-webhook:0.1.0 in canary-system`
pub fn text(live: &Value) -> String {
    let image = manifests::container(live).and_then(|server| server["image"].as_str());
    let image = image.unwrap_or("no image");
    let short = image.rsplit('/').next().unwrap_or(image);
    let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
    format!("{short} in {namespace}")
}

/// As it was installed: flags and replicas stay; so does the registry, with this version's tag.
pub fn settings(live: &Value, ours: &str) -> Settings {
    let server = manifests::container(live);
    let args = server.and_then(|server| server["args"].as_array());
    let image = server.and_then(|server| server["image"].as_str());
    Settings {
        namespace: live["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        image: image.and_then(|image| moved(image, ours)),
        replicas: live["spec"]["replicas"].as_i64(),
        args: args
            .into_iter()
            .flatten()
            .filter_map(|arg| arg.as_str().map(str::to_owned))
            .collect(),
    }
}

/// This version's image in the registry of the other one; none if it is the same.
fn moved(live: &str, ours: &str) -> Option<String> {
    let (from, to) = (repository(live), repository(ours));
    (from != to).then(|| format!("{from}{}", &ours[to.len()..]))
}

/// Without tag and digest; a registry's port is no tag.
fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => image,
    }
}

/// Helm's own record would not know of it.
pub fn refuse_helm(live: &Value, verb: &str) -> Result<(), Error> {
    let annotation = |name: &str| live["metadata"]["annotations"][name].as_str();
    let Some(release) = annotation("meta.helm.sh/release-name") else {
        return Ok(());
    };
    let namespace = annotation("meta.helm.sh/release-namespace").unwrap_or_default();
    Err(Error::NothingToDo {
        message: format!("kubectl-canary was installed by Helm, as release {release}"),
        hint: Some(format!("helm {verb} {release} -n {namespace}")),
    })
}

/// Somebody's pods are in it: ours are gone by the time this is asked.
pub async fn has_pods(cluster: &Cluster, namespace: &str) -> Result<bool, Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let pods = cluster.list_labelled("", &resource).await?;
    Ok(pods
        .iter()
        .any(|pod| pod.metadata.namespace.as_deref() == Some(namespace)))
}

/// Made by `install`.
pub fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY.0] == MANAGED_BY.1
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OURS: &str = "ghcr.io/kubectl-canary/canary-webhook:0.2.0";

    fn live(image: &str) -> Value {
        json!({
            "metadata": {"namespace": "releases"},
            "spec": {"replicas": 3, "template": {"spec": {"containers": [
                {"name": "sidecar", "image": "proxy:1"},
                {"name": "canary-webhook", "image": image, "args": ["--log-level=info"]},
            ]}}},
        })
    }

    #[test]
    fn an_upgrade_keeps_registry_replicas_and_flags_and_takes_the_new_tag() {
        for (image, expected) in [
            ("ghcr.io/kubectl-canary/canary-webhook:0.1.0", None),
            ("ghcr.io/kubectl-canary/canary-webhook@sha256:00", None),
            (
                "registry.example.com:5000/mirror/canary-webhook:0.1.0",
                Some("registry.example.com:5000/mirror/canary-webhook:0.2.0"),
            ),
            (
                "registry.example.com:5000/canary-webhook",
                Some("registry.example.com:5000/canary-webhook:0.2.0"),
            ),
        ] {
            let settings = settings(&live(image), OURS);
            assert_eq!(settings.image.as_deref(), expected, "{image}");
            assert_eq!(settings.replicas, Some(3));
            assert_eq!(settings.args, ["--log-level=info"]);
            assert_eq!(settings.namespace, "releases");
        }
    }

    #[test]
    fn what_helm_installed_is_helm_s() {
        let mut live = live(OURS);
        assert!(refuse_helm(&live, "upgrade").is_ok());
        live["metadata"]["annotations"] =
            json!({"meta.helm.sh/release-name": "canary", "meta.helm.sh/release-namespace": "ops"});
        let error = refuse_helm(&live, "uninstall").unwrap_err();
        assert_eq!(
            error.hint().as_deref(),
            Some("helm uninstall canary -n ops")
        );
    }
}
