//! A Canary whose surroundings fit, and each way in which they do not.

mod in_use;

use serde_json::{Value, json};

use super::*;
use crate::doctor::Outcome;

fn canary() -> Canary {
    serde_json::from_value(json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary",
        "metadata": {"name": "web", "namespace": "test", "uid": "u1"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "routeRef": {"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "web"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 10},
        },
        "status": {"phase": "Initialized", "canaryWeight": 0, "failedChecks": 0, "iterations": 0},
    }))
    .unwrap()
}

fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name, "tier": "front"}}},
        },
    })
}

fn service(name: &str, app: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "selector": {"app": app}, "ports": [{"name": "http", "port": 80}],
    }})
}

fn route(name: &str, backends: &[(&str, Value, i64)]) -> Value {
    let backends: Vec<Value> = backends
        .iter()
        .map(|(service, port, weight)| json!({"serviceName": service, "servicePort": port, "weight": weight}))
        .collect();
    json!({"metadata": {"name": name}, "spec": {"http": [{"backends": backends}]}})
}

fn scaler(name: &str, scales: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": scales}}})
}

fn selecting(name: &str, field: &str, selector: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {field: selector}})
}

fn marked(mut object: Value) -> Value {
    object["metadata"]["labels"] = json!({"kubectl-canary.dev/generated": "u1"});
    object
}

fn behind(name: &str, app: &str, ready: bool) -> Behind {
    Behind {
        name: name.to_owned(),
        labels: [("app".to_owned(), app.to_owned())].into(),
        ready,
        bare: false,
    }
}

/// At rest, and everything fits.
fn fitting() -> Around {
    let of_primary = || vec![behind("web-primary-x", "web-primary", true)];
    Around {
        target: Some(deployment("web", 0)),
        primary: Some(deployment("web-primary", 2)),
        services: vec![
            marked(service("web", "web-primary")),
            marked(service("web-primary", "web-primary")),
            marked(service("web-canary", "web")),
            service("other", "other"),
        ],
        routes: vec![
            route("web", &[("web", json!(80), 100)]),
            marked(route(
                "web-web-canary",
                &[
                    ("web-primary", json!(80), 100),
                    ("web-canary", json!("http"), 0),
                ],
            )),
        ],
        scalers: vec![
            scaler("web", "web"),
            marked(scaler("web-primary", "web-primary")),
        ],
        budgets: vec![
            selecting("web", "selector", &json!({"matchLabels": {"app": "web"}})),
            marked(selecting(
                "web-primary",
                "selector",
                &json!({"matchLabels": {"app": "web-primary"}}),
            )),
        ],
        deployments: vec![deployment("web", 0), marked(deployment("web-primary", 2))],
        pods: [
            ("web".to_owned(), of_primary()),
            ("web-primary".to_owned(), of_primary()),
        ]
        .into(),
    }
}

/// The only trouble there is after a change.
fn trouble(change: impl FnOnce(&mut Around)) -> Check {
    let mut around = fitting();
    change(&mut around);
    let checks = checks(&canary(), &around);
    let [check] = checks.as_slice() else {
        panic!("{checks:#?}")
    };
    assert!(check.hint.is_some(), "{check:?}");
    check.clone()
}

fn said(check: &Check) -> (&'static str, Outcome, &str) {
    (check.name, check.outcome, &check.message)
}

#[test]
fn what_fits_is_one_line() {
    let checks = checks(&canary(), &fitting());
    assert_eq!(
        (checks.len(), checks[0].name, checks[0].outcome),
        (1, "around", Outcome::Ok)
    );
}

#[test]
fn a_service_whose_selector_no_pod_of_the_primary_has_is_an_outage() {
    let check = trouble(|it| {
        it.services[0] = service("web", "storefront-primary");
        it.pods.insert("web".to_owned(), Vec::new());
    });
    assert_eq!(
        said(&check),
        (
            "selector",
            Outcome::Fail,
            "Service web selects app=storefront-primary, and the pods of Deployment web-primary have app=web-primary: it selects no pods of web-primary"
        )
    );
    let check = trouble(|it| {
        it.pods.insert("web-primary".to_owned(), Vec::new());
    });
    assert_eq!(
        check.message,
        "Service web-primary selects no pods: app=web-primary finds none"
    );
    let check = trouble(|it| {
        let unready = vec![behind("a", "web-primary", false)];
        it.pods.insert("web".to_owned(), unready);
    });
    assert_eq!(
        check.message,
        "none of the 1 pods behind Service web is ready"
    );
}

#[test]
fn pods_of_somebody_else_behind_a_service_are_named() {
    let check = trouble(|it| {
        let mut pods = vec![behind("web-a", "web", true), behind("shop-b", "web", true)];
        it.target = Some(json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "web", "component": "a"}},
            "template": {"metadata": {"labels": {"app": "web", "component": "a"}}},
        }}));
        pods[0]
            .labels
            .insert("component".to_owned(), "a".to_owned());
        it.pods.insert("web-canary".to_owned(), pods);
    });
    assert_eq!(
        said(&check),
        (
            "selector",
            Outcome::Warn,
            "1 of the 2 pods behind Service web-canary are not of Deployment web: shop-b"
        )
    );
}

#[test]
fn marked_objects_that_nobody_asks_for_are_leftovers() {
    let old = |share| {
        marked(route(
            "old-web-canary",
            &[
                ("web-primary", json!(80), 100 - share),
                ("web-canary", json!(80), share),
            ],
        ))
    };
    let check = trouble(|it| it.routes.push(old(40)));
    assert_eq!(
        said(&check),
        (
            "leftover",
            Outcome::Fail,
            "ApisixRoute old-web-canary was generated for this Canary, and nothing asks for it any more: it still sends 40 % to Service web-canary"
        )
    );
    assert!(
        check
            .hint
            .unwrap()
            .contains("kubectl delete apisixroute old-web-canary -n test")
    );
    assert_eq!(trouble(|it| it.routes.push(old(0))).outcome, Outcome::Warn);
    for check in [
        trouble(|it| it.services.push(marked(service("shop-canary", "shop")))),
        trouble(|it| {
            it.scalers
                .push(marked(scaler("gone-primary", "web-old-primary")));
        }),
        trouble(|it| {
            it.budgets.push(marked(selecting(
                "gone-primary",
                "selector",
                &json!({"matchLabels": {"a": "b"}}),
            )));
        }),
        trouble(|it| it.deployments.push(marked(deployment("shop-primary", 1)))),
    ] {
        assert_eq!(
            (check.name, check.outcome),
            ("leftover", Outcome::Warn),
            "{check:?}"
        );
    }
    // The mark of another Canary.
    let mut around = fitting();
    let mut other = marked(service("shop-canary", "shop"));
    other["metadata"]["labels"]["kubectl-canary.dev/generated"] = json!("u2");
    around.services.push(other);
    assert_eq!(checks(&canary(), &around)[0].outcome, Outcome::Ok);
}

#[test]
fn two_autoscalers_of_one_primary_are_named_with_the_one_to_delete() {
    let check = trouble(|it| it.scalers.push(scaler("old-primary", "web-primary")));
    assert_eq!(
        said(&check),
        (
            "autoscalers",
            Outcome::Fail,
            "2 HorizontalPodAutoscalers scale Deployment web-primary against each other: web-primary, old-primary"
        )
    );
    assert!(
        check
            .hint
            .unwrap()
            .contains("kubectl delete hpa old-primary -n test")
    );
    // A removed one is enforced for ever.
    let check = trouble(|it| {
        it.scalers.remove(0);
    });
    assert_eq!(check.name, "leftover");
}

#[test]
fn ports_of_routes_are_compared_with_those_of_the_services_by_number_and_by_name() {
    let asks = |port: Value| {
        trouble(|it| {
            it.routes[1] = marked(route("web-web-canary", &[("web-primary", port, 100)]));
        })
    };
    assert_eq!(
        said(&asks(json!(8080))),
        (
            "ports",
            Outcome::Fail,
            "ApisixRoute web-web-canary asks Service web-primary for port 8080, and it has 80 (http)"
        )
    );
    assert!(
        asks(json!("web"))
            .message
            .contains("for port web, and it has 80 (http)")
    );
    let check = trouble(|it| it.routes[0] = route("web", &[("web", json!(81), 100)]));
    assert!(
        check
            .hint
            .unwrap()
            .contains("kubectl edit apisixroute web -n test")
    );
}

#[test]
fn a_budget_that_covers_no_primary_pod_comes_with_the_one_to_write() {
    let check = trouble(|it| {
        it.budgets.remove(1);
    });
    assert_eq!((check.name, check.outcome), ("budgets", Outcome::Warn));
    assert!(
        check
            .message
            .starts_with("PodDisruptionBudget web covers no pod of Deployment web-primary")
    );
    let hint = check.hint.unwrap();
    assert!(
        hint.contains("kubectl create poddisruptionbudget web-primary --selector=app=web-primary"),
        "{hint}"
    );
    // Nothing can be created under the name of one that is there.
    let check = trouble(|it| {
        let other = json!({"matchLabels": {"app": "other"}});
        it.budgets[1] = selecting("web-primary", "selector", &other);
    });
    let hint = check.hint.unwrap();
    assert!(
        hint.contains("create poddisruptionbudget web-primary-2 "),
        "{hint}"
    );
    // One that covers both is enough, in the form of an expression too.
    let mut around = fitting();
    let both = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "web-primary"]}]});
    around.budgets = vec![selecting("both", "selector", &both)];
    assert_eq!(checks(&canary(), &around)[0].outcome, Outcome::Ok);
}

#[test]
fn other_services_of_the_target_s_pods_have_no_endpoints() {
    let grpc = || service("web-grpc", "web");
    let check = trouble(|it| it.services.push(grpc()));
    assert_eq!(
        said(&check),
        (
            "services",
            Outcome::Fail,
            "Service web-grpc selects the pods of Deployment web only, which is scaled to 0: it has no endpoints"
        )
    );
    assert!(
        check.hint.unwrap().contains(
            "kubectl annotate service web-grpc kubectl-canary.dev/follow=primary -n test"
        )
    );
    let check = trouble(|it| {
        it.services.push(grpc());
        it.target = Some(deployment("web", 2));
    });
    assert_eq!(check.outcome, Outcome::Warn);
    let mut around = fitting();
    // Made for the Canary under a name that waits to be followed, or was.
    around.services.push(marked(service("other-canary", "web")));
    assert!(
        checks(&canary(), &around)
            .iter()
            .all(|it| it.name != "services")
    );
    let mut around = fitting();
    let mut ignored = grpc();
    ignored["metadata"]["annotations"] = json!({"kubectl-canary.dev/follow": "ignore"});
    around.services.push(ignored);
    assert_eq!(checks(&canary(), &around)[0].outcome, Outcome::Ok);
}

#[test]
fn while_objects_come_into_being_only_leftovers_are_told() {
    let mut canary = canary();
    let mut around = fitting();
    around.services[0] = service("web", "web");
    canary.status.as_mut().unwrap().phase = Phase::Initializing;
    assert_eq!(checks(&canary, &around)[0].outcome, Outcome::Ok);
}

#[test]
fn a_pod_of_nobody_that_gets_the_primarys_requests_is_told() {
    let mut around = fitting();
    let mut bare = behind("debug", "web-primary", true);
    bare.bare = true;
    around.pods.get_mut("web-primary").unwrap().push(bare);
    let found = checks(&canary(), &around);
    let check = found.iter().find(|it| it.name == "selector").unwrap();
    assert!(
        check
            .message
            .contains("1 of the 2 pods behind Service web-primary belong to no workload")
            && check.message.ends_with("debug"),
        "{}",
        check.message
    );
    let hint = check.hint.as_deref().unwrap();
    assert!(hint.contains("kubectl label pod NAME app- -n"), "{hint}");
}
