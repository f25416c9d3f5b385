//! What a diagnosis asks.

use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::ApiResource;
use serde_json::Value;

use super::{Access, Cluster};
use crate::exit::Error;

// === impl Cluster ===

impl Cluster {
    /// An object as JSON; `None` where it does not exist.
    pub async fn look(
        &self,
        namespace: Option<&str>,
        name: &str,
        resource: &ApiResource,
    ) -> Result<Option<Value>, Error> {
        let found = self.find(namespace, name, resource).await?;
        found.map(|object| json(&object)).transpose()
    }

    /// All objects of a kind as JSON; none where the API server does not know the kind.
    pub async fn look_at_all(
        &self,
        namespace: Option<&str>,
        resource: &ApiResource,
    ) -> Result<Option<Vec<Value>>, Error> {
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        match self.each(api, &ListParams::default()).await {
            Ok(list) => self
                .readable(&resource.kind, list)
                .iter()
                .map(json)
                .collect::<Result<_, _>>()
                .map(Some),
            Err(Error::NoCrd) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A path of the API server as text: what a Service answers behind its proxy.
    pub async fn text(&self, path: &str) -> Result<String, Error> {
        let request = http::Request::get(path)
            .body(Vec::new())
            .map_err(|error| Error::Api(error.to_string()))?;
        self.call(Access::Read, self.client.request_text(request))
            .await
    }
}

fn json(object: &DynamicObject) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|error| Error::Api(error.to_string()))
}
