//! What may still serve is never to be deleted.

use super::*;

/// At rest, with `web` adopted, and a spec that names another target, Service and route.
fn renamed() -> Canary {
    let mut canary = canary();
    let adopted = json!({"provider": "apisix", "target": "web", "service": "web", "route": "web"});
    let status = canary.status.as_mut().unwrap();
    status.in_force = Some(serde_json::from_value(adopted).unwrap());
    canary.spec.target_ref.name = "shop".to_owned();
    canary.spec.route_ref.as_mut().unwrap().name = "shop".to_owned();
    canary
}

fn condition(canary: &mut Canary, type_: &str, value: &str) {
    let condition =
        json!({"type": type_, "status": value, "reason": "RouteInvalid", "message": "x"});
    let status = canary.status.as_mut().unwrap();
    status.conditions = vec![serde_json::from_value(condition).unwrap()];
}

/// Nothing that could be pasted and takes something away.
fn deletes(checks: &[Check]) -> Vec<&str> {
    let hints = checks.iter().filter_map(|it| it.hint.as_deref());
    hints
        .filter(|hint| hint.contains("kubectl delete"))
        .collect()
}

/// As it is, with things of old beside it that no name leads to.
fn with_old() -> Around {
    let mut around = fitting();
    around.services.push(marked(service("old-canary", "old")));
    around
        .deployments
        .push(marked(deployment("old-primary", 2)));
    around.routes.push(marked(route(
        "old-old-canary",
        &[("old-primary", json!(80), 100)],
    )));
    around
        .scalers
        .push(marked(scaler("old-primary", "old-primary")));
    around.pods.insert("old-canary".to_owned(), Vec::new());
    around
}

#[test]
fn what_is_in_force_serves_until_the_spec_is_adopted_and_is_no_leftover() {
    let mut around = fitting();
    around.target = Some(deployment("shop", 2));
    around.primary = None;
    for ready in [None, Some("False")] {
        let mut canary = renamed();
        if let Some(value) = ready {
            condition(&mut canary, "Ready", value);
        }
        let checks = checks(&canary, &around);
        assert!(checks.iter().all(|it| it.name != "leftover"), "{checks:#?}");
        assert_eq!(deletes(&checks), Vec::<&str>::new());
        assert_eq!(
            said(&checks[0]),
            (
                "in force",
                Outcome::Warn,
                "Deployment shop is not adopted yet: Deployment web-primary and what belongs to it serve until then"
            )
        );
    }
}

#[test]
fn no_deletion_is_suggested_while_nobody_can_tell_what_serves() {
    let unready = |value: &str| {
        let mut canary = canary();
        condition(&mut canary, "Ready", value);
        canary
    };
    let mut initializing = canary();
    initializing.status.as_mut().unwrap().phase = Phase::Initializing;
    let mut deleted = canary();
    deleted.metadata.deletion_timestamp =
        serde_json::from_value(json!("2026-03-01T12:00:00Z")).unwrap();
    let mut around = with_old();
    around.scalers.push(scaler("mine", "web-primary"));
    let told_only = |canary: &Canary| {
        let checks = checks(canary, &around);
        assert_eq!(deletes(&checks), Vec::<&str>::new(), "{canary:?}");
        let left = checks.iter().find(|it| it.name == "leftover").unwrap();
        assert!(
            left.message
                .ends_with("and no name in its spec leads to it")
                && left.hint.as_ref().unwrap().starts_with("do not delete it"),
            "{left:?}"
        );
    };
    told_only(&unready("False"));
    told_only(&unready("Unknown"));
    told_only(&initializing);
    told_only(&deleted);
    told_only(&renamed());
    assert_eq!(deletes(&checks(&unready("True"), &around)).len(), 5);
}

#[test]
fn a_service_that_a_route_leads_to_or_that_has_ready_pods_is_not_to_be_deleted() {
    let old = || marked(service("old-primary", "old-primary"));
    let with = |change: &dyn Fn(&mut Around)| {
        trouble(|it| {
            it.services.push(old());
            it.pods.insert("old-primary".to_owned(), Vec::new());
            change(it);
        })
        .hint
        .unwrap()
    };
    assert!(with(&|_| {}).contains("kubectl delete service old-primary"));
    let routed = with(&|it| {
        it.routes
            .push(route("mine", &[("old-primary", json!(80), 10)]));
    });
    assert!(routed.contains("once no route leads to it"), "{routed}");
    let shut = with(&|it| {
        it.routes
            .push(route("mine", &[("old-primary", json!(80), 0)]));
    });
    assert!(shut.contains("kubectl delete service"), "{shut}");
    let pods = with(&|it| {
        let pods = vec![behind("a", "old-primary", true)];
        it.pods.insert("old-primary".to_owned(), pods);
    });
    assert!(pods.contains("once no pods are behind it"), "{pods}");
    // Of pods that this user may not list nothing is known.
    let unread = with(&|it| drop(it.pods.remove("old-primary")));
    assert!(unread.contains("once no pods are behind it"), "{unread}");
}

#[test]
fn a_deployment_with_ready_pods_that_a_service_leads_to_is_not_to_be_deleted() {
    let with = |selecting: Option<Value>, ready: i64| {
        let check = trouble(|it| {
            let mut old = marked(deployment("old-primary", 2));
            old["status"]["readyReplicas"] = json!(ready);
            it.deployments.push(old);
            it.services.extend(selecting);
        });
        check.hint.unwrap()
    };
    let mine = || Some(service("mine", "old-primary"));
    assert!(with(mine(), 2).contains("once no Service leads to its pods"));
    assert!(with(mine(), 0).contains("kubectl delete deployment old-primary"));
    assert!(with(None, 2).contains("kubectl delete deployment old-primary"));
}

#[test]
fn a_route_of_old_stays_until_the_one_of_today_is_there() {
    let check = trouble(|it| {
        it.routes.remove(1);
        it.routes.push(marked(route("old-web-canary", &[])));
    });
    let hint = check.hint.unwrap();
    assert!(hint.contains("once the route of today is there"), "{hint}");
}

#[test]
fn the_copy_of_a_named_autoscaler_is_asked_for_whatever_that_one_scales() {
    let mut canary = canary();
    let named = json!({"kind": "HorizontalPodAutoscaler", "name": "shop"});
    canary.spec.autoscaler_ref = serde_json::from_value(named).unwrap();
    let mut around = fitting();
    around.scalers = vec![
        scaler("shop", "shop"),
        marked(scaler("shop-primary", "web-primary")),
    ];
    assert_eq!(checks(&canary, &around)[0].outcome, Outcome::Ok);
}

#[test]
fn the_pods_of_marked_services_are_looked_at_too() {
    let services = with_old().services;
    let found: Vec<String> = selectors(&canary(), &services)
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(found, ["old-canary", "web", "web-canary", "web-primary"]);
}
