//! What a change of a target's template is told and given.

use std::time::Duration;

use canary_tests::clock::eventually;
use serde_json::json;

use super::sidecar::LABEL;
use super::{BY, Namespace, REVISION, SERVER};

#[tokio::test]
async fn a_new_image_is_stamped_with_who_set_it_and_with_the_revision_that_is_stored() {
    let namespace = Namespace::new().await;
    let output = namespace.set_image("alice", "6.0.1").await;
    assert_eq!(
        output.stderr.trim(),
        format!(
            "Warning: podinfo 6.0.0 → 6.0.1 starts as a canary release; \
             follow it: kubectl canary status podinfo -n {} --watch",
            namespace.name
        )
    );
    let (by, revision, stored) = namespace.stamps().await;
    assert_eq!(by.as_deref(), Some("alice"));
    assert_eq!(revision, Some(stored));
}

#[tokio::test]
async fn a_dry_run_warns_and_stores_nothing() {
    let namespace = Namespace::new().await;
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let args = [
        "set",
        "image",
        "deployment/podinfo",
        image,
        "--dry-run=server",
    ];
    let output = namespace.kubectl("alice", &args, "").await;
    assert!(
        output.stderr.contains("starts as a canary release"),
        "{output:?}"
    );
    let (by, revision, _) = namespace.stamps().await;
    assert_eq!((by, revision), (None, None));
}

#[tokio::test]
async fn who_undoes_a_change_is_who_triggered_what_follows() {
    let namespace = Namespace::new().await;
    namespace.set_image("alice", "6.0.1").await;
    namespace.set_image("alice", "6.0.2").await;
    let before = namespace.stamps().await.2;
    // The ReplicaSet remembers alice's stamps, and the undo brings them back.
    eventually(
        "a ReplicaSet of each revision",
        Duration::from_secs(20),
        async || {
            let sets = namespace
                .ok(&["get", "replicasets", "-o", "name"], "")
                .await;
            Ok((sets.lines().count() >= 3).then_some(()))
        },
    )
    .await
    .unwrap();
    let undo = namespace
        .kubectl("bob", &["rollout", "undo", "deployment/podinfo"], "")
        .await;
    assert_eq!(undo.code, Some(0), "{undo:?}");
    let (by, revision, stored) = namespace.stamps().await;
    assert_ne!(stored, before);
    assert_eq!((by.as_deref(), revision), (Some("bob"), Some(stored)));
}

#[tokio::test]
async fn forged_stamps_become_true_ones() {
    let namespace = Namespace::new().await;
    let patch = json!({
        "metadata": {"annotations": {BY: "bob", REVISION: "v1-000000000000"}},
        "spec": {"template": {"metadata": {"annotations": {"a": "b"}}}},
    })
    .to_string();
    let args = [
        "patch",
        "deployment",
        "podinfo",
        "--type=merge",
        "-p",
        &patch,
    ];
    assert_eq!(namespace.kubectl("alice", &args, "").await.code, Some(0));
    let (by, revision, stored) = namespace.stamps().await;
    assert_eq!((by.as_deref(), revision), (Some("alice"), Some(stored)));
}

#[tokio::test]
async fn what_is_no_change_of_the_template_is_not_reviewed() {
    let namespace = Namespace::new().await;
    for args in [
        &["scale", "deployment/podinfo", "--replicas=1"][..],
        &["label", "deployment/podinfo", "a=b"],
        &["annotate", "deployment/podinfo", "a=b"],
    ] {
        let output = namespace.kubectl("alice", args, "").await;
        assert_eq!((output.code, output.stderr.as_str()), (Some(0), ""));
    }
    assert_eq!(namespace.stamps().await.0, None);
}

#[tokio::test]
async fn our_own_user_is_not_reviewed() {
    let namespace = Namespace::new().await;
    let user = format!("system:serviceaccount:{}:{}", SERVER.0, SERVER.1);
    let output = namespace.set_image(&user, "6.0.1").await;
    assert_eq!(output.stderr, "");
    assert_eq!(namespace.stamps().await.0, None);
}

#[tokio::test]
async fn the_stamp_is_of_what_is_stored_also_if_another_webhook_changes_it_after_ours() {
    let namespace = Namespace::new().await;
    namespace
        .ok(
            &["label", "deployment/podinfo", &format!("{LABEL}=true")],
            "",
        )
        .await;
    namespace.set_image("alice", "6.0.1").await;
    let target = namespace.read("deployment").await;
    let containers = &target["spec"]["template"]["spec"]["containers"];
    assert_eq!(
        containers[1]["image"], "stefanprodan/podinfo:6.0.1",
        "it came after ours"
    );
    let (by, revision, stored) = namespace.stamps().await;
    assert_eq!((by.as_deref(), revision), (Some("alice"), Some(stored)));
}
