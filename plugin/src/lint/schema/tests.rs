use canary_core::crd;
use serde_json::json;

use super::*;

fn misfits(kind: &str, object: &Value) -> Vec<String> {
    let all = crd::all();
    let definition = all.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = definition.spec.versions[0].schema.as_ref().unwrap();
    let found = check(schema.open_api_v3_schema.as_ref().unwrap(), object);
    found
        .into_iter()
        .map(|it| format!("{}: {}", it.path, it.message))
        .collect()
}

fn canary(over: &Value) -> Value {
    let mut canary = json!({
        "metadata": {"name": "podinfo"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80, "targetPort": "http"},
            "analysis": {"interval": "10s", "threshold": 1, "stepWeight": 10},
        },
    });
    for (key, value) in over.as_object().unwrap() {
        *canary
            .pointer_mut(&format!("/{}", key.replace('.', "/")))
            .unwrap() = value.clone();
    }
    canary
}

#[test]
fn what_the_api_server_takes_has_no_misfit() {
    assert_eq!(misfits("Canary", &canary(&json!({}))), [""; 0]);
    let provider = json!({"metadata": {"generateName": "a-"}, "spec": {"type": "slack", "address": "https://x"}});
    assert_eq!(misfits("AlertProvider", &provider), [""; 0]);
}

#[test]
fn each_misfit_names_its_field_and_what_to_write() {
    let table = [
        (
            json!({"metadata": {}}),
            "metadata.name: is missing: every object has a name",
        ),
        (
            json!({"metadata": {"name": "a", "labels": {"x/y": 1}}}),
            "metadata.labels[x/y]: must be a string; it is a number: put it in quotes",
        ),
        (
            json!({"spec.service.port": "80"}),
            "spec.service.port: must be an integer, without quotes; it is a string",
        ),
        (
            json!({"spec.service.port": null}),
            "spec.service.port: has no value: give it one, or take it away",
        ),
        (json!({"spec.service": {}}), "spec.service.port: is missing"),
        (
            json!({"spec.service": {"port": 80, "targetport": 1}}),
            "spec.service.targetport: unknown field: did you mean targetPort?",
        ),
        (
            json!({"spec.service": {"port": 80, "banana": 1}}),
            "spec.service.banana: unknown field: the API server drops or refuses it",
        ),
        (
            json!({"spec.service.targetPort": [1]}),
            "spec.service.targetPort: must be an integer or string; it is a list",
        ),
        (
            json!({"spec.targetRef.kind": "Banana"}),
            "spec.targetRef.kind: \"Banana\" is unknown: use one of DaemonSet, Deployment, Service",
        ),
        (
            json!({"spec.analysis.interval": "soon"}),
            "spec.analysis.interval: \"soon\" does not match ^[0-9]+(m|s)",
        ),
        (
            json!({"spec.analysis": {"threshold": 1, "stepWeight": 10}}),
            "spec.analysis.interval: is missing",
        ),
        (
            json!({"spec.analysis": {"interval": "1m", "threshold": 1}}),
            "spec.analysis: needs one of iterations, stepWeight, stepWeights",
        ),
        (
            json!({"spec.analysis": {"interval": "1m", "threshold": 1, "stepWeight": 1, "iterations": 1}}),
            "spec.analysis: has iterations and stepWeight: keep one",
        ),
        (
            json!({"spec.analysis": [1]}),
            "spec.analysis: must be a map; it is a list",
        ),
    ];
    for (over, said) in table {
        assert_eq!(misfits("Canary", &canary(&over)), [said], "{over}");
    }
}

#[test]
fn bounds_of_a_policy_are_kept() {
    let policy = json!({"metadata": {"name": "a"}, "spec": {
        "canary": {"maxWeight": 101, "minMetrics": -1},
        "images": {"disallowedTags": ["", "x".repeat(129)]},
    }});
    assert_eq!(
        misfits("CanaryPolicy", &policy),
        [
            "spec.canary.maxWeight: must be 100 or less",
            "spec.canary.minMetrics: must be 0 or more",
            "spec.images.disallowedTags[0]: must not be empty",
            "spec.images.disallowedTags[1]: has 129 characters: at most 128 are allowed",
        ]
    );
}
