//! What other people's clusters do to a release, one row each.

mod person;

use serde_json::{Value, json};

use crate::around::{Around, marked, of, route, scaler, service};

/// Its name, what it does to the world, what both say, and what only `doctor` sees.
#[derive(Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub happens: fn(&mut Around),
    pub both: &'static [&'static str],
    pub doctor: &'static [&'static str],
}

pub const ROLLBACK: &str = "kubectl canary rollback podinfo -n test";
pub const EDIT: &str = "kubectl edit canary podinfo -n test";
pub const REFUSED: &str = "patch ApisixRoute podinfo-podinfo-canary.test failed: Internal error occurred: failed calling webhook \"routes.acme.io\"";

pub fn rows() -> Vec<Row> {
    [HINDERED, WAITING, GENERATED, BESIDE, person::ROWS].concat()
}

pub const HINDERED: &[Row] = &[
    Row {
        name: "A1 the autoscaler is gone",
        happens: |it| {
            it.canary["spec"]["autoscalerRef"] =
                json!({"kind": "HorizontalPodAutoscaler", "name": "podinfo"});
            it.condition(
                "Ready",
                "AutoscalerNotFound",
                "HorizontalPodAutoscaler podinfo.test not found, named by spec.autoscalerRef",
            );
        },
        both: &["HorizontalPodAutoscaler podinfo.test not found", EDIT],
        doctor: &[],
    },
    Row {
        name: "A2 the target is gone",
        happens: |it| {
            it.remove("deployments", "podinfo");
            it.condition(
                "Ready",
                "TargetNotFound",
                "deployment podinfo.test not found",
            );
        },
        both: &[
            "deployment podinfo.test not found",
            "apply Deployment podinfo again",
            "Deployment podinfo does not exist",
        ],
        doctor: &[],
    },
    Row {
        name: "A3 the target recreates its pods",
        happens: |it| {
            it.get("deployments", "podinfo")["spec"]["strategy"] = json!({"type": "Recreate"});
            it.condition("Ready", "StrategyRecreate", "deployment podinfo.test has strategy Recreate, which stops all pods at each change");
        },
        both: &[
            "strategy Recreate",
            "kubectl edit deployment podinfo -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "A3 a generated name is taken",
        happens: |it| {
            it.condition(
                "Ready",
                "NameTaken",
                "Service podinfo-canary.test exists and belongs to somebody else",
            );
        },
        both: &[
            "belongs to somebody else",
            "kubectl annotate service podinfo-canary kubectl-canary.dev/adopt=true -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "A4 the route cannot be written",
        happens: |it| {
            let release = &mut it.canary["status"]["release"];
            release["outcome"] = json!("RolledBack");
            release["message"] = json!("failed checks threshold reached 10");
            it.condition("Ready", "WriteFailed", REFUSED);
        },
        both: &[
            "the rollback of release 2 is decided (failed checks threshold reached 10) and not routed yet",
            REFUSED,
            "it is tried again by itself",
            "kubectl get validatingwebhookconfigurations",
        ],
        doctor: &[],
    },
];

pub const WAITING: &[Row] = &[
    Row {
        name: "A5 the quota is used up while the primary is put back",
        happens: |it| {
            it.canary["status"]["phase"] = json!("Failed");
            it.canary["status"]["release"]["recovering"] = json!(true);
            it.get("deployments", "podinfo-primary")["status"]["conditions"] = json!([
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "pods \"x\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=4, limited: pods=4"},
            ]);
        },
        both: &[
            "Deployment podinfo-primary gets no more pods: ",
            "exceeded quota",
            "kubectl describe resourcequota -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "A5 no node has room",
        happens: |it| {
            it.remove("pods", "podinfo-1-d");
            let status = unplaced("0/3 nodes are available: 3 Insufficient cpu.");
            it.add("pods", of("podinfo", "d", &status));
        },
        both: &[
            "1 of 2 pods of Deployment podinfo find no node: 0/3 nodes are available: 3 Insufficient cpu.",
            "kubectl describe pod podinfo-1-d -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "A6 the controller manager is behind",
        happens: |it| {
            it.condition(
                "NotObserved",
                "ControllerBehind",
                "the Deployment controller has not looked at podinfo.test for 60 seconds",
            );
        },
        both: &[
            "the Deployment controller has not looked",
            "kubectl get lease kube-controller-manager",
            ROLLBACK,
        ],
        doctor: &[],
    },
    Row {
        name: "B4 the primary finds no node beside the target",
        happens: |it| {
            it.canary["status"]["phase"] = json!("Initializing");
            it.objects.insert(
                "pods",
                vec![of(
                    "podinfo-primary",
                    "a",
                    &unplaced(
                        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.",
                    ),
                )],
            );
        },
        both: &[
            "pods of Deployment podinfo-primary find no node",
            "anti-affinity rules",
            "kubectl describe pod podinfo-primary-1-a -n test",
        ],
        doctor: &[],
    },
];

fn unplaced(message: &str) -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
    ]})
}

const GENERATED: &[Row] = &[
    Row {
        name: "B1 the target was made anew with another selector",
        happens: |it| {
            it.condition(
                "Ready",
                "SelectorNotApart",
                "deployment podinfo.test cannot be told from its primary",
            );
            it.get("services", "podinfo")["spec"]["selector"] =
                json!({"app": "storefront-primary"});
        },
        both: &["cannot be told from its primary", ROLLBACK],
        doctor: &[
            "Service podinfo selects app=storefront-primary, and the pods of Deployment podinfo-primary have app=podinfo-primary: it selects no pods",
            "kubectl get service podinfo -n test -o yaml --show-managed-fields",
        ],
    },
    Row {
        name: "B3 Services find the pods of another application",
        happens: |it| {
            it.condition(
                "SharedSelector",
                "ForeignPods",
                "the Services of podinfo select the pods of deployment shop",
            );
            let mut shop = of("podinfo", "shop", &json!({"phase": "Running"}));
            shop["metadata"]["name"] = json!("shop-1");
            it.add("pods", shop);
            it.get("deployments", "podinfo")["spec"]["selector"]["matchLabels"]["component"] =
                json!("front");
            it.get("deployments", "podinfo")["spec"]["template"]["metadata"]["labels"]["component"] =
                json!("front");
            for pod in ["podinfo-1-c", "podinfo-1-d"] {
                it.get("pods", pod)["metadata"]["labels"]["component"] = json!("front");
            }
        },
        both: &[
            "select the pods of deployment shop",
            "kubectl-canary.dev/allow-shared-selector=true -n test",
        ],
        doctor: &[
            "1 of the 3 pods behind Service podinfo-canary are not of Deployment podinfo: shop-1",
        ],
    },
    Row {
        name: "B5 the route was renamed",
        happens: |it| {
            it.canary["status"]["inForce"] = json!({"provider": "apisix", "target": "podinfo", "service": "podinfo", "route": "podinfo"});
            it.canary["spec"]["routeRef"]["name"] = json!("shop");
            it.condition(
                "SpecPending",
                "ReleaseRunning",
                "followed once the release in progress has ended: spec.routeRef shop",
            );
            let backends = [
                json!({"serviceName": "podinfo-primary", "servicePort": 80, "weight": 60}),
                json!({"serviceName": "podinfo-canary", "servicePort": 80, "weight": 40}),
            ];
            it.add(
                "apisixroutes",
                marked(route("old-podinfo-canary", &backends)),
            );
        },
        both: &[
            "followed once the release in progress has ended: spec.routeRef shop",
            ROLLBACK,
        ],
        doctor: &[
            "ApisixRoute old-podinfo-canary was generated for this Canary, and nothing asks for it any more: it still sends 40 %",
            "kubectl delete apisixroute old-podinfo-canary -n test",
        ],
    },
    Row {
        name: "B6 the autoscaler was renamed",
        happens: |it| {
            it.canary["spec"]["autoscalerRef"] =
                json!({"kind": "HorizontalPodAutoscaler", "name": "old"});
            it.condition(
                "Ready",
                "AutoscalerNotFound",
                "HorizontalPodAutoscaler old.test not found, named by spec.autoscalerRef",
            );
            it.add("horizontalpodautoscalers", scaler("new", "podinfo"));
            it.add(
                "horizontalpodautoscalers",
                marked(scaler("old-primary", "podinfo-primary")),
            );
            it.add(
                "horizontalpodautoscalers",
                marked(scaler("new-primary", "podinfo-primary")),
            );
        },
        both: &["HorizontalPodAutoscaler old.test not found", EDIT],
        doctor: &[
            "2 HorizontalPodAutoscalers scale Deployment podinfo-primary against each other: old-primary, new-primary",
            "which one counts is said by spec.autoscalerRef",
        ],
    },
    Row {
        name: "C2 the port was changed",
        happens: |it| {
            it.condition(
                "Ready",
                "OfTomorrow",
                "ApisixRoute podinfo asks for port 80, which Service podinfo-primary does not have",
            );
            it.get("services", "podinfo-primary")["spec"]["ports"] =
                json!([{"name": "http", "port": 8080}]);
        },
        // A reason that this plugin does not know.
        both: &[
            "which Service podinfo-primary does not have",
            "kubectl describe canary podinfo -n test",
        ],
        doctor: &[
            "ApisixRoute podinfo-podinfo-canary asks Service podinfo-primary for port 80, and it has 8080 (http)",
            EDIT,
        ],
    },
];

const BESIDE: &[Row] = &[
    Row {
        name: "E1 other Services select the target's pods",
        happens: |it| {
            it.condition(
                "OtherServices",
                "WithoutPods",
                "Service podinfo-grpc selects the target's pods, and not the primary's",
            );
            it.add("services", service("podinfo-grpc", "podinfo"));
            it.get("deployments", "podinfo")["spec"]["replicas"] = json!(0);
        },
        both: &[
            "Service podinfo-grpc selects the target's pods",
            "kubectl-canary.dev/follow=primary",
        ],
        doctor: &[
            "Service podinfo-grpc selects the pods of Deployment podinfo only, which is scaled to 0: it has no endpoints",
        ],
    },
    Row {
        name: "E2 a budget covers the target's pods only",
        happens: |it| {
            it.condition(
                "PrimaryUncovered",
                "Refused",
                "PodDisruptionBudget podinfo covers no pod of podinfo-primary",
            );
            let selector = json!({"matchLabels": {"app": "podinfo"}});
            it.add("poddisruptionbudgets", json!({
                    "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                    "metadata": {"name": "podinfo", "namespace": "test"}, "spec": {"selector": selector},
                }));
        },
        both: &[
            "PodDisruptionBudget podinfo covers no pod",
            "kubectl create poddisruptionbudget NAME",
        ],
        doctor: &["--selector=app=podinfo-primary --max-unavailable=1 -n test"],
    },
];
