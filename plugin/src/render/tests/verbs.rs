//! History, differences, explanations and confirmations: on terminals of two widths, in a pipe, in
//! ASCII and in colour.

use serde_json::json;

use crate::render::{Line, Theme, explain, history, several};
use crate::report::explain::Explanation;
use crate::report::explain::tests::{all, facts, failed_by_metric};
use crate::report::history::{Diff, History};
use crate::report::tests::{canary, noon, progressing, report, status};

fn themes() -> [(&'static str, Theme); 5] {
    [
        ("a terminal", Theme::new(true, true, Some(80))),
        ("NO_COLOR", Theme::new(false, true, Some(80))),
        ("40 columns", Theme::new(false, true, Some(40))),
        ("ASCII", Theme::new(false, false, Some(80))),
        ("a pipe", Theme::new(false, true, None)),
    ]
}

/// The same on each of them, one below the other.
fn everywhere(draw: impl Fn(&Theme) -> Vec<Line>) -> String {
    texts(|theme| theme.paint(&draw(theme)))
}

fn texts(draw: impl Fn(&Theme) -> String) -> String {
    let each = themes().map(|(name, theme)| {
        let drawn = draw(&theme);
        if let Some(width) = theme.width {
            let stripped = anstream::adapter::strip_str(&drawn).to_string();
            for line in stripped.lines().filter(|line| !is_copied(line)) {
                assert!(line.chars().count() <= width, "{name}: {line}");
            }
        }
        assert!(name != "ASCII" || drawn.is_ascii(), "{drawn}");
        format!("--- {name}\n{}", drawn.replace('\u{1b}', "␛"))
    });
    each.concat()
}

/// What is for copying is never cut.
fn is_copied(line: &str) -> bool {
    let marks = ["query: ", "open: ", "its query "];
    marks.iter().any(|mark| line.trim().starts_with(mark))
}

fn past() -> History {
    let image = |from: &str, to: &str| json!([{"container": "podinfod", "from": format!("p:{from}"), "to": format!("p:{to}")}]);
    let mut value = status(
        "Progressing",
        30,
        0,
        &json!({"number": 4, "peakWeight": 30}),
    );
    value["history"] = json!([
        {"number": 3, "revision": "v1-cccccccccccc", "from": "v1-aaaaaaaaaaaa", "images": image("6.0.0", "6.0.2"), "by": "alice",
         "startedAt": "2026-03-01T11:00:00Z", "endedAt": "2026-03-01T11:02:00Z", "outcome": "RolledBack",
         "message": "failed checks threshold reached 10", "weight": 20,
         "worst": {"name": "request-success-rate", "value": 35.2, "min": 99.0, "verdict": "Failed", "at": "2026-03-01T11:02:00Z"}},
        {"number": 2, "revision": "v1-bbbbbbbbbbbb", "from": "v1-aaaaaaaaaaaa", "images": image("6.0.0", "6.0.1"),
         "startedAt": "2026-03-01T10:00:00Z", "endedAt": "2026-03-01T10:00:30Z", "outcome": "Superseded", "weight": 10},
        {"number": 1, "revision": "v1-aaaaaaaaaaaa", "images": [], "by": "bob",
         "startedAt": "2026-02-20T10:00:00Z", "endedAt": "2026-02-20T10:10:00Z", "outcome": "Promoted", "weight": 50,
         "worst": {"name": "request-duration", "value": 480.0, "max": 500.0, "verdict": "Passed", "at": "2026-02-20T10:09:00Z"}},
    ]);
    History::of(&canary(&value))
}

#[test]
fn the_history_of_a_canary() {
    insta::assert_snapshot!(everywhere(|theme| history::lines(
        &past(),
        theme,
        noon(),
        false
    )));
}

#[test]
fn the_history_with_revisions() {
    let theme = Theme::new(false, true, None);
    insta::assert_snapshot!(theme.paint(&history::lines(&past(), &theme, noon(), true)));
}

#[test]
fn the_history_for_programs() {
    insta::assert_yaml_snapshot!(past());
}

fn diff(kept: bool) -> Diff {
    let history = past();
    let template = |image: &str, level: &str| json!({"spec": {"containers": [{"name": "podinfod", "image": image, "env": [{"name": "LOG", "value": level}]}], "hostNetwork": level == "debug"}});
    let gone = || Err("is not kept any more".to_owned());
    let old = if kept {
        Ok(template("p:6.0.1", "info"))
    } else {
        gone()
    };
    let new = Ok(template("p:6.0.2", "debug"));
    let sides = (history.release(2).unwrap(), history.release(3).unwrap());
    Diff::between(&history, sides, (&old, &new))
}

#[test]
fn what_differs_between_two_releases() {
    insta::assert_snapshot!(everywhere(|theme| history::diff(&diff(true), theme)));
}

#[test]
fn what_cannot_be_known_of_two_releases_is_said() {
    insta::assert_snapshot!(everywhere(|theme| history::diff(&diff(false), theme)));
}

#[test]
fn an_explanation() {
    let explanation = Explanation::of(&facts(&failed_by_metric()));
    insta::assert_snapshot!(texts(|theme| explain::text(&explanation, theme)));
}

#[test]
fn a_query_of_several_lines_is_shown_as_it_was_sent() {
    let mut facts = facts(&failed_by_metric());
    let query = "\n# errors\nsum(\n  rate(x{path=\"a  b\"}[1m]) # of all\n)\n\n";
    facts.queries[0].text = Ok(query.to_owned());
    facts.queries[1].text = Ok("  up\n".to_owned());
    let explanation = Explanation::of(&facts);
    let text = explain::text(&explanation, &Theme::new(false, true, Some(80)));
    let shown = [
        "query:",
        "  # errors",
        "  sum(",
        "    rate(x{path=\"a  b\"}[1m]) # of all",
        "  )",
        "open: http://prometheus:9090/graph?g0.expr=sum",
    ];
    let indented: String = shown.map(|line| format!("           {line}\n")).concat();
    assert!(text.contains(&indented), "{text}");
    assert!(text.contains("           query: up\n"), "{text}");
    // For programs it is every byte of it.
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["metrics"][0]["query"], query);
}

#[test]
fn an_explanation_of_each_state() {
    let theme = Theme::new(false, true, Some(100));
    let each = all().into_iter().map(|(name, facts)| {
        let text = explain::text(&Explanation::of(&facts), &theme);
        format!("--- {name}\n{text}")
    });
    insta::assert_snapshot!(each.collect::<String>());
}

#[test]
fn what_is_about_to_be_done_to_several() {
    let mut reports = vec![
        report(&progressing()),
        report(&status("Waiting", 0, 0, &json!({}))),
    ];
    reports[1].metadata.name = "backend".into();
    insta::assert_snapshot!(everywhere(|theme| several::lines(
        "roll back",
        "https://cluster:6443",
        &reports,
        theme
    )));
}

#[test]
fn text_of_the_cluster_cannot_steer_the_terminal() {
    let mut value = failed_by_metric();
    value["release"]["message"] = json!("\u{1b}[2Jgone\r\n");
    let theme = Theme::new(false, true, Some(80));
    let drawn = explain::text(&Explanation::of(&facts(&value)), &theme);
    assert!(!drawn.contains('\u{1b}') && !drawn.contains('\r'));
}
