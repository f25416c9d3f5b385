//! What every verb says on each kind of output, standard error included; `golden` has those of `status`.
//!
//! `dashboard`, `completion SHELL`, `install` and `upgrade` are left out: a page, a script and manifests are
//! the same on every output, and have tests of their own.

use std::fmt::Write as _;

use regex_lite::{Captures, Regex};
use serde_json::json;

use crate::fake::{FakeApi, canary, progressing};
use crate::run::on;
use crate::terminal::{ENTER, LEAVE, Terminal};
use crate::world::{World, days_ago};
use crate::{doctor, history, init, install, policy, requests, set, undo};

/// Name, columns (none: a pipe), environment.
type Kind = (
    &'static str,
    Option<u16>,
    &'static [(&'static str, &'static str)],
);

const KINDS: [Kind; 5] = [
    ("pipe", None, &[]),
    ("terminal of 80 columns", Some(80), &[]),
    ("NO_COLOR", Some(80), &[("NO_COLOR", "1")]),
    ("terminal of 40 columns", Some(40), &[("NO_COLOR", "1")]),
    (
        "ASCII locale",
        Some(80),
        &[("NO_COLOR", "1"), ("LANG", "C")],
    ),
];

/// What the verb writes on each of them; each run has a server of its own, since some verbs change it.
fn pictures(serve: impl Fn() -> FakeApi, words: &[&str]) -> String {
    let mut all = String::new();
    for (kind, columns, env) in KINDS {
        let api = serve();
        let shown = match columns {
            None => {
                let ran = on(&api, words);
                format!("{}{}", ran.stdout, ran.stderr)
            }
            Some(columns) => Terminal::whole(&api, words, columns, env).end().1,
        };
        let shown = without_pictures(&shown)
            .replace('\r', "")
            .replace('\u{1b}', "␛");
        let shown = shown.replace(&api.address, "http://server");
        write!(all, "── {kind}\n{}", at_any_time(&shown)).unwrap();
    }
    all
}

/// How often the alternate screen is drawn is a matter of time; what is left behind is not.
fn without_pictures(shown: &str) -> String {
    match (shown.split_once(ENTER), shown.rsplit_once(LEAVE)) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => shown.to_owned(),
    }
}

/// Times of day, and long ages, which are another tomorrow.
fn at_any_time(shown: &str) -> String {
    let clock = Regex::new(r"\b\d\d:\d\d:\d\dZ  ").unwrap();
    let age = Regex::new(r"\b\d{3,}d\b").unwrap();
    let shown = clock.replace_all(shown, "hh:mm:ssZ  ");
    age.replace_all(&shown, |age: &Captures<'_>| {
        "9".repeat(age[0].len() - 1) + "d"
    })
    .into_owned()
}

macro_rules! golden {
    ($($test:ident: $serve:expr, $words:expr;)*) => {$(
        #[test]
        fn $test() {
            insta::assert_snapshot!(stringify!($test), pictures($serve, &$words));
        }
    )*};
}

golden! {
    history: released, ["history", "podinfo"];
    history_wide: released, ["history", "podinfo", "-o", "wide"];
    history_diff: || history::with_revisions(|_| None), ["history", "diff", "podinfo", "1", "2"];
    explain: || World::new().serve(), ["explain", "podinfo"];
    wait: at_rest, ["wait", "podinfo", "--for=promoted"];
    can_i: || policy::prod(vec![policy::policy("prod", &policy::freeze("Deny"), &json!({"frozen": true}))]), ["can-i", "release", "podinfo"];
    policy_list: || policy::prod(vec![policy::policy("prod", &policy::freeze("Warn"), &json!({"frozen": true}))]), ["policy", "list"];
    doctor: || FakeApi::answering(doctor::closed), ["doctor"];
    doctor_of_nothing: || FakeApi::answering(doctor::open), ["doctor", "podinfo"];
    init: init::cluster, ["init", "deploy/web", "--route", "mine"];
    set_image: || set::scripted(vec![set::begun, set::promoted]), ["set", "image", "deployment/podinfo", "podinfod=podinfo:6.0.1"];
    promote: || requests::answering("Done", "weight 10 → 20"), ["promote", "podinfo"];
    promote_refused: || requests::answering("Refused", "the canary is not ready: 0 of 1 pods are available"), ["promote", "podinfo"];
    promote_rehearsed: || FakeApi::new(canary(&progressing())), ["promote", "podinfo", "--full", "--dry-run=client"];
    rollback_at_rest: at_rest, ["rollback", "podinfo"];
    rollback: requests::rolled_back, ["rollback", "podinfo"];
    rollback_to: undo::at_rest, ["rollback", "podinfo", "--to=1", "--dry-run=client"];
    rollback_to_what_is_not_there: undo::at_rest, ["rollback", "podinfo", "--to=7"];
    pause: || requests::answering("Done", "paused at weight 10 until 2026-03-01T14:00:00Z"), ["pause", "podinfo", "--for=2h"];
    resume: || FakeApi::new(canary(&progressing())), ["resume", "podinfo"];
    retry: || FakeApi::new(canary(&progressing())), ["retry", "podinfo"];
    lint: || FakeApi::new(canary(&progressing())), ["lint", "-f", "../docs/examples/broken"];
    policy_test: || FakeApi::new(canary(&progressing())), ["policy", "test", "-f", "../docs/examples/policy", "--at", "2026-12-24T12:00:00Z"];
    uninstall_refused: install::installed, ["uninstall", "--purge", "--yes", "-n", "releases"];
    version: || FakeApi::answering(doctor::closed), ["version"];
    completion_for_kubectl: || FakeApi::new(canary(&progressing())), ["completion", "kubectl"];
    not_found: || FakeApi::new(canary(&progressing())), ["status", "podnfo"];
    usage: || FakeApi::new(canary(&progressing())), ["promot", "podinfo"];
}

fn at_rest() -> FakeApi {
    let mut status = progressing();
    status["phase"] = json!("Succeeded");
    status["release"]["outcome"] = json!("Promoted");
    status["release"]["startedAt"] = json!(days_ago(3));
    status["release"]["endedAt"] = json!(days_ago(3));
    FakeApi::new(canary(&status))
}

/// A release that runs, after one that was promoted and one that failed.
fn released() -> FakeApi {
    let mut world = World::new();
    let past = |number: i64, outcome: &str, message: &str| {
        json!({
            "number": number, "revision": format!("v1-{number:012}"), "by": "bob", "outcome": outcome, "weight": 50,
            "images": [{"container": "podinfod", "from": "podinfo:5.9.0", "to": "podinfo:6.0.0"}],
            "startedAt": days_ago(5), "endedAt": days_ago(5), "message": message,
            "worst": {"name": "request-success-rate", "value": 42.5, "min": 99.0, "verdict": "Failed", "at": days_ago(5)},
        })
    };
    world.canary["status"]["history"] = json!([
        past(1, "RolledBack", "failed checks threshold reached 10"),
        past(0, "Promoted", ""),
    ]);
    world.serve()
}
