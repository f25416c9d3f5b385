//! What is written on Canaries, and what is refused.

use super::{Namespace, REQUESTED_BY, canary};

#[tokio::test]
async fn a_request_bears_the_name_of_whoever_made_it() {
    let namespace = Namespace::new().await;
    let uid = namespace.read("canary").await["metadata"]["uid"]
        .as_str()
        .unwrap()
        .to_owned();
    for (user, id, forged) in [("bob", "1", None), ("alice", "2", Some("bob"))] {
        let request = format!("kubectl-canary.dev/request=pause v1-0123456789ab {uid} {id}");
        let by = forged.map(|name| format!("{REQUESTED_BY}={name}"));
        let mut args = vec!["annotate", "--overwrite", "canary/podinfo", &request];
        args.extend(by.as_deref());
        let output = namespace.kubectl(user, &args, "").await;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(
            namespace.read("canary").await["metadata"]["annotations"][REQUESTED_BY],
            user
        );
    }
    // A later edit by somebody else leaves it as it is.
    let edit = [
        "annotate",
        "canary/podinfo",
        "a=b",
        &format!("{REQUESTED_BY}-"),
    ];
    assert_eq!(namespace.kubectl("bob", &edit, "").await.code, Some(0));
    assert_eq!(
        namespace.read("canary").await["metadata"]["annotations"][REQUESTED_BY],
        "alice"
    );
}

#[tokio::test]
async fn kubectl_prints_field_by_field_why_a_canary_cannot_be_run() {
    let namespace = Namespace::new().await;
    let bad = canary(&namespace.name)
        .replace("  name: podinfo\n  namespace", "  name: other\n  namespace")
        .replace("provider: apisix", "provider: istio");
    let output = namespace
        .kubectl("alice", &["create", "-f", "-"], &bad)
        .await;
    assert_eq!(output.code, Some(1));
    assert!(
        output.stderr.contains("The Canary \"other\" is invalid:"),
        "{output:?}"
    );
    assert!(output.stderr.contains("* spec.provider: "), "{output:?}");
    assert!(
        output.stderr.contains("* spec.targetRef.name: "),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_second_canary_for_one_target_is_refused() {
    let namespace = Namespace::new().await;
    let second = canary(&namespace.name).replace(
        "  name: podinfo\n  namespace",
        "  name: second\n  namespace",
    );
    let output = namespace
        .kubectl("alice", &["create", "-f", "-"], &second)
        .await;
    assert_eq!(output.code, Some(1));
    assert!(
        output
            .stderr
            .contains("Deployment podinfo already has Canary podinfo"),
        "{output:?}"
    );
}

#[tokio::test]
async fn deleting_a_canary_warns_and_is_not_held_up() {
    let namespace = Namespace::new().await;
    let output = namespace
        .kubectl("alice", &["delete", "canary/podinfo"], "")
        .await;
    assert_eq!(output.code, Some(0));
    assert!(
        output
            .stderr
            .contains("deployment/podinfo-primary, which serves, is deleted with Canary podinfo"),
        "{output:?}"
    );
}
