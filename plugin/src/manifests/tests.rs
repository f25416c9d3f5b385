use super::*;

fn settings(namespace: &str) -> Settings {
    Settings {
        namespace: namespace.to_owned(),
        ..Settings::default()
    }
}

fn deployment(settings: &Settings) -> Value {
    let all = objects(settings).unwrap();
    let found = all
        .into_iter()
        .find(|object| object["kind"] == "Deployment");
    found.unwrap()
}

#[test]
fn every_file_of_the_base_is_compiled_in() {
    let base: Value =
        serde_yaml::from_str(include_str!("../../../manifests/base/kustomization.yaml")).unwrap();
    let mut listed: Vec<&str> = base["resources"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let mut known: Vec<&str> = BASE.iter().map(|(file, _)| *file).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, listed);
    let others = base.as_object().unwrap().keys();
    let others: Vec<&String> = others.filter(|key| *key != "resources").collect();
    assert_eq!(
        others,
        ["apiVersion", "kind"],
        "the base changes nothing else"
    );
}

#[test]
fn every_object_has_a_kind_and_a_name_and_none_is_twice() {
    let mut all = definitions().unwrap();
    all.extend(objects(&settings(DEFAULT_NAMESPACE)).unwrap());
    let mut names: Vec<String> = all
        .iter()
        .map(|object| Reference(object).to_string())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    assert!(
        names.contains(&"deployment.apps/canary-webhook".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"service/canary-webhook".to_owned()),
        "{names:?}"
    );
    for name in &names {
        assert!(!name.starts_with('/') && !name.ends_with('/'), "{name}");
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn another_namespace_leaves_no_trace_of_the_default_one() {
    let all = Value::Array(objects(&settings("releases")).unwrap()).to_string();
    assert!(!all.contains(DEFAULT_NAMESPACE), "{all}");
    assert!(
        all.contains("system:serviceaccount:releases:canary-webhook"),
        "{all}"
    );
}

#[test]
fn image_replicas_and_flags_are_the_user_s() {
    let plain = deployment(&settings("canary-system"));
    assert!(container(&plain).unwrap()["args"].is_null());
    assert_eq!(container(&plain).unwrap()["image"], json!(image().unwrap()));
    let chosen = deployment(&Settings {
        namespace: "x".into(),
        image: Some("registry.example.com/canary-webhook:1".into()),
        replicas: Some(3),
        args: vec!["--mesh-provider=kubernetes".into()],
    });
    assert_eq!(chosen["spec"]["replicas"], 3);
    let server = container(&chosen).unwrap();
    assert_eq!(server["image"], "registry.example.com/canary-webhook:1");
    assert_eq!(server["args"], json!(["--mesh-provider=kubernetes"]));
}

#[test]
fn a_flag_replaces_the_one_of_its_name_and_no_other() {
    let mut settings = Settings {
        args: [
            "-mesh-provider=apisix",
            "--log-level=info",
            "--mixed-metrics",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Settings::default()
    };
    settings.set([
        "--mesh-provider=kubernetes".to_owned(),
        "--port=1".to_owned(),
    ]);
    assert_eq!(
        settings.args,
        [
            "--log-level=info",
            "--mixed-metrics",
            "--mesh-provider=kubernetes",
            "--port=1"
        ]
    );
}
