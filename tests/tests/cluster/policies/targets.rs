//! Stamps and label of a target, and what must never be held up.

use std::time::Duration;

use canary_tests::clock::eventually;
use serde_json::{Value, json};

use super::{
    ALICE, BOB, BY, CAROL, MANAGED, Namespace, REVISION, SERVER, assert_allowed, assert_denied,
};

fn stamped(by: &str, revision: &str) -> Value {
    json!({BY: by, REVISION: revision})
}

fn image(tag: &str) -> Value {
    let image = format!("stefanprodan/podinfo:{tag}");
    json!({"template": {"spec": {"containers": [{"name": "podinfod", "image": image}]}}})
}

#[tokio::test]
async fn a_stamp_without_a_change_of_the_template_is_denied() {
    let namespace = Namespace::new().await;
    for stamp in [json!({BY: "alice"}), json!({REVISION: "v1-0123456789ab"})] {
        let answer = namespace
            .patch(
                ALICE,
                "deployment",
                json!({"metadata": {"annotations": stamp}}),
            )
            .await;
        assert_denied(
            &answer,
            "are set by admission when the pod template changes",
        );
    }
}

#[tokio::test]
async fn an_undo_works_while_admission_is_away_whoever_changed_the_template_before() {
    let namespace = Namespace::new().await;
    let stamps = json!({"metadata": {"annotations": stamped("alice", "v1-0123456789ab")}, "spec": image("6.0.1")});
    assert_allowed(&namespace.patch(ALICE, "deployment", stamps).await);
    assert_allowed(
        &namespace
            .patch(CAROL, "deployment", json!({"spec": image("6.0.2")}))
            .await,
    );
    let restored = json!({"metadata": {"annotations": stamped("alice", "v1-ba9876543210")}, "spec": image("6.0.1")});
    assert_allowed(&namespace.patch(CAROL, "deployment", restored).await);
}

#[tokio::test]
async fn a_target_changes_freely_in_all_else() {
    let namespace = Namespace::new().await;
    let stamps = json!({"metadata": {"annotations": stamped("alice", "v1-0123456789ab")}, "spec": image("6.0.1")});
    assert_allowed(&namespace.patch(ALICE, "deployment", stamps).await);
    for args in [
        &[
            "set",
            "image",
            "deployment/podinfo",
            "podinfod=stefanprodan/podinfo:6.0.2",
        ][..],
        &["rollout", "restart", "deployment/podinfo"],
        &["scale", "deployment/podinfo", "--replicas=2"],
        &["annotate", "deployment/podinfo", "a=b"],
        &["label", "deployment/podinfo", "a=b"],
        // Dropped by whoever replaces the manifest; it only makes the author unknown.
        &[
            "annotate",
            "deployment/podinfo",
            "kubectl-canary.dev/triggered-by-",
        ],
    ] {
        assert_allowed(&namespace.kubectl(CAROL, args).await);
    }
}

#[tokio::test]
async fn the_label_of_a_target_may_be_dropped_and_not_be_given_another_value() {
    let namespace = Namespace::new().await;
    let label = |value: Value| json!({"metadata": {"labels": {MANAGED: value}}});
    for user in [ALICE, CAROL] {
        for value in ["false", ""] {
            let answer = namespace
                .patch(user, "deployment", label(json!(value)))
                .await;
            assert_denied(&answer, "marks the target of a Canary: it is \"true\"");
        }
        assert_allowed(
            &namespace
                .patch(user, "deployment", label(json!(null)))
                .await,
        );
        assert_allowed(
            &namespace
                .patch(SERVER, "deployment", label(json!("true")))
                .await,
        );
    }
}

#[tokio::test]
async fn a_manifest_that_knows_nothing_of_us_replaces_a_target_while_the_server_is_away() {
    let namespace = Namespace::new().await;
    let noted = json!({"metadata": {"annotations": {
        "kubectl-canary.dev/promoted-images": "{}", BY: "bob", REVISION: "v1-0123456789ab",
    }}});
    assert_allowed(&namespace.patch(SERVER, "deployment", noted).await);
    let mut manifest = canary_tests::cluster::deployment();
    for tag in ["6.0.0", "6.0.1"] {
        let image = format!("stefanprodan/podinfo:{tag}");
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
        let (replace, input) = (["replace", "-f", "-"], manifest.to_string());
        let replaced = namespace.test.kubectl_with(ALICE, &replace, &input);
        assert_allowed(&replaced.await.unwrap());
    }
}

#[tokio::test]
async fn nothing_can_be_forged_by_way_of_a_dropped_label() {
    let namespace = Namespace::new().await;
    let drop = json!({"metadata": {"labels": {MANAGED: null}}});
    assert_allowed(&namespace.patch(ALICE, "deployment", drop).await);
    // Now it is like any other Deployment, and what it says is not believed.
    let note =
        json!({"metadata": {"annotations": {"kubectl-canary.dev/promoted-images": "forged"}}});
    assert_allowed(&namespace.patch(ALICE, "deployment", note).await);
    let back = json!({"metadata": {"labels": {MANAGED: "true"}}});
    let answer = namespace.patch(ALICE, "deployment", back).await;
    assert_denied(&answer, "promoted-images is set by the server");
}

#[tokio::test]
async fn a_namespace_with_a_canary_and_its_target_can_be_deleted() {
    let namespace = Namespace::new().await;
    assert_allowed(
        &namespace
            .request(BOB, &namespace.wish("pause", "1"), json!("bob"))
            .await,
    );
    let owner = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo",
        "uid": namespace.uid, "controller": true, "blockOwnerDeletion": true,
    }]}});
    assert_allowed(&namespace.patch(SERVER, "deployment", owner).await);

    let delete = ["delete", "namespace", &namespace.test.name, "--timeout=60s"];
    assert_allowed(&namespace.test.plane.kubectl(&delete).await.unwrap());
}

#[tokio::test]
async fn the_garbage_collector_takes_a_target_that_a_canary_owns() {
    let namespace = Namespace::new().await;
    let owner = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo",
        "uid": namespace.uid, "controller": true, "blockOwnerDeletion": true,
    }]}});
    assert_allowed(&namespace.patch(SERVER, "deployment", owner).await);

    let delete = [
        "delete",
        "canary/podinfo",
        "--cascade=foreground",
        "--timeout=60s",
    ];
    assert_allowed(&namespace.kubectl(ALICE, &delete).await);

    eventually("the target to go", Duration::from_secs(30), async || {
        Ok((namespace
            .kubectl(ALICE, &["get", "deployment/podinfo"])
            .await
            .code
            != Some(0))
        .then_some(()))
    })
    .await
    .unwrap();
}
