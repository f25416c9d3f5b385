//! `status`: formats, and the end of a watch.

use std::time::Duration;

use serde_json::{Value, json};

use crate::fake::{FakeApi, canary, ended, progressing, status};
use crate::run::{Ran, finish, on, start};

#[test]
fn one_canary_in_each_format() {
    let api = FakeApi::new(canary(&progressing()));
    let ran = on(&api, &["status", "podinfo"]);
    assert!(
        ran.code == 0
            && ran
                .stdout
                .starts_with("podinfo.test   ◌ Progressing   release 2   by alice"),
        "{}",
        ran.stdout
    );
    let json: Value =
        serde_json::from_str(&on(&api, &["status", "podinfo", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        (&json["kind"], &json["apiVersion"]),
        (
            &json!("CanaryReport"),
            &json!("report.kubectl-canary.dev/v1alpha1")
        )
    );
    let yaml = on(&api, &["status", "podinfo", "-o", "yaml"]).stdout;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), json);
    on(&api, &["status", "podinfo", "-o", "name"]).said("canary.flagger.app/podinfo\n");
    assert!(
        on(&api, &["status", "podinfo", "-o", "wide"])
            .stdout
            .contains("strategy canary")
    );
}

#[test]
fn all_canaries_in_each_format() {
    let api = FakeApi::new(canary(&progressing()));
    let table = on(&api, &["status"]).stdout;
    assert!(
        table.starts_with("NAME") && table.contains("podinfo"),
        "{table}"
    );
    assert!(on(&api, &["status", "-A"]).stdout.starts_with("NAMESPACE"));
    let json: Value = serde_json::from_str(&on(&api, &["status", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        (&json["kind"], &json["items"][0]["metadata"]["name"]),
        (&json!("CanaryReportList"), &json!("podinfo"))
    );
    on(&api, &["status", "-o", "name"]).said("canary.flagger.app/podinfo\n");
    api.state.delete();
    let ran = on(&api, &["status"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "No canaries found in namespace test.\n")
    );
}

#[test]
fn parts_of_a_report_are_picked_by_a_template() {
    let api = FakeApi::new(canary(&progressing()));
    on(
        &api,
        &[
            "status",
            "podinfo",
            "-o",
            "jsonpath={.phase} {.traffic.canary}",
        ],
    )
    .said("Progressing 10");
    let each = r#"jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}"#;
    on(&api, &["status", "-o", each]).said("podinfo\n");
    on(
        &api,
        &["history", "podinfo", "-o", "jsonpath={.releases[0].by}"],
    )
    .said("alice");
    let asked = api.urls().len();
    let wrong = on(&api, &["status", "-o", "jsonpath={.phase"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("has no `}`"), "{}", wrong.stderr);
    let wrong = on(&api, &["status", "-o", "jsno"]);
    for part in ["'jsno'", "jsonpath=TEMPLATE", "wide"] {
        assert!(wrong.stderr.contains(part), "{part}: {}", wrong.stderr);
    }
    assert_eq!(
        api.urls().len(),
        asked,
        "nobody is asked for what cannot be shown"
    );
}

#[test]
fn a_pipe_gets_no_colour_unless_it_is_asked_for() {
    let api = FakeApi::new(canary(&progressing()));
    assert!(!on(&api, &["status", "podinfo"]).stdout.contains('\u{1b}'));
    assert!(
        on(&api, &["status", "podinfo", "--color", "always"])
            .stdout
            .contains('\u{1b}')
    );
}

#[test]
fn what_this_user_may_not_read_is_said_and_the_rest_is_shown() {
    let api = FakeApi::answering(|call, _| {
        let forbidden =
            "deployments.apps is forbidden: User \"bob\" cannot get resource \"deployments\"";
        call.path
            .contains("deployments")
            .then(|| status(403, "Forbidden", forbidden, ""))
    });
    let ran = on(&api, &["status", "podinfo"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains("Deployment podinfo cannot be read"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_canary_of_another_version_is_named() {
    let mut odd = canary(&progressing());
    odd["status"]["phase"] = json!("Levitating");
    let api = FakeApi::new(odd);
    on(&api, &["status", "podinfo"]).failed(1, "cannot be read by this version");
    let all = on(&api, &["status"]);
    let left_out = "canary test/podinfo cannot be read and is left out";
    assert!(
        all.code == 0 && all.stderr.contains(left_out),
        "{}",
        all.stderr
    );
}

/// The status of a watched Canary goes through these, one after the other.
fn watched(words: &[&str], changes: &[Value]) -> crate::run::Ran {
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &[&["status", "podinfo", "--watch"], words].concat());
    api.state.until_told(1);
    for (number, change) in changes.iter().enumerate() {
        api.state.merge(&json!({"status": change}));
        api.state.until_told(number + 2);
    }
    finish(child)
}

#[test]
fn a_watch_ends_with_the_release_and_says_each_change_once() {
    let steps = [
        json!({"canaryWeight": 20}),
        json!({"canaryWeight": 20}),
        json!({"phase": "Promoting"}),
        ended("Succeeded", "Promoted"),
    ];
    let ran = watched(&[], &steps);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // Each line begins with the time of day.
    let lines: Vec<&str> = ran
        .stdout
        .lines()
        .map(|line| line.split_once("Z  ").unwrap().1)
        .collect();
    assert_eq!(
        lines,
        [
            "podinfo.test  Progressing  release 2  6.0.0 → 6.0.1  weight 10  step 1/5  failed 0/10",
            "podinfo.test  Progressing  release 2  6.0.0 → 6.0.1  weight 20  step 2/5  failed 0/10",
            "podinfo.test  Promoting  release 2  6.0.0 → 6.0.1  weight 20  failed 0/10",
            "podinfo.test  Succeeded  release 2  weight 0  promoted",
        ]
    );
}

#[test]
fn a_watch_of_a_release_that_fails_is_2() {
    watched(&[], &[ended("Failed", "RolledBack")])
        .failed(2, "release 2 of podinfo.test rolled back");
}

#[test]
fn a_watch_of_a_release_that_is_superseded_is_6() {
    let newer = json!({"release": {"number": 3, "revision": "v1-cccccccccccc"}});
    watched(&[], &[newer]).failed(6, "release 2 of podinfo.test was superseded by release 3");
}

#[test]
fn a_watch_writes_one_json_object_a_line() {
    let ran = watched(&["-o", "json"], &[ended("Succeeded", "Promoted")]);
    let phases: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["phase"].clone())
        .collect();
    assert_eq!(
        (ran.code, phases),
        (0, vec![json!("Progressing"), json!("Succeeded")])
    );
}

/// Watches a Canary at rest, whose next release begins after `pause` and succeeds.
fn watched_from_rest(pause: Duration) -> Ran {
    let mut at_rest = progressing();
    at_rest["phase"] = json!("Succeeded");
    at_rest["release"]["outcome"] = json!("Promoted");
    let api = FakeApi::new(canary(&at_rest));
    let child = start(&api, &["status", "podinfo", "-w"]);
    api.state.until_told(1);
    std::thread::sleep(pause);
    let changes = [
        json!({"phase": "Progressing", "release": {"number": 3, "outcome": null}}),
        json!({"phase": "Succeeded", "release": {"outcome": "Promoted"}}),
    ];
    for (number, change) in changes.iter().enumerate() {
        api.state.merge(&json!({"status": change}));
        api.state.until_told(number + 2);
    }
    finish(child)
}

#[test]
fn a_watch_right_after_a_change_shows_the_new_release_and_not_the_last() {
    let ran = watched_from_rest(Duration::from_millis(500));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let first = ran.stdout.lines().next().unwrap_or_default();
    assert!(first.contains("release 3"), "{}", ran.stdout);
}

#[test]
fn a_watch_at_rest_waits_for_the_next_release() {
    let ran = watched_from_rest(Duration::from_secs(3));
    assert_eq!(ran.code, 0);
    assert!(
        ran.stderr.contains("waiting for the next one"),
        "{}",
        ran.stderr
    );
    assert!(ran.stdout.contains("release 3"), "{}", ran.stdout);
}

#[test]
fn a_watched_canary_that_is_deleted_is_4() {
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &["status", "podinfo", "-w"]);
    api.state.until_told(1);
    api.state.delete();
    finish(child).failed(4, "was deleted");
}
