//! A Canary whose release went back is deleted and created anew: its target still has the bad template.

use std::time::Instant;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace};
use serde_json::{Value, json};

use super::{PATIENT, at_first_step, bob_rolls_back, condition, success_rate, unchecked};
use crate::setup::image;

const FAILED: &str = "kubectl-canary.dev/failed";
const GOOD: &str = "stefanprodan/podinfo:6.0.0";
const BAD: &str = "stefanprodan/podinfo:6.0.1";

/// 6.0.0 serves, 6.0.1 is in the target and went back.
async fn went_back(name: &str) -> Result<Namespace<'static>> {
    let test = at_first_step(&unchecked().await?.plane, name).await?;
    bob_rolls_back(&test).await?;
    test.until("deployments/podinfo", |target| {
        let note = target["metadata"]["annotations"][FAILED].as_str();
        note.is_some_and(|note| note.starts_with("1 v")) && target["spec"]["replicas"] == 0
    })
    .await?;
    success_rate(&test, 50.0);
    Ok(test)
}

/// Creates it once the old one is gone, which may take the collector a moment.
async fn create_anew(test: &Namespace<'_>) -> Result<()> {
    let mut canary = test.canary();
    canary["spec"]["analysis"]["threshold"] = json!(PATIENT);
    test.create(&canary).await?;
    Ok(())
}

#[tokio::test]
async fn a_template_that_went_back_and_is_all_that_is_left_is_told_with_the_command_that_helps()
-> Result<()> {
    let test = went_back("anew-alone").await?;
    test.delete("canaries/podinfo").await?;
    test.gone("deployments/podinfo-primary").await?;
    create_anew(&test).await?;
    let canary = test.phase("Initialized").await?;
    let message = condition(&canary, "BaselineFailed").unwrap_or_default();
    assert!(message.contains("release 1 went back from"), "{canary:#}");
    let command = format!(
        "kubectl set image deployment/podinfo podinfod={GOOD} -n {}",
        test.name
    );
    assert!(message.ends_with(&command), "{message}");
    test.event(&command).await?;
    let shown = test.plugin(ALICE, &["status", "podinfo"]).await?.ok()?;
    assert!(shown.contains("BaselineFailed"), "{shown}");

    // What the message says helps.
    success_rate(&test, 100.0);
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    test.kubectl(ALICE, &words).await?.ok()?;
    let canary = test.phase("Succeeded").await?;
    assert_eq!(condition(&canary, "BaselineFailed"), None);
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), GOOD);
    Ok(())
}

/// The primary as it was goes on to serve, and what the target has is a release to be analysed.
async fn is_analysed(test: &Namespace<'_>, primary: &[(Instant, Value)]) -> Result<()> {
    for (_, version) in primary {
        assert_eq!(image(version), GOOD);
    }
    assert_eq!(test.weights().await?, (80, 20));
    let canary = test.get("canaries/podinfo").await?;
    for type_ in ["BaselineFailed", "Rerouted"] {
        assert_eq!(condition(&canary, type_), None, "{canary:#}");
    }
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(image(&target), BAD);
    let bob = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(bob.code, Some(0), "{bob:?}");
    Ok(())
}

/// A Canary is deleted, and all that it generated is left.
async fn leaves_all(test: &Namespace<'_>) -> Result<()> {
    let orphan = ["delete", "canary", "podinfo", "--cascade=orphan"];
    test.kubectl(ALICE, &orphan).await?.ok()?;
    eventually("nobody to own the primary", LIMIT, async || {
        let primary = test.get("deployments/podinfo-primary").await?;
        let owners = primary["metadata"]["ownerReferences"].as_array();
        Ok(owners.is_none_or(Vec::is_empty).then_some(()))
    })
    .await
}

const LEFT: [&str; 5] = [
    "deployments/podinfo-primary",
    "services/podinfo-primary",
    "services/podinfo-canary",
    "services/podinfo",
    "apisixroutes/podinfo-podinfo-canary",
];

/// A new Canary of the name has all of it, and analyses what the target has.
async fn goes_on_with_all(test: &Namespace<'_>) -> Result<()> {
    let primary = test.record("deployments/podinfo-primary").await?;
    let service = test.record("services/podinfo-primary").await?;
    create_anew(test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Progressing" && canary["status"]["canaryWeight"] == 20
    })
    .await?;
    is_analysed(test, &primary.versions()).await?;
    let uid = test.get("canaries/podinfo").await?["metadata"]["uid"].clone();
    for object in LEFT {
        let owners = test.get(object).await?["metadata"]["ownerReferences"].clone();
        assert_eq!(owners[0]["uid"], uid, "{object}: {owners:#}");
    }
    assert_eq!(service.removals().len(), 0, "nothing was made anew");
    Ok(())
}

#[tokio::test]
async fn a_primary_that_was_left_is_what_was_promoted_and_all_that_was_left_is_gone_on_with()
-> Result<()> {
    let test = went_back("anew-orphan").await?;
    leaves_all(&test).await?;
    goes_on_with_all(&test).await
}

#[tokio::test]
async fn so_it_is_where_it_was_handed_over() -> Result<()> {
    let test = went_back("anew-handed-over").await?;
    leaves_all(&test).await?;
    let adopt = json!({"metadata": {"annotations": {"kubectl-canary.dev/adopt": "true"}}});
    for object in LEFT {
        test.patch_as_admin(object, &adopt).await?;
    }
    goes_on_with_all(&test).await
}

/// In mid-release people are on the canary, which nobody promoted.
#[tokio::test]
async fn so_it_is_in_mid_release() -> Result<()> {
    let test = at_first_step(&unchecked().await?.plane, "anew-mid-release").await?;
    leaves_all(&test).await?;
    assert_eq!(test.weights().await?, (80, 20));
    let primary = test.record("deployments/podinfo-primary").await?;
    create_anew(&test).await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["phase"] == "Progressing" && canary["status"]["canaryWeight"] == 20
    })
    .await?;
    is_analysed(&test, &primary.versions()).await
}

#[tokio::test]
async fn a_canary_that_is_created_anew_at_once_serves_nothing_that_went_back_without_a_word()
-> Result<()> {
    let test = went_back("anew-at-once").await?;
    let old = test.get("canaries/podinfo").await?["metadata"]["uid"].clone();
    test.delete("canaries/podinfo").await?;
    create_anew(&test).await?;
    // Whoever is faster has the primary: the new Canary, or the garbage collector.
    let canary = test
        .until("canaries/podinfo", |canary| {
            let phase = canary["status"]["phase"].as_str();
            let adopted = matches!(phase, Some("Initialized" | "Progressing"));
            canary["metadata"]["uid"] != old && adopted
        })
        .await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    let told = condition(&canary, "BaselineFailed").is_some();
    assert_eq!(image(&primary) == BAD, told, "{canary:#} {primary:#}");
    Ok(())
}
