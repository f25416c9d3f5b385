use super::*;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
        "spec": { "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" } },
    }))
    .unwrap()
}

fn target() -> Value {
    json!({
        "metadata": {
            "name": "podinfo", "namespace": "test",
            "labels": { "app": "podinfo", "team": "web", "kustomize.toolkit.fluxcd.io/name": "apps" },
            "annotations": { "owner": "web", "kubectl.kubernetes.io/last-applied-configuration": "{}", "deployment.kubernetes.io/revision": "7" },
        },
        "spec": {
            "replicas": 3, "minReadySeconds": 5, "progressDeadlineSeconds": 60, "revisionHistoryLimit": 4,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 1, "maxSurge": 0 } },
            "template": template_of("6.0.0"),
        },
    })
}

fn template_of(version: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": "podinfo", "tier": "front" }, "annotations": { "scrape": "true" } },
        "spec": {
            "futureField": 1,
            "containers": [{ "name": "podinfod", "image": format!("podinfo:{version}"), "envFrom": [{ "configMapRef": { "name": "files" } }] }],
            "topologySpreadConstraints": [{ "labelSelector": { "matchLabels": { "app": "podinfo", "tier": "front" } } }],
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        { "labelSelector": { "matchExpressions": [{ "key": "app", "operator": "In", "values": ["podinfo", "other"] }] } },
                    ],
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        { "podAffinityTerm": { "labelSelector": { "matchLabels": { "app": "podinfo" } } } },
                    ],
                },
                "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                    { "labelSelector": { "matchLabels": { "app": "podinfo" } } },
                ] },
            },
        },
    })
}

fn tracked() -> BTreeSet<ConfigRef> {
    BTreeSet::from([ConfigRef {
        secret: false,
        name: "files".to_owned(),
    }])
}

fn copies() -> BTreeMap<ConfigRef, String> {
    let named = |it: ConfigRef| (it.clone(), canary_core::names::primary_of(&it.name));
    tracked().into_iter().map(named).collect()
}

fn order() -> Vec<String> {
    selector::ORDER.map(str::to_owned).to_vec()
}

fn labels<const N: usize>(all: [(&str, &str); N]) -> Labels {
    all.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn by_app() -> Selector {
    Selector::of(&labels([("app", "podinfo")]), None, &order()).unwrap()
}

fn build<T>(template: &Value, make: impl FnOnce(&Parts<'_>) -> T) -> T {
    build_by(&by_app(), template, make)
}

fn build_by<T>(selector: &Selector, template: &Value, make: impl FnOnce(&Parts<'_>) -> T) -> T {
    let (canary, target, configs) = (canary(), target(), copies());
    make(&Parts {
        canary: &canary,
        target: &target,
        template,
        revision: "v1-1",
        selector,
        configs: &configs,
        copies: &crate::target::copies::History::default(),
        id: &Id {
            now: "id-1".to_owned(),
            before: None,
        },
        label_prefixes: &[],
    })
}

#[test]
fn a_primary_selects_and_labels_its_own_pods_only() {
    let primary = build(&template_of("6.0.0"), |parts| create(parts, 3));
    assert_eq!(
        primary["spec"]["selector"],
        json!({ "matchLabels": { "app": "podinfo-primary" } })
    );
    assert_eq!(
        primary["spec"]["template"]["metadata"]["labels"],
        json!({ "app": "podinfo-primary", "tier": "front" })
    );
    assert_eq!(
        primary["metadata"]["labels"],
        json!({ "app": "podinfo-primary", names::GENERATED: "u1" }),
        "its pods have no mark"
    );
    assert_eq!(primary["metadata"]["name"], "podinfo-primary");
    assert_eq!(primary["metadata"]["ownerReferences"][0]["uid"], "u1");
}

#[test]
fn a_primary_is_never_short_of_ready_pods_while_it_rolls() {
    let primary = build(&template_of("6.0.0"), |parts| create(parts, 3));
    assert_eq!(
        primary["spec"]["strategy"],
        json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } })
    );
}

#[test]
fn placement_rules_about_the_target_speak_of_the_primary() {
    let primary = build(&template_of("6.0.0"), |parts| create(parts, 3));
    let spec = &primary["spec"]["template"]["spec"];
    assert_eq!(
        spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
        json!({ "app": "podinfo-primary", "tier": "front" })
    );
    let anti = &spec["affinity"]["podAntiAffinity"];
    assert_eq!(
        anti["requiredDuringSchedulingIgnoredDuringExecution"][0]["labelSelector"]["matchExpressions"]
            [0]["values"],
        json!(["podinfo-primary", "other"])
    );
    assert_eq!(
        anti["preferredDuringSchedulingIgnoredDuringExecution"][0]["podAffinityTerm"]["labelSelector"]
            ["matchLabels"]["app"],
        "podinfo-primary"
    );
    let affinity =
        &spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(
        affinity["labelSelector"]["matchLabels"]["app"],
        "podinfo-primary"
    );
}

#[test]
fn fields_that_we_do_not_know_reach_the_primary() {
    let primary = build(&template_of("6.0.0"), |parts| create(parts, 3));
    assert_eq!(primary["spec"]["template"]["spec"]["futureField"], 1);
}

#[test]
fn the_primary_reads_its_own_copies_of_configuration() {
    let primary = build(&template_of("6.0.0"), |parts| create(parts, 3));
    let container = &primary["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["envFrom"][0]["configMapRef"]["name"],
        "files-primary"
    );
}

#[test]
fn what_the_new_version_dropped_is_gone_after_a_promotion() {
    let mut old = template_of("6.0.0");
    old["spec"]["containers"] = json!([
        { "name": "podinfod", "image": "podinfo:6.0.0", "env": [{ "name": "OLD", "value": "1" }] },
        { "name": "sidecar", "image": "sidecar:1" },
    ]);
    let mut live = build(&old, |parts| create(parts, 3));
    live["metadata"]["resourceVersion"] = json!("12");
    live["metadata"]["managedFields"] = json!([{ "manager": "flagger" }]);
    live["status"] = json!({ "replicas": 3 });
    let promoted = build(&template_of("6.0.1"), |parts| promote(&live, parts, None));
    let containers = promoted["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap();
    assert_eq!(containers.len(), 1);
    assert_eq!(
        (&containers[0]["image"], containers[0].get("env")),
        (&json!("podinfo:6.0.1"), None)
    );
    assert_eq!(
        promoted["metadata"]["resourceVersion"], "12",
        "fenced by what was read"
    );
    assert!(
        promoted.get("status").is_none() && promoted["metadata"].get("managedFields").is_none()
    );
}

#[test]
fn replicas_stay_where_an_autoscaler_sets_them() {
    let live = build(&template_of("6.0.0"), |parts| create(parts, 4));
    let kept = build(&template_of("6.0.1"), |parts| promote(&live, parts, None));
    let set = build(&template_of("6.0.1"), |parts| {
        promote(&live, parts, Some(2))
    });
    assert_eq!(
        (&kept["spec"]["replicas"], &set["spec"]["replicas"]),
        (&json!(4), &json!(2))
    );
}

#[test]
fn annotations_of_tools_are_not_copied_and_the_controllers_own_is_kept() {
    let mut live = build(&template_of("6.0.0"), |parts| create(parts, 3));
    live["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("2");
    let promoted = build(&template_of("6.0.1"), |parts| promote(&live, parts, None));
    assert_eq!(
        promoted["metadata"]["annotations"],
        json!({ "owner": "web", "deployment.kubernetes.io/revision": "2", "kubectl-canary.dev/revision": "v1-1" })
    );
}

#[test]
fn whatever_labels_the_promoted_template_has_the_primary_goes_on_finding_its_pods() {
    let made = build(&template_of("6.0.0"), |parts| create(parts, 3));
    let mut renamed = template_of("6.0.1");
    renamed["metadata"]["labels"] = json!({ "app": "storefront", "tier": "back" });
    let primary = selector::labels_of(made.pointer("/spec/selector"));
    let now = Selector::of(&labels([("app", "storefront")]), Some(&primary), &[]).unwrap();
    let promoted = build_by(&now, &renamed, |parts| promote(&made, parts, None));
    assert_eq!(promoted["spec"]["selector"], made["spec"]["selector"]);
    assert_eq!(
        promoted["spec"]["template"]["metadata"]["labels"],
        json!({ "app": "podinfo-primary", "tier": "back" })
    );
}

#[test]
fn a_template_of_our_primary_is_mapped_back_to_the_targets() {
    let original = template_of("6.0.0");
    let primary = build(&original, |parts| create(parts, 3));
    let template = &primary["spec"]["template"];
    let back = original_template(template, &canary(), &by_app(), &order(), &tracked());
    assert_eq!(back, original);
}

/// What Flagger 1.44 left in a cluster, and what its target had.
#[test]
fn a_template_of_flaggers_primary_is_mapped_back_to_the_targets() {
    let dump = include_str!("../../../../tests/flagger-state/initialized.yaml");
    let list: Value = serde_yaml::from_str(dump).unwrap();
    let of = |name: &str| {
        let mut items = list["items"].as_array().unwrap().iter();
        items
            .find(|item| item["kind"] == "Deployment" && item["metadata"]["name"] == name)
            .unwrap()
    };
    let (target, primary) = (of("podinfo"), of("podinfo-primary"));
    let pinned = Selector::of(
        &selector::labels_of(target.pointer("/spec/selector")),
        Some(&selector::labels_of(primary.pointer("/spec/selector"))),
        &order(),
    );
    let template = &target["spec"]["template"];
    let configs = config::references(template).into_iter().collect();
    let back = original_template(
        &primary["spec"]["template"],
        &canary(),
        &pinned.unwrap(),
        &order(),
        &configs,
    );
    assert_eq!(back["spec"]["affinity"], template["spec"]["affinity"]);
    assert_eq!(back["metadata"]["labels"], template["metadata"]["labels"]);
    assert_eq!(back, *template);
}

#[test]
fn what_the_target_lost_beside_its_template_leaves_the_primary_at_the_next_promotion() {
    let (canary, configs, selector) = (canary(), copies(), by_app());
    let template = template_of("6.0.0");
    let prefixes = ["team".to_owned()];
    let id = Id {
        now: "id-1".to_owned(),
        before: None,
    };
    let make = |target: &Value, live: Option<&Value>| {
        let parts = Parts {
            canary: &canary,
            target,
            template: &template,
            revision: "v1-1",
            selector: &selector,
            configs: &configs,
            copies: &crate::target::copies::History::default(),
            id: &id,
            label_prefixes: &prefixes,
        };
        match live {
            Some(live) => promote(live, &parts, None),
            None => create(&parts, 3),
        }
    };
    let live = make(&target(), None);
    assert_eq!(live["metadata"]["labels"]["team"], "web");
    assert_eq!(live["metadata"]["annotations"]["owner"], "web");
    assert_eq!(live["spec"]["minReadySeconds"], 5);

    let mut bare = target();
    for (at, field) in [
        ("/metadata/labels", "team"),
        ("/metadata/annotations", "owner"),
        ("/spec", "minReadySeconds"),
    ] {
        let map = bare.pointer_mut(at).and_then(Value::as_object_mut);
        map.unwrap().remove(field);
    }
    let promoted = make(&bare, Some(&live));
    assert!(promoted["metadata"]["labels"].get("team").is_none());
    assert!(promoted["metadata"]["annotations"].get("owner").is_none());
    assert!(promoted["spec"].get("minReadySeconds").is_none());
    assert_eq!(promoted["spec"]["progressDeadlineSeconds"], 60);
}
