//! The webhook over TLS, called by a real API server as the manifests register it: our program as it
//! runs beside a cluster.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "admission/canaries.rs"]
mod canaries;
#[path = "admission/contract.rs"]
mod contract;
#[path = "admission/corpus.rs"]
mod corpus;
#[path = "admission/registration.rs"]
mod registration;
#[path = "admission/rights.rs"]
mod rights;
#[path = "admission/sidecar.rs"]
mod sidecar;
#[path = "admission/targets.rs"]
mod targets;

use anyhow::Result;
use canary_core::revision::revision;
use canary_tests::cluster::{ALICE, BOB, Namespace};
use canary_tests::process::Output;

use crate::setup::initialized;

const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";
const BY: &str = "kubectl-canary.dev/triggered-by";
const REVISION: &str = "kubectl-canary.dev/triggered-revision";

/// What admission writes on a target, and what it should say.
#[derive(Debug, PartialEq, Eq)]
struct Stamps {
    by: Option<String>,
    revision: Option<String>,
    /// Of the template as it is stored.
    stored: String,
}

/// A Canary at rest, which alice and bob both may edit and operate.
async fn at_rest(name: &str) -> Result<Namespace<'static>> {
    let test = initialized(name).await?;
    test.bind(ALICE, "canary-operator").await?;
    test.bind(BOB, "edit").await?;
    Ok(test)
}

/// A new image, as that user sets it.
async fn set_image(test: &Namespace<'_>, user: &str, tag: &str) -> Result<Output> {
    let image = format!("podinfod=stefanprodan/podinfo:{tag}");
    let set = ["set", "image", "deployment/podinfo", &image];
    let output = test.kubectl(user, &set).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    Ok(output)
}

async fn stamps(test: &Namespace<'_>) -> Result<Stamps> {
    let target = test.get("deployments/podinfo").await?;
    let stamp = |key: &str| {
        let value = &target["metadata"]["annotations"][key];
        value.as_str().map(str::to_owned)
    };
    Ok(Stamps {
        by: stamp(BY),
        revision: stamp(REVISION),
        stored: revision(&target["spec"]["template"]),
    })
}

impl Stamps {
    /// Whether they say that `user` made the template that is stored.
    fn name(&self, user: &str) -> bool {
        self.by.as_deref() == Some(user) && self.revision.as_ref() == Some(&self.stored)
    }
}
