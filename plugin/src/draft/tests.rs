use serde_json::json;

use super::*;
use crate::lint::{self, Context, File};

fn around() -> Around {
    Around {
        deployment: json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo"},
            "spec": {"replicas": 2, "template": {
                "metadata": {"labels": {"app": "podinfo", "tier": "web"}},
                "spec": {"containers": [{"name": "podinfod", "ports": [{"name": "http", "containerPort": 9898}]}]},
            }},
        }),
        services: vec![json!({
            "metadata": {"name": "frontend"},
            "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 8080}]},
        })],
        routes: vec![
            json!({"metadata": {"name": "other"}, "spec": {"http": [{"backends": [{"serviceName": "x"}]}]}}),
            json!({"metadata": {"name": "shop"}, "spec": {"http": [{"backends": [{"serviceName": "frontend"}]}]}}),
        ],
    }
}

fn wish() -> Wish {
    Wish {
        namespace: "test".to_owned(),
        provider: Provider::Apisix,
        port: None,
        target_port: None,
        route: None,
        metrics_server: None,
        metric_template: false,
    }
}

/// The YAML, which passes `lint` without a warning.
fn clean(around: &Around, wish: &Wish) -> String {
    let text = yaml(around, wish).unwrap();
    let file = File {
        name: "init".to_owned(),
        text: text.clone(),
        named: true,
    };
    let context = Context {
        provider: "apisix",
        now: "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    let report = lint::lint(&[file], &context);
    assert!(
        report.items.is_empty() && report.checked > 0,
        "{:#?}\n{text}",
        report.items
    );
    text
}

fn canary(text: &str) -> Canary {
    let last = text.rsplit("---\n").next().unwrap();
    serde_yaml::from_str(last).unwrap()
}

#[test]
fn service_and_route_are_those_that_are_there() {
    insta::assert_snapshot!(clean(&around(), &wish()));
}

#[test]
fn what_is_asked_for_wins() {
    let wish = Wish {
        port: Some(80),
        target_port: Some(9898),
        route: Some("mine".to_owned()),
        ..wish()
    };
    let canary = canary(&clean(&around(), &wish));
    assert_eq!(canary.spec.service.port, 80);
    assert_eq!(canary.route().unwrap().name, "mine");
}

#[test]
fn blue_green_needs_no_route() {
    let wish = Wish {
        provider: Provider::Kubernetes,
        ..wish()
    };
    insta::assert_snapshot!(clean(&around(), &wish));
}

#[test]
fn a_check_of_one_s_own_comes_with_its_template() {
    for provider in [Provider::Apisix, Provider::Kubernetes] {
        let wish = Wish {
            provider,
            metrics_server: Some("http://prometheus.monitoring:9090".to_owned()),
            metric_template: true,
            ..wish()
        };
        let text = clean(&around(), &wish);
        assert!(text.contains("kind: MetricTemplate"));
        if provider == Provider::Apisix {
            insta::assert_snapshot!(text);
        }
    }
}

#[test]
fn what_cannot_be_chosen_is_asked_for() {
    let failed = |around: &Around| yaml(around, &wish()).unwrap_err().to_string();
    let mut without = around();
    without.routes.clear();
    assert_eq!(failed(&without), "no ApisixRoute leads to Service frontend");
    let mut several = around();
    several.routes[0] = several.routes[1].clone();
    assert!(failed(&several).starts_with("several ApisixRoutes lead"));
    let mut silent = around();
    silent.deployment["spec"]["template"]["spec"] = json!({"containers": [{"name": "a"}]});
    assert_eq!(
        failed(&silent),
        "the Deployment names no port of its containers"
    );
}

#[test]
fn odd_names_stay_texts() {
    let mut odd = around();
    odd.deployment["metadata"]["name"] = json!("123");
    odd.services.clear();
    let wish = Wish {
        namespace: "on".to_owned(),
        port: Some(80),
        provider: Provider::Kubernetes,
        ..wish()
    };
    let text = yaml(&odd, &wish).unwrap();
    let canary = canary(&text);
    assert_eq!(canary.target_name(), "123");
    assert_eq!(canary.metadata.namespace.as_deref(), Some("on"));
}

#[test]
fn what_will_be_made_is_said() {
    let around = around();
    let canary = canary(&clean(&around, &wish()));
    insta::assert_snapshot!(consequences(&canary, &around).join("\n"));
}

#[test]
fn a_service_that_would_lead_to_nobody_is_named_before_anything_is_applied() {
    let mut around = around();
    let canary = canary(&clean(&around, &wish()));
    around.deployment["spec"]["selector"] = json!({"matchLabels": {"app": "podinfo"}});
    let mut other = around.services[0].clone();
    other["metadata"]["name"] = json!("frontend-admin");
    around.services.push(other);
    let said = consequences(&canary, &around).join("\n");
    let expected = "Service frontend-admin leads to the pods of podinfo alone";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("kubectl-canary.dev/follow=primary"), "{said}");
}
