//! ReplicaSets and Pods of both Deployments: listed once, or watched.

use futures::StreamExt as _;
use futures::stream::BoxStream;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use crate::client::Cluster;
use crate::report::{Below, Children, Extra, Listed, Observed, Role};

/// The roles, in the order in which they are shown.
pub const ROLES: [Role; 2] = [Role::Primary, Role::Canary];

/// What a watch has found below one Deployment.
pub enum Found {
    ReplicaSets(Listed<ReplicaSet>),
    Pods(Listed<Pod>),
}

/// Reads what stands below the Deployments that there are, all at once.
pub async fn read(cluster: &Cluster, observed: &Observed) -> Below {
    let namespace = observed.canary.namespace_name();
    let (primary, canary) = futures::future::join(
        children(cluster, namespace, selector(observed, Role::Primary)),
        children(cluster, namespace, selector(observed, Role::Canary)),
    )
    .await;
    Below { primary, canary }
}

async fn children(cluster: &Cluster, namespace: &str, selector: Option<Selector>) -> Children {
    let Some(selector) = selector else {
        return Children::default();
    };
    let (replica_sets, pods) = futures::future::join(
        cluster.owned(namespace, &selector),
        cluster.owned(namespace, &selector),
    )
    .await;
    Children { replica_sets, pods }
}

/// The same for as long as somebody looks.
pub fn watch(
    cluster: &Cluster,
    namespace: &str,
    selector: &Selector,
) -> [BoxStream<'static, Found>; 2] {
    [
        cluster
            .watch_owned(namespace, selector)
            .map(Found::ReplicaSets)
            .boxed(),
        cluster
            .watch_owned(namespace, selector)
            .map(Found::Pods)
            .boxed(),
    ]
}

/// By which labels a Deployment finds its pods; none where it is not there, or has an empty one, which would
/// find everything.
pub fn selector(observed: &Observed, role: Role) -> Option<Selector> {
    let deployment = match role {
        Role::Primary => &observed.primary,
        Role::Canary => &observed.target,
    };
    let Extra::Found(deployment) = deployment else {
        return None;
    };
    let selector = deployment.data.pointer("/spec/selector")?.clone();
    let selector: LabelSelector = serde_json::from_value(selector).ok()?;
    let selector: Selector = selector.try_into().ok()?;
    (!selector.selects_all()).then_some(selector)
}
