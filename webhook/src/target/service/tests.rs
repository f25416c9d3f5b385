use super::*;
use crate::target::whole;

fn canary(service: &Value) -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "service": service,
        },
    }))
    .unwrap()
}

fn plain() -> Canary {
    canary(&json!({ "port": 80, "targetPort": 9898 }))
}

fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Of a target with these labels, before there is a primary.
fn selector<const N: usize>(target: [(&str, &str); N]) -> Selector {
    Selector::of(&labels(target), None, &["app".to_owned()]).unwrap()
}

fn by_app() -> Selector {
    selector([("app", "podinfo")])
}

fn port(container: &str, index: usize, name: Option<&str>, port: i64) -> Port {
    Port {
        container: container.to_owned(),
        index,
        name: name.map(str::to_owned),
        port,
        beside: false,
    }
}

#[test]
fn each_service_selects_its_side() {
    let of = |side| desired(side, &plain(), &by_app(), &[]);
    assert_eq!(
        of(Side::Apex)["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert_eq!(
        of(Side::Primary)["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert_eq!(
        of(Side::Canary)["spec"]["selector"],
        json!({ "app": "podinfo" })
    );
    assert_eq!(
        of(Side::Canary)["metadata"]["labels"],
        json!({ "app": "podinfo-canary", names::GENERATED: "u1" })
    );
    assert_eq!(
        of(Side::Apex)["spec"]["ports"],
        json!([{ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 9898 }])
    );
}

#[test]
fn ports_of_the_application_are_discovered_and_those_of_sidecars_are_not() {
    let canary = canary(&json!({ "port": 80, "targetPort": "http", "portDiscovery": true }));
    let ports = [
        port("podinfod", 0, Some("http"), 9898),
        port("podinfod", 1, Some("grpc"), 9999),
        port("podinfod", 2, None, 9797),
        port("istio-proxy", 0, Some("admin"), 15000),
    ];
    let service = desired(Side::Apex, &canary, &by_app(), &ports);
    let names: Vec<_> = service["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].clone())
        .collect();
    assert_eq!(names, ["http", "grpc", "tcp-podinfod-2"]);
}

fn users_own() -> Value {
    json!({
        "metadata": { "name": "podinfo", "resourceVersion": "12" },
        "spec": {
            "type": "LoadBalancer",
            "selector": { "app": "podinfo", "tier": "front" },
            "ports": [{ "port": 443, "targetPort": 8443, "protocol": "TCP" }],
        },
    })
}

#[test]
fn a_users_service_keeps_its_ports_gets_the_missing_one_and_remembers_what_it_was() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let patch = takeover_patch(&users_own(), &wanted).unwrap();
    assert_eq!(
        patch["spec"]["selector"],
        json!({ "app": "podinfo-primary", "tier": null })
    );
    let ports = patch["spec"]["ports"].as_array().unwrap();
    assert_eq!(
        (ports.len(), &ports[0]["name"], &ports[1]["port"]),
        (2, &json!("port-0"), &json!(80))
    );
    assert_eq!(patch["metadata"]["resourceVersion"], "12");
    let original = patch["metadata"]["annotations"][names::ORIGINAL_SERVICE]
        .as_str()
        .unwrap();
    assert!(original.contains("\"tier\":\"front\""));
}

#[test]
fn a_service_that_is_taken_over_needs_no_second_patch() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let mut live = users_own();
    live["spec"]["selector"] = wanted["spec"]["selector"].clone();
    live["spec"]["ports"] = wanted["spec"]["ports"].clone();
    assert_eq!(takeover_patch(&live, &wanted), None);
}

#[test]
fn a_users_service_is_put_back_exactly_as_it_was() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let patch = takeover_patch(&users_own(), &wanted).unwrap();
    let mut live = users_own();
    json_patch::merge(&mut live, &patch);
    let back = release_patch(
        &live,
        &plain(),
        &by_app(),
        &labels([("app", "podinfo"), ("tier", "front")]),
    )
    .unwrap();
    json_patch::merge(&mut live, &back);
    assert_eq!(live["spec"], users_own()["spec"]);
    assert_eq!(live["metadata"]["annotations"], json!({}));
    let pods = labels([("app", "podinfo"), ("tier", "front")]);
    let again = release_patch(&live, &plain(), &by_app(), &pods);
    assert_eq!(again, None, "a second try keeps its whole selector");
}

#[test]
fn a_generated_apex_service_is_handed_to_the_target() {
    let mut live = desired(Side::Apex, &plain(), &by_app(), &[]);
    live["metadata"]["resourceVersion"] = json!("12");
    let patch = release_patch(
        &live,
        &plain(),
        &by_app(),
        &labels([("app", "podinfo"), ("tier", "front")]),
    )
    .unwrap();
    assert_eq!(patch["spec"]["selector"], json!({ "app": "podinfo" }));
    assert_eq!(
        patch["metadata"]["labels"],
        json!({ names::GENERATED: null })
    );
    assert_eq!(
        patch["metadata"]["ownerReferences"],
        json!([]),
        "the Service outlives the Canary"
    );
}

#[test]
fn only_a_selector_that_somebody_changed_points_elsewhere() {
    let canary = plain();
    let (target, primary) = (
        labels([("app", "podinfo"), ("tier", "front")]),
        labels([("app", "podinfo-primary")]),
    );
    let narrow = Selector::of(&target, Some(&primary), &[]).unwrap();
    let wanted = desired(Side::Apex, &canary, &narrow, &[]);
    let elsewhere = |live: &Value| was_pointed_elsewhere(live, &narrow, &canary);
    assert!(!elsewhere(&wanted));

    let mut edited = wanted.clone();
    edited["spec"]["ports"][0]["port"] = json!(81);
    edited["metadata"]["labels"]["team"] = json!("web");
    assert!(!elsewhere(&edited), "spec.service was edited");
    edited["spec"]["selector"]["tier"] = json!("front");
    assert!(!elsewhere(&edited), "it asks for all labels of the primary");

    let mut changed = wanted.clone();
    changed["spec"]["selector"] = json!({ "app": "podinfo" });
    assert!(elsewhere(&changed));

    changed["metadata"]["ownerReferences"] = json!([]);
    assert!(!elsewhere(&changed), "the user's, and not taken over yet");
    changed["metadata"]["annotations"] = json!({ names::ORIGINAL_SERVICE: "{}" });
    assert!(elsewhere(&changed));
}

#[test]
fn the_services_of_a_target_with_several_labels_select_by_all_of_them() {
    let shop = selector([("app", "shop"), ("component", "a")]);
    let of = |side| desired(side, &plain(), &shop, &[])["spec"]["selector"].clone();
    let primary = json!({ "app": "shop-primary", "component": "a" });
    assert_eq!(
        (of(Side::Apex), of(Side::Primary)),
        (primary.clone(), primary)
    );
    assert_eq!(of(Side::Canary), json!({ "app": "shop", "component": "a" }));
}

#[test]
fn a_users_service_is_not_put_back_onto_labels_that_the_target_has_no_more() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let patch = takeover_patch(&users_own(), &wanted).unwrap();
    let mut live = users_own();
    json_patch::merge(&mut live, &patch);
    let pods = labels([("app", "storefront"), ("tier", "front")]);
    let now = labels([("app", "storefront")]);
    let primary = labels([("app", "podinfo-primary")]);
    let renamed = Selector::of(&now, Some(&primary), &[]).unwrap();
    let back = release_patch(&live, &plain(), &renamed, &pods).unwrap();
    json_patch::merge(&mut live, &back);
    assert_eq!(live["spec"]["selector"], json!({ "app": "storefront" }));
    assert_eq!(live["spec"]["ports"], users_own()["spec"]["ports"]);
}

#[test]
fn of_a_service_that_was_handed_over_nothing_stays_but_the_service() {
    let wanted = desired(Side::Canary, &plain(), &by_app(), &[]);
    let live = json!({
        "metadata": {
            "name": "podinfo-canary", "resourceVersion": "7",
            "ownerReferences": [{ "kind": "Other", "uid": "o", "controller": true }],
        },
        "spec": {
            "clusterIP": "10.96.0.7", "publishNotReadyAddresses": true,
            "selector": { "app": "other", "tier": "web" }, "ports": [{ "port": 81 }],
        },
    });
    let after = whole::replacement(&live, &wanted);
    for field in ["selector", "ports"] {
        assert_eq!(after["spec"][field], wanted["spec"][field]);
    }
    assert!(after["spec"].get("publishNotReadyAddresses").is_none());
    assert_eq!(after["spec"]["clusterIP"], "10.96.0.7");
    assert!(generated::is_generated(&after, &plain()));
    assert_eq!(
        after["metadata"]["resourceVersion"], "7",
        "no other write is undone"
    );
}

#[test]
fn flux_and_helm_leave_a_service_alone_for_as_long_as_it_is_taken_over() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let pods = labels([("app", "podinfo"), ("tier", "front")]);
    let (reconcile, drift) = (names::FLUX_RECONCILE, names::FLUX_DRIFT_DETECTION);
    let mut own = users_own();
    own["metadata"]["annotations"] = json!({ reconcile.0: "ssa", "team": "web" });
    for before in [users_own(), own] {
        for follows in [false, true] {
            let mut live = before.clone();
            let patch = if follows {
                follow_patch(&live, by_app().serving())
            } else {
                takeover_patch(&live, &wanted)
            };
            json_patch::merge(&mut live, &patch.unwrap());
            for (key, value) in [reconcile, drift] {
                assert_eq!(live["metadata"]["annotations"][key], value, "{key}");
            }
            let back = give_back_patch(&live, &by_app(), &pods).unwrap();
            json_patch::merge(&mut live, &back);
            let annotations = &before["metadata"]["annotations"];
            let kept = annotations.as_object().cloned().unwrap_or_default();
            assert_eq!(live["metadata"]["annotations"], json!(kept));
            assert_eq!(live["spec"], before["spec"]);
        }
    }
}

#[test]
fn a_service_that_follows_keeps_its_ports_whatever_becomes_of_them() {
    let mut live = users_own();
    let patch = follow_patch(&live, by_app().serving()).unwrap();
    json_patch::merge(&mut live, &patch);
    assert_eq!(
        live["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert_eq!(live["spec"]["ports"], users_own()["spec"]["ports"]);
    assert_eq!(follow_patch(&live, by_app().serving()), None);

    live["spec"]["ports"] = json!([{ "port": 9000 }]);
    let pods = labels([("app", "podinfo"), ("tier", "front")]);
    let back = give_back_patch(&live, &by_app(), &pods).unwrap();
    json_patch::merge(&mut live, &back);
    assert_eq!(live["spec"]["ports"], json!([{ "port": 9000 }]));
    assert_eq!(live["spec"]["selector"], users_own()["spec"]["selector"]);
    assert_eq!(give_back_patch(&live, &by_app(), &pods), None);
}

#[test]
fn a_service_that_an_older_version_took_over_keeps_its_annotations() {
    let mut live = users_own();
    let original = json!({ "selector": { "app": "podinfo" }, "ports": [{ "port": 443 }] });
    live["metadata"]["annotations"] = json!({
        names::ORIGINAL_SERVICE: original.to_string(), names::FLUX_RECONCILE.0: "disabled",
    });
    let pods = labels([("app", "podinfo")]);
    let back = give_back_patch(&live, &by_app(), &pods).unwrap();
    json_patch::merge(&mut live, &back);
    assert_eq!(
        live["metadata"]["annotations"],
        json!({ names::FLUX_RECONCILE.0: "disabled" })
    );
}
