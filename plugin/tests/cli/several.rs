//! Guards of the verbs that ask for something: the expected release, dry runs, several Canaries.

use axum::http::Method;
use axum::response::IntoResponse as _;
use serde_json::{Value, json};

use crate::fake::{FakeApi, answer_to, canary, ended, progressing, status};
use crate::run::{Ran, on};

fn done() -> FakeApi {
    FakeApi::reacting(
        canary(&progressing()),
        vec![Box::new(|id| answer_to(id, "Done", "weight 10 → 20"))],
    )
}

/// Nothing was written.
fn untouched(api: &FakeApi) {
    assert!(api.patches().is_empty(), "{:?}", api.urls());
}

#[test]
fn another_release_than_the_expected_one_is_6_and_nothing_is_written() {
    for verb in ["promote", "rollback", "pause"] {
        let api = done();
        let ran = on(&api, &[verb, "podinfo", "--expect-release", "r1"]);
        ran.failed(
            6,
            "release 2 of podinfo.test runs, not release 1: nothing was asked",
        );
        untouched(&api);
    }
    let api = FakeApi::new(canary(&progressing()));
    api.state
        .merge(&json!({"status": ended("Failed", "RolledBack")}));
    on(&api, &["retry", "podinfo", "--expect-release=1"]).failed(
        6,
        "the last release of podinfo.test is release 2, not release 1",
    );
    untouched(&api);
    on(&done(), &["promote", "podinfo", "--expect-release", "2"])
        .said("podinfo.test: weight 10 → 20\n");
}

#[test]
fn a_release_that_begins_while_the_request_is_written_is_not_the_expected_one() {
    let api = FakeApi::answering(|call, state| {
        (call.method == Method::PATCH).then(|| {
            state.merge(&json!({"status": {"release": {"number": 3}}}));
            crate::fake::conflict()
        })
    });
    // The same revision once more: only the number tells them apart.
    on(&api, &["promote", "podinfo", "--expect-release=r2"])
        .failed(6, "release 3 of podinfo.test runs, not release 2");
    assert_eq!(api.patches().len(), 1);
}

#[test]
fn a_dry_run_of_the_client_writes_nothing() {
    let api = done();
    on(&api, &["promote", "podinfo", "--full", "--dry-run=client"]).said(
        "podinfo.test: would promote release 2 (6.0.0 -> 6.0.1) at weight 10, without further analysis (dry run)\n",
    );
    on(&api, &["rollback", "podinfo", "--dry-run=client"])
        .said("podinfo.test: would roll back release 2 (6.0.0 -> 6.0.1) at weight 10 (dry run)\n");
    on(&api, &["resume", "podinfo", "--dry-run=client"]).said("podinfo.test: not paused\n");
    on(&api, &["retry", "podinfo", "--dry-run=client"]).failed(1, "nothing to retry");
    untouched(&api);
}

/// Answers a dry run as an API server does: the object as it would be, and nothing stored.
fn dry(code: u16, message: &'static str) -> FakeApi {
    FakeApi::answering(move |call, state| {
        (call.method == Method::PATCH).then(|| match code {
            200 => {
                let mut patched = canary(&progressing());
                let request = "kubectl-canary.dev/request";
                let sent = &state.sent()["metadata"]["annotations"][request];
                patched["metadata"]["annotations"] = json!({ request: sent });
                axum::Json(patched).into_response()
            }
            code => status(code, "Forbidden", message, "podinfo"),
        })
    })
}

#[test]
fn a_dry_run_of_the_server_is_the_same_patch_and_admission_answers() {
    let api = dry(200, "");
    on(
        &api,
        &["promote", "podinfo", "--dry-run=server", "--reason", "x"],
    )
    .said("podinfo.test: would promote release 2 (6.0.0 -> 6.0.1) at weight 10 (server dry run)\n");
    let patches: Vec<String> = api
        .urls()
        .into_iter()
        .filter(|url| url.starts_with("PATCH"))
        .collect();
    assert!(
        patches.len() == 1 && patches[0].contains("dryRun=All"),
        "{patches:?}"
    );
    let annotations = &api.patches()[0]["metadata"]["annotations"];
    let request = annotations["kubectl-canary.dev/request"].as_str().unwrap();
    assert!(
        request.starts_with("promote v1-bbbbbbbbbbbb uid-1 "),
        "{request}"
    );
    assert!(
        annotations["kubectl-canary.dev/request-reason"]
            .as_str()
            .unwrap()
            .ends_with(" x")
    );
    let denied = "admission webhook \"v\" denied the request: not today";
    on(
        &dry(403, denied),
        &["promote", "podinfo", "--dry-run=server"],
    )
    .failed(5, "not today");
}

#[test]
fn several_need_a_terminal_or_yes() {
    for words in [
        &["rollback", "podinfo", "backend"][..],
        &["rollback", "-l", "app=podinfo"],
        &["rollback", "-A"],
    ] {
        let api = done();
        let ran = on(&api, words);
        ran.failed(1, "takes a terminal to ask, or --yes");
        assert!(
            ran.stderr.contains("hint: --dry-run=client lists them"),
            "{}",
            ran.stderr
        );
        untouched(&api);
    }
}

#[test]
fn each_has_an_outcome_and_the_code_is_the_worst() {
    let ran = on(
        &done(),
        &["promote", "podinfo", "backend", "podinfo", "--yes"],
    );
    assert_eq!(ran.code, 4);
    assert_eq!(ran.stdout, "podinfo.test: weight 10 → 20\n");
    assert!(
        ran.stderr
            .starts_with("error: backend.test: canary test/backend not found\n"),
        "{}",
        ran.stderr
    );
    let both = on(&done(), &["promote", "podinfo", "podinfo", "-y"]);
    both.said("podinfo.test: weight 10 → 20\n");
}

/// What the list that was asked for has behind its `?`.
fn listed(api: &FakeApi) -> String {
    let urls = api.urls();
    let list = urls
        .iter()
        .find(|url| url.contains("/canaries?") || url.ends_with("/canaries"));
    list.cloned().unwrap_or_default()
}

#[test]
fn a_selection_is_listed_by_the_server_and_only_what_can_be_done_is_done() {
    let api = done();
    on(&api, &["promote", "-l", "app=podinfo", "--yes"]).said("podinfo.test: weight 10 → 20\n");
    assert!(
        listed(&api).contains("/namespaces/test/canaries")
            && listed(&api).contains("labelSelector=app%3Dpodinfo"),
        "{}",
        listed(&api)
    );
    let api = done();
    on(&api, &["promote", "-A", "-y"]).said("podinfo.test: weight 10 → 20\n");
    assert!(!listed(&api).contains("/namespaces/"), "{}", listed(&api));
    let api = done();
    let ran = on(&api, &["retry", "-A", "-y"]);
    ran.failed(
        1,
        "nothing to retry: the one Canary has no release to retry",
    );
    untouched(&api);
    api.state.delete();
    on(&api, &["promote", "-l", "a=b", "-y"]).failed(1, "there are no Canaries with labels a=b");
}

#[test]
fn a_dry_run_of_several_asks_nobody() {
    let api = done();
    on(&api, &["rollback", "-A", "--dry-run=client"])
        .said("podinfo.test: would roll back release 2 (6.0.0 -> 6.0.1) at weight 10 (dry run)\n");
    untouched(&api);
}

#[test]
fn names_and_selections_do_not_mix_and_one_of_them_is_needed() {
    for words in [
        &["promote"][..],
        &["promote", "podinfo", "-A"],
        &["promote", "podinfo", "-l", "a=b"],
        &["promote", "-A", "--expect-release=r1"],
        &["promote", "podinfo", "backend", "--expect-release=r1"],
        &["promote", "podinfo", "--expect-release=banana"],
        &["promote", "podinfo", "--dry-run=banana"],
    ] {
        let api = done();
        let ran: Ran = on(&api, words);
        assert_eq!(ran.code, 1, "{words:?}");
        untouched(&api);
    }
}

#[test]
fn abort_is_another_word_for_rollback() {
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(|id| answer_to(id, "Done", "rolling back")),
            Box::new(|_| ended("Failed", "RolledBack")),
        ],
    );
    on(&api, &["abort", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
    let request: &Value = &api.annotations()["kubectl-canary.dev/request"];
    assert!(
        request.as_str().unwrap().starts_with("rollback "),
        "{request}"
    );
}

#[test]
fn promote_on_a_paused_release_names_the_command_that_resumes_it() {
    let mut paused = progressing();
    paused["release"]["paused"] = json!({"since": "2026-03-01T11:59:30Z", "remainingMs": 1000});
    let api = FakeApi::new(canary(&paused));
    let ran = on(&api, &["promote", "podinfo"]);
    ran.failed(1, "release 2 of podinfo.test is paused: resume it first");
    assert!(
        ran.stderr
            .ends_with("hint: kubectl canary resume podinfo -n test\n"),
        "{}",
        ran.stderr
    );
    untouched(&api);
}
