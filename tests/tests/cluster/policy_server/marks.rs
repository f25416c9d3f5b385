//! Marks on the target that admission reads while the server is down.

use anyhow::Result;
use serde_json::{Value, json};

use super::policy;
use crate::setup::initialized;

const IMAGES: &str = "kubectl-canary.dev/promoted-images";
const LOCK: &str = "kubectl-canary.dev/locked-by";

#[tokio::test]
async fn the_promoted_images_are_noted_on_the_target() -> Result<()> {
    let test = initialized("images").await?;
    let noted = |version: &str| format!(r#"{{"podinfod":"stefanprodan/podinfo:{version}"}}"#);
    let of = |target: &Value| target["metadata"]["annotations"][IMAGES].clone();
    test.until("deployments/podinfo", |target| of(target) == noted("6.0.0"))
        .await?;
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        canary["status"]["canaryWeight"] == 20
    })
    .await?;
    assert_eq!(of(&test.get("deployments/podinfo").await?), noted("6.0.0"));
    test.phase("Succeeded").await?;
    test.until("deployments/podinfo", |target| of(target) == noted("6.0.1"))
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_target_is_locked_while_it_is_promoted_where_a_policy_asks_for_it() -> Result<()> {
    let test = initialized("lock").await?;
    let target = test.record("deployments/podinfo").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    policy(
        &test,
        "prod",
        json!({"protect": {"lockDuringPromotion": true}}),
    )
    .await?;
    let primary = test.record("deployments/podinfo-primary").await?;
    test.set_image("6.0.2").await?;
    let again =
        |it: &Value| it["status"]["release"]["number"] == 2 && it["status"]["phase"] == "Succeeded";
    let canary = test.until("canaries/podinfo", again).await?;
    let revision = canary["status"]["release"]["revision"].as_str().unwrap();
    let lock = format!("podinfo {revision}");
    test.until("deployments/podinfo", |target| {
        target["metadata"]["annotations"][LOCK].is_null()
    })
    .await?;
    let locks: Vec<(u64, String)> = target
        .versions()
        .iter()
        .filter_map(|(_, version)| {
            let lock = version["metadata"]["annotations"][LOCK].as_str()?;
            let at = version["metadata"]["resourceVersion"]
                .as_str()?
                .parse()
                .ok()?;
            Some((at, lock.to_owned()))
        })
        .collect();
    assert!(
        !locks.is_empty() && locks.iter().all(|(_, found)| *found == lock),
        "{locks:?}"
    );
    let promoted = primary.versions().into_iter().find(|(_, version)| {
        version["metadata"]["annotations"]["kubectl-canary.dev/revision"] == revision
    });
    let promoted: u64 = promoted.unwrap().1["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()?;
    assert!(locks[0].0 < promoted, "locked after the promotion began");
    Ok(())
}
