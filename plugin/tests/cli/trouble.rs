//! Trouble while it lasts: `status NAME` and `doctor NAME` name it, with the command that helps.
//!
//! Each row is one of those things that other people's clusters did to a release; what the server says of it
//! stands in a condition, and what only the plugin looks at is around the Canary.

mod rows;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::around::Around;
use crate::fake::{FakeApi, answer_to, canary, ended, progressing};
use crate::run::on;
use rows::{EDIT, HINDERED, REFUSED, ROLLBACK, WAITING, rows};

/// Lines of doctor that are not about the Canary.
const INSTALLATION: [&str; 9] = [
    "crds",
    "controller",
    "server",
    "webhook",
    "certificate",
    "policies",
    "your",
    "kubernetes",
    "metrics",
];

/// In one line, however it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is said of the Canary, without what doctor says of the installation.
fn of_canary(doctor: &str) -> String {
    let mut kept = false;
    let lines = doctor.lines().filter(|line| {
        if !line.starts_with(' ') {
            let words: Vec<&str> = line.split_whitespace().collect();
            let outcome = words.get(1).copied().unwrap_or_default();
            let name = words.get(2).copied().unwrap_or_default();
            kept = ["fail", "warn"].contains(&outcome) && !INSTALLATION.contains(&name);
        }
        kept
    });
    lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// From the first trouble on, without ages.
fn attention(status: &str) -> String {
    let mut lines = status
        .lines()
        .skip_while(|line| !line.starts_with("attention"));
    let mut kept = String::new();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        writeln!(kept, "{}", line.trim_end()).unwrap();
    }
    kept
}

#[test]
fn status_and_doctor_name_each_trouble_with_the_command_that_helps() {
    let mut golden = String::new();
    for row in rows() {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let api = around.serve();
        let status = on(&api, &["status", "podinfo"]);
        let doctor = on(&api, &["doctor", "podinfo"]);
        assert_eq!(status.code, 0, "{}: {}", row.name, status.stderr);
        for text in row.both {
            assert!(
                flat(&status.stdout).contains(text),
                "{}: {text}\n{}",
                row.name,
                status.stdout
            );
        }
        for text in row.both.iter().chain(row.doctor) {
            assert!(
                flat(&doctor.stdout).contains(text),
                "{}: {text}\n{}",
                row.name,
                doctor.stdout
            );
        }
        let (status, doctor) = (attention(&status.stdout), of_canary(&doctor.stdout));
        write!(golden, "── {}\n{status}{doctor}", row.name).unwrap();
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn a_canary_without_trouble_has_none_of_these_lines() {
    let api = Around::new().serve();
    let (status, doctor) = (
        on(&api, &["status", "podinfo"]),
        on(&api, &["doctor", "podinfo"]),
    );
    assert_eq!(
        (attention(&status.stdout), of_canary(&doctor.stdout)),
        (String::new(), String::new())
    );
    assert!(doctor.stdout.contains("ok   around"), "{}", doctor.stdout);
}

#[test]
fn a_hindered_release_goes_no_further_and_the_way_back_is_offered() {
    for row in HINDERED.iter().filter(|row| !row.name.starts_with("A4")) {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let api = around.serve();
        let status = on(&api, &["status", "podinfo"]).stdout;
        assert!(
            status.contains(&format!("next       {ROLLBACK}")),
            "{}: {status}",
            row.name
        );
        let explained = on(&api, &["explain", "podinfo"]).stdout;
        assert!(
            explained.contains("goes no further: "),
            "{}: {explained}",
            row.name
        );
        assert!(
            explained.contains(&format!("it can be rolled back: {ROLLBACK}")),
            "{}: {explained}",
            row.name
        );
    }
}

#[test]
fn explain_says_that_a_rollback_is_decided_and_why_it_is_not_routed() {
    let mut around = Around::new();
    let row = HINDERED.last().unwrap();
    (row.happens)(&mut around);
    let explained = on(&around.serve(), &["explain", "podinfo"]).stdout;
    assert!(
        explained.contains("is being rolled back: failed checks threshold reached 10"),
        "{explained}"
    );
    assert!(
        flat(&explained).contains("not routed the rollback of release 2 is decided"),
        "{explained}"
    );
    assert!(flat(&explained).contains(REFUSED), "{explained}");
}

#[test]
fn explain_says_why_pods_do_not_come_of_either_side() {
    for row in WAITING.iter().filter(|row| row.name.starts_with("A5")) {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let explained = on(&around.serve(), &["explain", "podinfo"]).stdout;
        for text in row.both {
            assert!(
                flat(&explained).contains(text),
                "{}: {text}\n{explained}",
                row.name
            );
        }
    }
}

#[test]
fn the_report_for_programs_has_the_trouble_with_its_hint() {
    let mut around = Around::new();
    around.condition("Ready", "AutoscalerNotFound", "no HPA");
    let ran = on(&around.serve(), &["status", "podinfo", "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        report["attention"],
        json!([{
            "type": "Ready", "reason": "AutoscalerNotFound", "message": "no HPA",
            "hint": format!("create it, or correct or take out spec.autoscalerRef: {EDIT}"),
        }])
    );
}

#[test]
fn what_this_user_may_not_list_is_one_line_of_doctor_and_no_failure() {
    let mut around = Around::new();
    around.forbidden = vec!["services", "poddisruptionbudgets"];
    let doctor = on(&around.serve(), &["doctor", "podinfo"]).stdout;
    let lines: Vec<&str> = doctor
        .lines()
        .filter(|line| line.contains("skip around"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{doctor}")
    };
    assert!(
        line.contains("Service, PodDisruptionBudget cannot be read: "),
        "{line}"
    );
}

#[test]
fn doctor_only_reads() {
    let api = Around::new().serve();
    on(&api, &["doctor", "podinfo"]);
    for url in api.urls() {
        let allowed = url.contains("dryRun=All") || url.contains("selfsubjectaccessreviews");
        assert!(url.starts_with("GET") || allowed, "{url}");
    }
}

/// A rollback that was asked for is decided, and its write refused.
fn pending(id: &str) -> Value {
    let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
    status["lastRequest"]["pending"] = json!(true);
    status["release"] = json!({"outcome": "RolledBack", "message": "on request of alice"});
    status["conditions"] =
        json!([{"type": "Ready", "status": "False", "reason": "WriteFailed", "message": REFUSED}]);
    status
}

#[test]
fn a_rollback_that_cannot_be_routed_is_waited_for_and_never_said_to_be_done() {
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(pending)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "3s"]);
    ran.failed(
        1,
        "the rollback of release 2 is decided (on request of alice) and not routed yet: it is tried again by itself",
    );
    assert!(ran.stderr.contains(REFUSED), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    // It was heard: it is not withdrawn.
    assert_eq!(api.patches().len(), 1);
}

#[test]
fn a_rollback_that_is_routed_in_the_end_is_done() {
    let routed = |_: &str| json!({"lastRequest": {"pending": null}, "conditions": []});
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(pending),
            Box::new(routed),
            Box::new(|_| ended("Failed", "RolledBack")),
        ],
    );
    on(&api, &["rollback", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
}

#[test]
fn a_rollback_is_not_done_while_the_primary_is_still_put_back() {
    let recovering = |id: &str| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["phase"] = json!("Failed");
        status["release"] =
            json!({"outcome": "RolledBack", "endedAt": "2026-03-01T12:00:34Z", "recovering": true});
        status
    };
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(recovering)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "2s"]);
    ran.failed(3, "was accepted, but has not happened within 2s");
}

#[test]
fn a_verb_that_nobody_answers_says_what_the_canary_lacks() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "Forbidden", "message": "the server may not patch apisixroutes"}]);
    let api = FakeApi::new(canary(&hindered));
    let ran = on(&api, &["promote", "podinfo", "--timeout", "6s"]);
    ran.failed(
        3,
        "the controller did not answer the promote of podinfo.test within 6s",
    );
    assert!(
        ran.stderr
            .contains("it is not ready, the server may not patch apisixroutes"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("is canary-webhook running?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_wait_that_ends_in_vain_says_what_hinders_the_release() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "TargetNotFound", "message": "deployment podinfo.test not found"}]);
    let ran = on(
        &FakeApi::new(canary(&hindered)),
        &["wait", "podinfo", "--timeout", "2s"],
    );
    ran.failed(
        3,
        "has not ended within 2s: deployment podinfo.test not found",
    );
    assert!(
        ran.stdout.contains("not ready: TargetNotFound"),
        "{}",
        ran.stdout
    );
}
