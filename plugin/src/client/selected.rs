//! Objects by label.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::{Access, Cluster, Guarded};
use crate::exit::Error;

/// Pods of one workload are shown one by one: nobody reads more.
const MOST_PODS: u32 = 200;

// === impl Cluster ===

impl Cluster {
    /// Canaries with these labels, of a namespace or of all.
    pub async fn canaries_labelled(
        &self,
        namespace: Option<&str>,
        labels: &str,
    ) -> Result<Vec<Guarded>, Error> {
        let params = ListParams::default().labels(labels);
        self.each(self.guarded(namespace), &params).await
    }

    /// Pods with these labels.
    pub async fn pods(&self, namespace: &str, labels: &str) -> Result<Vec<Pod>, Error> {
        let api = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(labels).limit(MOST_PODS);
        Ok(self.readable("pod", self.each(api, &params).await?))
    }

    /// A template that the controller keeps; none if it is not kept (any more).
    pub async fn kept_revision(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ControllerRevision>, Error> {
        let api: Api<ControllerRevision> = Api::namespaced(self.client.clone(), namespace);
        match self.call(Access::Read, api.get(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::NotFound { .. } | Error::NoCrd) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
