//! What `CanaryPolicies` have against a review.

use canary_core::policy::Policy;

use super::*;

const REFUSED: &str = "CanaryPolicy prod: spec.release.";
const GLASS: &str = "kubectl-canary.dev/break-glass";

/// A year-end freeze around [`NOW`] unless a field says otherwise.
fn policy(name: &str, enforcement: &str, release: &Value) -> Arc<Stated> {
    stated(
        name,
        json!({ "enforcement": enforcement, "release": release }),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
fn stated(name: &str, spec: Value) -> Arc<Stated> {
    let object = serde_json::from_value(json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1",
        "kind": "CanaryPolicy",
        "metadata": { "name": name },
        "spec": spec,
    }))
    .unwrap();
    Arc::new(Stated {
        rules: Policy::read(&object),
        object,
    })
}

fn freeze(start: &str, end: &str) -> Value {
    json!({ "freezeWindows": [
        { "name": "year-end", "start": start, "end": end, "reason": "CHG-1234" },
    ] })
}

fn year_end() -> Value {
    freeze("2026-12-24T00:00:00Z", "2027-01-03T08:00:00Z")
}

fn world(canary: Value, policies: impl IntoIterator<Item = Arc<Stated>>) -> World {
    World {
        policies: policies.into_iter().collect(),
        ..World::of([canary])
    }
}

async fn changed(world: World) -> Reply {
    let review = update("alice", &deployment("6.0.0"), &deployment("6.0.1"));
    world.serve().ask("/validate", &review).await
}

fn denial(reply: &Reply) -> &str {
    assert!(!reply.allowed(), "{:?}", reply.0);
    assert_eq!(reply.0["status"]["code"], 403);
    reply.0["status"]["message"].as_str().unwrap()
}

#[tokio::test]
async fn a_change_in_a_freeze_is_refused_with_policy_field_cause_and_what_to_do() {
    let reply = changed(world(canary(), [policy("prod", "Deny", &year_end())])).await;
    assert_eq!(
        denial(&reply),
        "CanaryPolicy prod: spec.release.freezeWindows[year-end]: releases are frozen until \
         2027-01-03T08:00:00Z (CHG-1234); wait, or ask a holder of the verb bypass to add \
         kubectl-canary.dev/break-glass"
    );
}

#[tokio::test]
async fn the_first_instant_after_a_freeze_is_free_and_its_first_is_not() {
    let ended = freeze("2026-12-24T00:00:00Z", NOW);
    assert!(
        changed(world(canary(), [policy("prod", "Deny", &ended)]))
            .await
            .allowed()
    );
    let begun = freeze(NOW, "2027-01-03T08:00:00Z");
    assert!(
        !changed(world(canary(), [policy("prod", "Deny", &begun)]))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn two_policies_that_refuse_are_both_named() {
    let slots = json!({ "maxConcurrentPerNamespace": 0 });
    let policies = [
        policy("legal", "Deny", &slots),
        policy("prod", "Deny", &year_end()),
    ];
    let reply = changed(world(canary(), policies)).await;
    let message = denial(&reply);
    assert!(message.contains("CanaryPolicy legal: spec.release.maxConcurrentPerNamespace"));
    assert!(message.contains("CanaryPolicy prod: spec.release.freezeWindows[year-end]"));
}

#[tokio::test]
async fn a_policy_that_warns_or_audits_refuses_nothing() {
    let reply = changed(world(canary(), [policy("prod", "Warn", &year_end())])).await;
    assert!(reply.allowed());
    assert!(reply.warning().starts_with(REFUSED), "{:?}", reply.0);
    let reply = changed(world(canary(), [policy("prod", "Audit", &year_end())])).await;
    assert!(reply.allowed() && reply.warning().is_empty());
    let audited = reply.0["auditAnnotations"]["forbidden"].as_str().unwrap();
    assert!(audited.starts_with(REFUSED), "{audited}");
}

#[tokio::test]
async fn setting_the_template_back_is_never_frozen() {
    let back = deployment("6.0.1");
    let mut canary = canary();
    let promoted = canary_core::revision::revision(&back["spec"]["template"]);
    canary["status"] = json!({ "phase": "Progressing", "lastPromotedSpec": promoted });
    assert!(
        changed(world(canary, [policy("prod", "Deny", &year_end())]))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn a_change_while_a_release_runs_is_refused_where_a_policy_says_so() {
    let rule = json!({ "onRunningRelease": "Deny" });
    let mut running = canary();
    running["status"] = json!({ "phase": "Progressing" });
    let reply = changed(world(running, [policy("prod", "Deny", &rule)])).await;
    assert!(denial(&reply).starts_with("CanaryPolicy prod: spec.release.onRunningRelease"));
    assert!(
        changed(world(canary(), [policy("prod", "Deny", &rule)]))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn the_next_release_waits_for_its_interval() {
    let ended = |at: &str| {
        let mut canary = canary();
        canary["status"] = json!({ "phase": "Succeeded", "history": [{
            "number": 1, "revision": "v1-1", "startedAt": at, "endedAt": at, "outcome": "Promoted",
        }] });
        canary
    };
    let rule = || policy("prod", "Deny", &json!({ "minInterval": "30m" }));
    let reply = changed(world(ended("2026-12-24T11:30:01Z"), [rule()])).await;
    assert!(denial(&reply).contains("spec.release.minInterval"));
    assert!(
        changed(world(ended("2026-12-24T11:30:00Z"), [rule()]))
            .await
            .allowed()
    );
}

#[tokio::test]
async fn a_new_break_glass_opens_and_is_recorded_and_a_stale_one_opens_nothing() {
    let with = |tag: &str, reason: &str| {
        let mut object = deployment(tag);
        object["metadata"]["annotations"] = json!({ GLASS: reason });
        object
    };
    let frozen = || world(canary(), [policy("prod", "Deny", &year_end())]);
    let new = update("alice", &deployment("6.0.0"), &with("6.0.1", "INC-7"));
    let reply = frozen().serve().ask("/validate", &new).await;
    assert!(reply.allowed());
    let recorded = &reply.0["auditAnnotations"]["break-glass"];
    assert_eq!(recorded, "CanaryPolicy prod: alice: INC-7");
    let stale = update("alice", &with("6.0.0", "INC-7"), &with("6.0.1", "INC-7"));
    assert!(!frozen().serve().ask("/validate", &stale).await.allowed());
    let blank = update("alice", &deployment("6.0.0"), &with("6.0.1", " "));
    assert!(!frozen().serve().ask("/validate", &blank).await.allowed());
    // Where no policy of the API server asked for the verb, it is asked for here.
    let without = World {
        rights: Some(Ok(false)),
        ..frozen()
    };
    let reply = without.serve().ask("/validate", &new).await;
    let message = denial(&reply);
    assert!(message.contains("lacks verb bypass on canarypolicies.policy.kubectl-canary.dev prod"));
}

#[tokio::test]
async fn a_reason_that_stands_there_since_an_earlier_request_is_none() {
    let asked = |request: &str, reason: &str| {
        with(&canary(), |it| {
            it["metadata"]["annotations"] = json!({
                "kubectl-canary.dev/request": request, "kubectl-canary.dev/request-reason": reason,
            });
        })
    };
    let rule = json!({ "approvals": { "promote": { "requireReason": true } } });
    let server = world(canary(), [stated("prod", rule)]).serve();
    let before = asked("pause v1-1 uid 1", "1 lunch");
    let wish = "promote v1-1 uid 2";
    for stale in ["1 lunch", "lunch", "2", "2 "] {
        let review = update("bob", &before, &asked(wish, stale));
        let reply = server.ask("/validate", &review).await;
        assert_eq!(reply.0["status"]["code"], 403, "{stale:?}");
        let field = "CanaryPolicy prod: spec.approvals.promote.requireReason: ";
        assert!(denial(&reply).starts_with(field), "{stale:?}");
    }
    // The same text once more is a reason of its own.
    let review = update("bob", &before, &asked(wish, "2 lunch"));
    assert!(server.ask("/validate", &review).await.allowed());
}

#[tokio::test]
async fn a_policy_that_cannot_be_meant_is_invalid_and_one_that_denies_everything_warns() {
    let object = |windows: Value| {
        json!({
            "apiVersion": "policy.kubectl-canary.dev/v1alpha1",
            "kind": "CanaryPolicy",
            "metadata": { "name": "prod" },
            "spec": { "release": { "freezeWindows": windows } },
        })
    };
    let server = world(canary(), []).serve();
    let bad = object(json!([{ "name": "x", "schedule": "0 0 30 2 *", "duration": "1h" }]));
    let reply = server.ask("/validate", &policy_review(&bad)).await;
    assert_eq!(reply.0["status"]["code"], 422);
    let field = reply.0["status"]["details"]["causes"][0]["field"].as_str();
    assert!(field.unwrap().starts_with("spec.release.freezeWindows"));
    let always = object(json!([
        { "name": "am", "schedule": "0 0 * * *", "duration": "12h" },
        { "name": "pm", "schedule": "0 12 * * *", "duration": "12h" },
    ]));
    let reply = server.ask("/validate", &policy_review(&always)).await;
    assert!(reply.allowed());
    assert!(reply.warning().contains("join each other without end"));
}

#[tokio::test]
async fn a_policy_is_labelled_with_what_it_is_about_and_wrong_labels_are_put_right() {
    let mut object = json!({
        "apiVersion": "policy.kubectl-canary.dev/v1alpha1",
        "kind": "CanaryPolicy",
        "metadata": { "name": "prod" },
        "spec": { "enforcement": "Warn", "images": { "requireDigest": true } },
    });
    let server = world(canary(), []).serve();
    let wanted = json!({
        "policy.kubectl-canary.dev/enforcement": "Warn",
        "policy.kubectl-canary.dev/deployments": "true",
        "policy.kubectl-canary.dev/canaries": "false",
        "policy.kubectl-canary.dev/generated": "false",
    });
    let reply = server.ask("/mutate", &policy_review(&object)).await;
    let labelled = reply.applied_to(&object);
    assert_eq!(labelled["metadata"]["labels"], wanted);
    let again = server.ask("/mutate", &policy_review(&labelled)).await;
    assert_eq!(again.patch().0, []);

    object["metadata"]["labels"] = json!({
        "team": "a", "policy.kubectl-canary.dev/enforcement": "Deny",
        "policy.kubectl-canary.dev/deployments": "false",
    });
    let reply = server.ask("/mutate", &policy_review(&object)).await;
    let mut labels = reply.applied_to(&object)["metadata"]["labels"].take();
    assert_eq!(
        labels.as_object_mut().unwrap().remove("team"),
        Some(json!("a"))
    );
    assert_eq!(labels, wanted);
}

fn policy_review(object: &Value) -> Value {
    let mut review = review("CREATE", "alice", None, Some(object));
    review["request"]["kind"] = json!({ "group": "policy.kubectl-canary.dev", "version": "v1alpha1", "kind": "CanaryPolicy" });
    review["request"]["resource"] = json!({
        "group": "policy.kubectl-canary.dev", "version": "v1alpha1", "resource": "canarypolicies",
    });
    review["request"]
        .as_object_mut()
        .unwrap()
        .remove("namespace");
    review
}
