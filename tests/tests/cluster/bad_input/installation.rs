//! What an administrator may have installed, or may have forgotten.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{Cluster, LIMIT, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use super::told;

/// The fields of `status` that Flagger's definition has. Of what is not named the API server keeps nothing.
const FLAGGERS: [&str; 12] = [
    "phase",
    "failedChecks",
    "canaryWeight",
    "iterations",
    "trackedConfigs",
    "lastAppliedSpec",
    "lastPromotedSpec",
    "lastTransitionTime",
    "conditions",
    "previousSessionAffinityCookie",
    "sessionAffinityCookie",
    "primarySessionAffinityCookie",
];

/// Our definitions with no more in `status` than Flagger's have.
fn flaggers_definitions() -> Result<String> {
    use serde::Deserialize as _;
    let text = std::fs::read_to_string(folder("manifests/crds.yaml"))?;
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let mut definition = Value::deserialize(document)?;
        if definition["metadata"]["name"] == "canaries.flagger.app" {
            let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties";
            let fields = definition
                .pointer_mut(status)
                .and_then(Value::as_object_mut);
            fields
                .unwrap()
                .retain(|name, _| FLAGGERS.contains(&name.as_str()));
        }
        all.push(definition.to_string());
    }
    Ok(all.join("\n---\n"))
}

#[tokio::test]
async fn with_flaggers_own_definition_nothing_is_done_but_to_say_so() -> Result<()> {
    let plane = ControlPlane::start().await?;
    plane.apply(&flaggers_definitions()?).await?;
    install(&plane).await?;
    let mut server = Server::beside(&plane, &[])?;
    server.logged("leading", LIMIT).await?;
    let cluster = Cluster { server, plane };
    let test = cluster.namespace("definition").await?;
    test.create_all().await?;

    told(
        &test,
        "is not ours and drops status fields: apply manifests/crds.yaml",
    )
    .await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );
    assert!(test.find("deployments/podinfo-primary").await?.is_none());

    cluster.plane.apply_file("manifests/crds.yaml").await?;
    test.phase("Initialized").await?;
    Ok(())
}

#[tokio::test]
async fn a_write_that_the_roles_forbid_is_said_by_verb_and_resource() -> Result<()> {
    let cluster = Cluster::start(&[]).await?;
    let client = cluster.plane.client().await?;
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/canary-webhook-workloads";
    let mut role: Value = client
        .request(http::Request::get(path).body(Vec::new())?)
        .await?;
    let whole = role.clone();
    for rule in role["rules"].as_array_mut().unwrap() {
        if rule["resources"] == json!(["services"]) {
            rule["verbs"] = json!(["get", "list", "watch"]);
        }
    }
    let put = |role: &Value| {
        let mut role = role.clone();
        role["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("resourceVersion");
        http::Request::put(path).body(serde_json::to_vec(&role).unwrap())
    };
    client.request::<Value>(put(&role)?).await?;
    let test = cluster.namespace("forbidden").await?;
    test.create_all().await?;

    told(&test, "not allowed to create services").await?;
    assert_eq!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        1
    );

    client.request::<Value>(put(&whole)?).await?;
    test.phase("Initialized").await?;
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_no_admission_review_is_a_bad_request() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let url = cluster.server.admission_url();
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .build()?;
    for body in [
        "",
        "no JSON",
        "{}",
        r#"{"kind":"Pod"}"#,
        r#"{"request":{"uid":7}}"#,
    ] {
        for path in ["mutate", "validate"] {
            let request = client.post(format!("{url}/{path}")).body(body);
            let answer = request
                .header("content-type", "application/json")
                .send()
                .await?;
            assert_eq!(answer.status(), 400, "{path} {body:?}");
        }
    }
    let panicked = cluster.server.log().into_iter().find(|line| {
        line["msg"]
            .as_str()
            .is_some_and(|text| text.contains("panicked"))
    });
    assert_eq!(panicked, None);
    eventually("an answer to what is well-formed", LIMIT, async || {
        canary_tests::cluster::asked(&cluster.plane).await.map(Some)
    })
    .await
}
