//! `history`, `history diff`, `explain`.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use crate::fake::{Call, FakeApi, FakeState, canary, not_found, progressing, status};
use crate::run::on;

fn past() -> Value {
    let mut status = progressing();
    status["history"] = json!([{
        "number": 1, "revision": "v1-aaaaaaaaaaaa", "images": [], "by": "bob", "outcome": "Promoted", "weight": 50,
        "startedAt": "2026-03-01T10:00:00Z", "endedAt": "2026-03-01T10:10:00Z",
    }]);
    canary(&status)
}

pub fn kept(name: &str, image: &str) -> Response {
    let template =
        json!({"spec": {"containers": [{"name": "podinfod", "image": image}], "nodeName": name}});
    let object = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": name},
        "revision": 1, "data": {"template": template},
    });
    axum::Json(object).into_response()
}

/// Both templates are kept, unless `script` says otherwise.
pub fn with_revisions(
    script: impl Fn(&str) -> Option<Response> + Send + Sync + 'static,
) -> FakeApi {
    let answer = move |call: &Call, _: &FakeState| {
        let name = call.path.split("/controllerrevisions/").nth(1)?;
        script(name).or_else(|| match name {
            "podinfo-v1-aaaaaaaaaaaa" => Some(kept("a", "p:1")),
            "podinfo-v1-bbbbbbbbbbbb" => Some(kept("b", "p:2")),
            _ => Some(not_found("controllerrevisions.apps", name)),
        })
    };
    FakeApi::scripted(past(), Box::new(answer), Vec::new())
}

#[test]
fn the_history_in_each_format() {
    let api = FakeApi::new(past());
    let ran = on(&api, &["history", "canary/podinfo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("RELEASE") && lines[0].ends_with("REASON"),
        "{}",
        ran.stdout
    );
    assert!(
        lines[1].starts_with('2') && lines[1].contains("in progress"),
        "{}",
        ran.stdout
    );
    assert!(
        lines[2].starts_with('1') && lines[2].contains("promoted"),
        "{}",
        ran.stdout
    );
    let json: Value =
        serde_json::from_str(&on(&api, &["history", "podinfo", "-o", "json"]).stdout).unwrap();
    assert_eq!(json["kind"], "CanaryHistory");
    assert_eq!(json["releases"][1]["durationSeconds"], 600);
    let yaml = on(&api, &["history", "podinfo", "-o", "yaml"]).stdout;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), json);
    assert!(
        on(&api, &["history", "podinfo", "-o", "wide"])
            .stdout
            .contains("v1-aaaaaaaaaaaa")
    );
}

#[test]
fn a_canary_without_a_history_says_so_and_one_that_is_not_there_is_4() {
    let bare =
        json!({"phase": "Initialized", "canaryWeight": 0, "failedChecks": 0, "iterations": 0});
    let ran = on(&FakeApi::new(canary(&bare)), &["history", "podinfo"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (0, "", "No releases of podinfo.test yet.\n")
    );
    on(&FakeApi::new(past()), &["history", "podifo"]).failed(4, "not found");
    on(&FakeApi::new(past()), &["explain", "podifo"]).failed(4, "not found");
    assert_eq!(on(&FakeApi::new(past()), &["history"]).code, 1);
}

#[test]
fn two_releases_are_compared_by_the_templates_that_are_kept() {
    let api = with_revisions(|_| None);
    let ran = on(&api, &["history", "diff", "podinfo", "1", "r2"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        "podinfo.test   release 1 → release 2\n\
         revision   v1-aaaaaaaaaaaa → v1-bbbbbbbbbbbb\n\
         images     1 → 2\n\
         template   spec.nodeName   \"a\" → \"b\"\n"
    );
    let json = on(
        &api,
        &["history", "diff", "podinfo", "1", "2", "-o", "json"],
    )
    .stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["kind"], &json["template"][0]["path"]),
        (&json!("CanaryRevisionDiff"), &json!("spec.nodeName"))
    );
}

#[test]
fn what_is_not_kept_or_not_readable_is_said() {
    let gone = with_revisions(|name| {
        name.contains("aaaa")
            .then(|| not_found("controllerrevisions.apps", name))
    });
    let ran = on(&gone, &["history", "diff", "podinfo", "1", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .contains("unknown    the template of release 1 is not kept any more"),
        "{}",
        ran.stdout
    );
    let forbidden = with_revisions(|_| {
        Some(status(
            403,
            "Forbidden",
            "x is forbidden: User \"bob\" cannot get",
            "x",
        ))
    });
    let ran = on(&forbidden, &["history", "diff", "podinfo", "1", "2"]);
    assert!(
        ran.code == 0
            && ran
                .stdout
                .contains("cannot be read: User \"bob\" cannot get"),
        "{}",
        ran.stdout
    );
    on(&forbidden, &["history", "diff", "podinfo", "1", "7"])
        .failed(1, "release 7 of podinfo.test is not in its history");
}

#[test]
fn an_explanation_goes_on_without_rights_to_look_at_pods() {
    let api = FakeApi::answering(|call, _| {
        if call.path.ends_with("/pods") {
            return Some(status(
                403,
                "Forbidden",
                "pods is forbidden: User \"bob\" cannot list resource \"pods\"",
                "",
            ));
        }
        call.path.ends_with("/deployments/podinfo").then(|| {
            let target = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo"},
                "spec": {"selector": {"matchLabels": {"app": "podinfo"}}, "template": {}},
            });
            axum::Json(target).into_response()
        })
    });
    let ran = on(&api, &["explain", "podinfo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout
            .starts_with("release 2 (6.0.0 -> 6.0.1) goes on at weight 10"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout
            .contains("User \"bob\" cannot list resource \"pods\""),
        "{}",
        ran.stdout
    );
    let pods = api
        .urls()
        .into_iter()
        .find(|url| url.contains("/pods?"))
        .unwrap();
    assert!(pods.contains("labelSelector=app%3Dpodinfo"), "{pods}");
    let json: Value =
        serde_json::from_str(&on(&api, &["explain", "podinfo", "-o", "json"]).stdout).unwrap();
    assert_eq!(
        (&json["kind"], &json["phase"]),
        (&json!("CanaryExplanation"), &json!("Progressing"))
    );
}

#[test]
fn the_query_of_a_metric_is_shown_with_a_link_to_it_and_without_passwords() {
    let mut failed = canary(&progressing());
    failed["spec"]["metricsServer"] = json!("http://u:secret@prometheus:9090/");
    failed["spec"]["analysis"]["metrics"] = json!([
        {"name": "errors", "thresholdRange": {"max": 1}, "query": "rate(x{ns=\"{{ namespace }}\"}[{{ interval }}])"},
        {"name": "p99", "thresholdRange": {"max": 1}, "templateRef": {"name": "p99"}},
    ]);
    failed["status"]["release"]["checks"] = json!([
        {"name": "errors", "value": 7.0, "max": 1.0, "verdict": "Failed", "at": "2026-03-01T11:59:56Z"},
        {"name": "p99", "verdict": "Error", "message": "boom", "at": "2026-03-01T11:59:56Z"},
    ]);
    let ran = on(&FakeApi::new(failed), &["explain", "podinfo", "-o", "json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let errors = &json["metrics"][0];
    assert_eq!(errors["query"], "rate(x{ns=\"test\"}[1m])");
    assert_eq!(
        errors["link"],
        "http://prometheus:9090/graph?g0.expr=rate%28x%7Bns%3D%22test%22%7D%5B1m%5D%29&g0.tab=0"
    );
    assert_eq!(
        json["metrics"][1]["queryUnknown"],
        "MetricTemplate test/p99 does not exist"
    );
    assert!(!ran.stdout.contains("secret"));
}

#[test]
fn a_phase_that_this_version_does_not_know_is_named() {
    let mut odd = past();
    odd["status"]["phase"] = json!("Levitating");
    for verb in ["explain", "history", "wait"] {
        on(&FakeApi::new(odd.clone()), &[verb, "podinfo"])
            .failed(1, "cannot be read by this version");
    }
}
