//! Values of the chart: Flagger's keep their names, and none is ignored in silence.

use std::path::Path;

use canary_webhook::args::parse;
use serde_json::{Value, json};

use super::{helm, objects};

fn file(values: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), values.to_string()).unwrap();
    file
}

async fn template(values: &Path) -> anyhow::Result<String> {
    let values = format!("--values={}", values.display());
    let template = [
        "template",
        "flagger",
        "chart",
        "--namespace=apisix",
        &values,
    ];
    helm(&template, None).await.ok()
}

async fn rendered(values: &Value) -> Vec<Value> {
    objects(&template(file(values).path()).await.unwrap())
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = objects
        .iter()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.next().unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn container(objects: &[Value]) -> &Value {
    &find(objects, "Deployment", "canary-webhook")["spec"]["template"]["spec"]["containers"][0]
}

fn args(objects: &[Value]) -> Vec<&str> {
    let args = container(objects)["args"].as_array().unwrap();
    args.iter().map(|arg| arg.as_str().unwrap()).collect()
}

#[tokio::test]
async fn values_become_flags_that_the_server_knows() {
    let objects = rendered(&json!({
        "logLevel": "warning",
        "meshProvider": "kubernetes",
        "prometheus": {"install": true},
        "namespace": "test",
        "selectorLabels": "app,tier",
        "includeLabelPrefix": "example.com",
        "configTracking": {"enabled": false},
        "policies": {"enabled": false}, "otherServices": "warn",
        "eventWebhook": "http://events.test/",
        "serviceAccount": {"name": "other"},
        "args": ["--drain=5s"],
    }))
    .await;
    let read = |args: &[&str]| {
        let all = ["canary-webhook"]
            .iter()
            .chain(args)
            .map(ToString::to_string);
        parse(all).unwrap()
    };
    let read = read(&args(&objects));
    assert_eq!(format!("{:?}", read.log_level), "Warn");
    assert_eq!(read.mesh_provider, "kubernetes");
    assert_eq!(
        read.metrics_server, "http://flagger-prometheus.apisix:9090",
        "where Flagger's own chart puts it, for the same release"
    );
    assert_eq!(read.selector_labels, ["app", "tier"]);
    assert_eq!(read.include_label_prefix, ["example.com"]);
    assert!(!read.enable_config_tracking);
    assert_eq!(format!("{:?}", read.policies), "Off");
    assert_eq!(format!("{:?}", read.other_services), "Warn");
    assert_eq!(read.event_webhook, "http://events.test/");
    assert_eq!(read.own_user, "system:serviceaccount:apisix:other");
    assert_eq!(read.drain.as_secs(), 5);
    assert!(read.dropped.is_empty());

    let env = container(&objects)["env"].as_array().unwrap();
    assert!(env.contains(&json!({"name": "CANARY_NAMESPACE", "value": "test"})));
    let text = serde_json::to_string(&objects).unwrap();
    assert!(!text.contains(":serviceaccount:apisix:canary-webhook"));
    for name in ["canary-webhook", "canary-webhook-workloads"] {
        let binding = find(&objects, "RoleBinding", name);
        assert_eq!(binding["subjects"][0]["name"], "other");
        assert_eq!(binding["subjects"][0]["namespace"], "apisix");
    }
}

#[tokio::test]
async fn the_deployment_takes_what_flaggers_takes() {
    let objects = rendered(&json!({
        "image": {"repository": "example.test/canary", "tag": "2", "pullPolicy": "Always", "pullSecret": "mine"},
        "annotations": {"a": "1"},
        "deploymentLabels": {"b": "2"},
        "podAnnotations": {"c": "3"},
        "podLabels": {"d": "4"},
        "podPriorityClassName": "high",
        "env": [{"name": "E", "value": "5"}],
        "resources": {"requests": {"cpu": "1"}},
        "securityContext": {"enabled": false},
        "nodeSelector": {"f": "6"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"podAffinity": {"g": "{{ .Release.Name }}"}},
        "additionalVolumes": [{"name": "v", "emptyDir": {}}],
        "additionalVolumeMounts": [{"name": "v", "mountPath": "/v"}],
        "leaderElection": {"replicaCount": 3},
        "podDisruptionBudget": {"minAvailable": 1},
        "serviceAccount": {"annotations": {"h": "8"}},
    }))
    .await;
    let deployment = find(&objects, "Deployment", "canary-webhook");
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["metadata"]["annotations"], json!({"a": "1"}));
    assert_eq!(deployment["metadata"]["labels"]["b"], "2");
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["c"], "3");
    assert_eq!(
        template["metadata"]["labels"],
        json!({"app.kubernetes.io/name": "canary-webhook", "d": "4"})
    );
    let pod = &template["spec"];
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "mine"}]));
    assert_eq!(pod["nodeSelector"], json!({"f": "6"}));
    assert_eq!(pod["tolerations"], json!([{"operator": "Exists"}]));
    assert_eq!(pod["affinity"]["podAffinity"]["g"], "flagger");
    assert_eq!(pod["volumes"][0]["name"], "v");
    assert_eq!(pod["securityContext"], Value::Null);
    let container = container(&objects);
    assert_eq!(container["image"], "example.test/canary:2");
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["securityContext"], Value::Null);
    assert_eq!(container["resources"]["requests"]["cpu"], "1");
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/v");
    let env = container["env"].as_array().unwrap();
    assert_eq!(env.last().unwrap(), &json!({"name": "E", "value": "5"}));
    let budget = find(&objects, "PodDisruptionBudget", "canary-webhook");
    assert_eq!(budget["spec"]["minAvailable"], 1);
    assert_eq!(budget["spec"]["maxUnavailable"], Value::Null);
    let account = find(&objects, "ServiceAccount", "canary-webhook");
    assert_eq!(account["metadata"]["annotations"], json!({"h": "8"}));
}

#[tokio::test]
async fn what_is_switched_off_is_not_there_and_monitors_come_when_asked_for() {
    let objects = rendered(&json!({
        "networkPolicy": {"enabled": false},
        "podDisruptionBudget": {"enabled": false},
        "rbac": {"create": false},
        "serviceAccount": {"create": false, "name": "mine"},
        "podMonitor": {"enabled": true, "namespace": "monitoring", "additionalLabels": {"release": "p"}},
        "serviceMonitor": {"enabled": true},
    }))
    .await;
    let kinds: Vec<&str> = objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    for kind in [
        "NetworkPolicy",
        "PodDisruptionBudget",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ] {
        assert!(!kinds.contains(&kind), "{kind}");
    }
    let monitor = find(&objects, "PodMonitor", "canary-webhook");
    assert_eq!(monitor["metadata"]["namespace"], "monitoring");
    assert_eq!(monitor["metadata"]["labels"]["release"], "p");
    find(&objects, "ServiceMonitor", "canary-webhook");
    let pod = &find(&objects, "Deployment", "canary-webhook")["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], "mine");
}

#[tokio::test]
async fn a_value_of_flaggers_that_means_nothing_here_is_named_in_the_notes_and_in_the_log() {
    let values = json!({
        "threadiness": 2,
        "kubeconfigQPS": 100,
        "kubeconfigBurst": "250",
        "ingressClass": "contour",
        "ingressAnnotationsPrefix": "nginx.ingress.kubernetes.io",
        "leaderElection": {"enabled": false},
        "rbac": {"pspEnabled": true},
        "prometheus": {"securityContext": {"enabled": true}},
    });
    let objects = rendered(&values).await;
    let given = args(&objects);
    let all = ["canary-webhook"]
        .iter()
        .chain(&given)
        .map(ToString::to_string);
    assert_eq!(parse(all).unwrap().dropped.len(), 5, "the server says so");

    let file = file(&values);
    let values = format!("--values={}", file.path().display());
    let install = ["install", "flagger", "chart", "--dry-run=client", &values];
    // Not even then does Helm print notes without an API server.
    let plane = super::bare().await;
    let notes = helm(&install, Some(&plane)).await.ok().unwrap();
    for name in [
        "threadiness: each",
        "kubeconfigQPS: the",
        "kubeconfigBurst: the",
        "ingressClass: the",
        "ingressAnnotationsPrefix: the",
        "leaderElection.enabled=false: the",
        "rbac.pspEnabled: Kubernetes",
        "prometheus.securityContext: its",
    ] {
        assert!(notes.contains(name), "{name} is not in:\n{notes}");
    }
}

#[tokio::test]
async fn receivers_of_alerts_are_in_a_secret_that_the_server_gets_as_its_environment() {
    let values = json!({
        "slack": {"url": "https://hooks.test/s3cret", "token": "t0k", "user": "bot", "channel": "ops", "proxy": null},
        "msteams": {"url": "https://teams.test/s3cret", "proxyUrl": "http://proxy.test"},
        "clusterName": "one",
    });
    let objects = rendered(&values).await;
    let given = args(&objects);
    assert!(!given.join(" ").contains("s3cret"), "{given:?}");
    let all = ["canary-webhook"].iter().chain(&given);
    let args = parse(all.map(ToString::to_string)).unwrap().alerts;
    assert_eq!(
        [args.cluster_name, args.slack_user, args.slack_channel],
        ["one", "bot", "ops"]
    );
    let secret = find(&objects, "Secret", "canary-webhook-alerts");
    assert_eq!(
        secret["stringData"],
        json!({
            "SLACK_URL": "https://hooks.test/s3cret", "SLACK_TOKEN": "t0k",
            "MSTEAMS_URL": "https://teams.test/s3cret", "MSTEAMS_PROXY_URL": "http://proxy.test",
        })
    );
    let pod = &find(&objects, "Deployment", "canary-webhook")["spec"]["template"]["spec"];
    assert_eq!(
        pod["containers"][0]["envFrom"],
        json!([{"secretRef": {"name": "canary-webhook-alerts"}}])
    );
    let silent = rendered(&json!({"slack": {"url": null}})).await;
    assert!(
        silent
            .iter()
            .all(|object| object["metadata"]["name"] != "canary-webhook-alerts")
    );
}

#[tokio::test]
async fn a_value_whose_loss_would_be_unsafe_is_refused_with_what_to_do() {
    for (values, told) in [
        (json!({"fullnameOverride": "x"}), "leave them out"),
        (json!({"nameOverride": "x"}), "leave them out"),
        (
            json!({"noCrossNamespaceRefs": true}),
            "set namespace instead",
        ),
        (
            json!({"controlplane": {"kubeconfig": {"secretName": "x"}}}),
            "install into that cluster",
        ),
        (
            json!({"linkerdAuthPolicy": {"create": true}}),
            "not supported yet",
        ),
    ] {
        let refused = template(file(&values).path()).await.unwrap_err();
        assert!(refused.to_string().contains(told), "{values}: {refused}");
    }
}

#[tokio::test]
async fn a_value_that_nobody_knows_or_that_makes_no_sense_is_refused_by_the_schema() {
    for (values, told) in [
        (json!({"metricServer": "http://x"}), "metricServer"),
        (json!({"meshProvider": "istio"}), "meshProvider"),
        (json!({"metricsServer": "prometheus:9090"}), "metricsServer"),
        (json!({"failurePolicy": "fail"}), "failurePolicy"),
        (
            json!({"leaderElection": {"replicaCount": "two"}}),
            "replicaCount",
        ),
        (json!({"args": ["drain=5s"]}), "args"),
    ] {
        let refused = template(file(&values).path())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains("values don't meet the specifications of the schema")
                && refused.contains(told),
            "{values}: {refused}"
        );
    }
}

#[tokio::test]
async fn flaggers_own_default_values_are_accepted() {
    let objects = rendered(&json!({
        "logLevel": "info",
        "metricsServer": "http://prometheus:9090",
        "meshProvider": "",
        "namespace": "",
        "selectorLabels": "",
        "configTracking": {"enabled": true},
        "ingressAnnotationsPrefix": "",
        "ingressClass": "",
        "eventWebhook": "",
        "clusterName": "",
        "slack": {"user": "flagger", "channel": null, "url": null, "proxy": null},
        "msteams": {"url": null},
        "podMonitor": {"enabled": false, "namespace": null, "interval": "15s", "additionalLabels": {}, "honorLabels": false},
        "serviceMonitor": {"enabled": false, "honorLabels": false},
        "env": [],
        "leaderElection": {"enabled": true, "replicaCount": 2},
        "serviceAccount": {"create": true, "name": "", "annotations": {}},
        "rbac": {"create": true, "pspEnabled": false},
        "crd": {"create": false},
        "linkerdAuthPolicy": {"create": false, "namespace": "linkerd-viz"},
        "nameOverride": "",
        "fullnameOverride": "",
        "nodeSelector": {},
        "tolerations": [],
        "prometheus": {"install": false, "image": "docker.io/prom/prometheus:v2.41.0", "pullSecret": null, "retention": "2h"},
        "kubeconfigQPS": "",
        "kubeconfigBurst": "",
        "controlplane": {"kubeconfig": {"secretName": "", "key": "kubeconfig"}},
        "podDisruptionBudget": {"enabled": false, "minAvailable": 1},
        "podLabels": {},
        "deploymentLabels": {},
        "noCrossNamespaceRefs": false,
        "additionalVolumes": [],
        "additionalVolumeMounts": [],
    }))
    .await;
    assert_eq!(container(&objects)["args"], Value::Null);
}
