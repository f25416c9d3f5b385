//! What the shipped roles allow, and what they do not.

use serde_json::json;

use super::{Namespace, SERVER, assert_allowed, assert_denied};

#[tokio::test]
async fn a_viewer_reads_canaries_and_writes_nothing() {
    let namespace = Namespace::new().await;
    namespace
        .admin(
            &[
                "create",
                "rolebinding",
                "vera",
                "--clusterrole=view",
                "--user=vera",
            ],
            "",
        )
        .await;
    for resource in [
        "canaries",
        "metrictemplates",
        "alertproviders",
        "apisixroutes",
    ] {
        assert_allowed(&namespace.kubectl("vera", &["get", resource]).await);
    }
    let answer = namespace
        .request("vera", &namespace.wish("promote", "1"), json!(null))
        .await;
    assert_denied(&answer, "cannot patch resource");
}

#[tokio::test]
async fn the_server_may_not_do_more_than_it_needs() {
    let namespace = Namespace::new().await;
    let can = async |args: &[&str]| {
        let args: Vec<&str> = ["auth", "can-i"]
            .into_iter()
            .chain(args.iter().copied())
            .collect();
        namespace.kubectl(SERVER, &args).await.stdout.trim() == "yes"
    };
    for allowed in [
        &["patch", "canaries/status.flagger.app"][..],
        &["update", "deployments.apps"],
        &["patch", "deployments.apps", "--subresource=scale"],
        &["watch", "secrets"],
        &["create", "events"],
        &["patch", "mutatingwebhookconfigurations/canary-webhook"],
        // Of these only what has its mark: policy canary-deletions.
        &["delete", "deployments.apps"],
        &["delete", "services"],
    ] {
        assert!(can(allowed).await, "{allowed:?}");
    }
    for refused in [
        &["delete", "canaries.flagger.app"][..],
        &["promote", "canaries.flagger.app"],
        &["delete", "statefulsets.apps"],
        &["delete", "namespaces"],
        &["update", "canaries.flagger.app"],
        &["get", "pods"],
        &["create", "pods"],
        &["patch", "mutatingwebhookconfigurations/other"],
        &["create", "clusterrolebindings"],
        &["escalate", "clusterroles"],
        &["update", "leases.coordination.k8s.io"],
        &["patch", "validatingadmissionpolicies"],
    ] {
        assert!(!can(refused).await, "{refused:?}");
    }
}
