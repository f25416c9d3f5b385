use kube::core::admission::AdmissionReview;
use serde_json::json;

use super::*;

fn review() -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r1",
            "kind": { "group": "apps", "version": "v1", "kind": "Deployment" },
            "resource": { "group": "apps", "version": "v1", "resource": "deployments" },
            "name": "podinfo",
            "namespace": "test",
            "operation": "UPDATE",
            "userInfo": { "username": "alice", "groups": ["people"] },
            "object": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "name": "podinfo",
                    "labels": { "app": "podinfo" },
                    "creationTimestamp": "2026-01-01T00:00:00Z",
                },
                "spec": { "template": { "spec": { "containers": [{ "image": "podinfo:2" }] } } },
            },
            "oldObject": { "metadata": { "name": "podinfo" } },
            "dryRun": true,
        },
    })
}

#[test]
fn a_review_reads_as_by_the_type_of_kube_but_for_what_nobody_asks_for() {
    let theirs: AdmissionReview<DynamicObject> = serde_json::from_value(review()).unwrap();
    let theirs: Request = theirs.try_into().unwrap();
    let mut managed = review();
    managed["request"]["object"]["status"] = json!({ "replicas": 1 });
    managed["request"]["object"]["metadata"]["managedFields"] =
        json!([{ "manager": "kubectl", "fieldsV1": { "f:spec": {} } }]);
    let ours = read(managed.to_string().as_bytes()).unwrap();
    let text = |request: &Request| serde_json::to_value(request).unwrap();
    assert_eq!(text(&ours), text(&theirs));
    assert_eq!(ours.types, theirs.types);
}

fn templates(new: &Value, old: &Value) -> [Value; 2] {
    let mut review = review();
    let of = |template: &Value| json!({ "kind": "Deployment", "spec": { "replicas": 1, "template": template } });
    review["request"]["object"] = of(new);
    review["request"]["oldObject"] = of(old);
    let read = read(review.to_string().as_bytes()).unwrap();
    [read.object, read.old_object].map(|object| {
        let spec = object.unwrap().data["spec"].clone();
        assert_eq!(spec["replicas"], 1);
        spec["template"].clone()
    })
}

#[test]
fn of_the_pod_template_before_the_images_are_kept_and_all_of_it_if_it_is_the_new_one() {
    let template = |image: &str| {
        json!({
            "metadata": { "labels": { "app": "podinfo" } },
            "spec": {
                "initContainers": [{ "name": "init", "image": "busybox", "args": ["true"] }],
                "containers": [{ "name": "podinfo", "image": image, "tty": true }, { "name": "bare" }],
            },
        })
    };
    let (new, old) = (template("podinfo:2"), template("podinfo:1"));
    let images = json!({ "spec": {
        "initContainers": [{ "name": "init", "image": "busybox" }],
        "containers": [{ "name": "podinfo", "image": "podinfo:1" }, { "name": "bare" }],
    } });
    assert_eq!(templates(&new, &old), [new.clone(), images]);
    assert_eq!(templates(&new, &new), [new.clone(), new.clone()]);
    let mut other = new.clone();
    other["metadata"]["labels"]["app"] = json!("other");
    assert_eq!(templates(&new, &other), [new.clone(), other]);
}

#[test]
fn the_same_pod_template_in_other_words_is_the_same() {
    let text = review().to_string();
    let spec = r#"{"template":{"spec":{"containers":[{"name":"a","image":"podinfo:2"}]}}}"#;
    let object = |spec: &str| format!(r#"{{"kind":"Deployment","spec":{spec}}}"#);
    let old = object(&spec.replace("podinfo", r"p\u006fdinfo"));
    let text = text.replacen(
        r#""object":{"#,
        &format!(r#""object":{},"was":{{"#, object(spec)),
        1,
    );
    let text = text.replacen(
        r#""oldObject":{"#,
        &format!(r#""oldObject":{old},"was":{{"#),
        1,
    );
    let read = read(text.as_bytes()).unwrap();
    assert_eq!(read.object.unwrap().data, read.old_object.unwrap().data);
}

#[test]
fn a_pod_template_of_another_form_is_kept_as_it_is() {
    let odd = json!({ "spec": { "containers": "none" } });
    assert_eq!(templates(&json!({}), &odd), [json!({}), odd]);
    assert_eq!(templates(&json!(7), &Value::Null), [json!(7), Value::Null]);
}

#[test]
fn what_is_no_object_is_refused_with_the_reason() {
    let mut wrong = review();
    wrong["request"]["object"] = json!("podinfo");
    let error = read(wrong.to_string().as_bytes()).unwrap_err();
    assert!(error.contains("an object of Kubernetes"), "{error}");
}
