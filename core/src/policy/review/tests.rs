mod canaries;
mod requests;

use serde_json::{Value, json};

use super::super::tests::{at, canary as canary_of, fields, read};
use super::*;

const NOW: &str = "2026-11-23T12:00:00Z";
const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn template(images: &[(&str, &str)]) -> Value {
    let containers: Vec<_> = images
        .iter()
        .map(|(name, image)| json!({ "name": name, "image": image }))
        .collect();
    json!({ "spec": { "containers": containers } })
}

fn moment(canary: Option<&Canary>) -> Moment<'_> {
    Moment {
        canary,
        others_releasing: 0,
        now: at(NOW),
    }
}

fn change<'a>(before: &'a Value, after: &'a Value, canary: Option<&'a Canary>) -> Change<'a> {
    Change {
        name: "podinfo",
        before: Some(before),
        after,
        served: false,
        moment: moment(canary),
    }
}

/// Whether each of these images of a new Deployment is objected to.
fn refused(policy: &Policy, images: &[&str]) -> Vec<bool> {
    let one = |image: &&str| !images_of_new(policy, &template(&[("app", image)])).is_empty();
    images.iter().map(one).collect()
}

fn images_of_new(policy: &Policy, template: &Value) -> Vec<Objection> {
    images(policy, None, template)
}

#[test]
fn images_come_from_allowed_registries() {
    let policy = read(
        json!({ "images": { "allowedRegistries": ["registry.example.com/team/", "docker.io/library/"] } }),
    );
    assert_eq!(
        refused(
            &policy,
            &[
                "registry.example.com/team/app:1",
                "nginx",
                "docker.io/nginx:1"
            ]
        ),
        [false; 3]
    );
    assert_eq!(
        refused(
            &policy,
            &[
                "registry.example.com/team",
                "registry.example.com/teams/app:1",
                "other/nginx",
                "ghcr.io/library/nginx"
            ]
        ),
        [true; 4]
    );
    let found = images_of_new(
        &policy,
        &template(&[
            ("app", "evil/app"),
            ("side", "nginx"),
            ("third", "ghcr.io/x"),
        ]),
    );
    assert_eq!(
        found[0].to_string(),
        "CanaryPolicy prod: spec.images.allowedRegistries: use an image of \
         registry.example.com/team/ or docker.io/library/, not app=evil/app, third=ghcr.io/x"
    );
}

#[test]
fn images_are_named_by_digest() {
    let policy = read(json!({ "images": { "requireDigest": true } }));
    let pinned = format!("app@{DIGEST}");
    let both = format!("app:1@{DIGEST}");
    assert_eq!(
        refused(&policy, &[&pinned, &both, "app:1", "app", "app@sha256:12"]),
        [false, false, true, true, true]
    );
}

#[test]
fn tags_that_say_nothing_are_refused_unless_a_digest_says_it() {
    let policy = read(json!({ "images": { "disallowedTags": ["latest", "main"] } }));
    let pinned = format!("app:latest@{DIGEST}");
    assert_eq!(
        refused(
            &policy,
            &["app", "app:latest", "registry:5000/app", "app:main"]
        ),
        [true; 4]
    );
    assert_eq!(
        refused(&policy, &["app:1", "app:latest-1", &pinned]),
        [false; 3]
    );
}

#[test]
fn init_containers_are_judged_like_the_others() {
    let policy = read(json!({ "images": { "disallowedTags": ["latest"] } }));
    let template = json!({ "spec": {
        "containers": [{ "name": "app", "image": "app:1" }],
        "initContainers": [{ "name": "setup", "image": "setup" }],
    } });
    let found = images_of_new(&policy, &template);
    assert!(
        found[0].message.ends_with("not setup=setup"),
        "{}",
        found[0]
    );
}

#[test]
fn an_image_that_was_there_before_may_stay() {
    let policy = read(json!({ "images": { "requireDigest": true } }));
    let before = template(&[("app", "app:1"), ("side", "side:1")]);
    let found = |after: &[(&str, &str)]| images(&policy, Some(&before), &template(after)).len();
    assert_eq!(found(&[("app", "app:1"), ("side", "side:1")]), 0);
    assert_eq!(found(&[("app", "app:1")]), 0);
    assert_eq!(found(&[("app", "app:2"), ("side", "side:1")]), 1);
    assert_eq!(found(&[("app", "app:1"), ("new", "app:1")]), 1);
    // A kept name with the image of another container is a change of its own.
    assert_eq!(found(&[("app", "side:1"), ("side", "side:1")]), 1);
}

#[test]
fn in_a_freeze_a_new_template_is_refused_and_a_rollback_never_is() {
    let policy = read(json!({ "release": { "freezeWindows": [
        { "name": "lunch", "start": "2026-11-23T11:00:00Z", "end": "2026-11-23T13:00:00Z" },
    ] } }));
    let (one, two) = (template(&[("app", "app:1")]), template(&[("app", "app:2")]));
    let canary = canary_of(
        json!({}),
        json!({ "phase": "Succeeded", "lastPromotedSpec": revision(&one) }),
    );
    let found = |before, after, canary| deployment(&policy, &change(before, after, canary)).len();
    assert_eq!(found(&one, &two, Some(&canary)), 1);
    assert_eq!(found(&two, &one, Some(&canary)), 0);
    assert_eq!(found(&two, &two, Some(&canary)), 0);
    // Nobody knows what an unmanaged Deployment would be rolled back to.
    assert_eq!(found(&two, &one, None), 1);
    let created = Change {
        before: None,
        ..change(&one, &two, None)
    };
    assert_eq!(deployment(&policy, &created).len(), 1);
}

#[test]
fn a_running_release_is_left_alone_where_the_policy_says_so() {
    let policy = read(json!({ "release": { "onRunningRelease": "Deny" } }));
    let (one, two, three) = (
        template(&[("a", "a:1")]),
        template(&[("a", "a:2")]),
        template(&[("a", "a:3")]),
    );
    let canary = |phase: &str| {
        canary_of(
            json!({}),
            json!({
                "phase": phase,
                "lastPromotedSpec": revision(&one),
                "release": { "number": 1, "revision": revision(&two), "startedAt": NOW },
            }),
        )
    };
    let found = |after, phase: &str| {
        let canary = canary(phase);
        deployment(&policy, &change(&two, after, Some(&canary))).len()
    };
    assert_eq!(found(&three, "Progressing"), 1);
    assert_eq!(found(&three, "Succeeded"), 0);
    assert_eq!(found(&one, "Progressing"), 0, "setting the template back");
    let back = canary("Progressing");
    assert!(
        deployment(&policy, &change(&three, &two, Some(&back))).is_empty(),
        "to what runs"
    );
    let restart = read(json!({ "release": { "onRunningRelease": "Restart" } }));
    assert!(deployment(&restart, &change(&two, &three, Some(&back))).is_empty());
}

#[test]
fn a_deployment_behind_a_service_needs_a_canary_once_its_template_changes() {
    let policy = read(json!({ "canary": { "required": true } }));
    let (one, two) = (template(&[("a", "a:1")]), template(&[("a", "a:2")]));
    let canary = canary_of(json!({}), json!({}));
    let found = |before, served, canary| {
        let change = Change {
            before,
            served,
            ..change(&one, &two, canary)
        };
        fields(&deployment(&policy, &change)).len()
    };
    assert_eq!(found(None, true, None), 1);
    assert_eq!(found(Some(&one), true, None), 1);
    assert_eq!(found(Some(&two), true, None), 0);
    assert_eq!(found(Some(&one), true, Some(&canary)), 0);
    assert_eq!(found(Some(&one), false, None), 0);
}

#[test]
fn a_break_glass_opens_once_and_says_why() {
    let with = |reason: Option<&str>| -> BTreeMap<String, String> {
        reason
            .map(|reason| (names::BREAK_GLASS.to_owned(), reason.to_owned()))
            .into_iter()
            .collect()
    };
    let opens = |before: Option<&str>, after: Option<&str>| {
        break_glass(Some(&with(before)), Some(&with(after))).is_some()
    };
    assert!(opens(None, Some("INC-1")));
    assert!(opens(Some("INC-1"), Some("INC-2")));
    assert!(!opens(Some("INC-1"), Some("INC-1")));
    assert!(!opens(Some("INC-1"), None));
    assert!(!opens(None, Some(" \t\n")));
    assert!(!opens(None, Some("")));
    assert_eq!(break_glass(None, Some(&with(Some("INC-1")))), Some("INC-1"));
    assert_eq!(break_glass(None, None), None);
}
