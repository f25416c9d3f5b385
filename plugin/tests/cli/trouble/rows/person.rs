//! What people did by hand, in good faith.

use serde_json::{Value, json};

use super::{EDIT, Row};
use crate::around::{Around, marked, scaler};
use crate::world::days_ago;

const SCALED: &str = "kubectl scale deployment/podinfo-primary --replicas=3 -n test";

pub const ROWS: &[Row] = &[
    Row {
        name: "F1 the primary's Deployment is paused",
        happens: |it| {
            it.canary["status"]["phase"] = json!("Promoting");
            it.get("deployments", "podinfo-primary")["spec"]["paused"] = json!(true);
        },
        both: &[
            "Deployment podinfo-primary is paused: its pods are not changed",
            "kubectl rollout resume deployment/podinfo-primary -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F1 the target is paused",
        happens: |it| it.get("deployments", "podinfo")["spec"]["paused"] = json!(true),
        both: &[
            "Deployment podinfo is paused: its pods are not changed",
            "kubectl rollout resume deployment/podinfo -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F2 the primary is scaled to 0",
        happens: |it| {
            primary_has(it, 0, 0);
            it.get("deployments", "podinfo")["metadata"]["annotations"]["kubectl-canary.dev/replicas"] =
                json!("3");
        },
        both: &[
            "Deployment podinfo-primary is scaled to 0: 80 % of the traffic goes nowhere",
            SCALED,
        ],
        doctor: &[],
    },
    Row {
        name: "F2 no pod of the primary is ready",
        happens: |it| {
            primary_has(it, 2, 0);
            let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no image"}});
            let pod = &mut it.get("pods", "podinfo-primary-1-a")["status"];
            pod["containerStatuses"][0]["ready"] = json!(false);
            pod["containerStatuses"][0]["state"] = waiting;
        },
        both: &[
            "Deployment podinfo-primary has no ready pod: 80 % of the traffic goes nowhere",
            "kubectl describe pod podinfo-primary-1-a -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F3 a rollback waits for a pod of the primary",
        happens: |it| {
            let release = &mut it.canary["status"]["release"];
            release["outcome"] = json!("RolledBack");
            release["message"] = json!("on request of alice");
            release["paused"] = json!({"since": "2026-03-01T11:59:30Z", "by": "alice"});
            primary_has(it, 2, 0);
        },
        both: &[
            "the rollback of release 2 is decided (on request of alice) and not routed yet: Deployment podinfo-primary has no ready pod",
        ],
        doctor: &[],
    },
    Row {
        name: "F4 a quota refuses what is generated",
        happens: |it| {
            it.condition(
                "Ready",
                "Rejected",
                "create Service podinfo-canary.test failed: exceeded quota: objects, requested: services=1, used: services=3, limited: services=3",
            );
        },
        both: &["make room, or raise it: kubectl describe resourcequota -n test"],
        doctor: &[],
    },
    Row {
        name: "F5 the spec names another target, which cannot be adopted yet",
        happens: |it| {
            it.canary["status"]["phase"] = json!("Succeeded");
            it.canary["status"]["inForce"] = json!({"provider": "apisix", "target": "podinfo", "service": "podinfo", "route": "podinfo"});
            it.canary["spec"]["targetRef"]["name"] = json!("shop");
            it.canary["spec"]["routeRef"]["name"] = json!("shop");
            it.get("deployments", "podinfo-primary")["metadata"]["labels"]["kubectl-canary.dev/generated"] =
                json!("uid-1");
            it.condition("Ready", "TargetNotFound", "deployment shop.test not found");
        },
        both: &[
            "deployment shop.test not found",
            "Deployment shop is not adopted yet: Deployment podinfo-primary and what belongs to it serve until then",
        ],
        doctor: &["delete none of it"],
    },
    Row {
        name: "F6 the Canary is being deleted, and somebody's finalizer holds it",
        happens: |it| {
            it.canary["metadata"]["deletionTimestamp"] = json!("2026-03-01T12:00:00Z");
            it.canary["metadata"]["finalizers"] = json!(["acme.io/cleanup"]);
        },
        both: &[
            "Canary podinfo is being deleted: it waits for finalizer acme.io/cleanup",
            "Then Deployment podinfo-primary, which serves, goes too",
            "If its owner is gone, take it out of metadata.finalizers",
            EDIT,
        ],
        doctor: &[],
    },
    Row {
        name: "F7 the autoscaler that is named scales another workload",
        happens: |it| {
            it.canary["spec"]["autoscalerRef"] =
                json!({"kind": "HorizontalPodAutoscaler", "name": "shop"});
            it.add("horizontalpodautoscalers", scaler("shop", "shop"));
            it.add(
                "horizontalpodautoscalers",
                marked(scaler("shop-primary", "podinfo-primary")),
            );
        },
        both: &[],
        doctor: &[
            "HorizontalPodAutoscaler shop scales Deployment shop, and not the target",
            EDIT,
        ],
    },
    Row {
        name: "F8 the target is scaled to 0 in a release, and the server is away",
        happens: |it| has(it, "podinfo", 0, 0),
        both: &[
            "Deployment podinfo is scaled to 0: 20 % of the traffic goes nowhere",
            "send everybody back: kubectl canary rollback podinfo -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F8 somebody leads everybody to the canary at rest",
        happens: |it| {
            it.canary["status"]["phase"] = json!("Succeeded");
            let backends = &mut it.get("apisixroutes", "podinfo-podinfo-canary")["spec"]["http"][0]
                ["backends"];
            backends[0]["weight"] = json!(0);
            backends[1]["weight"] = json!(100);
            has(it, "podinfo", 0, 0);
        },
        both: &[
            "Deployment podinfo is scaled to 0: 100 % of the traffic goes nowhere",
            "the server sends everybody to the primary. Whether it runs: kubectl canary doctor podinfo -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F9 a rollback that nobody answers",
        happens: |it| {
            it.canary["metadata"]["annotations"] = json!({
                "kubectl-canary.dev/request": "rollback v1-bbbbbbbbbbbb uid-1 42",
                "kubectl-canary.dev/requested-by": "bob",
            });
            it.canary["metadata"]["managedFields"] = json!([{
                "manager": "kubectl-canary-cli", "operation": "Update", "time": days_ago(3),
                "fieldsV1": {"f:metadata": {"f:annotations": {"f:kubectl-canary.dev/request": {}}}},
            }]);
        },
        both: &["bob asked to roll back 3d ago, and is not answered yet"],
        doctor: &["see the lines `server`, `controller` and `its rights`"],
    },
    Row {
        name: "F10 somebody's finalizer holds the primary, which is being deleted",
        happens: |it| leave(it.get("deployments", "podinfo-primary")),
        both: &[
            "Deployment podinfo-primary is being deleted: it waits for finalizer acme.io/cleanup. Its pods are not changed any more, and go with it",
            "kubectl edit deployment podinfo-primary -n test",
        ],
        doctor: &[],
    },
    Row {
        name: "F10 somebody's finalizer holds a Service, which is being deleted",
        happens: |it| leave(it.get("services", "podinfo-primary")),
        both: &[],
        doctor: &[
            "Service podinfo-primary is being deleted: it waits for finalizer acme.io/cleanup. It leads to pods until then",
            "kubectl edit service podinfo-primary -n test",
        ],
    },
    Row {
        name: "F11 a person suspended it",
        happens: |it| {
            it.canary["spec"]["suspend"] = json!(true);
            it.condition("Ready", "Suspended", "Canary podinfo.test is suspended");
        },
        both: &[
            "kubectl patch canary podinfo --type=merge -p '{\"spec\":{\"suspend\":false}}' -n test",
        ],
        doctor: &[],
    },
];

fn leave(object: &mut Value) {
    object["metadata"]["deletionTimestamp"] = json!("2026-03-01T12:00:00Z");
    object["metadata"]["finalizers"] = json!(["acme.io/cleanup"]);
}

fn primary_has(it: &mut Around, wanted: i64, ready: i64) {
    has(it, "podinfo-primary", wanted, ready);
}

fn has(it: &mut Around, name: &str, wanted: i64, ready: i64) {
    let primary = it.get("deployments", name);
    primary["spec"]["replicas"] = json!(wanted);
    primary["status"]["readyReplicas"] = json!(ready);
}
