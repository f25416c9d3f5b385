//! What the plugin says when it cannot do what it is asked for.

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB};
use canary_tests::control_plane::{ControlPlane, free_port};
use canary_tests::plugin::plugin;
use canary_tests::process::Output;
use serde_json::json;

use crate::setup::{initialized, initialized_with};

#[track_caller]
fn fails(output: &Output, code: i32, sentence: &str) {
    assert_eq!(output.code, Some(code), "{output:?}");
    assert!(output.stderr.starts_with("error: "), "{output:?}");
    assert!(output.stderr.contains(sentence), "{output:?}");
    assert!(output.stderr.contains("\nhint: "), "{output:?}");
}

#[tokio::test]
async fn without_a_cluster_it_says_which_address_does_not_answer() -> Result<()> {
    let nobody = format!("https://127.0.0.1:{}", free_port()?);
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("none");
    let output = plugin(&kubeconfig, &["status", "--server", &nobody]).await?;
    fails(
        &output,
        1,
        "cannot reach the Kubernetes API at https://127.0.0.1:",
    );
    let output = plugin(&kubeconfig, &["status"]).await?;
    fails(&output, 1, "no cluster is configured");
    Ok(())
}

#[tokio::test]
async fn without_the_definition_it_says_what_to_install() -> Result<()> {
    let plane = ControlPlane::options()
        .simulated_nodes(0)
        .without_crds()
        .start()
        .await?;
    let output = plugin(plane.admin_kubeconfig(), &["status"]).await?;
    fails(
        &output,
        1,
        "the Canary CRD is not installed in this cluster",
    );
    let output = plugin(plane.admin_kubeconfig(), &["promote", "podinfo"]).await?;
    fails(
        &output,
        1,
        "the Canary CRD is not installed in this cluster",
    );
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_not_there_is_answered_with_those_like_it() -> Result<()> {
    let test = initialized("typo").await?;
    let output = test.plugin(ALICE, &["status", "podinf"]).await?;
    fails(
        &output,
        4,
        &format!("canary {}/podinf not found", test.name),
    );
    assert!(
        output.stderr.contains("did you mean podinfo?"),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_release_there_is_nothing_to_promote() -> Result<()> {
    let test = initialized("nothing").await?;
    let output = test.plugin(BOB, &["promote", "podinfo"]).await?;
    let sentence = format!(
        "nothing to promote: podinfo.{} is at rest, no release is in progress",
        test.name
    );
    fails(&output, 1, &sentence);
    let metadata = test.get("canaries/podinfo").await?["metadata"].clone();
    assert!(
        metadata["annotations"].is_null(),
        "nothing was asked: {metadata}"
    );
    Ok(())
}

#[tokio::test]
async fn a_person_without_the_verb_changes_nothing() -> Result<()> {
    let test = initialized_with("no-verb", |canary| {
        canary["spec"]["analysis"]["interval"] = json!("3s");
    })
    .await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    for verb in [
        &["promote", "podinfo"][..],
        &["rollback", "podinfo"],
        &["promote", "--full", "podinfo"],
    ] {
        let output = test.plugin(ALICE, verb).await?;
        fails(&output, 5, verb[0]);
        let canary = test.get("canaries/podinfo").await?;
        assert!(
            canary["metadata"]["annotations"]["kubectl-canary.dev/request"].is_null(),
            "{canary}"
        );
    }
    let canary = test.phase("Succeeded").await?;
    assert!(canary["status"]["lastRequest"].is_null(), "{canary}");
    Ok(())
}
