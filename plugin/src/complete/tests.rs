use serde_json::json;

use super::*;
use crate::report::tests::{progressing, report, status};

fn typed(words: &[&str]) -> Typed {
    let words: Vec<String> = words.iter().map(|it| (*it).to_owned()).collect();
    read(&words)
}

/// The candidates that begin with the word, without what they are.
fn offered(words: &[&str]) -> Vec<String> {
    let typed = typed(words);
    let Wanted::Fixed(candidates) = &typed.wanted else {
        panic!("{words:?}: {:?}", typed.wanted)
    };
    let text = answer(&typed, candidates);
    let lines = text
        .lines()
        .map(|line| line.split('\t').next().unwrap().to_owned());
    let mut lines: Vec<String> = lines.collect();
    assert_eq!(lines.pop().as_deref(), Some(":4"));
    lines
}

#[test]
fn verbs_and_their_verbs_are_offered() {
    assert_eq!(offered(&["pro"]), ["promote"]);
    assert_eq!(offered(&["policy", "t"]), ["test"]);
    assert_eq!(offered(&["can-i", ""]), ["release", "help"]);
    assert!(offered(&[""]).len() > 10);
    assert!(offered(&[]).contains(&"status".to_owned()));
}

#[test]
fn flags_and_the_words_behind_them_are_offered() {
    assert_eq!(offered(&["status", "--wat"]), ["--watch"]);
    assert_eq!(offered(&["promote", "--fu"]), ["--full"]);
    assert_eq!(offered(&["status", "-o", "js"]), ["json", "jsonpath="]);
    assert_eq!(offered(&["status", "--output=n"]), ["--output=name"]);
    assert!(offered(&["status", "--"]).contains(&"--kubeconfig".to_owned()));
    assert!(offered(&["pause", "podinfo", "--reason", ""]).is_empty());
    assert!(offered(&["pause", "podinfo", ""]).is_empty());
}

#[test]
fn names_are_those_that_the_verb_can_do_something_with() {
    let table = [
        (&["status", ""][..], Wanted::Canaries(Filter::All)),
        (
            &["promote", "--full", ""],
            Wanted::Canaries(Filter::Running),
        ),
        (
            &["pause", "-n", "test", "po"],
            Wanted::Canaries(Filter::Pausable),
        ),
        (
            &["resume", "--reason", "x", ""],
            Wanted::Canaries(Filter::Paused),
        ),
        (&["retry", ""], Wanted::Canaries(Filter::Failed)),
        (&["can-i", "release", ""], Wanted::Canaries(Filter::All)),
        (&["doctor", ""], Wanted::Canaries(Filter::All)),
        (&["set", "image", ""], Wanted::Deployments),
        (&["status", "-n", ""], Wanted::Namespaces),
        (&["status", "--namespace=te"], Wanted::Namespaces),
        (&["--context", ""], Wanted::Contexts),
        (&["lint", "-f", ""], Wanted::Files),
    ];
    for (words, wanted) in table {
        assert_eq!(typed(words).wanted, wanted, "{words:?}");
    }
}

#[test]
fn the_cluster_is_the_one_that_the_words_name() {
    let global = |words: &[&str]| typed(words).global;
    for words in [
        &["status", "-n", "test", ""][..],
        &["-ntest", "status", ""],
        &["status", "--namespace=test", "--watch", ""],
    ] {
        assert_eq!(
            global(words).namespace.as_deref(),
            Some("test"),
            "{words:?}"
        );
    }
    assert_eq!(
        global(&["status", "--context", "prod", ""])
            .context
            .as_deref(),
        Some("prod")
    );
    // What is wrong is not said while somebody types.
    assert_eq!(global(&["status", "-n", "Not A Name", ""]).namespace, None);
}

#[test]
fn a_name_that_carries_its_kind_keeps_it() {
    let typed = typed(&["pause", "canary/po"]);
    let candidates = ["podinfo", "web"].map(|name| Candidate::new(name, Some("Progressing")));
    assert_eq!(
        answer(&typed, &candidates),
        "canary/podinfo\tProgressing\n:4\n"
    );
}

#[test]
fn only_files_leave_files_to_the_shell() {
    assert_eq!(answer(&typed(&["lint", "-f", ""]), &[]), ":0\n");
    assert_eq!(answer(&typed(&["pause", ""]), &[]), ":4\n");
}

#[test]
fn each_verb_takes_the_canaries_in_its_state() {
    let running = report(&progressing());
    let paused =
        json!({"paused": {"since": "2026-03-01T11:59:30Z", "remainingMs": 4200, "by": "bob"}});
    let paused = report(&status("Progressing", 30, 0, &paused));
    let failed = report(&status(
        "Failed",
        0,
        0,
        &json!({"outcome": "RolledBack", "endedAt": "2026-03-01T11:59:42Z"}),
    ));
    let table = [
        (Filter::All, [true, true, true]),
        (Filter::Running, [true, true, false]),
        (Filter::Pausable, [true, false, false]),
        (Filter::Paused, [false, true, false]),
        (Filter::Failed, [false, false, true]),
    ];
    for (filter, expected) in table {
        let fits = [&running, &paused, &failed].map(|it| canary(it, filter).is_some());
        assert_eq!(fits, expected, "{filter:?}");
    }
    assert_eq!(
        canary(&running, Filter::All).unwrap().about,
        "Progressing, canary 30 %"
    );
    assert_eq!(canary(&paused, Filter::All).unwrap().about, "Paused");
}
