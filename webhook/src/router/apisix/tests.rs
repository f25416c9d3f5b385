use super::*;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "metadata": { "name": "podinfo", "namespace": "test", "uid": "u1" },
        "spec": {
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web" },
        },
    }))
    .unwrap()
}

fn source() -> Value {
    json!({
        "metadata": {
            "name": "web",
            "labels": { "team": "web", "argocd.argoproj.io/instance": "apps" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "x" },
        },
        "spec": {
            "ingressClassName": "apisix",
            "stream": [{ "name": "tcp" }],
            "http": [
                { "name": "admin", "backends": [{ "serviceName": "admin", "servicePort": 80 }] },
                {
                    "name": "method", "priority": 3, "timeout": { "read": "5s" }, "future": { "x": 1 },
                    "backends": [{ "serviceName": "podinfo", "servicePort": 80, "resolveGranularity": "endpoint" }],
                    "plugins": [{ "name": "prometheus", "enable": true, "secretRef": "s" }],
                },
            ],
        },
    })
}

fn write(source: &Value, to: Routes) -> Result<Value, RouteError> {
    Apisix.write(
        &canary(),
        Live {
            source: Some(source),
            generated: None,
        },
        to,
    )
}

#[test]
fn the_users_rule_is_copied_with_two_weighted_backends() {
    let route = write(&source(), Routes::to_canary(30)).unwrap();
    assert_eq!(route["metadata"]["name"], "web-podinfo-canary");
    let rules = route["spec"]["http"].as_array().unwrap();
    assert_eq!(rules.len(), 1, "other rules stay with the original");
    assert_eq!(
        rules[0]["backends"],
        json!([
            { "serviceName": "podinfo-primary", "servicePort": 80, "resolveGranularity": "endpoint", "weight": 70 },
            { "serviceName": "podinfo-canary", "servicePort": 80, "resolveGranularity": "endpoint", "weight": 30 },
        ])
    );
    assert_eq!(
        (&rules[0]["priority"], &rules[0]["name"]),
        (&json!(10_000), &json!("method"))
    );
}

#[test]
fn fields_that_flagger_drops_are_kept_and_stream_routes_are_not_doubled() {
    let route = write(&source(), Routes::ALL_PRIMARY).unwrap();
    let rule = &route["spec"]["http"][0];
    assert_eq!(
        (&rule["future"]["x"], &rule["plugins"][0]["secretRef"]),
        (&json!(1), &json!("s"))
    );
    assert_eq!(route["spec"]["ingressClassName"], "apisix");
    assert!(route["spec"].get("stream").is_none());
}

#[test]
fn marks_of_gitops_tools_stay_with_the_users_route() {
    let route = write(&source(), Routes::ALL_PRIMARY).unwrap();
    assert_eq!(
        route["metadata"]["labels"],
        json!({ "team": "web", names::GENERATED: "u1" })
    );
    assert_eq!(
        route["metadata"]["annotations"],
        json!({
            "note": "x",
            "kustomize.toolkit.fluxcd.io/reconcile": "disabled",
            "helm.toolkit.fluxcd.io/driftDetection": "disabled",
        })
    );
}

#[test]
fn weights_that_were_written_are_read_back() {
    for weight in [0, 10, 50, 100] {
        let routes = Routes::to_canary(weight);
        let generated = write(&source(), routes).unwrap();
        assert_eq!(
            Apisix.read(
                &canary(),
                Live {
                    source: None,
                    generated: Some(&generated)
                }
            ),
            Some(routes)
        );
    }
}

#[test]
fn a_route_that_is_not_there_or_names_neither_side_says_nothing() {
    let others = json!({ "spec": { "http": [{ "backends": [{ "serviceName": "web" }] }] } });
    for generated in [None, Some(&others)] {
        let live = Live {
            source: None,
            generated,
        };
        assert_eq!(Apisix.read(&canary(), live), None);
    }
}

#[test]
fn a_route_that_cannot_be_used_is_refused_in_flaggers_words() {
    let error = |change: &dyn Fn(&mut Value)| {
        let mut source = source();
        change(&mut source);
        write(&source, Routes::ALL_PRIMARY).unwrap_err().to_string()
    };
    assert_eq!(
        error(&|route| route["spec"]["http"] = json!([])),
        "APISIX route web.test's spec.http is empty"
    );
    assert_eq!(
        error(&|route| route["spec"]["http"][1]["backends"][0]["serviceName"] = json!("else")),
        "Can not find podinfo backend on apisix route web.test"
    );
    assert_eq!(
        error(&|route| route["spec"]["http"][1]["backends"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "serviceName": "x" }))),
        "APISIX route web.test's http route method only one http backend is supported"
    );
    assert_eq!(
        error(&|route| route["spec"]["http"][1]["upstreams"] =
            json!([{ "name": "elsewhere", "weight": 90 }])),
        "APISIX route web.test's http route method only one http backend is supported",
        "an upstream takes a part of the traffic, too"
    );
    let missing = Apisix
        .write(&canary(), Live::default(), Routes::ALL_PRIMARY)
        .unwrap_err();
    assert_eq!(
        missing.to_string(),
        "APISIX route web.test get query error: not found"
    );
}

#[test]
fn a_canary_without_a_route_reference_is_refused() {
    let mut canary = canary();
    canary.spec.route_ref = None;
    assert_eq!(Apisix.names(&canary), Err(RouteError::NoReference));
}

#[test]
fn ports_are_read_by_number_and_by_name_and_one_is_set_for_both_sides() {
    let mut source = source();
    let port = |live: Live<'_>| Apisix.source_ports(&canary(), live);
    let of = |source: &Value| {
        port(Live {
            source: Some(source),
            generated: None,
        })
    };
    assert_eq!(of(&source), [80]);
    assert_eq!(port(Live::default()), Vec::<Value>::new());
    source["spec"]["http"][1]["backends"][0]["servicePort"] = json!("web");
    let second =
        json!({ "name": "s", "backends": [{ "serviceName": "podinfo", "servicePort": 81 }] });
    let rules = source["spec"]["http"].as_array_mut().unwrap();
    rules.push(second);
    assert_eq!(of(&source), [json!("web"), json!(81)]);

    let mut route = write(&source, Routes::ALL_PRIMARY).unwrap();
    assert_eq!(Apisix.port(&canary(), &route), Some(json!("web")));
    Apisix.set_port(&mut route, &json!(8080));
    let backends = &route["spec"]["http"][0]["backends"];
    for side in 0..2 {
        assert_eq!(backends[side]["servicePort"], 8080);
    }
    assert_eq!(Apisix.port(&canary(), &json!({})), None);
}

#[test]
fn weights_that_do_not_add_up_are_read_as_the_gateway_takes_them() {
    let read = |primary: Value, of_canary: Value| {
        let mut route = write(&source(), Routes::ALL_PRIMARY).unwrap();
        for (index, weight) in [primary, of_canary].into_iter().enumerate() {
            let backend = &mut route["spec"]["http"][0]["backends"][index];
            backend["weight"] = weight.clone();
            if weight.is_null() {
                backend.as_object_mut().unwrap().remove("weight");
            }
        }
        let live = Live {
            source: None,
            generated: Some(&route),
        };
        let weights = Apisix.weights(&canary(), &route);
        (Apisix.read(&canary(), live).map(|it| it.canary), weights[0])
    };
    let none = Value::Null;
    assert_eq!(
        read(json!(100), json!(15)),
        (Some(14), [Some(100), Some(15)])
    );
    assert_eq!(read(json!(100), json!(1)), (Some(1), [Some(100), Some(1)]));
    assert_eq!(
        read(json!(100), none.clone()),
        (Some(50), [Some(100), None])
    );
    assert_eq!(read(none, json!(0)), (Some(0), [None, Some(0)]));
    assert_eq!(read(json!(0), json!(0)), (None, [Some(0), Some(0)]));
    assert_eq!(read(json!(i64::MAX), json!(i64::MAX)).0, None);
}
