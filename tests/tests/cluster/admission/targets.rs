//! What a change of a target's template is told and given.

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, BOB, LIMIT};
use canary_tests::server::{ACCOUNT, NAMESPACE};
use serde_json::json;

use super::{BY, REVISION, at_rest, set_image, sidecar, stamps};

#[tokio::test]
async fn a_new_image_is_stamped_with_who_set_it_and_with_the_revision_that_is_stored() -> Result<()>
{
    let test = at_rest("stamped").await?;
    let output = set_image(&test, ALICE, "6.0.1").await?;
    assert_eq!(
        output.stderr.trim(),
        format!(
            "Warning: podinfo 6.0.0 → 6.0.1 starts as a canary release; \
             follow it: kubectl canary status podinfo -n {} --watch",
            test.name
        )
    );
    let stamps = stamps(&test).await?;
    assert!(stamps.name(ALICE), "{stamps:?}");
    Ok(())
}

#[tokio::test]
async fn a_dry_run_warns_and_stores_nothing() -> Result<()> {
    let test = at_rest("dry-run").await?;
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let set = ["set", "image", "deployment/podinfo", image];
    let dry_run = [set.as_slice(), &["--dry-run=server"]].concat();
    let output = test.kubectl(ALICE, &dry_run).await?;
    let warning = "starts as a canary release";
    assert!(output.stderr.contains(warning), "{output:?}");
    let stamps = stamps(&test).await?;
    assert_eq!((stamps.by, stamps.revision), (None, None));
    Ok(())
}

#[tokio::test]
async fn who_undoes_a_change_is_who_triggered_what_follows() -> Result<()> {
    let test = at_rest("undone").await?;
    set_image(&test, ALICE, "6.0.1").await?;
    set_image(&test, ALICE, "6.0.2").await?;
    let before = stamps(&test).await?;
    // The ReplicaSet remembers alice's stamps, and the undo brings them back.
    eventually("a ReplicaSet of each revision", LIMIT, async || {
        let sets = test.list("replicasets").await?;
        let of_target =
            |set: &&serde_json::Value| set["metadata"]["ownerReferences"][0]["name"] == "podinfo";
        Ok((sets.iter().filter(of_target).count() >= 3).then_some(()))
    })
    .await?;
    let undo = ["rollout", "undo", "deployment/podinfo"];
    test.kubectl(BOB, &undo).await?.ok()?;
    let after = stamps(&test).await?;
    assert_ne!(after.stored, before.stored);
    assert!(after.name(BOB), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn forged_stamps_become_true_ones() -> Result<()> {
    let test = at_rest("forged").await?;
    let patch = json!({
        "metadata": {"annotations": {BY: "bob", REVISION: "v1-000000000000"}},
        "spec": {"template": {"metadata": {"annotations": {"a": "b"}}}},
    });
    test.patch("deployments/podinfo", &patch).await?;
    let stamps = stamps(&test).await?;
    assert!(stamps.name(ALICE), "{stamps:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_change_of_the_template_is_not_reviewed() -> Result<()> {
    let test = at_rest("unchanged").await?;
    for args in [
        &["scale", "deployment/podinfo", "--replicas=1"][..],
        &["label", "deployment/podinfo", "a=b"],
        &["annotate", "deployment/podinfo", "a=b"],
    ] {
        let output = test.kubectl(ALICE, args).await?;
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(stamps(&test).await?.by, None);
    Ok(())
}

#[tokio::test]
async fn our_own_user_is_not_reviewed() -> Result<()> {
    let test = at_rest("own").await?;
    let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let output = set_image(&test, &user, "6.0.1").await?;
    assert_eq!(output.stderr, "");
    assert_eq!(stamps(&test).await?.by, None);
    Ok(())
}

#[tokio::test]
async fn the_stamp_is_of_what_is_stored_also_if_another_webhook_changes_it_after_ours() -> Result<()>
{
    let test = at_rest("sidecar").await?;
    sidecar::register(test.plane).await?;
    let label = json!({"metadata": {"labels": {sidecar::LABEL: "true"}}});
    test.patch("deployments/podinfo", &label).await?;
    set_image(&test, ALICE, "6.0.1").await?;
    let target = test.get("deployments/podinfo").await?;
    let containers = &target["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers[1]["image"], "stefanprodan/podinfo:6.0.1",
        "it came after ours"
    );
    let stamps = stamps(&test).await?;
    assert!(stamps.name(ALICE), "{stamps:?}");
    Ok(())
}
