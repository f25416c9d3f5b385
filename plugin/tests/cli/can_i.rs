//! `can-i release`.

use serde_json::{Value, json};

use crate::fake::progressing;
use crate::policy::{cluster, freeze, policy, prod};
use crate::run::on;

#[test]
fn a_release_that_nothing_blocks_is_a_yes() {
    let api = prod(Vec::new());
    on(&api, &["can-i", "release", "podinfo"]).said("yes\nyou may    promote, rollback\n");
}

#[test]
fn a_release_in_progress_is_what_a_change_would_end() {
    let api = prod(Vec::new());
    api.state.merge(&json!({"status": progressing()}));
    on(&api, &["can-i", "release", "podinfo"]).said(
        "yes\n\
         note       release 2 is in progress: a change ends it and starts the next one\n\
         you may    promote, rollback\n",
    );
    let json = on(&api, &["can-i", "release", "podinfo", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report["inProgress"], 2);
}

#[test]
fn a_suspended_canary_releases_nothing_though_nobody_forbids_it() {
    let api = prod(Vec::new());
    api.state.merge(&json!({"spec": {"suspend": true}}));
    let ran = on(&api, &["can-i", "release", "podinfo"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            1,
            "no\n\
             blocked    the Canary is suspended: a change is stored, and released once spec.suspend is false\n\
             you may    promote, rollback\n"
        )
    );
}

#[test]
fn each_block_is_named_with_its_end_and_who_may_pass() {
    let approval = json!({ "approvals": { "promote": { "required": true } } });
    let policies = vec![
        policy("prod", &freeze("Deny"), &json!({ "frozen": false })),
        policy("soft", &freeze("Warn"), &json!({ "frozen": true })),
        policy("four-eyes", &approval, &Value::Null),
    ];
    let api = cluster(policies, json!({ "env": "prod" }), &["patch", "bypass"]);
    let ran = on(&api, &["can-i", "release", "canary/podinfo"]);
    assert_eq!(ran.code, 5, "{}", ran.stderr);
    for line in [
        "no\n",
        "\nblocked    CanaryPolicy prod: spec.release.freezeWindows[moratorium]: releases are frozen until 2099-01-01T00:00:00Z (CHG-1234); wait",
        "\nwarned     CanaryPolicy soft: ",
        "\npromotion  CanaryPolicy four-eyes: spec.approvals.promote.required: ",
        "\nyou may    neither promote nor roll back\n",
        "\nyou may    pass CanaryPolicy prod by: annotate the Deployment kubectl-canary.dev/break-glass=<reason>\n",
        "\nstatus     CanaryPolicy prod is not frozen, as the server wrote ",
        "and its windows say otherwise",
        "\nstatus     CanaryPolicy four-eyes has none yet: is the server running?\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    let json = on(&api, &["can-i", "release", "podinfo", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (json.code, &report["allowed"], &report["kind"]),
        (5, &json!(false), &json!("CanIReport"))
    );
    assert_eq!(report["blocks"][0]["until"], "2099-01-01T00:00:00Z");
    assert!(report["policies"][0]["statusAgeSeconds"].as_i64().unwrap() > 0);
}

#[test]
fn a_policy_that_only_warns_or_is_for_other_namespaces_blocks_nobody() {
    let warns = prod(vec![policy(
        "soft",
        &freeze("Warn"),
        &json!({ "frozen": true }),
    )]);
    assert_eq!(on(&warns, &["can-i", "release", "podinfo"]).code, 0);
    let elsewhere = cluster(
        vec![policy("prod", &freeze("Deny"), &json!({ "frozen": true }))],
        json!({ "env": "test" }),
        &["patch"],
    );
    let ran = on(&elsewhere, &["can-i", "release", "podinfo"]);
    assert!(
        ran.code == 0 && !ran.stdout.contains("CanaryPolicy"),
        "{}",
        ran.stdout
    );
}

#[test]
fn who_may_not_change_the_target_cannot_release() {
    let api = cluster(Vec::new(), json!({}), &["promote"]);
    let ran = on(&api, &["can-i", "release", "podinfo"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            5,
            "no\n\
             forbidden  you may not patch deployments.apps test/podinfo, which is what starts a release\n\
             you may    promote\n"
        )
    );
}

#[test]
fn a_canary_that_is_not_there_and_an_api_that_is_not_are_told_apart() {
    on(&prod(Vec::new()), &["can-i", "release", "podnfo"])
        .failed(4, "canary test/podnfo not found");
    for words in [&["policy", "list"][..], &["can-i", "release", "podinfo"]] {
        crate::run::at("http://127.0.0.1:1", words).failed(1, "cannot reach the Kubernetes API");
    }
}

#[test]
fn a_hindered_canary_releases_nothing_until_that_is_mended() {
    let api = prod(Vec::new());
    api.state.merge(&json!({"status": {"conditions": [
        {"type": "Ready", "status": "False", "reason": "RouteInvalid", "message": "ApisixRoute podinfo not found"},
    ]}}));
    let ran = on(&api, &["can-i", "release", "podinfo"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (
            1,
            "no\n\
             blocked    the Canary is not ready: ApisixRoute podinfo not found\n\
             helps      name the route in spec.routeRef: kubectl edit canary podinfo -n test\n\
             you may    promote, rollback\n"
        )
    );
    let json = on(&api, &["can-i", "release", "podinfo", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(
        (&report["allowed"], &report["hindered"]["reason"]),
        (&json!(false), &json!("RouteInvalid"))
    );
}
