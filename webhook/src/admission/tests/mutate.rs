//! Stamps, and the names of people who ask.

use canary_core::revision::revision;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{OWN_USER, World, canary, deployment, review, update, with};

const BY: &str = "kubectl-canary.dev/triggered-by";
const REVISION: &str = "kubectl-canary.dev/triggered-revision";
const REQUEST: &str = "kubectl-canary.dev/request";
const REQUESTED_BY: &str = "kubectl-canary.dev/requested-by";

fn old() -> Value {
    deployment("stefanprodan/podinfo:6.0.0")
}

fn new() -> Value {
    deployment("stefanprodan/podinfo:6.0.1")
}

#[tokio::test]
async fn a_changed_template_is_stamped_with_its_revision_and_the_user() {
    let server = World::of([canary()]).serve();
    let reply = server
        .ask("/mutate", &update("alice", &old(), &new()))
        .await;
    let stored = reply.applied_to(&new());
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!(annotations[BY], "alice");
    assert_eq!(annotations[REVISION], revision(&new()["spec"]["template"]));
    let rest = with(&stored, |it| {
        it["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("annotations");
    });
    assert_eq!(
        rest,
        new(),
        "nothing else changes, also what we do not know"
    );
}

#[tokio::test]
async fn a_dry_run_gets_the_same_answer() {
    let server = World::of([canary()]).serve();
    let real = update("alice", &old(), &new());
    let dry = with(&real, |it| it["request"]["dryRun"] = json!(true));
    assert_eq!(
        server.ask("/mutate", &real).await.0,
        server.ask("/mutate", &dry).await.0
    );
}

#[tokio::test]
async fn stamps_written_by_hand_are_replaced() {
    let server = World::of([canary()]).serve();
    let forged = with(&new(), |it| {
        it["metadata"]["annotations"] = json!({BY: "bob", REVISION: "v1-000000000000", "a": "b"});
    });
    let reply = server
        .ask("/mutate", &update("alice", &old(), &forged))
        .await;
    let annotations = &reply.applied_to(&forged)["metadata"]["annotations"];
    assert_eq!(annotations[BY], "alice");
    assert_eq!(annotations[REVISION], revision(&new()["spec"]["template"]));
    assert_eq!(annotations["a"], "b");
}

#[tokio::test]
async fn stamps_change_only_with_the_template() {
    let server = World::of([canary()]).serve();
    let stamped = with(&old(), |it| {
        it["metadata"]["annotations"] = json!({BY: "bob"});
    });
    let forged = with(&old(), |it| {
        it["metadata"]["annotations"] = json!({BY: "eve", REVISION: "v1-000000000000"});
    });
    let reply = server
        .ask("/mutate", &update("alice", &stamped, &forged))
        .await;
    let annotations = &reply.applied_to(&forged)["metadata"]["annotations"];
    assert_eq!(*annotations, json!({BY: "bob"}));
    assert_eq!(reply.warning(), "");
}

#[tokio::test]
async fn only_updates_of_managed_targets_by_others_are_stamped() {
    let unlabelled = |object: Value| {
        with(&object, |it| {
            it["metadata"]["labels"] = json!({"app": "podinfo"});
        })
    };
    let marked = |object: Value| {
        with(&object, |it| {
            it["metadata"]["labels"]["kubectl-canary.dev/generated"] = json!("u");
        })
    };
    let deleted = with(&new(), |it| {
        it["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    });
    let elsewhere = with(&update("alice", &old(), &new()), |it| {
        it["request"]["namespace"] = json!("canary-system");
    });
    let server = World::of([canary()]).serve();
    for (why, review) in [
        ("created", review("CREATE", "alice", None, Some(&new()))),
        ("deleted", review("DELETE", "alice", Some(&new()), None)),
        ("own user", update(OWN_USER, &old(), &new())),
        ("own namespace", elsewhere),
        (
            "never managed",
            update("alice", &unlabelled(old()), &unlabelled(new())),
        ),
        ("generated", update("alice", &marked(old()), &marked(new()))),
        ("being deleted", update("alice", &old(), &deleted)),
        (
            "same template",
            update(
                "alice",
                &old(),
                &with(&old(), |it| it["spec"]["replicas"] = json!(2)),
            ),
        ),
    ] {
        let reply = server.ask("/mutate", &review).await;
        assert!(reply.allowed(), "{why}");
        assert!(reply.patch().0.is_empty(), "{why}: {:?}", reply.patch());
        assert_eq!(reply.warning(), "", "{why}");
    }
    // Taking the label away in the same request does not escape.
    let reply = server
        .ask("/mutate", &update("alice", &old(), &unlabelled(new())))
        .await;
    assert!(!reply.patch().0.is_empty());
}

#[tokio::test]
async fn an_owner_or_a_mark_that_the_sender_writes_exempts_nothing() {
    let server = World::of([canary()]).serve();
    let owned = with(&new(), |it| {
        it["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo",
            "uid": "u", "controller": true,
        }]);
    });
    let marked = with(&new(), |it| {
        it["metadata"]["labels"]["kubectl-canary.dev/generated"] = json!("u");
    });
    for forged in [owned, marked] {
        let forged = with(&forged, |it| {
            it["metadata"]["annotations"] = json!({BY: "bob"});
        });
        let reply = server
            .ask("/mutate", &update("alice", &old(), &forged))
            .await;
        let annotations = &reply.applied_to(&forged)["metadata"]["annotations"];
        assert_eq!(annotations[BY], "alice");
    }
}

const MANAGED: &str = "kubectl-canary.dev/managed";
const IMAGES: &str = "kubectl-canary.dev/promoted-images";
const LOCK: &str = "kubectl-canary.dev/locked-by";

/// A target with all that is ours on it.
fn noted(object: &Value) -> Value {
    with(object, |it| {
        it["metadata"]["annotations"] =
            json!({IMAGES: "{}", LOCK: "podinfo v1-1", BY: "bob", REVISION: "v1-0"});
    })
}

/// As its user's file has it.
fn bare(object: &Value) -> Value {
    with(object, |it| {
        it["metadata"]["labels"] = json!({"app": "podinfo"});
    })
}

#[tokio::test]
async fn a_replaced_manifest_gets_back_what_is_ours() {
    let server = World::of([canary()]).serve();
    let same = server
        .ask("/mutate", &update("alice", &noted(&old()), &bare(&old())))
        .await;
    assert_eq!(
        same.applied_to(&bare(&old())),
        noted(&old()),
        "nothing is lost"
    );
    assert_eq!(same.warning(), "");

    let changed = server
        .ask("/mutate", &update("alice", &noted(&old()), &bare(&new())))
        .await;
    let stored = changed.applied_to(&bare(&new()));
    let annotations = &stored["metadata"]["annotations"];
    assert_eq!(stored["metadata"]["labels"][MANAGED], "true");
    assert_eq!(
        (&annotations[IMAGES], &annotations[LOCK]),
        (&json!("{}"), &json!("podinfo v1-1"))
    );
    assert_eq!(annotations[BY], "alice", "it starts a release of hers");
    assert!(changed.warning().contains("starts as a canary release"));
}

#[tokio::test]
async fn a_value_that_somebody_forges_is_left_to_the_policy_that_refuses_it() {
    let server = World::of([canary()]).serve();
    let forged = with(&noted(&old()), |it| {
        it["metadata"]["labels"][MANAGED] = json!("false");
        it["metadata"]["annotations"][IMAGES] = json!("forged");
        it["metadata"]["annotations"][LOCK] = json!("forged");
    });
    let reply = server
        .ask("/mutate", &update("alice", &noted(&old()), &forged))
        .await;
    assert_eq!(reply.applied_to(&forged), forged);
}

#[tokio::test]
async fn an_undo_leaves_the_notes_as_they_are_now() {
    let server = World::of([canary()]).serve();
    let undone = with(&noted(&new()), |it| {
        it["metadata"]["annotations"][IMAGES] = json!("of an old ReplicaSet");
    });
    let reply = server
        .ask("/mutate", &update("alice", &noted(&old()), &undone))
        .await;
    let annotations = &reply.applied_to(&undone)["metadata"]["annotations"];
    assert_eq!(annotations[IMAGES], "{}");
}

#[tokio::test]
async fn what_no_canary_manages_any_more_may_lose_its_label() {
    let server = World::of([]).serve();
    let reply = server
        .ask("/mutate", &update("alice", &old(), &bare(&old())))
        .await;
    assert!(reply.patch().0.is_empty(), "{:?}", reply.patch());
}

fn asking(request: Option<&str>, by: Option<&str>) -> Value {
    with(&canary(), |it| {
        let annotations = [(REQUEST, request), (REQUESTED_BY, by)];
        it["metadata"]["annotations"] = annotations
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value?))))
            .collect::<serde_json::Map<_, _>>()
            .into();
    })
}

#[tokio::test]
async fn only_admission_says_who_asked() {
    let (one, two) = (Some("pause v1-0 u 1"), Some("resume v1-0 u 2"));
    let server = World::of([canary()]).serve();
    for (why, old, new, want) in [
        (
            "a first request",
            asking(None, None),
            asking(one, None),
            Some("bob"),
        ),
        (
            "another's name",
            asking(None, None),
            asking(one, Some("eve")),
            Some("bob"),
        ),
        (
            "a later request",
            asking(one, Some("alice")),
            asking(two, Some("alice")),
            Some("bob"),
        ),
        (
            "no new request",
            asking(one, Some("alice")),
            asking(one, Some("eve")),
            Some("alice"),
        ),
        (
            "the name taken away",
            asking(one, Some("alice")),
            asking(one, None),
            Some("alice"),
        ),
        (
            "a name without request",
            asking(None, None),
            asking(None, Some("eve")),
            None,
        ),
        (
            "the request taken away",
            asking(one, Some("alice")),
            asking(None, Some("alice")),
            None,
        ),
        ("nothing", asking(one, None), asking(one, None), None),
    ] {
        let reply = server.ask("/mutate", &update("bob", &old, &new)).await;
        let stored = reply.applied_to(&new);
        assert_eq!(
            stored["metadata"]["annotations"][REQUESTED_BY].as_str(),
            want,
            "{why}"
        );
        assert_eq!(
            stored["metadata"]["annotations"][REQUEST], new["metadata"]["annotations"][REQUEST],
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_request_on_a_new_canary_is_signed_too() {
    let server = World::of([]).serve();
    let new = asking(Some("pause v1-0 u 1"), Some("eve"));
    let reply = server
        .ask("/mutate", &review("CREATE", "bob", None, Some(&new)))
        .await;
    assert_eq!(
        reply.applied_to(&new)["metadata"]["annotations"][REQUESTED_BY],
        "bob"
    );
}

prop_compose! {
    fn any_deployment()(
        image in "[a-z]{1,3}(:[0-9])?",
        annotations in proptest::option::of(proptest::collection::btree_map(
            prop_oneof![
                Just(BY.to_owned()), Just(REVISION.to_owned()), Just(IMAGES.to_owned()), Just(LOCK.to_owned()),
                "[a-z/~]{1,4}",
            ],
            "[a-z]{0,3}",
            0..4,
        )),
        managed in any::<bool>(),
    ) -> Value {
        with(&deployment(&image), |it| {
            if let Some(annotations) = annotations {
                it["metadata"]["annotations"] = json!(annotations);
            }
            if !managed {
                it["metadata"]["labels"] = json!({});
            }
        })
    }
}

proptest! {
    #[test]
    fn asked_again_about_its_own_answer_it_changes_nothing(
        old in any_deployment(),
        new in any_deployment(),
        user in "[a-z:]{1,8}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = World::of([canary()]).serve();
            let once = server.ask("/mutate", &update(&user, &old, &new)).await.applied_to(&new);
            let again = server.ask("/mutate", &update(&user, &old, &once)).await;
            prop_assert!(again.patch().0.is_empty(), "{:?}", again.patch());
            prop_assert_eq!(&once["spec"], &new["spec"]);
            Ok(())
        })?;
    }
}
