// A builder takes the JSON that is written in its call.
#![allow(clippy::needless_pass_by_value)]

use serde_json::{Value, json};

use super::*;

/// A Canary that can be run on apisix, changed by a JSON merge of `spec`.
fn canary(spec: Value) -> Canary {
    let mut object = json!({
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": { "name": "podinfo", "namespace": "test" },
        "spec": {
            "provider": "apisix",
            "targetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo" },
            "routeRef": { "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "name": "podinfo" },
            "service": { "port": 80 },
            "analysis": { "interval": "10s", "threshold": 10, "maxWeight": 50, "stepWeight": 10 },
        },
    });
    merge(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

fn merge(into: &mut Value, patch: Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    into.remove(&key);
                } else {
                    merge(into.entry(key).or_insert(Value::Null), value);
                }
            }
        }
        (into, patch) => *into = patch,
    }
}

fn found(spec: Value) -> Vec<String> {
    validate(&canary(spec), "apisix")
        .iter()
        .map(Violation::to_string)
        .collect()
}

/// The single violation, as text.
fn only(spec: Value) -> String {
    let found = found(spec);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

fn analysis(analysis: Value) -> Value {
    json!({ "analysis": analysis })
}

fn metric(metric: Value) -> Value {
    analysis(json!({ "metrics": [metric] }))
}

fn hook(hook: Value) -> Value {
    analysis(json!({ "webhooks": [hook] }))
}

const NONE: [&str; 0] = [];

#[test]
fn the_users_canary_can_be_run() {
    let seed = include_str!("../../../tests/seed/podinfo-canary.yaml");
    assert_eq!(validate(&serde_yaml::from_str(seed).unwrap(), "istio"), []);
}

#[test]
fn the_users_metric_template_can_be_asked() {
    let seed = include_str!("../../../tests/seed/not-found-percentage.yaml");
    let template: crate::template::MetricTemplate = serde_yaml::from_str(seed).unwrap();
    assert_eq!(validate_metric_template(&template.spec), []);
}

#[test]
fn a_plain_canary_can_be_run() {
    assert_eq!(found(json!({})), NONE);
}

#[test]
fn a_provider_that_does_not_exist_is_refused_with_those_that_do() {
    let text = only(json!({ "provider": "apisixx" }));
    assert!(
        text.starts_with("spec.provider: unknown provider \"apisixx\": use one of apisix, appmesh"),
        "{text}"
    );
}

#[test]
fn a_provider_that_we_do_not_have_is_not_supported_yet_and_its_strategy_does_not_matter() {
    let text = only(json!({ "provider": "istio", "analysis": { "mirror": true } }));
    assert_eq!(
        text,
        "spec.provider: provider istio is not supported yet: use apisix, kubernetes"
    );
}

#[test]
fn without_a_provider_the_servers_own_is_judged() {
    let unnamed = canary(json!({ "provider": null }));
    assert_eq!(validate(&unnamed, "apisix"), []);
    assert_eq!(validate(&unnamed, "istio")[0].field, "spec.provider");
}

#[test]
fn a_kind_of_target_that_we_do_not_have_is_not_supported_yet() {
    assert_eq!(
        only(json!({ "targetRef": { "kind": "DaemonSet" } })),
        "spec.targetRef.kind: target kind DaemonSet is not supported yet: use Deployment"
    );
    assert_eq!(
        only(json!({ "targetRef": { "kind": "StatefulSet" } })),
        "spec.targetRef.kind: unknown target kind \"StatefulSet\": use one of DaemonSet, Deployment, Service"
    );
}

#[test]
fn a_target_has_a_name() {
    let text = only(json!({ "targetRef": { "name": "" } }));
    assert_eq!(
        text,
        "spec.targetRef.name: must name the workload that is released"
    );
}

#[test]
fn an_autoscaler_that_we_do_not_have_is_not_supported_yet() {
    let scaler = |kind: &str, name: &str| json!({ "autoscalerRef": { "apiVersion": "v1", "kind": kind, "name": name } });
    assert_eq!(
        only(scaler("ScaledObject", "podinfo")),
        "spec.autoscalerRef.kind: autoscaler kind ScaledObject is not supported yet: use HorizontalPodAutoscaler"
    );
    assert!(only(scaler("HorizontalPodAutoscaler", "")).starts_with("spec.autoscalerRef.name:"));
    assert_eq!(found(scaler("HorizontalPodAutoscaler", "podinfo")), NONE);
}

#[test]
fn apisix_needs_a_route() {
    for spec in [
        json!({ "routeRef": null }),
        json!({ "routeRef": { "name": "" } }),
    ] {
        assert_eq!(
            only(spec),
            "spec.routeRef: provider apisix needs the ApisixRoute of the target: name it"
        );
    }
    let blue_green = json!({
        "provider": "kubernetes", "routeRef": null,
        "analysis": { "stepWeight": null, "maxWeight": null, "iterations": 5 },
    });
    assert_eq!(found(blue_green), NONE);
}

#[test]
fn a_service_has_a_port_that_can_be_listened_on() {
    assert_eq!(
        only(json!({ "service": null })),
        "spec.service.port: is missing: give the port that the Service listens on"
    );
    assert_eq!(
        only(json!({ "service": { "port": 65536 } })),
        "spec.service.port: must be a port from 1 to 65535"
    );
    assert!(
        only(json!({ "service": { "targetPort": -1 } })).starts_with("spec.service.targetPort:")
    );
    assert_eq!(found(json!({ "service": { "targetPort": 0 } })), NONE);
    assert_eq!(found(json!({ "service": { "targetPort": "http" } })), NONE);
}

#[test]
fn what_the_api_server_would_refuse_in_a_service_is_named_with_what_it_takes() {
    for (service, field, says) in [
        (
            json!({ "targetPort": "9898" }),
            "targetPort",
            "write 9898 without quotes",
        ),
        (
            json!({ "targetPort": "a-name-of-16-ch-" }),
            "targetPort",
            "at most 15 small letters",
        ),
        (
            json!({ "portName": "UPPER_case" }),
            "portName",
            "cannot name a port of a Service",
        ),
        (
            json!({ "portName": "a".repeat(64) }),
            "portName",
            "at most 63",
        ),
        (
            json!({ "appProtocol": "bad proto!" }),
            "appProtocol",
            "is no application protocol",
        ),
        (
            json!({ "apex": { "labels": { "a": "not valid!" } } }),
            "apex.labels",
            "the value of label a",
        ),
        (
            json!({ "primary": { "labels": { "a/b/c": "d" } } }),
            "primary.labels",
            "the key of a label",
        ),
        (
            json!({ "canary": { "annotations": { "no key": "any value!" } } }),
            "canary.annotations",
            "the key of an annotation",
        ),
        (
            json!({ "canary": { "annotations": { "a": "b".repeat(300_000) } } }),
            "canary.annotations",
            "are 300001 bytes",
        ),
        (json!({ "name": "web-" }), "name", "no - at the end"),
    ] {
        let said = only(json!({ "service": service }));
        assert!(
            said.starts_with(&format!("spec.service.{field}: ")),
            "{said}"
        );
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn what_the_api_server_takes_in_a_service_is_no_fault() {
    let custom = json!({
        "labels": { "example.com/team": "Web_1", "empty": "" },
        "annotations": { "Example.com/NOTE": "any value!" },
    });
    let service = json!({
        "targetPort": "http", "portName": "http2", "appProtocol": "kubernetes.io/h2c",
        "apex": custom, "primary": custom, "canary": custom,
    });
    assert_eq!(found(json!({ "service": service })), NONE);
}

#[test]
fn the_names_derived_from_the_apex_can_name_services() {
    let named = |name: String| json!({ "service": { "name": name } });
    assert_eq!(found(named("a".repeat(55))), NONE);
    let text = only(named("a".repeat(56)));
    assert!(
        text.ends_with("would have 64 characters: give a name of at most 55"),
        "{text}"
    );
    for name in ["web.v1", "1web", "Web"] {
        assert!(
            only(named(name.into())).contains("cannot name a Service"),
            "{name}"
        );
    }
}

#[test]
fn a_name_whose_copy_would_not_fit_is_refused_with_the_longest_that_does() {
    let long = |length: usize| "a".repeat(length);
    let target =
        |name: String| json!({ "targetRef": { "name": name }, "service": { "name": "web" } });
    assert_eq!(found(target(long(245))), NONE);
    let text = only(target(long(246)));
    assert!(
        text.starts_with("spec.targetRef.name: Deployment aaa")
            && text.ends_with("would have 254 characters: give a name of at most 245"),
        "{text}"
    );
    let scaler = |name: String| json!({ "autoscalerRef": { "kind": "HorizontalPodAutoscaler", "name": name } });
    assert_eq!(found(scaler(long(245))), NONE);
    assert!(only(scaler(long(250))).ends_with("at most 245"));
    // <route>-podinfo-canary
    let route = |name: String| json!({ "routeRef": { "name": name } });
    assert_eq!(found(route(long(238))), NONE);
    assert!(only(route(long(239))).ends_with("at most 238"));
}

#[test]
fn a_metrics_server_is_a_url() {
    let text = only(json!({ "metricsServer": "prometheus:9090" }));
    assert_eq!(
        text,
        "spec.metricsServer: \"prometheus:9090\" is not a URL: write it as http://host:9090"
    );
    assert_eq!(found(json!({ "metricsServer": "" })), NONE);
}

#[test]
fn a_progress_deadline_is_at_least_a_second() {
    assert_eq!(
        only(json!({ "progressDeadlineSeconds": 0 })),
        "spec.progressDeadlineSeconds: must be 1 or more"
    );
}

#[test]
fn an_analysis_has_one_strategy() {
    assert_eq!(
        only(analysis(json!({ "iterations": 5 }))),
        "spec.analysis: two strategies, iterations and stepWeight: keep one"
    );
    assert_eq!(
        only(analysis(json!({ "stepWeights": [1, 2] }))),
        "spec.analysis: two strategies, stepWeight and stepWeights: keep one"
    );
    let text = only(analysis(json!({ "stepWeight": null })));
    assert!(
        text.starts_with("spec.analysis: no strategy: give stepWeight"),
        "{text}"
    );
    let text = only(analysis(json!({ "stepWeight": 0 })));
    assert!(text.starts_with("spec.analysis: no strategy"), "{text}");
}

#[test]
fn an_analysis_that_is_skipped_may_say_anything_of_steps_and_metrics() {
    let spec = json!({ "skipAnalysis": true, "analysis": { "stepWeight": 500, "iterations": 3, "metrics": [{ "name": "x" }] } });
    assert_eq!(found(spec), NONE);
    assert_eq!(found(json!({ "analysis": null })), NONE);
}

#[test]
fn hooks_are_called_also_when_the_analysis_is_skipped_and_so_are_judged() {
    let spec =
        json!({ "skipAnalysis": true, "analysis": { "webhooks": [{ "name": "a", "url": "" }] } });
    assert!(only(spec).starts_with("spec.analysis.webhooks[0].url:"));
}

#[test]
fn a_step_is_not_more_than_the_maximum() {
    let text = only(analysis(json!({ "stepWeight": 60 })));
    assert_eq!(
        text,
        "spec.analysis.stepWeight: 60 is more than maxWeight 50"
    );
    assert_eq!(found(analysis(json!({ "stepWeight": 50 }))), NONE);
    assert_eq!(
        found(analysis(json!({ "stepWeight": 60, "maxWeight": 0 }))),
        NONE
    );
}

#[test]
fn weights_are_percentages() {
    for field in [
        "stepWeightPromotion",
        "mirrorWeight",
        "primaryReadyThreshold",
        "canaryReadyThreshold",
        "maxWeight",
    ] {
        for weight in [-1, 101] {
            let found = found(analysis(json!({ field: weight })));
            assert!(
                found.contains(&format!("spec.analysis.{field}: must be from 0 to 100")),
                "{found:?}"
            );
        }
        assert_eq!(found(analysis(json!({ field: 100 }))), NONE, "{field}");
    }
    assert_eq!(
        only(analysis(json!({ "stepWeight": 101 }))),
        "spec.analysis.stepWeight: must be from 0 to 100"
    );
}

#[test]
fn listed_steps_increase_and_are_percentages() {
    let steps = |steps: Value| {
        analysis(json!({ "stepWeight": null, "maxWeight": 5, "stepWeights": steps }))
    };
    assert_eq!(found(steps(json!([1, 2, 10, 100]))), NONE);
    assert_eq!(
        only(steps(json!([10, 10]))),
        "spec.analysis.stepWeights[1]: 10 does not follow 10: each step must be more than the one before"
    );
    assert_eq!(
        only(steps(json!([0, 10]))),
        "spec.analysis.stepWeights[0]: must be from 1 to 100"
    );
    assert_eq!(
        only(steps(json!([10, 101]))),
        "spec.analysis.stepWeights[1]: must be from 1 to 100"
    );
}

#[test]
fn apisix_cannot_do_ab_mirroring_or_session_affinity() {
    let conditions = json!([{ "headers": { "x-beta": { "exact": "1" } } }]);
    let ab = analysis(json!({ "stepWeight": null, "iterations": 5, "match": conditions }));
    assert_eq!(
        only(ab),
        "spec.analysis.match: provider apisix cannot do A/B testing: take match away"
    );
    assert_eq!(
        only(analysis(json!({ "mirror": true }))),
        "spec.analysis.mirror: provider apisix cannot do mirroring: take mirror away"
    );
    assert_eq!(
        only(analysis(
            json!({ "sessionAffinity": { "cookieName": "x" } })
        )),
        "spec.analysis.sessionAffinity: provider apisix cannot do session affinity: take sessionAffinity away"
    );
    assert_eq!(
        found(analysis(
            json!({ "stepWeight": null, "iterations": 5, "mirror": false })
        )),
        NONE
    );
}

#[test]
fn kubernetes_cannot_split_by_weight() {
    let on_kubernetes = |analysis: Value| json!({ "provider": "kubernetes", "analysis": analysis });
    assert_eq!(
        only(on_kubernetes(json!({}))),
        "spec.analysis.stepWeight: provider kubernetes cannot do weighted traffic: use iterations"
    );
    let listed = on_kubernetes(json!({ "stepWeight": null, "stepWeights": [1, 2] }));
    assert!(only(listed).starts_with("spec.analysis.stepWeights: provider kubernetes cannot do"));
}

#[test]
fn both_cookies_of_a_session_cannot_have_one_name() {
    let spec = json!({ "cookieName": "x", "primaryCookieName": "x" });
    let found = found(analysis(json!({ "sessionAffinity": spec })));
    assert!(
        found
            .iter()
            .any(|text| text.starts_with("spec.analysis.sessionAffinity.primaryCookieName")),
        "{found:?}"
    );
}

#[test]
fn a_duration_can_be_read_and_is_not_zero() {
    assert_eq!(
        only(analysis(json!({ "interval": "10sec" }))),
        "spec.analysis.interval: \"10sec\" is not a duration: write it as 30s, 1m or 1m30s"
    );
    assert_eq!(
        only(analysis(json!({ "interval": "0s" }))),
        "spec.analysis.interval: must be longer than 0s"
    );
    assert_eq!(found(analysis(json!({ "interval": "" }))), NONE);
    let slow = hook(json!({ "name": "a", "url": "http://a", "timeout": "5" }));
    assert!(only(slow).starts_with("spec.analysis.webhooks[0].timeout: \"5\" is not a duration"));
    let window = metric(
        json!({ "name": "request-duration", "thresholdRange": { "max": 1 }, "interval": "1w" }),
    );
    assert!(
        only(window).starts_with("spec.analysis.metrics[0].interval: \"1w\" is not a duration")
    );
}

#[test]
fn a_metric_has_a_source() {
    let range = json!({ "max": 5 });
    assert_eq!(
        only(metric(
            json!({ "name": "not-found-percentage", "thresholdRange": range })
        )),
        "spec.analysis.metrics[0]: metric \"not-found-percentage\" has neither templateRef nor query, \
         and is none of the built-in ones: request-success-rate, request-duration"
    );
    for source in [
        json!({ "query": "vector(1)" }),
        json!({ "templateRef": { "name": "not-found" } }),
    ] {
        let mut spec = json!({ "name": "not-found-percentage", "thresholdRange": range });
        merge(&mut spec, source);
        assert_eq!(found(metric(spec)), NONE);
    }
    let unnamed =
        metric(json!({ "name": "x", "thresholdRange": range, "templateRef": { "name": "" } }));
    assert!(only(unnamed).starts_with("spec.analysis.metrics[0].templateRef.name:"));
}

#[test]
fn a_metric_has_a_range_that_some_value_passes() {
    let ranged =
        |range: Value| metric(json!({ "name": "request-duration", "thresholdRange": range }));
    assert_eq!(
        only(ranged(json!({}))),
        "spec.analysis.metrics[0].thresholdRange: is empty: give min, max or both"
    );
    assert!(only(metric(json!({ "name": "request-duration" }))).contains("is empty"));
    assert_eq!(
        only(ranged(json!({ "min": 2, "max": 1.5 }))),
        "spec.analysis.metrics[0].thresholdRange: no value passes: min 2 is more than max 1.5"
    );
    assert_eq!(found(ranged(json!({ "min": 1, "max": 1 }))), NONE);
    // Flagger's deprecated field is a range too.
    assert_eq!(
        found(metric(
            json!({ "name": "request-duration", "threshold": 500 })
        )),
        NONE
    );
}

#[test]
fn an_inline_query_that_cannot_be_filled_in_is_refused_before_the_release() {
    let inline = |query: &str| {
        metric(json!({
            "name": "x", "thresholdRange": { "max": 1 }, "query": query, "templateVariables": { "code": "404" },
        }))
    };
    assert_eq!(found(inline("up{code=\"{{ variables.code }}\"}")), NONE);
    let text = only(inline("up{code=\"{{ variables.kode }}\"}"));
    assert!(
        text.starts_with(
            "spec.analysis.metrics[0].query: line 1: unknown variable variables.kode;"
        ),
        "{text}"
    );
    let text = only(inline("up{\n  code=\"{{ toUpper name }}\"\n}"));
    assert!(
        text.starts_with("spec.analysis.metrics[0].query: line 2: function \"toUpper\" is not supported; a query can use name,"),
        "{text}"
    );
    assert_eq!(
        only(inline(&format!("{{{{ {}1 }}}}", "not ".repeat(8192)))),
        "spec.analysis.metrics[0].query: the query has 32775 bytes: at most 8192 are read"
    );
}

#[test]
fn a_hook_has_a_url_and_a_known_type() {
    assert_eq!(
        only(hook(json!({ "name": "a", "url": "loadtester/" }))),
        "spec.analysis.webhooks[0].url: \"loadtester/\" is not a URL: write it as http://host/path"
    );
    for url in ["", "http://", "http:///path", "ftp://host", "http://a b"] {
        assert!(
            only(hook(json!({ "name": "a", "url": url }))).contains("is not a URL"),
            "{url}"
        );
    }
    let text = only(hook(
        json!({ "name": "a", "url": "https://a", "type": "before" }),
    ));
    assert!(
        text.starts_with("spec.analysis.webhooks[0].type: unknown webhook type \"before\""),
        "{text}"
    );
    let text = only(hook(
        json!({ "name": "a", "url": "https://a", "retries": -1 }),
    ));
    assert_eq!(text, "spec.analysis.webhooks[0].retries: must be 0 or more");
}

#[test]
fn hooks_are_told_apart_by_their_names() {
    let hooks = json!([{ "name": "a", "url": "http://a" }, { "name": "a", "url": "http://b" }]);
    assert_eq!(
        only(analysis(json!({ "webhooks": hooks }))),
        "spec.analysis.webhooks[1].name: \"a\" is the name of an earlier webhook: give another"
    );
    assert!(
        only(hook(json!({ "url": "http://a" }))).starts_with("spec.analysis.webhooks[0].name:")
    );
}

#[test]
fn an_alert_names_its_provider_and_a_severity_that_exists() {
    let alert = |alert: Value| analysis(json!({ "alerts": [alert] }));
    assert_eq!(
        found(alert(
            json!({ "name": "a", "providerRef": { "name": "slack" } })
        )),
        NONE
    );
    assert!(
        only(alert(json!({ "name": "a" })))
            .starts_with("spec.analysis.alerts[0].providerRef.name:")
    );
    let loud = json!({ "name": "a", "severity": "loud", "providerRef": { "name": "slack" } });
    assert!(
        only(alert(loud))
            .starts_with("spec.analysis.alerts[0].severity: unknown severity \"loud\"")
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let fields: Vec<String> = validate(
        &canary(json!({
            "provider": "nginy", "targetRef": { "name": "" }, "service": { "port": 0 },
            "analysis": { "interval": "x", "stepWeight": 90 },
        })),
        "apisix",
    )
    .into_iter()
    .map(|violation| violation.field)
    .collect();
    assert_eq!(
        fields,
        [
            "spec.provider",
            "spec.targetRef.name",
            "spec.service.port",
            "spec.analysis.interval",
            "spec.analysis.stepWeight",
        ]
    );
}

#[test]
fn a_metric_template_has_a_provider_that_we_have_an_address_and_a_query() {
    let found = |spec: Value| -> Vec<String> {
        let spec: MetricTemplateSpec = serde_json::from_value(spec).unwrap();
        validate_metric_template(&spec)
            .iter()
            .map(Violation::to_string)
            .collect()
    };
    assert_eq!(
        found(json!({ "provider": { "type": "datadog" }, "query": "x" })),
        ["spec.provider.type: metric provider datadog is not supported yet: use prometheus"]
    );
    assert!(
        found(json!({ "provider": { "type": "x" }, "query": "x" }))[0]
            .contains("unknown metric provider \"x\"")
    );
    let bare = found(json!({ "provider": { "type": "prometheus" } }));
    assert_eq!(bare.len(), 2, "{bare:?}");
    assert!(bare[0].starts_with("spec.provider.address:") && bare[1].starts_with("spec.query:"));
    let asked = |query: &str| {
        let provider = json!({ "type": "prometheus", "address": "http://p:9090" });
        found(json!({ "provider": provider, "query": query }))
    };
    // The Canary that uses it brings the key.
    assert_eq!(asked("x{code=\"{{ variables.code }}\"}"), NONE);
    assert!(
        asked("up # {{ name }}\n{{ toUpper name }}")[0].starts_with(
            "spec.query: line 2: function \"toUpper\" is not supported; a query can use"
        ),
    );
    assert_eq!(
        asked(&"1~".repeat(16384)),
        ["spec.query: the query has 32768 bytes: at most 8192 are read"]
    );
}
