use super::*;
use crate::target::service::tests::{by_app, labels, plain};
use crate::target::service::{Side, desired, release_patch};

fn front() -> Labels {
    labels([("app", "podinfo"), ("tier", "front")])
}

fn take_over(live: &Value, desired: &Value) -> Option<Value> {
    let wanted = Wanted {
        desired,
        selector: &by_app(),
        pods: &front(),
    };
    takeover_patch(live, wanted)
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
    let patch = take_over(&users_own(), &wanted).unwrap();
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
    assert_eq!(take_over(&live, &wanted), None);
}

#[test]
fn a_users_service_is_put_back_exactly_as_it_was() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let patch = take_over(&users_own(), &wanted).unwrap();
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
fn a_users_service_is_not_put_back_onto_labels_that_the_target_has_no_more() {
    let wanted = desired(Side::Apex, &plain(), &by_app(), &[]);
    let patch = take_over(&users_own(), &wanted).unwrap();
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
                take_over(&live, &wanted)
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

/// The apex of a Canary with this port.
fn apex(port: i64) -> Value {
    let mut apex = desired(Side::Apex, &plain(), &by_app(), &[]);
    apex["spec"]["ports"][0]["port"] = json!(port);
    apex
}

fn taken_over(mut live: Value, wanted: &Value) -> Value {
    if let Some(patch) = take_over(&live, wanted) {
        json_patch::merge(&mut live, &patch);
    }
    live
}

fn numbers(service: &Value) -> Vec<i64> {
    let ports = ports_of(service).iter();
    ports.map(|port| port["port"].as_i64().unwrap()).collect()
}

fn given_back(mut live: Value) -> Value {
    let back = give_back_patch(&live, &by_app(), &front()).unwrap();
    json_patch::merge(&mut live, &back);
    live
}

fn with_port(mut live: Value, port: Value) -> Value {
    live["spec"]["ports"].as_array_mut().unwrap().push(port);
    live
}

#[test]
fn a_port_that_its_owner_added_meanwhile_is_still_there_when_a_service_is_given_back() {
    let live = taken_over(users_own(), &apex(80));
    let metrics = json!({ "name": "metrics", "port": 9797, "targetPort": 9797, "protocol": "TCP" });
    let live = taken_over(with_port(live, metrics), &apex(80));
    assert_eq!(numbers(&live), [443, 80, 9797]);
    assert_eq!(numbers(&given_back(live)), [443, 9797]);
}

#[test]
fn a_port_that_we_added_goes_when_nobody_asks_for_it_and_theirs_never_do() {
    let mut live = taken_over(users_own(), &apex(80));
    for (port, expected) in [
        (8080, vec![443, 8080]),
        (443, vec![443]),
        (9090, vec![443, 9090]),
    ] {
        live = taken_over(live, &apex(port));
        assert_eq!(numbers(&live), expected);
        assert_eq!(take_over(&live, &apex(port)), None, "it is stable");
    }
    assert_eq!(given_back(live)["spec"], users_own()["spec"]);
}

#[test]
fn a_port_that_is_still_led_to_stays_ours_until_it_goes() {
    let live = taken_over(users_own(), &apex(80));
    let mut both = apex(8080);
    let old = ports_of(&with_ports_of_ours(&live, &both))[0].clone();
    both = with_port(
        both,
        json!({ "name": "port-80", "protocol": "TCP", "port": 80, "targetPort": old["targetPort"] }),
    );
    let live = taken_over(live, &both);
    assert_eq!(numbers(&live), [443, 8080, 80]);
    assert_eq!(numbers(&taken_over(live.clone(), &apex(8080))), [443, 8080]);
    assert_eq!(given_back(live)["spec"], users_own()["spec"]);
}

#[test]
fn a_port_of_another_protocol_is_another_port() {
    let mut own = users_own();
    own["spec"]["ports"] =
        json!([{ "name": "dns", "port": 80, "targetPort": 53, "protocol": "UDP" }]);
    let live = taken_over(own.clone(), &apex(80));
    assert_eq!(numbers(&live), [80, 80]);
    assert_eq!(given_back(live)["spec"], own["spec"]);
}

#[test]
fn a_port_of_ours_that_its_owner_applies_is_theirs_from_then_on() {
    let mut live = taken_over(users_own(), &apex(80));
    let ports = json!([{ "name": "tls", "port": 443 }, { "name": "web", "port": 80 }]);
    let manifest =
        json!({ "spec": { "selector": { "app": "podinfo", "tier": "front" }, "ports": ports } });
    live["metadata"]["annotations"][KUBECTL] = json!(manifest.to_string());
    let live = taken_over(live, &apex(8080));
    assert_eq!(numbers(&live), [443, 80, 8080]);
    assert_eq!(numbers(&given_back(live)), [443, 80]);
}

const KUBECTL: &str = "kubectl.kubernetes.io/last-applied-configuration";

#[test]
fn a_selector_that_its_owner_gave_it_meanwhile_is_what_it_goes_back_to() {
    let mut live = taken_over(users_own(), &apex(80));
    live["spec"]["selector"] = json!({ "app": "podinfo" });
    let mut live = taken_over(live, &apex(80));
    assert_eq!(
        live["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert_eq!(
        given_back(live.clone())["spec"]["selector"],
        json!({ "app": "podinfo" })
    );

    // Whoever points it at somebody else's pods is not obeyed for that.
    live["spec"]["selector"] = json!({ "app": "legacy" });
    let live = taken_over(live, &apex(80));
    assert_eq!(
        given_back(live)["spec"]["selector"],
        json!({ "app": "podinfo" })
    );
}

#[test]
fn an_annotation_that_its_owner_changed_meanwhile_stays_as_he_has_it() {
    let mut live = taken_over(users_own(), &apex(80));
    let (key, _) = names::FLUX_RECONCILE;
    live["metadata"]["annotations"][key] = json!("enabled");
    assert_eq!(
        given_back(live)["metadata"]["annotations"],
        json!({ key: "enabled" })
    );
}

#[test]
fn what_an_older_version_took_over_loses_no_port_of_its_owners() {
    let mut live = users_own();
    live["spec"]["ports"] = json!([
        { "name": "port-0", "port": 443, "targetPort": 8443, "protocol": "TCP" },
        { "name": "http", "port": 80, "targetPort": 9898, "protocol": "TCP" },
        { "name": "canary-8080", "port": 8080, "targetPort": 9898, "protocol": "TCP" },
        { "name": "metrics", "port": 9797, "targetPort": 9797, "protocol": "TCP" },
    ]);
    let note = json!({ "selector": users_own()["spec"]["selector"], "ports": users_own()["spec"]["ports"], "annotations": {} });
    live["spec"]["selector"] = json!({ "app": "podinfo-primary" });
    live["metadata"]["annotations"] = json!({ names::ORIGINAL_SERVICE: note.to_string() });
    let live = taken_over(live, &apex(80));
    assert_eq!(numbers(&live), [443, 9797, 80]);
    assert_eq!(
        take_over(&live, &apex(80)),
        None,
        "it is brought up to date once"
    );
    assert_eq!(numbers(&given_back(live)), [443, 9797]);
}

/// As the Canary made it, and `kubectl apply` configured it.
fn applied_over_ours(manifest: &Value) -> Value {
    let mut live = whole::noted(apex(80));
    live["metadata"]["resourceVersion"] = json!("12");
    live["metadata"]["annotations"][KUBECTL] = json!(manifest.to_string());
    for (key, value) in manifest["spec"]["selector"].as_object().unwrap() {
        live["spec"]["selector"][key] = value.clone();
    }
    live
}

fn claimed(mut live: Value) -> Value {
    let desired = apex(80);
    let wanted = Wanted {
        desired: &desired,
        selector: &by_app(),
        pods: &front(),
    };
    let patch = claim_patch(&live, &plain(), wanted);
    json_patch::merge(&mut live, &patch);
    live
}

#[test]
fn an_apex_of_ours_that_somebody_applied_is_theirs_and_is_given_back_as_they_applied_it() {
    let manifest = json!({
        "metadata": { "name": "podinfo", "labels": { "team": "web" } },
        "spec": { "selector": { "app": "podinfo" }, "ports": [{ "port": 443 }] },
    });
    let mut live = applied_over_ours(&manifest);
    live["metadata"]["labels"]["team"] = json!("web");
    let theirs = json!({ "name": "tls", "port": 443, "targetPort": 8443, "protocol": "TCP" });
    let live = with_port(live, theirs.clone());
    assert!(crate::target::applied::is_claimed(&live, &apex(80), false));
    let live = claimed(live);
    assert!(!generated::is_of(&live, &plain()), "{live}");
    assert_eq!(
        live["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert_eq!(live["metadata"]["labels"], json!({ "team": "web" }));
    assert_eq!(numbers(&live), [443, 80]);
    assert_eq!(take_over(&live, &apex(80)), None, "one write");

    let back = given_back(live);
    assert_eq!(back["spec"]["selector"], json!({ "app": "podinfo" }));
    assert_eq!(back["spec"]["ports"], json!([theirs]));
    let annotations = back["metadata"]["annotations"].as_object().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), [KUBECTL]);
}

#[test]
fn an_apex_of_ours_is_claimed_by_who_applies_it_and_by_nobody_else() {
    use crate::target::applied::{is_applied_server_side, is_claimed};
    let ours = apex(80);
    assert!(!is_claimed(&ours, &apex(80), false));
    assert!(is_claimed(&ours, &apex(80), true));
    let with = |key: &str, value: &str| {
        let mut live = ours.clone();
        live["metadata"]["annotations"][key] = json!(value);
        live
    };
    let helm = with("meta.helm.sh/release-name", "web");
    assert!(is_claimed(&helm, &apex(80), false));
    assert!(!is_claimed(&helm, &helm, false), "the Canary asks for it");
    let copy = with(KUBECTL, &ours.to_string());
    assert!(
        !is_claimed(&copy, &apex(80), false),
        "what we made, applied once more"
    );
    let label = with(KUBECTL, r#"{"metadata":{"labels":{"a":"b"}}}"#);
    assert!(
        !is_claimed(&label, &apex(80), false),
        "it says nothing of what a Service does"
    );

    let by = |manager: &str, operation: &str, fields: Value| {
        is_applied_server_side(&json!({ "metadata": { "managedFields": [
            { "manager": manager, "operation": operation, "fieldsV1": fields },
        ] } }))
    };
    let selector = json!({ "f:spec": { "f:selector": {} } });
    assert!(by("argocd-controller", "Apply", selector.clone()));
    assert!(!by(
        "argocd-controller",
        "Apply",
        json!({ "f:metadata": {} })
    ));
    assert!(!by("kubectl-edit", "Update", selector.clone()));
    assert!(!by(crate::api::MANAGER, "Apply", selector));
}

#[test]
fn what_is_made_in_the_place_of_a_users_own_service_is_like_it_and_has_no_owner() {
    let mut gone = taken_over(users_own(), &apex(80));
    gone["metadata"]["uid"] = json!("s1");
    gone["metadata"]["ownerReferences"] = json!([{ "kind": "Release", "uid": "r" }]);
    gone["metadata"]["labels"] = json!({ "team": "web", "app.kubernetes.io/instance": "shop" });
    gone["metadata"]["annotations"][KUBECTL] = json!("{}");
    gone["spec"]["clusterIP"] = json!("10.96.0.7");
    gone["spec"]["ports"][0]["nodePort"] = json!(30443);
    let made = anew(&gone, &plain());
    assert!(
        made["metadata"].get("ownerReferences").is_none() && made["metadata"].get("uid").is_none()
    );
    assert!(made["spec"].get("clusterIP").is_none());
    assert_eq!(made["spec"]["type"], "LoadBalancer");
    assert_eq!(made["spec"]["ports"], gone["spec"]["ports"]);
    assert!(is_taken_over(&made));
    let labels = json!({ "team": "web", names::GENERATED: "u1" });
    assert_eq!(made["metadata"]["labels"], labels, "nobody prunes it");
    let annotations = made["metadata"]["annotations"].as_object().unwrap();
    assert!(annotations.len() == 3 && !annotations.contains_key(KUBECTL));
    gone["spec"]["clusterIP"] = json!("None");
    assert_eq!(
        anew(&gone, &plain())["spec"]["clusterIP"],
        "None",
        "it stays headless"
    );
}
