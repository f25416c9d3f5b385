use std::collections::BTreeSet;

use canary_core::release::readiness::Counts;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::target::followed::{self, Wanted};
use crate::target::view::Deployment;
use crate::target::whole;

pub fn canary(service: &Value) -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "service": service,
        },
    }))
    .unwrap()
}

pub fn plain() -> Canary {
    canary(&json!({ "port": 80, "targetPort": 9898 }))
}

pub fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Of a target with these labels, before there is a primary.
pub fn selector<const N: usize>(target: [(&str, &str); N]) -> Selector {
    Selector::of(&labels(target), None, &["app".to_owned()]).unwrap()
}

pub fn by_app() -> Selector {
    selector([("app", "podinfo")])
}

fn port(container: &str, index: usize, name: Option<&str>, port: i64) -> Port {
    Port {
        container: container.to_owned(),
        index,
        name: name.map(str::to_owned),
        port,
        protocol: "TCP".to_owned(),
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

/// What the API server says of the ports of a Service.
fn refusal(ports: &[Value]) -> Option<String> {
    let (mut names, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for port in ports {
        let name = port["name"].as_str().unwrap_or_default();
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let valid = (1..=63).contains(&name.len())
            && name.chars().all(|c| alphanumeric(c) || c == '-')
            && name.starts_with(alphanumeric)
            && name.ends_with(alphanumeric);
        if !valid {
            return Some(format!("invalid name: {port}"));
        }
        if !names.insert(name) {
            return Some(format!("duplicate name: {port}"));
        }
        if !keys.insert((port["port"].as_i64(), port["protocol"].as_str())) {
            return Some(format!("duplicate port: {port}"));
        }
    }
    ports.is_empty().then(|| "no port".to_owned())
}

/// Ports of a template as the API server takes them.
fn template() -> impl Strategy<Value = Vec<Port>> {
    let long = "a-container-with-a-name-that-is-as-long-as-a-dns-label-may-be-ok";
    let container = select(vec!["app", "web", &long[..63], "istio-proxy"]);
    let names = [
        "http",
        "web",
        "port-53",
        "port-80",
        "port-53-udp",
        "tcp-app-0",
    ];
    let name = option::of(select(names.to_vec()));
    let number = select(vec![53_i64, 80, 8080, 9898]);
    let protocol = select(vec!["TCP", "UDP", "SCTP"]);
    let one = (container, name, number, protocol, any::<bool>());
    vec(one, 0..8).prop_map(|all| {
        let all = all.into_iter().enumerate();
        all.map(|(index, (container, name, port, protocol, beside))| Port {
            container: container.to_owned(),
            index,
            name: name.map(str::to_owned),
            port,
            protocol: protocol.to_owned(),
            beside,
        })
        .collect()
    })
}

proptest! {
    #[test]
    fn whatever_ports_a_template_has_its_services_are_what_the_api_server_takes(
        target in template(), primary in template(), before in template(),
        number in select(vec![80, 8080, 53]), target_port in select(vec![json!("http"), json!(9898), json!("web")]),
    ) {
        let canary = canary(&json!({ "port": number, "targetPort": target_port, "portDiscovery": true }));
        let of = |ports: &[Port]| super::ports(&desired(Side::Primary, &canary, &by_app(), ports)).to_vec();
        let (wanted, live) = (of(&target), of(&before));
        prop_assert_eq!(refusal(&wanted), None);
        let primary = Deployment { ports: primary, counts: Counts::default(), ..Deployment::default() };
        let by_primary = of(&primary.ports);
        let all = Wanted { ports: &wanted, by_primary: &by_primary, declared: &target, discovers: true };
        let now = followed::followed(all, &live, &primary);
        prop_assert_eq!(refusal(&now), None);
        for keep in [ports::Keep::Gone, ports::Keep::Held, ports::Keep::First, ports::Keep::Beside] {
            let kept = ports::with_kept(&now, &live, |_| keep);
            prop_assert_eq!(refusal(&kept), None, "{:?}", keep);
        }
    }
}

#[test]
fn ports_of_both_protocols_and_of_one_name_are_discovered_each_by_a_name_of_its_own() {
    let canary = canary(&json!({ "port": 80, "targetPort": 9898, "portDiscovery": true }));
    let mut all = [
        port("app", 0, Some("http"), 8080),
        port("dns", 0, Some("dns"), 53),
        port("dns", 1, Some("dns"), 53),
        port("dns", 2, None, 54),
        port("again", 0, Some("web"), 8080),
        port(&"a".repeat(63), 1, None, 9000),
    ];
    for udp in [2, 3] {
        all[udp].protocol = "UDP".to_owned();
    }
    let service = desired(Side::Apex, &canary, &by_app(), &all);
    let shown = super::ports(&service).iter().map(|port| {
        let name = port["name"].as_str().unwrap();
        format!(
            "{name} {}/{}",
            port["port"],
            port["protocol"].as_str().unwrap()
        )
    });
    let shown: Vec<String> = shown.collect();
    assert_eq!(
        shown[..5],
        [
            "http 80/TCP",
            "port-8080 8080/TCP",
            "dns 53/TCP",
            "port-53 53/UDP",
            "udp-dns-2 54/UDP"
        ]
    );
    assert!(
        shown[5].starts_with("tcp-aaa") && shown.len() == 6,
        "{shown:?}"
    );
}
