//! What is written on Canaries, and what is refused.

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB};
use serde_json::json;

use super::{REQUESTED_BY, at_rest};

#[tokio::test]
async fn a_request_bears_the_name_of_whoever_made_it() -> Result<()> {
    let test = at_rest("signed").await?;
    let canary = test.get("canaries/podinfo").await?;
    let uid = canary["metadata"]["uid"].as_str().unwrap();
    let named = async || {
        let canary = test.get("canaries/podinfo").await?;
        anyhow::Ok(canary["metadata"]["annotations"][REQUESTED_BY].clone())
    };
    for (user, id, forged) in [(BOB, "1", None), (ALICE, "2", Some(BOB))] {
        let request = format!("kubectl-canary.dev/request=pause v1-0123456789ab {uid} {id}");
        let by = forged.map(|name| format!("{REQUESTED_BY}={name}"));
        let mut args = vec!["annotate", "--overwrite", "canary/podinfo", &request];
        args.extend(by.as_deref());
        test.kubectl(user, &args).await?.ok()?;
        assert_eq!(named().await?, user);
    }
    // A later edit by somebody else leaves it as it is.
    let without = format!("{REQUESTED_BY}-");
    let edit = ["annotate", "canary/podinfo", "a=b", &without];
    test.kubectl(BOB, &edit).await?.ok()?;
    assert_eq!(named().await?, ALICE);
    Ok(())
}

#[tokio::test]
async fn kubectl_prints_field_by_field_why_a_canary_cannot_be_run() -> Result<()> {
    let test = at_rest("fields").await?;
    let mut bad = test.canary();
    bad["metadata"]["name"] = json!("other");
    bad["spec"]["provider"] = json!("istio");
    let create = ["create", "-f", "-"];
    let output = test.kubectl_with(ALICE, &create, &bad.to_string()).await?;
    assert_eq!(output.code, Some(1), "{output:?}");
    for line in [
        "The Canary \"other\" is invalid:",
        "* spec.provider: ",
        "* spec.targetRef.name: ",
    ] {
        assert!(output.stderr.contains(line), "{line}: {output:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_canary_for_one_target_is_refused() -> Result<()> {
    let test = at_rest("second").await?;
    let mut second = test.canary();
    second["metadata"]["name"] = json!("second");
    let create = ["create", "-f", "-"];
    let output = test
        .kubectl_with(ALICE, &create, &second.to_string())
        .await?;
    assert_eq!(output.code, Some(1), "{output:?}");
    let why = "Deployment podinfo already has Canary podinfo";
    assert!(output.stderr.contains(why), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn deleting_a_canary_warns_and_is_not_held_up() -> Result<()> {
    let test = at_rest("deleted").await?;
    let output = test.kubectl(ALICE, &["delete", "canary/podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let warning = "deployment/podinfo-primary, which serves, is deleted with Canary podinfo";
    assert!(output.stderr.contains(warning), "{output:?}");
    Ok(())
}
