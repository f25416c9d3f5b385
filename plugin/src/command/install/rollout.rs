//! Waiting for what has been applied.

use std::time::Duration;

use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use super::LOOK;
use crate::client::Cluster;
use crate::exit::{Error, one_line, seconds};
use crate::manifests::SERVER;

/// What a wait sees: nothing is missing, or this is.
pub type Missing = Option<String>;

/// Something that is looked at until nothing is missing.
pub trait Wait {
    async fn look(&mut self) -> Result<Missing, Error>;

    /// What to do about it, when time is up.
    async fn hint(&self) -> String;
}

/// Waits, and says on standard error what for, once for each change.
pub async fn within(limit: Option<Duration>, mut wait: impl Wait) -> Result<(), Error> {
    let mut said = None;
    let looking = async {
        while let Some(missing) = wait.look().await? {
            if said.as_ref() != Some(&missing) {
                anstream::eprintln!("waiting: {missing}");
                said = Some(missing);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    let Some(limit) = limit else {
        return looking.await;
    };
    match tokio::time::timeout(limit, looking).await {
        Ok(done) => done,
        Err(_) => Err(Error::Timeout {
            message: format!(
                "not done within {}: {}",
                seconds(limit),
                said.unwrap_or_default()
            ),
            hint: wait.hint().await,
        }),
    }
}

struct Established<'a> {
    cluster: &'a Cluster,
    definitions: &'a [Value],
}

/// The API server serves them.
pub fn established<'a>(cluster: &'a Cluster, definitions: &'a [Value]) -> impl Wait {
    Established {
        cluster,
        definitions,
    }
}

impl Wait for Established<'_> {
    async fn look(&mut self) -> Result<Missing, Error> {
        for definition in self.definitions {
            let live = self.cluster.current(definition).await?.unwrap_or_default();
            let conditions = live["status"]["conditions"].as_array();
            let established = conditions.into_iter().flatten().any(|condition| {
                condition["type"] == "Established" && condition["status"] == "True"
            });
            if !established {
                let name = definition["metadata"]["name"].as_str().unwrap_or_default();
                return Ok(Some(format!("CRD {name} is not established")));
            }
        }
        Ok(None)
    }

    async fn hint(&self) -> String {
        "see `kubectl describe crd`".to_owned()
    }
}

struct Ready<'a> {
    cluster: &'a Cluster,
    deployment: Value,
}

/// All replicas are new, and ready: certificate loaded, caches synced, reached over TLS.
pub fn ready(cluster: &Cluster, namespace: &str) -> impl Wait {
    Ready {
        cluster,
        deployment: json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": SERVER, "namespace": namespace},
        }),
    }
}

impl Wait for Ready<'_> {
    async fn look(&mut self) -> Result<Missing, Error> {
        let live = self.cluster.current(&self.deployment).await?;
        Ok(live.map_or_else(
            || Some(format!("deployment {SERVER} is not there")),
            |live| unready(&live),
        ))
    }

    async fn hint(&self) -> String {
        let namespace = self.deployment["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or_default();
        let pods = pods(self.cluster, namespace).await.unwrap_or_default();
        match pods.iter().find_map(trouble) {
            Some(trouble) => trouble,
            None => format!("see `kubectl -n {namespace} describe pods`"),
        }
    }
}

/// The server's pods.
pub async fn pods(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>, Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Pod"));
    let labels = format!("app.kubernetes.io/name={SERVER}");
    let all = cluster.list_labelled(&labels, &resource).await?;
    let all = all
        .into_iter()
        .filter(|pod| pod.metadata.namespace.as_deref() == Some(namespace));
    Ok(all
        .filter_map(|pod| serde_json::to_value(pod).ok())
        .collect())
}

fn unready(live: &Value) -> Missing {
    let count = |pointer: &str| live.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let wanted = count("/spec/replicas");
    let seen = count("/status/observedGeneration") >= count("/metadata/generation");
    let (updated, available) = (
        count("/status/updatedReplicas"),
        count("/status/availableReplicas"),
    );
    let old = count("/status/replicas") - updated;
    if seen && updated >= wanted && available >= wanted && old <= 0 {
        return None;
    }
    let ready = if seen { updated.min(available) } else { 0 };
    Some(format!(
        "{ready} of {wanted} replicas of {SERVER} are ready"
    ))
}

/// Why a pod does not start.
fn trouble(pod: &Value) -> Option<String> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let statuses = pod.pointer("/status/containerStatuses")?.as_array()?;
    let waiting = statuses
        .iter()
        .find_map(|status| status.pointer("/state/waiting"))?;
    let text = |key: &str| waiting[key].as_str().unwrap_or_default();
    let why = format!("pod {name}: {} {}", text("reason"), text("message"));
    Some(one_line(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(status: Value) -> Value {
        let mut live = json!({"metadata": {"generation": 2}, "spec": {"replicas": 2}});
        live["status"] = status;
        live
    }

    #[test]
    fn ready_is_when_all_replicas_are_new_available_and_the_old_ones_are_gone() {
        let status = |observed: i64, replicas: i64, updated: i64, available: i64| {
            json!({
                "observedGeneration": observed, "replicas": replicas,
                "updatedReplicas": updated, "availableReplicas": available,
            })
        };
        let missing =
            |ready: u8| Some(format!("{ready} of 2 replicas of canary-webhook are ready"));
        for (status, expected) in [
            (status(2, 2, 2, 2), None),
            (status(1, 2, 2, 2), missing(0)),
            (status(2, 3, 2, 3), missing(2)),
            (status(2, 2, 1, 2), missing(1)),
            (status(2, 2, 2, 1), missing(1)),
            (json!({}), missing(0)),
        ] {
            assert_eq!(unready(&deployment(status.clone())), expected, "{status}");
        }
    }

    #[test]
    fn a_pod_that_cannot_start_says_why() {
        let pod = json!({
            "metadata": {"name": "canary-webhook-x"},
            "status": {"containerStatuses": [
                {"state": {"running": {}}},
                {"state": {"waiting": {"reason": "ErrImagePull", "message": "no such\nhost"}}},
            ]},
        });
        let said = trouble(&pod);
        assert_eq!(
            said.as_deref(),
            Some("pod canary-webhook-x: ErrImagePull no such host")
        );
        assert_eq!(trouble(&json!({"metadata": {}})), None);
    }
}
