//! What else looks at the pods of an application that Flagger released.

use super::*;

#[tokio::test]
async fn a_service_that_flagger_left_without_pods_is_told_of_and_holds_no_takeover() -> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger(&plane, "initialized").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo-grpc"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 9999}]},
    });
    left.test.create(&service).await?;
    let _server = start(&plane).await?;
    left.taken_over().await?;
    let why = left
        .test
        .condition("OtherServices", "True", "WithoutPods")
        .await?;
    assert!(why.contains("podinfo-grpc"), "{why}");
    assert_eq!(left.canary.phases(), ["Initialized"]);
    assert_eq!(left.templates(), [1, 1]);
    Ok(())
}

#[tokio::test]
async fn a_release_that_flagger_began_goes_on_beside_a_service_that_leads_to_its_canary()
-> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger(&plane, "progressing").await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "podinfo-grpc"},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 9999}]},
    });
    left.test.create(&service).await?;
    let _server = start(&plane).await?;
    left.test.phase("Succeeded").await?;
    let held = |canary: &Value| {
        canary["status"]["conditions"]
            .to_string()
            .contains("adoption waits")
    };
    assert!(!held(&left.test.get("canaries/podinfo").await?));
    Ok(())
}
