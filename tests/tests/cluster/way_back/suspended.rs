//! `spec.suspend` in mid-release.

use anyhow::Result;
use canary_tests::cluster::{BOB, Namespace};
use serde_json::json;

use super::{at_first_step, bob_rolls_back, failed, told, unchecked};

async fn suspended(name: &str) -> Result<Namespace<'static>> {
    let test = at_first_step(&unchecked().await?.plane, name).await?;
    let suspend = json!({"spec": {"suspend": true}});
    test.patch("canaries/podinfo", &suspend).await?;
    test.condition("Ready", "False", "Suspended").await?;
    Ok(test)
}

#[tokio::test]
async fn a_person_rolls_a_suspended_release_back_and_takes_it_no_further() -> Result<()> {
    let test = suspended("suspended-bob").await?;
    let output = test.plugin(BOB, &["pause", "podinfo"]).await?;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stderr.contains("is suspended"), "{output:?}");
    assert_eq!(test.weights().await?, (80, 20));
    bob_rolls_back(&test).await?;
    test.until("deployments/podinfo", |target| {
        target["spec"]["replicas"] == 0
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn people_are_not_left_on_a_suspended_canary_that_lost_its_pods() -> Result<()> {
    let test = suspended("suspended-lost").await?;
    let none = json!({"spec": {"replicas": 0}});
    test.patch("deployments/podinfo", &none).await?;
    // Its Service, or its Deployment, is the first to say so.
    test.event("no ready pod").await?;
    assert_eq!(test.weights().await?, (100, 0));
    assert_eq!(told(&test, "no ready pod").await?, 1);
    assert_eq!(
        test.get("canaries/podinfo").await?["status"]["phase"],
        "Progressing"
    );
    Ok(())
}

#[tokio::test]
async fn a_suspended_release_ends_when_its_target_is_deleted() -> Result<()> {
    let test = suspended("suspended-gone").await?;
    test.delete("deployments/podinfo").await?;
    failed(&test).await
}
