//! Before Kubernetes 1.30 there is no `ValidatingAdmissionPolicy`: the webhook asks for people's rights.

use anyhow::Result;
use canary_tests::cluster::{ALICE, BOB, LIMIT, Namespace, QUICK, asked};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use serde_json::json;

const WITHOUT_POLICIES: [&str; 2] = [
    "--runtime-config=admissionregistration.k8s.io/v1/validatingadmissionpolicies=false",
    "--disable-admission-plugins=TaintNodesByCondition,ValidatingAdmissionPolicy",
];

/// Everything that a user of such a version can install, and routes that alice may edit.
async fn install(plane: &ControlPlane) -> Result<()> {
    for file in ["namespace", "serviceaccount", "rbac", "webhooks"] {
        let file = format!("manifests/base/{file}.yaml");
        plane.apply_file(&file).await?;
    }
    plane
        .apply(
            &json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {
                    "name": "edit-apisix-routes",
                    "labels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"},
                },
                "rules": [{"apiGroups": ["apisix.apache.org"], "resources": ["apisixroutes"], "verbs": ["*"]}],
            })
            .to_string(),
        )
        .await
}

/// Setting `skipAnalysis` decides releases too.
async fn skipping(test: &Namespace<'_>) -> Result<()> {
    let skip = [
        "patch",
        "canary/podinfo",
        "--type=merge",
        "-p",
        r#"{"spec":{"skipAnalysis":true}}"#,
    ];
    let refused = test.kubectl(ALICE, &skip).await?;
    assert!(
        refused
            .stderr
            .contains("which setting spec.skipAnalysis needs"),
        "{refused:?}"
    );
    test.kubectl(BOB, &skip).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn without_policies_the_webhook_asks_who_may_decide_a_release() -> Result<()> {
    let [resource, plugin] = WITHOUT_POLICIES;
    let options = ControlPlane::options().apiserver_arg(resource);
    let plane = options.apiserver_arg(plugin).start().await?;
    install(&plane).await?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("are checked here", LIMIT).await?;
    server.logged("leading", LIMIT).await?;
    asked(&plane).await?;
    let test = Namespace::new(&plane, "rights").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    let uid = test.get("canaries/podinfo").await?["metadata"]["uid"].clone();
    let uid = uid.as_str().unwrap();

    for (verb, right) in [
        ("promote", "promote"),
        ("pause", "promote"),
        ("rollback", "rollback"),
    ] {
        let wish = |id: &str| {
            format!("kubectl-canary.dev/request={verb} v1-0123456789ab {uid} {verb}-{id}")
        };
        let by = |id: &str| {
            [
                "annotate".into(),
                "--overwrite".into(),
                "canary/podinfo".into(),
                wish(id),
            ]
        };
        let alices = by("alice");
        let refused = test
            .kubectl(ALICE, &alices.each_ref().map(String::as_str))
            .await?;
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let why = format!(
            "user alice lacks verb {right} on canaries.flagger.app {}/podinfo, which this request needs; \
             ClusterRole canary-operator grants it",
            test.name
        );
        assert!(
            refused.stderr.contains("(Forbidden)") || refused.stderr.contains("denied the request"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains(&why), "{refused:?}");
        let bobs = by("bob");
        test.kubectl(BOB, &bobs.each_ref().map(String::as_str))
            .await?
            .ok()?;
    }
    skipping(&test).await?;
    // What decides nothing needs no such right.
    test.kubectl(ALICE, &["annotate", "canary/podinfo", "a=b"])
        .await?
        .ok()?;
    Ok(())
}
