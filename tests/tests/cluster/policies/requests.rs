//! Who may ask for what, and in whose name.

use canary_core::canary::Canary;
use canary_core::status::Phase;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{
    ALICE, BOB, CAROL, Namespace, REQUEST, REQUESTED_BY, SERVER, assert_allowed, assert_denied,
    users_canary,
};

#[tokio::test]
async fn who_may_only_edit_a_canary_can_neither_promote_nor_roll_back() {
    let namespace = Namespace::new().await;
    for (verb, right) in [
        ("promote", "promote"),
        ("promote-full", "promote"),
        ("pause", "promote"),
        ("resume", "promote"),
        ("retry", "promote"),
        ("rollback", "rollback"),
    ] {
        let answer = namespace
            .request(ALICE, &namespace.wish(verb, "1"), json!(null))
            .await;
        let why = format!(
            "user alice lacks verb {right} on canaries.flagger.app {}/podinfo",
            namespace.test.name
        );
        assert_denied(&answer, &why);
    }
    assert_eq!(
        namespace.read("canary", "{.metadata.annotations}").await,
        ""
    );
}

#[tokio::test]
async fn who_operates_or_administers_may_ask_for_everything() {
    let namespace = Namespace::new().await;
    for user in [BOB, CAROL] {
        for verb in [
            "promote",
            "promote-full",
            "rollback",
            "pause",
            "resume",
            "retry",
        ] {
            let wish = namespace.wish(verb, user);
            assert_allowed(&namespace.request(user, &wish, json!(null)).await);
        }
    }
}

#[tokio::test]
async fn the_right_to_roll_back_is_not_the_right_to_promote() {
    let namespace = Namespace::new().await;
    let role = [
        "create",
        "role",
        "guard",
        "--resource=canaries.flagger.app",
        "--verb=get,patch,rollback",
    ];
    namespace.admin(&role, "").await;
    namespace
        .admin(
            &[
                "create",
                "rolebinding",
                "dave",
                "--role=guard",
                "--user=dave",
            ],
            "",
        )
        .await;

    let rollback = namespace
        .request("dave", &namespace.wish("rollback", "1"), json!(null))
        .await;
    let promote = namespace
        .request("dave", &namespace.wish("promote", "2"), json!(null))
        .await;

    assert_allowed(&rollback);
    assert_denied(&promote, "user dave lacks verb promote");
}

#[tokio::test]
async fn a_right_on_one_canary_is_no_right_on_another() {
    let namespace = Namespace::new().await;
    for (name, only) in [
        ("edit-all", "--verb=get,patch"),
        ("promote-other", "--verb=promote"),
    ] {
        let resource = "--resource=canaries.flagger.app";
        let mut role = vec!["create", "role", name, resource, only];
        if name == "promote-other" {
            role.push("--resource-name=other");
        }
        namespace.admin(&role, "").await;
        let role = format!("--role={name}");
        namespace
            .admin(&["create", "rolebinding", name, &role, "--user=erin"], "")
            .await;
    }
    let promote = namespace
        .request("erin", &namespace.wish("promote", "1"), json!(null))
        .await;
    assert_denied(&promote, "user erin lacks verb promote");
}

#[tokio::test]
async fn what_has_not_the_form_of_a_request_is_denied_even_to_an_administrator() {
    let namespace = Namespace::new().await;
    let long = format!("{} why={}", namespace.wish("pause", "1"), "x".repeat(2000));
    for text in [
        "promote",
        "explode v1-0123456789ab u 1",
        "promote v1-0123456789ab u 1; rm -rf /",
        "promote  v1-0123456789ab u 1",
        "promote v1-0123456789ab u 1\npromote v1-0123456789ab u 2",
        "Promote v1-0123456789ab u 1",
        &long,
    ] {
        let answer = namespace.request(BOB, text, json!(null)).await;
        assert_denied(&answer, "must read \"<verb> <revision> <canary uid> <id>\"");
    }
    let answer = {
        let admin = [
            "annotate",
            "canary/podinfo",
            &format!("{REQUEST}=promote now"),
            "-n",
            &namespace.test.name,
        ];
        namespace.test.plane.kubectl(&admin).await.unwrap()
    };
    assert_denied(&answer, "must read \"<verb> <revision> <canary uid> <id>\"");
    let options = format!("{} for=2h ticket=CHG-1/2", namespace.wish("pause", "2"));
    assert_allowed(&namespace.request(BOB, &options, json!(null)).await);
}

#[tokio::test]
async fn nobody_asks_in_anothers_name() {
    let namespace = Namespace::new().await;
    let why = "requested-by is set by admission";

    assert_denied(
        &namespace
            .request(BOB, &namespace.wish("pause", "1"), json!("carol"))
            .await,
        why,
    );
    assert_allowed(
        &namespace
            .request(BOB, &namespace.wish("pause", "1"), json!("bob"))
            .await,
    );

    // The name stays with the request that it belongs to.
    for by in [json!("alice"), json!(null)] {
        let annotations = json!({"metadata": {"annotations": {REQUESTED_BY: by}}});
        for user in [ALICE, BOB, CAROL] {
            assert_denied(
                &namespace.patch(user, "canary", annotations.clone()).await,
                why,
            );
        }
    }
    let wish = json!({"metadata": {"annotations": {REQUEST: namespace.wish("resume", "2")}}});
    assert_denied(&namespace.patch(CAROL, "canary", wish).await, why);
    assert_allowed(
        &namespace
            .request(CAROL, &namespace.wish("resume", "2"), json!(null))
            .await,
    );
    assert_eq!(
        namespace
            .read(
                "canary",
                "{.metadata.annotations.kubectl-canary\\.dev/requested-by}"
            )
            .await,
        ""
    );
}

#[tokio::test]
async fn other_edits_and_a_replaced_manifest_pass() {
    let namespace = Namespace::new().await;
    assert_allowed(
        &namespace
            .request(BOB, &namespace.wish("pause", "1"), json!("bob"))
            .await,
    );

    assert_allowed(
        &namespace
            .kubectl(ALICE, &["label", "canary/podinfo", "a=b"])
            .await,
    );
    let threshold = json!({"spec": {"analysis": {"threshold": 3}}});
    assert_allowed(&namespace.patch(ALICE, "canary", threshold).await);

    // `kubectl replace` of the user's file drops every annotation that the file has not.
    let file = namespace
        .test
        .plane
        .lab()
        .folder()
        .join(format!("{}.yaml", namespace.test.name));
    std::fs::write(&file, users_canary(&namespace.test.name)).unwrap();
    let replace = ["replace", "-f", file.to_str().unwrap()];
    assert_allowed(&namespace.kubectl(ALICE, &replace).await);
    assert_eq!(
        namespace.read("canary", "{.metadata.annotations}").await,
        ""
    );
}

#[tokio::test]
async fn to_skip_the_analysis_is_to_promote() {
    let namespace = Namespace::new().await;
    let skip = |skip: bool| json!({"spec": {"skipAnalysis": skip}});
    let why = "which setting spec.skipAnalysis needs";

    assert_denied(&namespace.patch(ALICE, "canary", skip(true)).await, why);
    assert_allowed(&namespace.patch(CAROL, "canary", skip(true)).await);
    // Once it is set, other edits pass, and so does taking it away.
    assert_allowed(
        &namespace
            .kubectl(ALICE, &["label", "canary/podinfo", "a=b"])
            .await,
    );
    assert_allowed(&namespace.patch(ALICE, "canary", skip(false)).await);
}

#[tokio::test]
async fn the_server_may_write_its_canaries() {
    let namespace = Namespace::new().await;
    let finalizer = json!({"metadata": {"finalizers": ["kubectl-canary.dev/finalizer"]}});
    assert_allowed(&namespace.patch(SERVER, "canary", finalizer).await);
    // Not by kubectl, which reads the subresource first.
    let client = namespace.test.plane.client_for(SERVER, &[]).await.unwrap();
    let canaries: Api<Canary> = Api::namespaced(client, &namespace.test.name);
    let status = Patch::Merge(json!({"status": {"phase": "Initialized"}}));
    let written = canaries
        .patch_status("podinfo", &PatchParams::default(), &status)
        .await;
    assert_eq!(written.unwrap().status.unwrap().phase, Phase::Initialized);
    let free = json!({"metadata": {"finalizers": []}});
    assert_allowed(&namespace.patch(SERVER, "canary", free).await);
}

/// As the server writes it.
async fn write_status(namespace: &Namespace, over: serde_json::Value) {
    let client = namespace.test.plane.client_for(SERVER, &[]).await.unwrap();
    let canaries: Api<Canary> = Api::namespaced(client, &namespace.test.name);
    let mut status = json!({"phase": "Progressing", "canaryWeight": 20});
    status["lastRequest"] = over;
    let status = Patch::Merge(json!({ "status": status }));
    let params = PatchParams::default();
    let written = canaries.patch_status("podinfo", &params, &status).await;
    written.unwrap();
}

#[tokio::test]
async fn a_rollback_that_nobody_has_answered_is_not_replaced_by_what_goes_forward() {
    let namespace = Namespace::new().await;
    write_status(&namespace, json!(null)).await;
    let ask = async |user: &str, verb: &str, id: &str| {
        let wish = namespace.wish(verb, id);
        namespace.request(user, &wish, json!(null)).await
    };
    assert_allowed(&ask(BOB, "pause", "1").await);
    assert_denied(
        &ask(CAROL, "resume", "2").await,
        "asked to pause, and is not answered yet: resume does not take its place",
    );
    assert_allowed(&ask(BOB, "rollback", "3").await);
    for verb in ["promote", "promote-full", "pause", "resume", "retry"] {
        let why =
            format!("asked to roll back, and is not answered yet: {verb} does not take its place");
        assert_denied(&ask(CAROL, verb, "4").await, &why);
    }
    assert_allowed(&ask(CAROL, "rollback", "5").await);
    // By the command that the refusal names.
    let empty = format!("{REQUEST}=");
    let back = ["annotate", "canary", "podinfo", &empty, "--overwrite"];
    assert_allowed(&namespace.kubectl(CAROL, &back).await);
    assert_allowed(&ask(CAROL, "promote", "6").await);

    assert_allowed(&ask(BOB, "rollback", "7").await);
    let record = json!({"id": "7", "verb": "rollback", "at": "2026-03-01T12:00:00Z", "outcome": "Done", "message": ""});
    write_status(&namespace, record).await;
    assert_allowed(&ask(CAROL, "resume", "8").await);
}

#[tokio::test]
async fn who_leaves_a_rollback_out_of_a_replaced_manifest_is_told() {
    let namespace = Namespace::new().await;
    write_status(&namespace, json!(null)).await;
    let rollback = namespace.wish("rollback", "1");
    assert_allowed(&namespace.request(BOB, &rollback, json!("bob")).await);
    let folder = namespace.test.plane.lab().folder();
    let file = folder.join(format!("{}-left-out.yaml", namespace.test.name));
    std::fs::write(&file, users_canary(&namespace.test.name)).unwrap();
    let replace = ["replace", "-f", file.to_str().unwrap()];
    let answer = namespace.kubectl(ALICE, &replace).await;
    assert_allowed(&answer);
    let warning = "bob asked to roll back podinfo, and was not answered: the request is gone now";
    assert!(answer.stderr.contains(warning), "{answer:?}");
    // Nothing is lost any more.
    let again = namespace.kubectl(ALICE, &replace).await;
    assert!(!again.stderr.contains("asked to roll back"), "{again:?}");
}
