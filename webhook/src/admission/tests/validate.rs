//! What is refused, and what must never be.

use serde_json::{Value, json};

use super::{OWN_USER, Reply, World, canary, review, update, with};

fn named(name: &str, target: &str) -> Value {
    with(&canary(), |it| {
        it["metadata"]["name"] = json!(name);
        it["spec"]["targetRef"]["name"] = json!(target);
    })
}

fn causes(reply: &Reply) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    reply.0["status"]["details"]["causes"]
        .as_array()
        .map(|all| {
            all.iter()
                .map(|it| (text(&it["field"]), text(&it["message"])))
                .collect()
        })
        .unwrap_or_default()
}

fn create(canary: &Value) -> Value {
    review("CREATE", "alice", None, Some(canary))
}

#[tokio::test]
async fn the_users_canary_is_accepted_without_a_word() {
    let reply = World::of([])
        .serve()
        .ask("/validate", &create(&canary()))
        .await;
    assert!(reply.allowed(), "{:?}", reply.0);
    assert_eq!(reply.warning(), "");
}

#[tokio::test]
async fn a_canary_that_cannot_be_run_is_refused_field_by_field() {
    let bad = with(&canary(), |it| {
        it["spec"]["provider"] = json!("carrier-pigeon");
    });
    let reply = World::of([]).serve().ask("/validate", &create(&bad)).await;
    assert!(!reply.allowed());
    let status = &reply.0["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    let (field, message) = &causes(&reply)[0];
    assert_eq!(field, "spec.provider");
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains(&format!("{field}: {message}"))
    );
    assert_eq!(status["details"]["kind"], "Canary");
    assert_eq!(status["details"]["name"], "podinfo");
}

#[tokio::test]
async fn a_metric_with_neither_template_nor_query_is_refused() {
    let bad = with(&canary(), |it| {
        it["spec"]["analysis"]["metrics"] =
            json!([{"name": "errors", "thresholdRange": {"max": 1}, "interval": "1m"}]);
    });
    let reply = World::of([]).serve().ask("/validate", &create(&bad)).await;
    assert!(!reply.allowed());
    assert!(
        causes(&reply)[0].0.starts_with("spec.analysis.metrics"),
        "{:?}",
        causes(&reply)
    );
}

#[tokio::test]
async fn a_canary_whose_services_would_find_the_pods_of_others_is_refused_and_one_that_is_there_may_be_edited()
 {
    let world = || World {
        shared: Some("the pods of deployment worker too".to_owned()),
        ..World::of([])
    };
    let reply = world().serve().ask("/validate", &create(&canary())).await;
    assert!(!reply.allowed());
    let expected = ("spec.targetRef.name", "the pods of deployment worker too");
    let (field, message) = &causes(&reply)[0];
    assert_eq!((field.as_str(), message.as_str()), expected);
    let edited = with(&canary(), |it| {
        it["metadata"]["labels"] = json!({"team": "web"});
    });
    let edit = update("alice", &canary(), &edited);
    let reply = world().serve().ask("/validate", &edit).await;
    assert!(reply.allowed(), "{:?}", reply.0);
    assert!(reply.warning().contains("worker"), "{}", reply.warning());
}

#[tokio::test]
async fn a_canary_whose_adoption_takes_the_pods_from_other_services_is_let_through_with_a_warning()
{
    let world = World {
        stranded: Some("Service podinfo-grpc leads to the pods of podinfo alone".to_owned()),
        ..World::of([])
    };
    let reply = world.serve().ask("/validate", &create(&canary())).await;
    assert!(reply.allowed(), "{:?}", reply.0);
    assert!(
        reply.warning().contains("podinfo-grpc"),
        "{}",
        reply.warning()
    );
}

#[tokio::test]
async fn a_second_canary_for_one_target_is_refused() {
    let server = World::of([canary()]).serve();
    let reply = server
        .ask("/validate", &create(&named("second", "podinfo")))
        .await;
    assert_eq!(
        causes(&reply),
        [(
            "spec.targetRef.name".to_owned(),
            "Deployment podinfo already has Canary podinfo: name another target, or delete that Canary"
                .to_owned()
        )]
    );
    // So is turning an existing one to a target that is taken.
    let (old, new) = (named("second", "other"), named("second", "podinfo"));
    assert!(
        !server
            .ask("/validate", &update("alice", &old, &new))
            .await
            .allowed()
    );
    // Another target, another namespace, or one that is being deleted is no conflict.
    assert!(
        server
            .ask("/validate", &create(&named("second", "other")))
            .await
            .allowed()
    );
    let elsewhere = with(&named("second", "podinfo"), |it| {
        it["metadata"]["namespace"] = json!("prod");
    });
    assert!(server.ask("/validate", &create(&elsewhere)).await.allowed());
    let leaving = with(&canary(), |it| {
        it["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    });
    let server = World::of([leaving]).serve();
    assert!(
        server
            .ask("/validate", &create(&named("second", "podinfo")))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn a_target_with_strategy_recreate_is_refused_unless_annotated() {
    let server = World::of([]).with_strategy("podinfo", "Recreate").serve();
    let reply = server.ask("/validate", &create(&canary())).await;
    assert_eq!(causes(&reply)[0].0, "spec.targetRef.name");
    assert!(
        causes(&reply)[0].1.contains("RollingUpdate"),
        "{:?}",
        causes(&reply)
    );
    let accepted = with(&canary(), |it| {
        it["metadata"]["annotations"] = json!({canary_core::names::ALLOW_RECREATE: "true"});
    });
    assert!(server.ask("/validate", &create(&accepted)).await.allowed());
    let server = World::of([])
        .with_strategy("podinfo", "RollingUpdate")
        .serve();
    assert!(server.ask("/validate", &create(&canary())).await.allowed());
}

#[tokio::test]
async fn a_malformed_request_is_refused() {
    let asking = |wish: &str| {
        with(&canary(), |it| {
            it["metadata"]["annotations"] = json!({"kubectl-canary.dev/request": wish});
        })
    };
    let server = World::of([canary()]).serve();
    let reply = server
        .ask(
            "/validate",
            &update("bob", &canary(), &asking("promote now")),
        )
        .await;
    assert_eq!(
        causes(&reply)[0].0,
        "metadata.annotations[kubectl-canary.dev/request]"
    );
    let fine = asking("promote v1-0123456789ab 4f4e2b7e-0000-4000-8000-000000000001 7c1e4d");
    assert!(
        server
            .ask("/validate", &update("bob", &canary(), &fine))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn what_was_wrong_before_may_stay_wrong() {
    let bad = with(&canary(), |it| {
        it["spec"]["provider"] = json!("carrier-pigeon");
    });
    let labelled = with(&bad, |it| it["metadata"]["labels"] = json!({"a": "b"}));
    let worse = with(&bad, |it| it["spec"]["targetRef"]["name"] = json!("taken"));
    let server = World::of([named("other", "taken")]).serve();
    let reply = server
        .ask("/validate", &update("alice", &bad, &labelled))
        .await;
    assert!(reply.allowed());
    assert!(
        reply.warning().starts_with("spec.provider: "),
        "{}",
        reply.warning()
    );
    let reply = server
        .ask("/validate", &update("alice", &bad, &worse))
        .await;
    assert_eq!(
        causes(&reply).len(),
        1,
        "only what is new: {:?}",
        causes(&reply)
    );
    assert_eq!(causes(&reply)[0].0, "spec.targetRef.name");
    let fixed = server
        .ask("/validate", &update("alice", &bad, &canary()))
        .await;
    assert_eq!((fixed.allowed(), fixed.warning()), (true, ""));
}

#[tokio::test]
async fn what_leaves_is_never_held_up() {
    let bad = with(&canary(), |it| {
        it["spec"]["provider"] = json!("carrier-pigeon");
        it["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
        it["metadata"]["finalizers"] = json!(["finalizer.flagger.app"]);
    });
    let released = with(&bad, |it| it["metadata"]["finalizers"] = json!([]));
    let server = World::of([named("other", "podinfo")]).serve();
    for review in [
        update("alice", &canary(), &bad),
        update("alice", &bad, &released),
        update(
            "system:serviceaccount:kube-system:generic-garbage-collector",
            &bad,
            &released,
        ),
        review("DELETE", "alice", Some(&bad), None),
        review("DELETE", OWN_USER, Some(&canary()), None),
    ] {
        let reply = server.ask("/validate", &review).await;
        assert!(reply.allowed());
        assert_eq!(reply.warning(), "");
    }
}

/// A failed release over `v2-a`, with what the target has by now.
fn of_failed(applied: &str) -> Value {
    json!({
        "phase": "Failed", "lastAppliedSpec": applied, "lastPromotedSpec": "v2-a",
        "release": {"number": 3, "revision": "v2-b", "startedAt": "2026-01-02T03:04:05Z"},
    })
}

#[tokio::test]
async fn a_deletion_that_leaves_what_was_generated_warns_of_nothing() {
    let server = World::of([canary()]).serve();
    let rests = with(&canary(), |it| it["status"] = json!({"phase": "Succeeded"}));
    for (policy, warns) in [
        ("Orphan", false),
        ("Background", true),
        ("Foreground", true),
    ] {
        let mut deletion = review("DELETE", "alice", Some(&rests), None);
        deletion["request"]["options"] =
            json!({"kind": "DeleteOptions", "propagationPolicy": policy});
        let reply = server.ask("/validate", &deletion).await;
        assert_eq!(!reply.warning().is_empty(), warns, "{policy}");
    }
}

#[tokio::test]
async fn deleting_warns_of_what_stops_serving_and_of_what_takes_over() {
    let server = World::of([canary()]).serve();
    let at = |phase: &str| with(&canary(), |it| it["status"] = json!({"phase": phase}));
    for (canary, want) in [
        (
            at("Succeeded"),
            "deployment/podinfo-primary, which serves, is deleted with Canary podinfo; \
             deployment/podinfo has 0 replicas: scale it up, \
             or set spec.revertOnDeletion: true before deleting",
        ),
        (
            at("Progressing"),
            "deployment/podinfo-primary, which serves, is deleted with Canary podinfo; \
             deployment/podinfo stays as it is scaled: scale it up, \
             or set spec.revertOnDeletion: true before deleting",
        ),
        (at("Initializing"), ""),
        (
            with(&at("Succeeded"), |it| {
                it["spec"]["revertOnDeletion"] = json!(true);
            }),
            "",
        ),
        (
            with(&at("Succeeded"), |it| {
                it["spec"]["revertOnDeletion"] = json!(true);
                it["status"] = of_failed("v2-b");
            }),
            "deleting Canary podinfo puts release 3, which failed, in charge of all users (spec.revertOnDeletion); \
             to take it back first: kubectl rollout undo deployment/podinfo -n test",
        ),
        (
            with(&at("Succeeded"), |it| {
                it["spec"]["revertOnDeletion"] = json!(true);
                it["status"] = of_failed("v2-a");
            }),
            "",
        ),
        (
            with(&at("Succeeded"), |it| it["status"] = of_failed("v2-b")),
            "deployment/podinfo-primary, which serves, is deleted with Canary podinfo; \
             deployment/podinfo has 0 replicas and a template that failed: set that back and scale it up, \
             or set spec.revertOnDeletion: true before deleting",
        ),
    ] {
        let reply = server
            .ask("/validate", &review("DELETE", "alice", Some(&canary), None))
            .await;
        assert!(reply.allowed());
        assert_eq!(reply.warning(), want);
    }
    let controller = "system:serviceaccount:kube-system:namespace-controller";
    let reply = server
        .ask(
            "/validate",
            &review("DELETE", controller, Some(&canary()), None),
        )
        .await;
    assert_eq!((reply.allowed(), reply.warning()), (true, ""));
}

#[tokio::test]
async fn a_deployment_is_not_ours_to_refuse() {
    let reply = World::of([canary()])
        .serve()
        .ask(
            "/validate",
            &review("CREATE", "alice", None, Some(&super::deployment("x"))),
        )
        .await;
    assert!(reply.allowed());
}
