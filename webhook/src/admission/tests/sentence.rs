//! The sentence that kubectl prints.

use canary_core::revision::revision;
use serde_json::{Value, json};

use super::{World, canary, deployment, update, with};

fn old() -> Value {
    deployment("stefanprodan/podinfo:6.0.0")
}

fn new() -> Value {
    deployment("stefanprodan/podinfo:6.0.1")
}

#[tokio::test]
async fn the_warning_says_what_starts_and_how_to_follow_it() {
    let server = World::of([canary()]).serve();
    let reply = server
        .ask("/mutate", &update("alice", &old(), &new()))
        .await;
    assert_eq!(
        reply.warning(),
        "podinfo 6.0.0 → 6.0.1 starts as a canary release; \
         follow it: kubectl canary status podinfo -n test --watch"
    );
}

#[tokio::test]
async fn the_warning_fits_the_phase_of_the_canary() {
    let promoted = revision(&new()["spec"]["template"]);
    let follow = "; follow it: kubectl canary status podinfo -n test --watch";
    for (spec, status, want) in [
        (
            json!({}),
            json!({"phase": ""}),
            "podinfo 6.0.0 → 6.0.1 starts as a canary release once the Canary is initialized",
        ),
        (
            json!({}),
            json!({"phase": "Progressing"}),
            "podinfo 6.0.0 → 6.0.1 replaces the running release, which starts over",
        ),
        (
            json!({}),
            json!({"phase": "Promoting"}),
            "podinfo 6.0.0 → 6.0.1 starts as a canary release after the promotion in progress",
        ),
        (
            json!({}),
            json!({"phase": "Failed"}),
            "podinfo 6.0.0 → 6.0.1 starts as a canary release",
        ),
        (
            json!({"skipAnalysis": true}),
            json!({"phase": "Succeeded"}),
            "podinfo 6.0.0 → 6.0.1 is promoted without analysis (spec.skipAnalysis)",
        ),
        (
            json!({}),
            json!({"phase": "Progressing", "lastPromotedSpec": promoted}),
            "podinfo 6.0.0 → 6.0.1 is what already serves: the running release is aborted",
        ),
        (
            json!({}),
            json!({"phase": "Promoting", "lastPromotedSpec": promoted}),
            "podinfo 6.0.0 → 6.0.1 is what served before: the promotion in progress is taken back",
        ),
    ] {
        let canary = with(&canary(), |it| {
            it["status"] = status.clone();
            it["spec"]
                .as_object_mut()
                .unwrap()
                .extend(spec.as_object().unwrap().clone());
        });
        let reply = World::of([canary])
            .serve()
            .ask("/mutate", &update("alice", &old(), &new()))
            .await;
        assert_eq!(
            reply.warning(),
            format!("{want}{follow}"),
            "{spec} {status}"
        );
    }
}

#[tokio::test]
async fn a_template_set_back_to_the_promoted_one_starts_nothing() {
    let canary = with(&canary(), |it| {
        it["status"] = json!({
            "phase": "Failed",
            "lastPromotedSpec": revision(&new()["spec"]["template"]),
        });
    });
    let reply = World::of([canary])
        .serve()
        .ask("/mutate", &update("alice", &old(), &new()))
        .await;
    assert_eq!(
        reply.warning(),
        "podinfo 6.0.0 → 6.0.1 is what already serves: no release starts"
    );
}

#[tokio::test]
async fn a_suspended_canary_starts_nothing() {
    let canary = with(&canary(), |it| it["spec"]["suspend"] = json!(true));
    let reply = World::of([canary])
        .serve()
        .ask("/mutate", &update("alice", &old(), &new()))
        .await;
    assert_eq!(
        reply.warning(),
        "Canary podinfo is suspended: podinfo 6.0.0 → 6.0.1 waits until spec.suspend is false"
    );
}

#[tokio::test]
async fn the_warning_names_the_change_as_shortly_as_is_still_right() {
    let digest = |c: char| format!("podinfo@sha256:{}", c.to_string().repeat(64));
    for (from, to, want) in [
        (
            "registry:5000/podinfo",
            "registry:5000/podinfo:2",
            "registry:5000/podinfo → 2",
        ),
        (
            "registry:5000/a:1",
            "registry:5000/b:1",
            "registry:5000/a:1 → registry:5000/b:1",
        ),
        (
            &digest('a'),
            &digest('b'),
            "sha256:aaaaaaa → sha256:bbbbbbb",
        ),
        ("podinfo:1", &digest('b'), "1 → sha256:bbbbbbb"),
    ] {
        let reply = World::of([canary()])
            .serve()
            .ask(
                "/mutate",
                &update("alice", &deployment(from), &deployment(to)),
            )
            .await;
        assert!(
            reply
                .warning()
                .starts_with(&format!("podinfo {want} starts")),
            "{}",
            reply.warning()
        );
    }
    let restarted = with(&old(), |it| {
        it["spec"]["template"]["metadata"]["annotations"] = json!({"restartedAt": "now"});
    });
    let reply = World::of([canary()])
        .serve()
        .ask("/mutate", &update("alice", &old(), &restarted))
        .await;
    assert!(
        reply
            .warning()
            .starts_with("podinfo (new pod template) starts"),
        "{}",
        reply.warning()
    );
}

#[tokio::test]
async fn a_warning_never_exceeds_what_the_api_server_passes_on() {
    let long = deployment(&format!("registry.example.com/{}:2", "x".repeat(300)));
    let reply = World::of([canary()])
        .serve()
        .ask("/mutate", &update("a", &old(), &long))
        .await;
    assert!(reply.warning().chars().count() <= 256);
    assert!(
        reply.warning().ends_with("--watch"),
        "the command is kept: {}",
        reply.warning()
    );
}

#[tokio::test]
async fn without_a_canary_there_is_a_stamp_but_nothing_to_say() {
    let reply = World::of([])
        .serve()
        .ask("/mutate", &update("alice", &old(), &new()))
        .await;
    assert!(!reply.patch().0.is_empty());
    assert_eq!(reply.warning(), "");
}
