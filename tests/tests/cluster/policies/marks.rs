//! The label of what was generated is the server's, and the server deletes nothing without it.

use canary_tests::clock::eventually;
use canary_tests::cluster::LIMIT;
use serde_json::{Value, json};

use super::{ALICE, CAROL, Namespace, SERVER, assert_allowed, assert_denied};

const MARK: &str = "kubectl-canary.dev/generated";
const OURS: &str = "only the server sets it: ";

/// One of each kind that is generated, as `(resource, object)`.
fn each(name: &str, mark: Option<&str>) -> Vec<(&'static str, Value)> {
    let mut metadata = json!({"name": name});
    if let Some(mark) = mark {
        metadata["labels"] = json!({MARK: mark});
    }
    let selector = json!({"app": name});
    let pod = json!({
        "metadata": {"labels": selector}, "spec": {"containers": [{"name": "a", "image": "a:1"}]},
    });
    let of = |api: &str, kind: &str, rest: Value| {
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": metadata});
        let fields = object.as_object_mut().unwrap();
        fields.extend(rest.as_object().unwrap().clone());
        object
    };
    vec![
        (
            "deployment",
            of(
                "apps/v1",
                "Deployment",
                json!({"spec": {"replicas": 0, "selector": {"matchLabels": selector}, "template": pod}}),
            ),
        ),
        (
            "service",
            of(
                "v1",
                "Service",
                json!({"spec": {"selector": selector, "ports": [{"port": 80}]}}),
            ),
        ),
        (
            "configmap",
            of("v1", "ConfigMap", json!({"data": {"a": "b"}})),
        ),
        ("secret", of("v1", "Secret", json!({"data": {"a": "Yg=="}}))),
        (
            "hpa",
            of(
                "autoscaling/v2",
                "HorizontalPodAutoscaler",
                json!({"spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}}),
            ),
        ),
        (
            "pdb",
            of(
                "policy/v1",
                "PodDisruptionBudget",
                json!({"spec": {"minAvailable": 1, "selector": {"matchLabels": selector}}}),
            ),
        ),
        (
            "apisixroute",
            of(
                "apisix.apache.org/v2",
                "ApisixRoute",
                json!({"spec": {"http": [{"name": "r", "match": {"paths": ["/*"]}, "backends": [{"serviceName": name, "servicePort": 80}]}]}}),
            ),
        ),
        (
            "controllerrevision",
            of(
                "apps/v1",
                "ControllerRevision",
                json!({"revision": 1, "data": {}}),
            ),
        ),
    ]
}

const CREATE: [&str; 3] = ["create", "-f", "-"];

#[tokio::test]
async fn nobody_but_the_server_sets_changes_or_drops_the_mark() {
    let namespace = Namespace::new().await;
    let rights = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "all", "namespace": namespace.test.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CAROL}],
    });
    namespace.admin(&CREATE, &rights.to_string()).await;
    for ((resource, plain), (_, marked)) in each("a", None).iter().zip(each("b", Some("u1"))) {
        let create = async |user: &str, object: &Value| {
            let input = object.to_string();
            let created = namespace.test.kubectl_with(user, &CREATE, &input);
            created.await.unwrap()
        };
        let label = async |name: &str, label: &str| {
            let args = ["label", "--overwrite", resource, name, label];
            namespace.kubectl(CAROL, &args).await
        };
        let (sets, drops) = (format!("{MARK}=u2"), format!("{MARK}-"));
        let refused = create(CAROL, &marked).await;
        assert_denied(&refused, OURS);
        assert!(
            refused.stderr.contains("leave the label out"),
            "{refused:?}"
        );
        assert_allowed(&create(CAROL, plain).await);
        assert_denied(&label("a", &sets).await, OURS);

        assert_allowed(&create(SERVER, &marked).await);
        for change in [&sets, &drops] {
            let refused = label("b", change).await;
            assert_denied(&refused, OURS);
            assert!(refused.stderr.contains("leave it as it is"), "{refused:?}");
        }
        assert_allowed(&label("b", "team=web").await);
        let own = ["label", "--overwrite", resource, "b", &sets];
        assert_allowed(&namespace.kubectl(SERVER, &own).await);
        let delete = ["delete", resource, "b", "--wait=false"];
        assert_allowed(&namespace.kubectl(CAROL, &delete).await);
    }
}

#[tokio::test]
async fn who_may_edit_may_not_replace_a_marked_object_without_its_mark() {
    let namespace = Namespace::new().await;
    let (_, service) = each("mine", None).remove(1);
    let (_, marked) = each("mine", Some("u1")).remove(1);
    let put = async |user: &str, verb: &str, object: &Value| {
        let (input, args) = (object.to_string(), [verb, "-f", "-"]);
        let ran = namespace.test.kubectl_with(user, &args, &input);
        ran.await.unwrap()
    };
    assert_allowed(&put(SERVER, "create", &marked).await);
    assert_denied(&put(ALICE, "replace", &service).await, OURS);
    assert_allowed(&put(ALICE, "apply", &service).await);
}

#[tokio::test]
async fn the_server_deletes_nothing_without_the_mark() {
    let namespace = Namespace::new().await;
    // Of these it has the right.
    let kinds = [
        "configmap",
        "secret",
        "pdb",
        "apisixroute",
        "controllerrevision",
    ];
    for ((resource, plain), (_, marked)) in each("a", None).iter().zip(each("b", Some("u1"))) {
        if !kinds.contains(resource) {
            continue;
        }
        namespace.admin(&CREATE, &plain.to_string()).await;
        let delete = async |name: &str| {
            let args = ["delete", resource, name, "--wait=false"];
            namespace.kubectl(SERVER, &args).await
        };
        let refused = delete("a").await;
        assert_denied(&refused, "the server deletes only what it generated");
        let marked = marked.to_string();
        let created = namespace.test.kubectl_with(SERVER, &CREATE, &marked);
        assert_allowed(&created.await.unwrap());
        assert_allowed(&delete("b").await);
        // Everybody else deletes what they may.
        let others = ["delete", resource, "a", "-n", &namespace.test.name];
        assert_allowed(&namespace.test.plane.kubectl(&others).await.unwrap());
    }
}

#[tokio::test]
async fn the_slices_of_a_marked_service_get_its_labels_and_are_nobodys_business() {
    let namespace = Namespace::new().await;
    let service = each("marked", Some("u1")).remove(1).1.to_string();
    let created = namespace.test.kubectl_with(SERVER, &CREATE, &service);
    assert_allowed(&created.await.unwrap());
    eventually(
        "a slice with the labels of its Service",
        LIMIT,
        async || {
            let slices = namespace.test.list("endpointslices").await?;
            let copied = |slice: &Value| slice["metadata"]["labels"][MARK] == "u1";
            Ok(slices.iter().any(copied).then_some(()))
        },
    )
    .await
    .unwrap();
}
