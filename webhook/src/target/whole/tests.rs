use canary_core::names::APPLIED;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

fn service(spec: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "podinfo", "namespace": "test",
            "labels": { "app": "podinfo" }, "annotations": { "ours": "a" },
            "ownerReferences": [{ "kind": "Canary", "uid": "u1", "controller": true }],
        },
        "spec": spec,
    })
}

fn plain() -> Value {
    service(&json!({
        "type": "ClusterIP", "selector": { "app": "podinfo" },
        "ports": [{ "name": "http", "protocol": "TCP", "port": 80, "targetPort": 9898 }],
    }))
}

/// As the API server stores what is created.
fn stored(desired: Value) -> Value {
    let mut live = noted(desired);
    let metadata = [("uid", json!("s1")), ("resourceVersion", json!("12"))];
    for (field, value) in metadata {
        live["metadata"][field] = value;
    }
    if live["kind"] == "Service" {
        for (field, value) in [
            ("clusterIP", json!("10.96.0.7")),
            ("clusterIPs", json!(["10.96.0.7"])),
            ("ipFamilies", json!(["IPv4"])),
            ("ipFamilyPolicy", json!("SingleStack")),
            ("internalTrafficPolicy", json!("Cluster")),
            ("sessionAffinity", json!("None")),
        ] {
            live["spec"][field] = value;
        }
    }
    live
}

#[test]
fn what_was_written_needs_no_second_write() {
    let desired = plain();
    let mut live = stored(desired.clone());
    assert!(is_so(&live, &desired));
    for field in ["kind", "apiVersion"] {
        live.as_object_mut().unwrap().remove(field);
    }
    assert!(is_so(&live, &desired), "an object of a list names no kind");
    live["spec"]["selector"]["version"] = json!("v1");
    assert!(!is_so(&live, &desired), "it selects by more than it should");
}

#[test]
fn what_nobody_wrote_down_is_written_once() {
    let desired = plain();
    let mut live = stored(desired.clone());
    live["metadata"]["annotations"] = json!({ "ours": "a" });
    assert!(!is_so(&live, &desired));
    assert!(is_so(&replacement(&live, &desired), &desired));
}

#[test]
fn a_field_that_is_taken_out_is_gone_whoever_wrote_it() {
    let mut before = plain();
    before["spec"]["trafficDistribution"] = json!("PreferClose");
    before["spec"]["ports"][0]["appProtocol"] = json!("h2c");
    before["metadata"]["labels"]["team"] = json!("web");
    before["metadata"]["annotations"]["note"] = json!("x");
    let live = stored(before);
    assert!(!is_so(&live, &plain()));
    let after = replacement(&live, &plain());
    assert!(after["spec"].get("trafficDistribution").is_none());
    assert!(after["spec"]["ports"][0].get("appProtocol").is_none());
    assert_eq!(after["metadata"]["labels"], plain()["metadata"]["labels"]);
    assert!(after["metadata"]["annotations"].get("note").is_none());
    assert!(is_so(&after, &plain()));
}

#[test]
fn what_the_api_server_allotted_and_what_others_set_is_kept() {
    let mut live = stored(plain());
    live["spec"]["type"] = json!("NodePort");
    live["spec"]["ports"][0]["nodePort"] = json!(30080);
    live["spec"]["externalTrafficPolicy"] = json!("Local");
    live["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    live["metadata"]["annotations"]["theirs"] = json!("b");
    live["metadata"]["managedFields"] = json!([]);
    live["status"] = json!({ "loadBalancer": { "ingress": [] } });
    let owners = live["metadata"]["ownerReferences"].as_array_mut().unwrap();
    owners.push(json!({ "kind": "Other", "uid": "o", "controller": true }));
    let mut desired = plain();
    desired["spec"]["selector"] = json!({ "app": "podinfo-primary" });

    let after = replacement(&live, &desired);
    let same = |pointer: &str| assert_eq!(after.pointer(pointer), live.pointer(pointer));
    for pointer in [
        "/spec/type",
        "/spec/clusterIP",
        "/spec/clusterIPs",
        "/spec/ipFamilies",
        "/spec/externalTrafficPolicy",
        "/spec/ports/0/nodePort",
        "/metadata/finalizers",
        "/metadata/annotations/theirs",
        "/metadata/resourceVersion",
        "/status",
    ] {
        same(pointer);
    }
    assert_eq!(
        after["spec"]["selector"],
        json!({ "app": "podinfo-primary" })
    );
    assert!(after["metadata"].get("managedFields").is_none());
    let owners = &after["metadata"]["ownerReferences"];
    assert_eq!(
        (&owners[0]["uid"], &owners[1]["uid"]),
        (&json!("u1"), &json!("o"))
    );
    assert_eq!(owners[1]["controller"], false, "only one controls it");
    assert!(is_so(&after, &desired));
}

#[test]
fn whatever_field_of_a_service_somebody_set_stays_and_what_was_ours_goes() {
    let mut before = plain();
    before["spec"]["trafficDistribution"] = json!("PreferClose");
    let mut live = stored(before);
    let theirs = [
        ("externalIPs", json!(["192.0.2.7"])),
        ("publishNotReadyAddresses", json!(true)),
        ("aFieldOfTomorrow", json!("a")),
    ];
    for (field, value) in &theirs {
        live["spec"][field] = value.clone();
    }
    let check = |live: &Value| {
        let after = replacement(live, &plain());
        for (field, value) in &theirs {
            assert_eq!(after["spec"][field], *value, "{field}");
        }
        assert!(after["spec"].get("trafficDistribution").is_none());
        assert!(is_so(&after, &plain()));
    };
    check(&live);
    // As an older version noted it, and as Flagger left it.
    let mut note: Value =
        serde_json::from_str(live["metadata"]["annotations"][APPLIED].as_str().unwrap()).unwrap();
    note.as_object_mut().unwrap().remove("spec");
    live["metadata"]["annotations"][APPLIED] = json!(note.to_string());
    check(&live);
    live["metadata"]["annotations"] = json!({});
    check(&live);
}

#[test]
fn a_service_that_was_a_name_elsewhere_gets_an_address() {
    let live = service(&json!({ "type": "ExternalName", "externalName": "a.example" }));
    let after = replacement(&live, &plain());
    assert_eq!(after["spec"]["type"], "ClusterIP");
    assert!(after["spec"].get("externalName").is_none());
}

#[test]
fn a_key_of_a_config_copy_that_its_source_lost_is_gone() {
    let copy = |data: Value| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "files-primary", "labels": {} }, "data": data,
        })
    };
    // Flagger wrote it: nobody wrote down what.
    let live = copy(json!({ "a": "1", "b": "2" }));
    let desired = copy(json!({ "a": "1" }));
    assert!(!is_so(&live, &desired));
    assert_eq!(replacement(&live, &desired)["data"], json!({ "a": "1" }));
    let mut by_hand = stored(desired.clone());
    by_hand["data"]["c"] = json!("3");
    assert!(!is_so(&by_hand, &desired), "more files are a difference");
}

#[test]
fn an_answer_that_drops_a_field_has_the_same_fingerprint_each_time() {
    let mut desired = plain();
    desired["spec"]["future"] = json!("x");
    let mut answer = stored(desired.clone());
    answer["spec"].as_object_mut().unwrap().remove("future");
    assert!(!is_so(&answer, &desired));
    let first = fingerprint(&answer, &desired);
    answer["metadata"]["resourceVersion"] = json!("13");
    answer["metadata"]["annotations"]["theirs"] = json!("c");
    assert_eq!(
        fingerprint(&answer, &desired),
        first,
        "nothing of ours changed"
    );
    answer["spec"]["selector"] = json!({ "app": "else" });
    assert_ne!(fingerprint(&answer, &desired), first, "it was changed");
    let other = fingerprint(&answer, &plain());
    assert_ne!(
        other,
        fingerprint(&answer, &desired),
        "something else is wanted"
    );
}

fn values() -> impl Strategy<Value = Map<String, Value>> {
    btree_map("[a-f]", "[a-z]{0,3}", 0..5).prop_map(|all| {
        let all = all.into_iter();
        all.map(|(key, value)| (key, json!(value))).collect()
    })
}

/// Something that we would write: any fields.
fn desired() -> impl Strategy<Value = Value> {
    let lists = vec(values(), 0..3);
    (values(), values(), values(), lists).prop_map(|(labels, annotations, spec, list)| {
        let mut spec = spec;
        spec.insert("list".to_owned(), json!(list));
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {
                "name": "a", "labels": labels, "annotations": annotations,
                "ownerReferences": [{ "kind": "Canary", "uid": "u1", "controller": true }],
            },
            "spec": spec,
        })
    })
}

/// Keys of others are not among ours.
fn with_others(mut live: Value, others: &Map<String, Value>) -> Value {
    let prefixed = others
        .iter()
        .map(|(key, value)| (format!("x/{key}"), value));
    for (key, value) in prefixed {
        for field in ["labels", "annotations"] {
            live["metadata"][field][&key] = value.clone();
        }
    }
    live["metadata"]["finalizers"] = json!(["theirs"]);
    live
}

proptest! {
    #[test]
    fn a_write_leaves_all_of_what_is_wanted_all_of_others_and_nothing_of_what_was_wanted_before(
        first in desired(), second in desired(), third in desired(), others in values(), more in values(),
    ) {
        let live = with_others(noted(first.clone()), &others);
        let live = with_others(replacement(&live, &second), &more);
        let after = replacement(&live, &third);

        prop_assert_eq!(&after["spec"], &third["spec"]);
        let mut all = Map::clone(&others);
        all.extend(more);
        let theirs = with_others(json!({ "metadata": { "labels": {}, "annotations": {} } }), &all);
        for field in ["labels", "annotations"] {
            let mut expected = map(&theirs["metadata"][field]);
            expected.extend(map(&third["metadata"][field]));
            let mut got = map(&after["metadata"][field]);
            got.remove(APPLIED);
            prop_assert_eq!(got, expected);
        }
        prop_assert_eq!(&after["metadata"]["finalizers"], &json!(["theirs"]));
        prop_assert!(is_so(&after, &third));
        prop_assert_eq!(replacement(&after, &third), after);
        prop_assert_eq!(is_so(&live, &third), second["spec"] == third["spec"]
            && second["metadata"] == third["metadata"]);
    }

    #[test]
    fn whatever_of_ours_is_lost_is_a_difference(wanted in desired(), gone in "[a-f]") {
        let mut live = noted(wanted.clone());
        let had = ["/metadata/labels", "/metadata/annotations", "/spec"].map(|at| {
            let at = live.pointer_mut(at).and_then(Value::as_object_mut);
            at.and_then(|at| at.remove(&gone)).is_some()
        });
        prop_assert_eq!(is_so(&live, &wanted), had == [false; 3]);
    }
}

#[test]
fn what_somebody_adds_to_a_route_an_autoscaler_or_a_budget_is_a_difference() {
    let with = |kind: &str, spec: Value| {
        let mut object = service(&spec);
        object["kind"] = json!(kind);
        object
    };
    let rule = json!({ "name": "all", "backends": [{ "serviceName": "a", "weight": 100 }] });
    for (desired, pointer, field) in [
        (
            with("ApisixRoute", json!({ "http": [rule] })),
            "/spec/http/0",
            "plugins",
        ),
        (
            with("HorizontalPodAutoscaler", json!({ "maxReplicas": 3 })),
            "/spec",
            "behavior",
        ),
        (
            with(
                "PodDisruptionBudget",
                json!({ "minAvailable": 1, "selector": {} }),
            ),
            "/spec/selector",
            "matchLabels",
        ),
    ] {
        let clean = stored(desired.clone());
        assert!(is_so(&clean, &desired), "{field}");
        let mut live = clean.clone();
        live.pointer_mut(pointer).unwrap()[field] = json!({ "app": "x" });
        assert!(!is_so(&live, &desired), "{field}");
        assert!(is_so(&replacement(&live, &desired), &desired), "{field}");
        // Where it comes with every write, the answer is known by its fingerprint.
        assert_ne!(fingerprint(&live, &desired), fingerprint(&clean, &desired));
    }
}
