//! A request that waits for its answer: what takes its place, and who leaves it out.

use serde_json::{Value, json};

use super::{Reply, World, canary, update, with};

const REQUEST: &str = "kubectl-canary.dev/request";
const REASON: &str = "kubectl-canary.dev/request-reason";
const BY: &str = "kubectl-canary.dev/requested-by";
const UID: &str = "4f4e2b7e-0000-4000-8000-000000000001";
const TAKE_BACK: &str =
    "kubectl annotate canary podinfo kubectl-canary.dev/request= --overwrite -n test";

/// With this verb asked for by bob, and not answered.
fn asked(verb: &str) -> Value {
    with(&canary(), |it| {
        let request = format!("{verb} v1-0 {UID} 1");
        it["metadata"]["annotations"] =
            json!({REQUEST: request, REASON: "1 errors", BY: "bob", "a": "b"});
    })
}

fn answered(canary: &Value) -> Value {
    with(canary, |it| {
        it["status"]["lastRequest"] =
            json!({"id": "1", "verb": "x", "at": "2026-03-01T12:00:00Z", "outcome": "Done"});
    })
}

fn then(canary: &Value, request: &str) -> Value {
    with(canary, |it| {
        it["metadata"]["annotations"] = json!({REQUEST: request});
    })
}

async fn ask(path: &str, old: &Value, new: &Value) -> Reply {
    let server = World::of([canary()]).serve();
    server.ask(path, &update("alice", old, new)).await
}

#[tokio::test]
async fn a_rollback_that_waits_is_not_replaced_by_what_goes_forward() {
    for (waits, later, allowed) in [
        ("rollback", "resume", false),
        ("rollback", "promote-full", false),
        ("rollback", "pause", false),
        ("rollback", "rollback", true),
        ("pause", "resume", false),
        ("pause", "rollback", true),
        ("promote", "resume", true),
    ] {
        let old = asked(waits);
        let new = then(&old, &format!("{later} v1-0 {UID} 2"));
        let reply = ask("/validate", &old, &new).await;
        assert_eq!(reply.allowed(), allowed, "{waits} {later}: {:?}", reply.0);
        if !allowed {
            let status = &reply.0["status"];
            assert_eq!(status["code"], 403);
            let said = status["message"].as_str().unwrap();
            assert!(said.contains("bob asked to "), "{said}");
            assert!(said.contains(TAKE_BACK), "{said}");
        }
        let reply = ask("/validate", &answered(&old), &answered(&new)).await;
        assert!(reply.allowed(), "{waits} {later}: {:?}", reply.0);
    }
}

#[tokio::test]
async fn what_leaves_a_rollback_as_it_is_or_takes_it_back_is_allowed() {
    let old = asked("rollback");
    let edited = with(&old, |it| it["spec"]["suspend"] = json!(true));
    for new in [edited, then(&old, ""), canary()] {
        let reply = ask("/validate", &old, &new).await;
        assert!(reply.allowed(), "{:?}", reply.0);
    }
}

#[tokio::test]
async fn a_manifest_that_leaves_a_rollback_out_does_not_lose_it() {
    let old = asked("rollback");
    let reply = ask("/mutate", &old, &canary()).await;
    let annotations = &reply.applied_to(&canary())["metadata"]["annotations"];
    for key in [REQUEST, REASON, BY] {
        assert_eq!(annotations[key], old["metadata"]["annotations"][key]);
    }
    assert!(annotations["a"].is_null(), "the rest is the manifest's");
    assert!(reply.warning().contains(TAKE_BACK), "{}", reply.warning());
}

#[tokio::test]
async fn what_was_answered_or_taken_back_is_kept_for_nobody() {
    let old = asked("rollback");
    for (old, new) in [
        (answered(&old), answered(&canary())),
        (asked("pause"), canary()),
        (old.clone(), then(&old, "")),
    ] {
        let reply = ask("/mutate", &old, &new).await;
        let stored = reply.applied_to(&new);
        let request = &stored["metadata"]["annotations"][REQUEST];
        assert!(request.as_str().is_none_or(str::is_empty), "{request}");
        assert_eq!(reply.warning(), "");
    }
}
