//! Lists what stands around a Canary. Reads only; what this user may not read is one line.

use canary_core::selector::shown;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::Value;

use crate::client::{self, Cluster};
use crate::doctor::Check;
use crate::doctor::around::{self as judge, Around, Behind};
use crate::exit::Error;
use crate::report::{Extra, Observed};

/// Group, version, kind. Those that the cluster does not know are empty.
const KINDS: [(&str, &str, &str); 4] = [
    ("", "v1", "Service"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "Deployment"),
];

/// What could not be read, and why the first of it.
#[derive(Default)]
struct Unread {
    kinds: Vec<String>,
    why: Option<Error>,
}

pub async fn look(cluster: &Cluster, observed: &Observed) -> Vec<Check> {
    let canary = &observed.canary;
    let namespace = canary.namespace_name();
    let mut unread = Unread::default();
    let reads = KINDS.into_iter().map(|(group, version, kind)| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        async move { cluster.look_at_all(Some(namespace), &resource).await }
    });
    let found = futures::future::join_all(reads).await;
    let mut lists = found
        .into_iter()
        .zip(KINDS)
        .map(|(list, (.., kind))| unread.or_empty(kind, list))
        .collect::<Vec<_>>()
        .into_iter();
    let mut next = || lists.next().unwrap_or_default();
    let mut around = Around {
        target: live(&observed.target),
        primary: live(&observed.primary),
        services: next(),
        scalers: next(),
        budgets: next(),
        deployments: next(),
        ..Around::default()
    };
    if let Some(route) = canary.route() {
        let resource = client::apisix_route(&route.api_version);
        let routes = cluster.look_at_all(Some(namespace), &resource).await;
        around.routes = unread.or_empty("ApisixRoute", routes);
    }
    for (service, selector) in judge::selectors(canary, &around.services) {
        match cluster.pods(namespace, &shown(&selector)).await {
            Ok(pods) => {
                let behind = pods.iter().filter(|pod| !is_over(pod)).map(behind);
                around.pods.insert(service, behind.collect());
            }
            Err(error) => unread.note("Pod", error),
        }
    }
    let mut checks = judge::checks(canary, &around);
    if let Some(check) = unread.check() {
        // Of what was not seen nothing is known to be well.
        checks.retain(|it| it.name != "around");
        checks.push(check);
    }
    checks
}

fn live(extra: &Extra) -> Option<Value> {
    match extra {
        Extra::Found(found) => serde_json::to_value(found).ok(),
        Extra::Unasked | Extra::Absent | Extra::Unknown(_) => None,
    }
}

/// It serves nobody any more, and is behind no Service.
fn is_over(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) || pod.metadata.deletion_timestamp.is_some()
}

fn behind(pod: &Pod) -> Behind {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = |all: &Vec<_>| {
        let mut all = all.iter();
        all.any(|it: &k8s_openapi::api::core::v1::PodCondition| {
            it.type_ == "Ready" && it.status == "True"
        })
    };
    Behind {
        name: pod.name_any(),
        labels: pod.labels().clone(),
        ready: conditions.is_some_and(ready),
        bare: pod.owner_references().is_empty(),
    }
}

// === impl Unread ===

impl Unread {
    fn or_empty(&mut self, kind: &str, list: Result<Option<Vec<Value>>, Error>) -> Vec<Value> {
        match list {
            Ok(list) => list.unwrap_or_default(),
            Err(error) => {
                self.note(kind, error);
                Vec::new()
            }
        }
    }

    fn note(&mut self, kind: &str, error: Error) {
        if !self.kinds.iter().any(|known| known == kind) {
            self.kinds.push(kind.to_owned());
        }
        self.why.get_or_insert(error);
    }

    fn check(&self) -> Option<Check> {
        let why = self.why.as_ref()?;
        let said = format!("{} cannot be read: {why}", self.kinds.join(", "));
        Some(Check::skipped("around", crate::exit::one_line(&said)))
    }
}
