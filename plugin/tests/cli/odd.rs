//! What nobody should send, and somebody will: names, texts, values and versions out of the ordinary.

use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::fake::{FakeApi, canary, progressing, status, text};
use crate::run::{Ran, on};
use crate::world::{World, pod, waiting};

/// Would steer a terminal, or turn what stands there around.
const STEERING: &str = "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}evil\r\n";

#[track_caller]
fn harmless(ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let steering = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
        assert!(!text.contains(steering), "{text:?}");
    }
}

#[test]
fn a_name_that_none_can_have_is_refused_before_anything_is_asked() {
    let api = FakeApi::new(canary(&progressing()));
    for name in [
        "",
        "Pod Info",
        "../pods/x",
        "a%2Fb",
        "a/b/c",
        "pod\u{1b}[31m",
        "ünïcode",
        ".",
        "deployment/podinfo",
    ] {
        let ran = on(&api, &["status", name]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{name}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        harmless(&ran);
    }
    assert!(api.urls().is_empty(), "{:?}", api.urls());
}

#[test]
fn a_long_name_is_shown_whole() {
    let name = "a".repeat(253);
    let mut long = canary(&progressing());
    long["metadata"]["name"] = json!(name);
    let ran = on(&FakeApi::new(long), &["status", &name]);
    assert!(
        ran.code == 0 && ran.stdout.starts_with(&format!("{name}.test")),
        "{}",
        ran.stdout
    );
}

#[test]
fn texts_of_the_cluster_cannot_steer_the_terminal() {
    let mut world = World::new();
    let status = &mut world.canary["status"];
    status["conditions"] =
        json!([{"type": "Drift", "status": "True", "reason": STEERING, "message": STEERING}]);
    status["release"]["by"] = json!(STEERING);
    status["release"]["message"] = json!(STEERING);
    status["release"]["waitingFor"] = json!(STEERING);
    status["release"]["images"] =
        json!([{"container": STEERING, "from": STEERING, "to": STEERING}]);
    status["release"]["checks"][0]["message"] = json!(STEERING);
    status["release"]["checks"][0]["verdict"] = json!("Error");
    status["history"] = json!([{
        "number": 1, "revision": STEERING, "startedAt": "2026-03-01T11:59:02Z", "endedAt": "2026-03-01T11:59:42Z",
        "outcome": "RolledBack", "message": STEERING,
    }]);
    world
        .pods
        .send_replace(vec![pod("podinfo-7c9d", STEERING, &waiting(STEERING))]);
    let api = world.serve();
    for words in [
        &["status", "podinfo"][..],
        &["status", "podinfo", "-o", "wide"],
        &["status", "podinfo", "-o", "json"],
        &["status", "podinfo", "-o", "yaml"],
        &["status", "-A", "-o", "wide"],
    ] {
        let ran = on(&api, words);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            ran.stdout.contains("evil") || words.contains(&"-A"),
            "{}",
            ran.stdout
        );
        harmless_or_escaped(&ran, words);
    }
}

/// YAML escapes what would steer; a direction is text to it.
#[track_caller]
fn harmless_or_escaped(ran: &Ran, words: &[&str]) {
    if words.contains(&"yaml") {
        let steering = |c: char| c != '\n' && c.is_control();
        assert!(!ran.stdout.contains(steering), "{:?}", ran.stdout);
    } else {
        harmless(ran);
    }
}

#[test]
fn an_error_of_the_cluster_cannot_steer_the_terminal_either() {
    let api = FakeApi::answering(|_, _| Some(status(403, "Forbidden", STEERING, "")));
    for words in [
        &["status"][..],
        &["status", "podinfo"],
        &["promote", "podinfo"],
    ] {
        let ran = on(&api, words);
        assert_eq!(ran.code, 5);
        harmless(&ran);
    }
}

/// Two Canaries, one of which is of another time.
fn with_an_odd_one() -> FakeApi {
    FakeApi::answering(|call, _| {
        let mut odd = canary(&progressing());
        odd["metadata"]["name"] = json!("odd");
        odd["status"]["phase"] = json!("Levitating");
        if call.path.ends_with("/canaries") {
            let list = json!({
                "apiVersion": "flagger.app/v1beta1", "kind": "CanaryList", "metadata": {"resourceVersion": "1"},
                "items": [odd, canary(&progressing())],
            });
            return Some(axum::Json(list).into_response());
        }
        call.path
            .ends_with("/odd")
            .then(|| axum::Json(odd).into_response())
    })
}

#[test]
fn an_unknown_phase_hides_no_other_canary() {
    let api = with_an_odd_one();
    let ran = on(&api, &["status"]);
    assert!(ran.stdout.contains("podinfo"), "{}", ran.stdout);
    // Of a list, one that cannot be read is a warning.
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let left_out = "warning: canary test/odd cannot be read and is left out: ";
    assert!(ran.stderr.starts_with(left_out), "{}", ran.stderr);
    for words in [
        &["status", "odd"][..],
        &["status", "odd", "-w"],
        &["status", "odd", "-o", "json"],
    ] {
        let ran = on(&api, words);
        ran.failed(1, "Levitating");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_metric_that_is_not_a_number_is_said_and_not_drawn() {
    let mut status = progressing();
    // As the controller writes it: JSON has no such number.
    status["release"]["checks"] = json!([
        {"name": "rate", "verdict": "NoValues", "message": "NaN", "at": "2026-03-01T11:59:56Z"},
    ]);
    let mut odd = canary(&status);
    odd["spec"]["analysis"]["metrics"] = json!([{"name": "rate", "thresholdRange": {"min": 99}}]);
    let ran = on(&FakeApi::new(odd.clone()), &["status", "podinfo"]);
    assert!(
        ran.code == 0 && ran.stdout.contains("✖ no values"),
        "{}",
        ran.stdout
    );
    // As somebody else might.
    for value in [json!("NaN"), json!({}), json!([1])] {
        odd["status"]["release"]["checks"][0]["value"] = value;
        let ran = on(&FakeApi::new(odd.clone()), &["status", "podinfo"]);
        ran.failed(
            1,
            "canary podinfo cannot be read by this version of the plugin",
        );
    }
    odd["status"]["release"]["checks"][0]["value"] = Value::Null;
    assert_eq!(
        on(&FakeApi::new(odd.clone()), &["status", "podinfo"]).code,
        0
    );
}

#[test]
fn values_at_the_edge_of_what_a_number_can_be_are_shown() {
    let mut world = World::new();
    let check = &mut world.canary["status"]["release"]["checks"][0];
    check["value"] = json!(1e308);
    check["recent"] = json!([-1e308, 0.0, 1e308]);
    let ran = on(&world.serve(), &["status", "podinfo"]);
    assert!(
        ran.code == 0 && ran.stdout.contains("request-success-rate"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_cluster_that_serves_another_version_of_canaries_is_told_from_one_that_works() {
    let api = FakeApi::answering(|call, _| {
        call.path
            .contains("/flagger.app/v1beta1")
            .then(|| text(404, "404 page not found\n"))
    });
    let ran = on(&api, &["status"]);
    ran.failed(
        1,
        "the Canary CRD is not installed in this cluster, or not in version v1beta1",
    );
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
}

#[test]
fn a_canary_of_flagger_s_own_definition_is_shown_as_far_as_it_goes() {
    let status = json!({
        "phase": "Progressing", "canaryWeight": 20, "failedChecks": 1, "iterations": 0,
        "lastAppliedSpec": "5d8f", "trackedConfigs": {},
        "conditions": [{"type": "Promoted", "status": "Unknown", "reason": "Progressing", "message": "New revision detected"}],
    });
    let ran = on(&FakeApi::new(canary(&status)), &["status", "podinfo"]);
    assert!(
        ran.code == 0 && ran.stdout.contains("canary 20 %"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}
