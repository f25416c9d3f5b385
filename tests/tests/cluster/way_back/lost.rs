//! What the server wrote and somebody took away in mid-release: owners, the status, kept templates, the primary's
//! pods, the Canary itself.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace, deployment};
use serde_json::{Value, json};

use super::{
    at_first_step, at_rest, bob_rolls_back, failed, promoting, release_to_first_step, success_rate,
    unchecked,
};
use crate::setup::image;

#[tokio::test]
async fn objects_whose_owners_somebody_took_off_are_owned_again_and_the_way_back_is_open()
-> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-owners").await?;
    let none = json!({"metadata": {"ownerReferences": null}});
    let generated = [
        "apisixroutes/podinfo-podinfo-canary",
        "services/podinfo-canary",
        "services/podinfo-primary",
        "deployments/podinfo-primary",
    ];
    for object in generated {
        test.patch(object, &none).await?;
    }
    bob_rolls_back(&test).await?;
    for object in generated {
        test.until(object, |it| {
            it["metadata"]["ownerReferences"][0]["kind"] == "Canary"
        })
        .await?;
    }
    Ok(())
}

/// Writes all of the status, as a tool that restores objects does.
async fn lose_the_status(test: &Namespace<'_>) -> Result<()> {
    let name = ["patch", "canary", "podinfo", "--subresource=status"];
    let patch = ["--type=merge", "-p", r#"{"status": null}"#];
    let command = [&name[..], &patch].concat();
    test.kubectl_as_admin(&command, "").await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn a_status_that_is_lost_promotes_nothing_that_was_not_analysed() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-status-left").await?;
    let primary = test.record("deployments/podinfo-primary").await?;
    lose_the_status(&test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Progressing" && canary["status"]["canaryWeight"] == 20
    })
    .await?;
    let images: Vec<String> = primary
        .versions()
        .iter()
        .map(|(_, it)| image(it).to_owned())
        .collect();
    assert!(images.iter().all(|it| it.ends_with("6.0.0")), "{images:?}");
    bob_rolls_back(&test).await
}

#[tokio::test]
async fn a_canary_that_somebody_holds_while_it_is_deleted_sends_nobody_to_a_bad_version()
-> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "held").await?;
    let hold = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    test.patch("canaries/podinfo", &hold(json!(["example.com/hold"])))
        .await?;
    let delete = ["delete", "canary", "podinfo", "--wait=false"];
    test.kubectl(ALICE, &delete).await?.ok()?;
    let message = test.condition("Ready", "False", "Deleting").await?;
    assert!(message.contains("example.com/hold"), "{message}");
    assert_eq!(test.weights().await?, (80, 20));
    let threshold = json!({"spec": {"analysis": {"threshold": 1}}});
    test.patch("canaries/podinfo", &threshold).await?;
    failed(&test).await?;
    test.patch("canaries/podinfo", &hold(Value::Null)).await?;
    test.gone("canaries/podinfo").await
}

#[tokio::test]
async fn a_person_rolls_back_a_release_of_a_canary_that_others_keep_from_being_deleted()
-> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "held-and-back").await?;
    let hold = |finalizers: Value| json!({"metadata": {"finalizers": finalizers}});
    test.patch("canaries/podinfo", &hold(json!(["example.com/hold"])))
        .await?;
    let delete = ["delete", "canary", "podinfo", "--wait=false"];
    test.kubectl(ALICE, &delete).await?.ok()?;
    test.condition("Ready", "False", "Deleting").await?;
    let promoted = test.plugin(ALICE, &["promote", "podinfo"]).await?;
    assert_eq!(promoted.code, Some(1), "{promoted:?}");
    assert!(
        promoted.stderr.contains("Its release goes no further"),
        "{promoted:?}"
    );
    bob_rolls_back(&test).await?;
    test.patch("canaries/podinfo", &hold(Value::Null)).await?;
    test.gone("canaries/podinfo").await
}

#[tokio::test]
async fn nobody_is_sent_to_a_primary_that_its_service_does_not_find() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "unfound").await?;
    let mut other = deployment();
    other["metadata"]["name"] = json!("podinfo-primary");
    other["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    super::taken(&test, "deployments/podinfo-primary", &other).await?;
    eventually("the other's pods", LIMIT, async || {
        let live = test.get("deployments/podinfo-primary").await?;
        Ok((live["status"]["readyReplicas"] == other["spec"]["replicas"]).then_some(()))
    })
    .await?;
    success_rate(&test, 0.0);
    let threshold = json!({"spec": {"analysis": {"threshold": 1}}});
    test.patch("canaries/podinfo", &threshold).await?;
    test.until("canaries/podinfo", |canary| {
        let decided = canary["status"]["release"]["message"].as_str();
        decided.is_some_and(|why| why.contains("threshold reached"))
    })
    .await?;
    assert_ne!(test.weights().await?, (100, 0));
    assert_ne!(
        test.get("deployments/podinfo").await?["spec"]["replicas"],
        0
    );
    Ok(())
}

#[tokio::test]
async fn a_kept_template_that_is_lost_is_taken_from_the_target() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "no-records").await?;
    let delete = ["delete", "controllerrevisions", "--all"];
    test.kubectl_as_admin(&delete, "").await?.ok()?;
    success_rate(&test, 100.0);
    test.phase("Succeeded").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert!(image(&primary).ends_with("6.0.1"), "{primary:#}");
    Ok(())
}

const FIX: &str = "stefanprodan/podinfo:6.0.2";

#[tokio::test]
async fn a_promotion_that_cannot_be_put_back_for_want_of_its_template_lets_the_fix_be_released()
-> Result<()> {
    let test = promoting(&unchecked().await?.plane, "no-template", |_| ()).await?;
    let delete = ["delete", "controllerrevisions", "--all"];
    test.kubectl_as_admin(&delete, "").await?.ok()?;
    let mut pod = deployment()["spec"]["template"]["spec"].clone();
    pod["containers"][0]["image"] = json!(FIX);
    let fix = json!({"spec": {"template": {"spec": pod}}});
    test.patch("deployments/podinfo", &fix).await?;
    test.event("changed while being promoted").await?;
    // It waits for the primary to be put back, or for what comes instead.
    let rollback = test.plugin(BOB, &["rollback", "podinfo"]);
    let meanwhile = async {
        let message = test.condition("Ready", "False", "Rejected").await?;
        let helps = "or to what is to be released instead";
        assert!(message.contains(helps), "{message}");
        assert_eq!(test.weights().await?, (100, 0));
        let deadline = json!({"spec": {"progressDeadlineSeconds": 5}});
        test.patch("canaries/podinfo", &deadline).await?;
        test.until("canaries/podinfo", |canary| {
            let release = &canary["status"]["release"];
            release["number"] == 2 && release["images"][0]["to"] == FIX
        })
        .await
    };
    let (rolled_back, started) = tokio::join!(rollback, meanwhile);
    rolled_back?;
    started?;
    Ok(())
}

#[tokio::test]
async fn a_deletion_in_the_foreground_leaves_a_service_that_leads_to_the_target() -> Result<()> {
    let revert = |canary: &mut Value| canary["spec"]["revertOnDeletion"] = json!(true);
    let test = at_rest(&unchecked().await?.plane, "foreground", revert).await?;
    release_to_first_step(&test).await?;
    bob_rolls_back(&test).await?;
    failed(&test).await?;
    let delete = [
        "delete",
        "canary",
        "podinfo",
        "--cascade=foreground",
        "--timeout=60s",
    ];
    test.kubectl(ALICE, &delete).await?.ok()?;
    let service = test.until("services/podinfo", |_| true).await?;
    assert_eq!(service["spec"]["selector"], json!({"app": "podinfo"}));
    assert!(
        service["metadata"]["ownerReferences"].is_null(),
        "{service:#}"
    );
    assert!(service["metadata"]["labels"]["kubectl-canary.dev/generated"].is_null());
    test.until("deployments/podinfo", |target| {
        target["status"]["readyReplicas"].as_i64() > Some(0)
    })
    .await?;
    Ok(())
}
