use super::*;

fn template() -> Value {
    json!({ "spec": {
        "volumes": [
            { "name": "a", "configMap": { "name": "files" } },
            { "name": "b", "secret": { "secretName": "keys" } },
            { "name": "c", "projected": { "sources": [
                { "configMap": { "name": "more" } }, { "secret": { "name": "certs" } },
            ] } },
        ],
        "initContainers": [{ "name": "init", "envFrom": [{ "configMapRef": { "name": "start" } }] }],
        "containers": [{
            "name": "app",
            "env": [
                { "name": "COLOR", "valueFrom": { "configMapKeyRef": { "name": "colors", "key": "c" } } },
                { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "token", "key": "t" } } },
            ],
            "envFrom": [{ "secretRef": { "name": "env" } }],
        }],
    } })
}

fn ids(refs: &[ConfigRef]) -> Vec<String> {
    refs.iter().map(ConfigRef::id).collect()
}

#[test]
fn every_kind_of_reference_is_found() {
    assert_eq!(
        ids(&references(&template())),
        [
            "configmap/colors",
            "configmap/files",
            "configmap/more",
            "configmap/start",
            "secret/certs",
            "secret/env",
            "secret/keys",
            "secret/token",
        ]
    );
}

#[test]
fn renaming_there_and_back_gives_the_same_template() {
    let original = template();
    let tracked: BTreeSet<_> = references(&original).into_iter().collect();
    let canary: Canary = serde_json::from_value(json!({
        "metadata": { "name": "web" }, "spec": { "targetRef": { "kind": "Deployment", "name": "web" } },
    }))
    .unwrap();
    // One of them is another Canary's under its usual name.
    let copies = tracked.iter().map(|it| match it.name.as_str() {
        "colors" => (it.clone(), own_copy(&canary, &it.name)),
        name => (it.clone(), names::primary_of(name)),
    });
    let mut renamed = original.clone();
    rename(&mut renamed, &copies.collect());
    assert!(renamed.to_string().contains("\"colors-web-primary\""));
    assert!(
        references(&renamed)
            .iter()
            .all(|reference| reference.name.ends_with("-primary"))
    );
    rename_back(&mut renamed, &canary, &tracked);
    assert_eq!(renamed, original);
}

#[test]
fn what_is_not_tracked_keeps_its_name() {
    let mut renamed = template();
    rename(
        &mut renamed,
        &BTreeMap::from([(ConfigRef::secret("keys"), "keys-primary".to_owned())]),
    );
    assert_eq!(
        ids(&references(&renamed))
            .iter()
            .filter(|id| id.ends_with("-primary"))
            .count(),
        1
    );
}

#[test]
fn binary_data_changes_the_checksum() {
    let text = json!({ "kind": "ConfigMap", "data": { "a": "1" } });
    let binary =
        json!({ "kind": "ConfigMap", "data": { "a": "1" }, "binaryData": { "b": "AAE=" } });
    assert_ne!(checksum(&text), checksum(&binary));
    assert_eq!(
        checksum(&text),
        checksum(&json!({ "data": { "a": "1" }, "metadata": { "labels": { "x": "y" } } }))
    );
}

#[test]
fn service_account_tokens_are_not_tracked() {
    assert!(!is_trackable(
        &json!({ "kind": "Secret", "type": "kubernetes.io/service-account-token" })
    ));
    assert!(is_trackable(&json!({ "kind": "Secret", "type": "Opaque" })));
    assert!(is_trackable(&json!({ "kind": "ConfigMap" })));
}

#[test]
fn what_is_immutable_and_a_secret_of_another_type_can_only_be_made_anew() {
    let secret = |type_: Value| json!({ "kind": "Secret", "type": type_ });
    let (opaque, tls) = (secret(json!("Opaque")), secret(json!("kubernetes.io/tls")));
    assert!(is_fixed(&opaque, &tls) && is_fixed(&tls, &opaque));
    assert!(!is_fixed(&opaque, &secret(Value::Null)) && !is_fixed(&tls, &tls));
    let map = |immutable: bool| json!({ "kind": "ConfigMap", "immutable": immutable });
    assert!(is_fixed(&map(true), &map(false)));
    assert!(!is_fixed(&map(false), &map(true)));
}

#[test]
fn a_copy_carries_all_data_and_immutability() {
    let canary = Canary::default();
    let source = json!({
        "kind": "ConfigMap", "metadata": { "name": "files", "labels": { "team": "web" }, "annotations": { "a": "b" } },
        "data": { "a": "1" }, "binaryData": { "b": "AAE=" }, "immutable": true,
    });
    let copy = copy(&source, None, &canary, &[]);
    assert_eq!(copy["metadata"]["name"], "files-primary");
    assert_eq!(
        (&copy["data"], &copy["binaryData"], &copy["immutable"]),
        (&source["data"], &source["binaryData"], &json!(true))
    );
    assert_eq!(copy["metadata"]["labels"], json!({ names::GENERATED: "" }));
}
