use canary_core::canary::Canary;
use canary_core::names::GENERATED;
use canary_core::release::Routes;
use canary_core::selector::Selector;

use super::*;
use crate::router::{Live, Router as _, apisix::Apisix};
use crate::target::config::{self, ConfigRef};
use crate::target::disruption::{self, Wanted};
use crate::target::primary::{self, Id, Parts};
use crate::target::{autoscaler, kept, service, whole};

fn canary() -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web" },
            "service": { "port": 80 },
        },
    }))
    .unwrap()
}

/// A key of each row of the table.
fn keys() -> Vec<String> {
    let one = |mark: &Key| match mark {
        Key::Is(whole) => (*whole).to_owned(),
        Key::Begins(start) => format!("{start}name"),
        Key::Domain(domain) => format!("{domain}/name"),
    };
    let below = TRACKING.iter().filter_map(|(mark, _)| match mark {
        Key::Domain(domain) => Some(format!("some.{domain}/name")),
        _ => None,
    });
    TRACKING
        .iter()
        .map(|(mark, _)| one(mark))
        .chain(below)
        .collect()
}

/// Metadata of a source that every tool tracks, with a label and an annotation that none does.
fn metadata(name: &str) -> Value {
    let mut all = Map::new();
    all.insert("team".to_owned(), json!("web"));
    all.extend(keys().into_iter().map(|key| (key, json!("x"))));
    json!({ "name": name, "namespace": "test", "labels": all, "annotations": all })
}

fn pods(name: &str) -> canary_core::selector::Labels {
    [("app".to_owned(), name.to_owned())].into()
}

fn selector() -> Selector {
    Selector::of(&pods("podinfo"), None, &["app".to_owned()]).unwrap()
}

fn primary_of(target: &Value) -> Value {
    let parts = Parts {
        canary: &canary(),
        target,
        template: &target["spec"]["template"],
        revision: "v1-1",
        selector: &selector(),
        configs: &std::collections::BTreeMap::new(),
        copies: &crate::target::copies::History::default(),
        id: &Id {
            now: "a".to_owned(),
            before: None,
        },
        label_prefixes: &["*".to_owned()],
    };
    primary::create(&parts, 1)
}

/// Everything that is made of something that a tool may track, with all of its labels included.
fn generated() -> Vec<(&'static str, Value)> {
    let (canary, all) = (canary(), ["*".to_owned()]);
    let target = json!({
        "metadata": metadata("podinfo"),
        "spec": { "template": { "metadata": { "labels": { "app": "podinfo" } }, "spec": {} } },
    });
    let route = json!({
        "metadata": metadata("web"),
        "spec": { "http": [{ "name": "all", "backends": [{ "serviceName": "podinfo", "servicePort": 80 }] }] },
    });
    let live = Live {
        source: Some(&route),
        generated: None,
    };
    let scaler = json!({ "metadata": metadata("podinfo"), "spec": { "maxReplicas": 3 } });
    let budget = json!({
        "metadata": metadata("podinfo"),
        "spec": { "selector": { "matchLabels": { "app": "podinfo" } } },
    });
    let selector = selector();
    let budget = match disruption::wanted(
        &canary,
        &selector,
        &pods("podinfo"),
        &pods("podinfo-primary"),
        &[&budget],
    ) {
        Wanted::Copy(copy) => *copy,
        other => panic!("{other:?}"),
    };
    let mut source = json!({ "kind": "ConfigMap", "metadata": metadata("config"), "data": {} });
    let copy = config::copy(&source, None, &canary, &all);
    source["metadata"]["labels"][GENERATED] = json!("u1");
    let reference = ConfigRef::parse("configmap/config").unwrap();
    vec![
        ("primary", primary_of(&target)),
        (
            "route",
            Apisix.write(&canary, live, Routes::ALL_PRIMARY).unwrap(),
        ),
        ("autoscaler", autoscaler::desired(&canary, &scaler)),
        ("budget", budget),
        ("copy", copy),
        ("kept", kept::keep(&source, &canary, &reference, 1)),
        (
            "put back",
            kept::put_back(&source, None, &canary, &reference),
        ),
        (
            "Service",
            service::desired(service::Side::Canary, &canary, &selector, &[]),
        ),
    ]
}

#[test]
fn nothing_that_is_generated_carries_what_a_tool_prunes_by() {
    for (what, object) in generated() {
        assert_eq!(Tracked::of(&object), Tracked::default(), "{what}");
        assert!(is_marked(&object), "{what}");
    }
    let kinds = ["route", "autoscaler", "budget", "copy", "kept", "primary"];
    for (what, object) in generated() {
        let team = &object["metadata"]["labels"]["team"];
        let expected = kinds.contains(&what) || what == "put back";
        assert_eq!(team == &json!("web"), expected, "{what}");
    }
}

#[test]
fn what_an_older_version_copied_goes() {
    for (what, clean) in generated() {
        let mut before = clean.clone();
        for key in keys() {
            before["metadata"]["labels"][&key] = json!("x");
        }
        let mut live = whole::noted(before.clone());
        assert!(!whole::is_so(&live, &clean), "{what}");
        let after = whole::replacement(&live, &clean);
        assert_eq!(Tracked::of(&after), Tracked::default(), "{what}");
        // One of Flagger's, or of a version that took no notes.
        live["metadata"]["annotations"] = json!({ "other": "a" });
        let after = whole::replacement(&live, &clean);
        assert_eq!(Tracked::of(&after), Tracked::default(), "{what}");
        assert_eq!(after["metadata"]["annotations"]["other"], "a");
        // What is not compared whole loses it by a patch.
        let patch = Tracked::of(&before).removal("app", "7").unwrap();
        let gone = patch["metadata"]["labels"].as_object().unwrap();
        assert!(keys().iter().all(|key| gone[key].is_null()), "{what}");
    }
}

#[test]
fn a_label_that_the_primarys_selector_needs_stays() {
    let object = json!({ "metadata": {
        "labels": { GENERATED: "u1", "app.kubernetes.io/instance": "web-primary" },
        "annotations": { FLUX_RECONCILE.0: FLUX_RECONCILE.1 },
    } });
    let tracked = Tracked::of(&object);
    assert_eq!(tracked.removal("app.kubernetes.io/instance", "7"), None);
    let patch = tracked.removal("app", "7").unwrap();
    assert_eq!(
        patch["metadata"]["labels"],
        json!({ "app.kubernetes.io/instance": null })
    );
    assert_eq!(patch["metadata"]["annotations"], json!({}));
}

#[test]
fn what_was_not_generated_keeps_what_its_owners_tools_wrote() {
    let theirs = json!({ "metadata": metadata("podinfo") });
    assert_eq!(Tracked::of(&theirs), Tracked::default());
}

#[test]
fn other_keys_are_copied() {
    for key in [
        "team",
        "app.kubernetes.io/name",
        "app.kubernetes.io/part-of",
        "notfluxcd.io/name",
        "reloader.stakater.com/auto",
        "prometheus.io/scrape",
    ] {
        assert!(!is_mark(key), "{key}");
    }
}
