//! Golden pictures: each state on a wide and a narrow terminal, in a pipe, in ASCII, in colour.

mod verbs;

use serde_json::{Value, json};

use super::*;
use crate::report::tests::{noon, observed, progressing, report, status};
use crate::report::{CanaryReport, Extra};

fn wide() -> Theme {
    Theme::new(false, true, Some(80))
}

fn draw(report: &CanaryReport, theme: &Theme) -> String {
    theme.paint(&detail::lines(report, theme, noon(), false))
}

fn picture(status: &Value) -> String {
    draw(&report(status), &wide())
}

fn failed() -> Value {
    let mut value = status(
        "Failed",
        0,
        10,
        &json!({
            "outcome": "RolledBack", "endedAt": "2026-03-01T11:59:42Z", "message": "failed checks threshold reached 10",
            "checks": [
                {"name": "request-success-rate", "value": 35.2, "min": 99.0, "verdict": "Failed", "at": "2026-03-01T11:59:40Z"},
                {"name": "request-duration", "max": 500.0, "verdict": "NoValues", "message": "no values found", "at": "2026-03-01T11:59:40Z"},
            ],
        }),
    );
    value["history"] = json!([
        {"number": 2, "revision": "v1-b", "images": [{"container": "podinfod", "from": "p:6.0.0", "to": "p:6.0.1"}], "by": "alice",
         "startedAt": "2026-03-01T11:59:02Z", "endedAt": "2026-03-01T11:59:42Z", "outcome": "RolledBack", "message": "failed checks threshold reached 10", "weight": 10},
        {"number": 1, "revision": "v1-a", "images": [], "startedAt": "2026-03-01T10:00:00Z", "endedAt": "2026-03-01T10:01:00Z", "outcome": "Promoted", "weight": 50},
    ]);
    value
}

#[test]
fn a_release_in_progress() {
    insta::assert_snapshot!(picture(&progressing()));
}

#[test]
fn a_release_in_progress_on_a_narrow_terminal() {
    let theme = Theme::new(false, true, Some(40));
    insta::assert_snapshot!(draw(&report(&progressing()), &theme));
}

#[test]
fn a_release_in_progress_in_ascii() {
    let theme = Theme::new(false, false, Some(80));
    let drawn = draw(&report(&progressing()), &theme);
    assert!(drawn.is_ascii());
    insta::assert_snapshot!(drawn);
}

#[test]
fn a_release_in_progress_in_colour() {
    let theme = Theme::new(true, true, Some(80));
    let drawn = draw(&report(&progressing()), &theme);
    insta::assert_snapshot!(drawn.replace('\u{1b}', "␛"));
}

#[test]
fn colour_adds_nothing_but_colour() {
    for status in [progressing(), failed()] {
        let coloured = draw(&report(&status), &Theme::new(true, true, Some(80)));
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            picture(&status)
        );
    }
}

#[test]
fn a_failed_release_shows_the_values_that_failed_it() {
    insta::assert_snapshot!(picture(&failed()));
}

#[test]
fn wide_adds_revisions_and_history() {
    let theme = wide();
    insta::assert_snapshot!(theme.paint(&detail::lines(&report(&failed()), &theme, noon(), true)));
}

#[test]
fn a_release_that_succeeded() {
    let end = json!({"outcome": "Promoted", "endedAt": "2026-03-01T11:59:50Z", "message": "Canary analysis completed successfully, promotion finished."});
    insta::assert_snapshot!(picture(&status("Succeeded", 0, 0, &end)));
}

#[test]
fn a_paused_release_says_by_whom_and_what_remains() {
    let paused = json!({"paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 4200, "by": "bob", "reason": "incident 42"}, "nextCheckAt": null});
    insta::assert_snapshot!(picture(&status("Progressing", 30, 2, &paused)));
}

#[test]
fn a_pause_with_an_end_says_when_it_is_over() {
    let paused = json!({"paused": {"since": "2026-03-01T11:59:30Z", "until": "2026-03-01T13:30:30Z", "remainingMs": 4200, "by": "bob"}, "nextCheckAt": null});
    insta::assert_snapshot!(picture(&status("Progressing", 30, 2, &paused)));
}

#[test]
fn a_release_at_a_gate_names_the_gate_and_the_command() {
    let gate = json!({"waitingFor": "confirm-promotion webhook ask-ops", "by": null});
    insta::assert_snapshot!(picture(&status("WaitingPromotion", 50, 0, &gate)));
}

#[test]
fn what_is_wrong_stands_on_the_screen() {
    let mut value = progressing();
    value["conditions"] = json!([
        {"type": "Ready", "status": "False", "reason": "Forbidden", "message": "apisixroutes.apisix.apache.org \"podinfo-podinfo-canary\" cannot be updated: the service account lacks the verb update"},
        {"type": "Drift", "status": "True", "reason": "Scaled", "message": "podinfo.test was scaled to 1 by argocd"},
    ]);
    let mut observed = observed(&value);
    observed.route = Extra::Unknown("forbidden".into());
    insta::assert_snapshot!(draw(&observed.report(), &wide()));
}

#[test]
fn metrics_that_were_checked_more_than_once_show_their_course() {
    let checks = json!([
        {"name": "request-success-rate", "value": 96.0, "min": 99.0, "verdict": "Failed", "at": "2026-03-01T11:59:56Z",
         "recent": [100.0, 99.9, 99.0, 97.5, 96.0]},
        {"name": "request-duration", "value": 42.0, "max": 500.0, "verdict": "Passed", "at": "2026-03-01T11:59:56Z",
         "recent": [42.0, 42.0, 42.0]},
    ]);
    let status = status("Progressing", 30, 1, &json!({"checks": checks}));
    let drawn = picture(&status);
    assert!(drawn.contains("✖ failed   ██▆▄▁"), "{drawn}");
    assert!(drawn.contains("✔ passed   ▄▄▄"), "{drawn}");
    let ascii = Theme::new(false, false, Some(40));
    let drawn = draw(&report(&status), &ascii);
    assert!(
        drawn.is_ascii() && drawn.contains("x failed   ##=-_"),
        "{drawn}"
    );
}

#[test]
fn a_request_that_was_refused_is_news_for_ten_minutes() {
    let mut value = progressing();
    let mut refused = |at: &str, outcome: &str| {
        value["lastRequest"] = json!({"id": "x", "verb": "promote", "by": "bob", "at": at, "outcome": outcome, "message": "the canary is not ready"});
        picture(&value).contains("promote by bob")
    };
    assert!(refused("2026-03-01T11:58:00Z", "Refused"));
    assert!(!refused("2026-03-01T11:40:00Z", "Refused"));
    assert!(!refused("2026-03-01T11:58:00Z", "Done"));
}

#[test]
fn a_canary_that_nobody_has_looked_at() {
    let theme = wide();
    insta::assert_snapshot!(draw(
        &report(&json!({"phase": "", "canaryWeight": 0, "failedChecks": 0, "iterations": 0})),
        &theme
    ));
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    for width in [20, 40, 60, 80, 120] {
        for status in [progressing(), failed()] {
            for theme in [
                Theme::new(false, true, Some(width)),
                Theme::new(false, false, Some(width)),
            ] {
                let report = report(&status);
                let detail = theme.paint(&detail::lines(&report, &theme, noon(), true));
                let table = theme.paint(&table::lines(&[report], &theme, noon(), true, true));
                for line in detail.lines().chain(table.lines()) {
                    assert!(line.chars().count() <= width, "{width}: {line}");
                }
            }
        }
    }
}

fn many() -> Vec<CanaryReport> {
    let mut reports = vec![report(&progressing()), report(&failed())];
    reports[1].metadata.name = "backend".into();
    reports
}

#[test]
fn all_in_a_table() {
    let theme = Theme::new(false, true, Some(100));
    insta::assert_snapshot!(theme.paint(&table::lines(&many(), &theme, noon(), false, false)));
}

#[test]
fn a_narrow_table_gives_up_columns_rather_than_wrapping() {
    let theme = Theme::new(false, true, Some(40));
    insta::assert_snapshot!(theme.paint(&table::lines(&many(), &theme, noon(), false, false)));
}

#[test]
fn a_wide_table_in_a_pipe_keeps_all_columns() {
    let theme = Theme::new(false, true, None);
    insta::assert_snapshot!(theme.paint(&table::lines(&many(), &theme, noon(), true, true)));
}

#[test]
fn a_pipe_gets_one_line_for_each_change() {
    let theme = Theme::new(false, true, None);
    insta::assert_snapshot!(change::line(&report(&progressing()), &theme), @"podinfo.test  Progressing  release 2  6.0.0 → 6.0.1  weight 30  step 3/5  failed 0/10  request-success-rate 99.80 passed  request-duration 42.00 passed");
    insta::assert_snapshot!(change::line(&report(&failed()), &theme), @"podinfo.test  Failed  release 2  weight 0  rolled back");
}

#[test]
fn a_clock_that_differs_from_the_server_s_counts_from_no_more_than_the_interval() {
    let report = report(&progressing());
    assert_eq!(countdown(&report, noon()), Some(6));
    assert_eq!(
        countdown(&report, "2026-03-01T13:00:00Z".parse().unwrap()),
        Some(0)
    );
    assert_eq!(
        countdown(&report, "2026-03-01T11:00:00Z".parse().unwrap()),
        Some(10)
    );
}

#[test]
fn text_of_the_cluster_cannot_steer_the_terminal() {
    let mut value = progressing();
    value["conditions"] =
        json!([{"type": "Drift", "status": "True", "reason": "", "message": "\u{1b}[2Jgone\r\n"}]);
    let drawn = picture(&value);
    assert!(!drawn.contains('\u{1b}') && !drawn.contains('\r'));
}
