//! Installs `CustomResourceDefinitions` and waits until they are served.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde::Deserialize;

use crate::tools::folder;

/// The resources that the scenario uses of APISIX.
const APISIX: [&str; 1] = ["ApisixRoute.yaml"];

/// Ours (`manifests/crds.yaml`) and APISIX's.
pub(crate) async fn install(client: &kube::Client, apisix: &Path) -> Result<()> {
    let mut texts = vec![read(&folder("manifests/crds.yaml"))?];
    for file in APISIX {
        texts.push(read(&apisix.join(file))?);
    }
    let mut definitions = Vec::new();
    for text in &texts {
        definitions.extend(documents(text)?);
    }
    try_join_all(
        definitions
            .into_iter()
            .map(|definition| establish(client, definition)),
    )
    .await?;
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The objects of a YAML text with several documents.
pub fn documents(text: &str) -> Result<Vec<DynamicObject>> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Ok(Option::<DynamicObject>::deserialize(document)?))
        .filter_map(Result::transpose)
        .collect()
}

async fn establish(client: &kube::Client, definition: DynamicObject) -> Result<()> {
    let name = definition.name_any();
    // Raw: a typed definition would lose the fields that k8s-openapi does not know.
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let raw: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    raw.create(&PostParams::default(), &definition)
        .await
        .with_context(|| format!("cannot create CRD {name}"))?;
    let typed: Api<CustomResourceDefinition> = Api::all(client.clone());
    let established = await_condition(typed, &name, is_crd_established());
    tokio::time::timeout(Duration::from_secs(20), established)
        .await
        .with_context(|| format!("CRD {name} is not established"))??;
    Ok(())
}
