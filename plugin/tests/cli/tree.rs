//! The tree below one Canary: what is asked for it, and what stands there when it may not be read.

use serde_json::{Value, json};

use crate::run::on;
use crate::world::{World, pod, running, waiting};

#[test]
fn what_runs_where_stands_below_the_canary() {
    let api = World::new().serve();
    let ran = on(&api, &["status", "podinfo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "├─ podinfo-primary",
        "│     └─ podinfo-primary-5d8f-x2x4z",
        "   │  └─ podinfo-7c9d-bbbbb",
        "✖ ImagePullBackOff",
        "… 1 more, scaled down",
    ] {
        assert!(
            ran.stdout.contains(part),
            "{part} is missing in\n{}",
            ran.stdout
        );
    }
}

#[test]
fn pods_are_asked_for_by_the_selectors_and_only_where_one_canary_is_shown() {
    let api = World::new().serve();
    on(&api, &["status", "podinfo"]);
    let asked: Vec<String> = api
        .urls()
        .into_iter()
        .filter(|url| url.contains("/pods"))
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for label in ["app%3Dpodinfo-primary", "app%3Dpodinfo"] {
        assert!(
            asked
                .iter()
                .any(|url| url.ends_with(&format!("labelSelector={label}"))),
            "{asked:?}"
        );
    }
    for words in [
        &["status"][..],
        &["status", "-A"],
        &["status", "podinfo", "-o", "name"],
    ] {
        let before = api.urls().len();
        on(&api, words);
        let asked = api.urls().split_off(before);
        assert!(
            !asked
                .iter()
                .any(|url| url.contains("/pods") || url.contains("/replicasets")),
            "{asked:?}"
        );
    }
}

#[test]
fn all_canaries_are_one_request() {
    let api = World::new().serve();
    on(&api, &["status", "-A"]);
    assert_eq!(api.urls().len(), 1, "{:?}", api.urls());
}

#[test]
fn without_the_right_to_list_pods_the_rest_is_shown_and_nothing_fails() {
    let mut world = World::new();
    world.forbidden = vec!["pods"];
    let api = world.serve();
    let ran = on(&api, &["status", "podinfo"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("podinfo-7c9d"), "{}", ran.stdout);
    assert_eq!(
        ran.stdout.matches("no right to list Pods").count(),
        2,
        "{}",
        ran.stdout
    );
    let json: Value =
        serde_json::from_str(&on(&api, &["status", "podinfo", "-o", "json"]).stdout).unwrap();
    let unread = &json["workloads"][0]["unread"][0];
    assert_eq!(
        (&unread["resource"], &unread["forbidden"]),
        (&json!("Pods"), &json!(true))
    );
}

#[test]
fn revisions_can_be_asked_for_and_are_limited() {
    let api = World::new().serve();
    let both = on(&api, &["status", "podinfo", "--revisions", "2"]).stdout;
    assert!(both.contains("podinfo-65fb"), "{both}");
    let one = on(&api, &["status", "podinfo", "--revisions", "1"]).stdout;
    assert!(
        !one.contains("podinfo-65fb") && one.contains("… 1 older"),
        "{one}"
    );
    let ran = on(&api, &["status", "--revisions", "1"]);
    assert_eq!(ran.code, 1, "of which Canary?");
}

#[test]
fn programs_get_every_pod_and_people_a_count() {
    let world = World::new();
    let crowd = (0..200).map(|number| match number {
        150 => pod("podinfo-7c9d", "00150", &waiting("CrashLoopBackOff")),
        _ => pod("podinfo-7c9d", &format!("{number:05}"), &running()),
    });
    world.pods.send_replace(crowd.collect());
    let api = world.serve();
    let shown = on(&api, &["status", "podinfo"]).stdout;
    assert!(
        shown.contains("✖ CrashLoopBackOff") && shown.contains("… 190 more Running"),
        "{shown}"
    );
    let json: Value =
        serde_json::from_str(&on(&api, &["status", "podinfo", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        json["workloads"][1]["replicaSets"][0]["pods"]
            .as_array()
            .unwrap()
            .len(),
        200
    );
    let wide = on(&api, &["status", "podinfo", "-o", "wide"]).stdout;
    assert_eq!(wide.matches("podinfo-7c9d-").count(), 200, "{wide}");
}
