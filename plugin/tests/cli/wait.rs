//! `wait`: what it waits for, and every way in which it ends.

use serde_json::{Value, json};

use crate::fake::{FakeApi, canary, ended, progressing, status};
use crate::run::{Ran, finish, on, start};

/// The status of the Canary goes through these while somebody waits.
fn waited(words: &[&str], changes: &[Value]) -> Ran {
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &[&["wait", "podinfo"], words].concat());
    api.state.until_told(1);
    for (number, change) in changes.iter().enumerate() {
        api.state.merge(&json!({"status": change}));
        api.state.until_told(number + 2);
    }
    finish(child)
}

/// A Canary at rest whose release 2 ended so.
fn rested(phase: &str, outcome: &str) -> FakeApi {
    let api = FakeApi::new(canary(&progressing()));
    api.state.merge(&json!({"status": ended(phase, outcome)}));
    api
}

const PROMOTED: &str = "podinfo.test: release 2 promoted (6.0.0 -> 6.0.1), 92s after it started\n";

#[test]
fn each_change_is_a_line_and_the_outcome_the_last() {
    let steps = [json!({"canaryWeight": 20}), ended("Succeeded", "Promoted")];
    let ran = waited(&["--for=promoted"], &steps);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert!(
        lines[1].ends_with("weight 20  step 2/5  failed 0/10"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[3], PROMOTED.trim_end());
}

#[test]
fn what_is_so_already_needs_no_waiting() {
    for goal in ["--for=promoted", "--for=any"] {
        let ran = on(&rested("Succeeded", "Promoted"), &["wait", "podinfo", goal]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(ran.stdout.ends_with(PROMOTED), "{}", ran.stdout);
    }
    let failed = on(
        &rested("Failed", "RolledBack"),
        &["wait", "podinfo", "--for=failed"],
    );
    assert_eq!(failed.code, 0, "{}", failed.stderr);
    assert!(
        failed
            .stdout
            .ends_with("podinfo.test: release 2 rolled back\n"),
        "{}",
        failed.stdout
    );
}

#[test]
fn a_failed_release_is_2_unless_it_is_what_was_waited_for() {
    for goal in ["--for=promoted", "--for=paused", "--for=held", "--for=any"] {
        let ran = on(&rested("Failed", "RolledBack"), &["wait", "podinfo", goal]);
        ran.failed(2, "release 2 of podinfo.test rolled back");
    }
    waited(&[], &[ended("Failed", "RolledBack")]).failed(2, "rolled back");
}

#[test]
fn what_cannot_come_any_more_ends_it_with_1() {
    for goal in ["--for=failed", "--for=paused", "--for=held"] {
        let ran = on(&rested("Succeeded", "Promoted"), &["wait", "podinfo", goal]);
        ran.failed(1, "so it will not be");
    }
}

#[test]
fn a_pause_and_a_gate_are_waited_for_each_by_its_name() {
    let pause = json!({"release": {"paused": {"since": "2026-03-01T11:59:30Z", "by": "bob"}}});
    let ran = waited(&["--for=paused"], &[pause]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.ends_with(
            "release 2 is paused by bob; resume it: kubectl canary resume podinfo -n test\n"
        ),
        "{}",
        ran.stdout
    );
    let gate = json!({"phase": "WaitingPromotion", "release": {"waitingFor": "ask-ops"}});
    let ran = waited(&["--for=held"], &[gate]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.ends_with("release 2 waits for ask-ops\n"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_newer_release_is_6() {
    let newer = json!({"release": {"number": 3, "revision": "v1-cccccccccccc"}});
    waited(&[], &[newer]).failed(6, "release 2 of podinfo.test was superseded by release 3");
}

#[test]
fn a_release_that_does_not_end_is_3() {
    let api = FakeApi::new(canary(&progressing()));
    let ran = on(&api, &["wait", "podinfo", "--for=promoted", "--timeout=1s"]);
    ran.failed(
        3,
        "release 2 of podinfo.test has not been promoted within 1s",
    );
    assert!(
        ran.stderr
            .contains("hint: it goes on; see why: kubectl canary explain podinfo -n test"),
        "{}",
        ran.stderr
    );
    let ran = on(&api, &["wait", "podinfo", "--release=r9", "--timeout=1s"]);
    ran.failed(3, "release 9 of podinfo.test has not ended within 1s");
}

#[test]
fn no_canary_is_4_and_no_right_is_5() {
    let api = FakeApi::new(canary(&progressing()));
    on(&api, &["wait", "podifo"]).failed(4, "canary test/podifo not found");
    let said = "canaries.flagger.app is forbidden: User \"bob\" cannot get resource \"canaries\"";
    let api = FakeApi::answering(move |_, _| Some(status(403, "Forbidden", said, "")));
    on(&api, &["wait", "podinfo"]).failed(5, "User \"bob\" cannot get");
    let api = FakeApi::new(canary(&progressing()));
    let child = start(&api, &["wait", "podinfo"]);
    api.state.until_told(1);
    api.state.delete();
    finish(child).failed(4, "canary podinfo.test was deleted");
}

#[test]
fn a_usage_error_is_1() {
    for words in [
        &["wait"][..],
        &["wait", "podinfo", "--for=banana"],
        &["wait", "podinfo", "--release=r0"],
        &["wait", "podinfo", "--timeout=banana"],
    ] {
        let api = FakeApi::new(canary(&progressing()));
        assert_eq!(on(&api, words).code, 1, "{words:?}");
        assert!(api.urls().is_empty(), "{words:?}");
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let ran = on(&rested("Succeeded", "Promoted"), &["wait", "podinfo", "-q"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "")
    );
    let ran = on(&rested("Failed", "RolledBack"), &["wait", "podinfo", "-q"]);
    assert_eq!(ran.stdout, "");
    ran.failed(2, "rolled back");
}

#[test]
fn the_report_at_the_end_is_all_that_standard_output_gets() {
    for (outcome, phase, code) in [("Promoted", "Succeeded", 0), ("RolledBack", "Failed", 2)] {
        let ran = on(&rested(phase, outcome), &["wait", "podinfo", "-o", "json"]);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(
            (ran.code, &report["kind"], &report["phase"]),
            (code, &json!("CanaryReport"), &json!(phase))
        );
        assert!(ran.stderr.contains("release 2"), "{}", ran.stderr);
    }
    let ran = on(
        &rested("Succeeded", "Promoted"),
        &["wait", "podinfo", "-q", "-o", "yaml"],
    );
    let report: Value = serde_yaml::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (&report["phase"], ran.stderr.as_str()),
        (&json!("Succeeded"), "")
    );
}

#[test]
fn one_watch_follows_it_and_nothing_is_polled() {
    let api = FakeApi::new(canary(&progressing()));
    on(&api, &["wait", "podinfo", "--timeout=2s"]).failed(3, "has not ended within 2s");
    let watches = api
        .urls()
        .iter()
        .filter(|url| url.contains("watch="))
        .count();
    assert_eq!(watches, 1, "{:?}", api.urls());
    // The Canary, its target, and the list that a watch begins with.
    assert!(api.urls().len() <= 4, "{:?}", api.urls());
}
