//! Trouble while it lasts: `status NAME` and `doctor NAME` name it, with the command that helps.
//!
//! Each row is one of those things that other people's clusters did to a release; what the server says of it
//! stands in a condition, and what only the plugin looks at is around the Canary.

mod rows;
mod verbs;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::around::Around;
use crate::run::on;
use rows::{EDIT, HINDERED, REFUSED, ROLLBACK, WAITING, rows};

/// Lines of doctor that are not about the Canary.
const INSTALLATION: [&str; 10] = [
    "crds",
    "controller",
    "server",
    "webhook",
    "certificate",
    "policies",
    "its",
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
fn a_release_on_its_way_back_is_not_offered_to_be_resumed() {
    let row = rows().into_iter().find(|row| row.name.starts_with("F3"));
    let mut around = Around::new();
    (row.unwrap().happens)(&mut around);
    let status = on(&around.serve(), &["status", "podinfo"]).stdout;
    assert!(!status.contains("next "), "{status}");
    assert!(!status.contains("resume"), "{status}");
}

#[test]
fn nothing_is_to_be_deleted_while_the_canary_is_not_ready() {
    for name in ["B6", "F5"] {
        let row = rows().into_iter().find(|row| row.name.starts_with(name));
        let mut around = Around::new();
        (row.unwrap().happens)(&mut around);
        let doctor = on(&around.serve(), &["doctor", "podinfo"]).stdout;
        assert!(!doctor.contains("kubectl delete"), "{doctor}");
    }
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
