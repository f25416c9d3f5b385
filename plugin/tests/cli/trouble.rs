//! Trouble while it lasts: `status NAME` and `doctor NAME` name it, with the command that helps.
//!
//! Each row is one of those things that other people's clusters did to a release; what the server says of it
//! stands in a condition, and what only the plugin looks at is around the Canary.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::around::{Around, marked, of, route, scaler, service};
use crate::fake::{FakeApi, answer_to, canary, ended, progressing};
use crate::run::on;

/// Its name, what it does to the world, what both say, and what only `doctor` sees.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    happens: fn(&mut Around),
    both: &'static [&'static str],
    doctor: &'static [&'static str],
}

const ROLLBACK: &str = "kubectl canary rollback podinfo -n test";
const EDIT: &str = "kubectl edit canary podinfo -n test";
const REFUSED: &str = "patch ApisixRoute podinfo-podinfo-canary.test failed: Internal error occurred: failed calling webhook \"routes.acme.io\"";

fn rows() -> Vec<Row> {
    [HINDERED, WAITING, GENERATED, BESIDE].concat()
}

const HINDERED: &[Row] = &[
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

const WAITING: &[Row] = &[
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
        both: &[
            "cannot be told from its primary",
            "kubectl delete deployment podinfo -n test",
        ],
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
            "kubectl delete hpa ",
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
            "kubectl create poddisruptionbudget podinfo-primary --selector=",
        ],
        doctor: &["--selector=app=podinfo-primary --max-unavailable=1 -n test"],
    },
];

/// Lines of doctor that are not about the Canary.
const INSTALLATION: [&str; 9] = [
    "crds",
    "controller",
    "server",
    "webhook",
    "certificate",
    "policies",
    "your",
    "kubernetes",
    "metrics",
];

/// In one line, however it was wrapped.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is said of the Canary, without what doctor says of the installation.
fn of_canary(doctor: &str) -> String {
    let mut kept = false;
    let lines = doctor.lines().filter(|line| {
        if !line.starts_with(' ') {
            let words: Vec<&str> = line.split_whitespace().collect();
            let outcome = words.get(1).copied().unwrap_or_default();
            let name = words.get(2).copied().unwrap_or_default();
            kept = ["fail", "warn"].contains(&outcome) && !INSTALLATION.contains(&name);
        }
        kept
    });
    lines.fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// From the first trouble on, without ages.
fn attention(status: &str) -> String {
    let mut lines = status
        .lines()
        .skip_while(|line| !line.starts_with("attention"));
    let mut kept = String::new();
    while let Some(line) = lines.next().filter(|line| !line.is_empty()) {
        writeln!(kept, "{}", line.trim_end()).unwrap();
    }
    kept
}

#[test]
fn status_and_doctor_name_each_trouble_with_the_command_that_helps() {
    let mut golden = String::new();
    for row in rows() {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let api = around.serve();
        let status = on(&api, &["status", "podinfo"]);
        let doctor = on(&api, &["doctor", "podinfo"]);
        assert_eq!(status.code, 0, "{}: {}", row.name, status.stderr);
        for text in row.both {
            assert!(
                flat(&status.stdout).contains(text),
                "{}: {text}\n{}",
                row.name,
                status.stdout
            );
        }
        for text in row.both.iter().chain(row.doctor) {
            assert!(
                flat(&doctor.stdout).contains(text),
                "{}: {text}\n{}",
                row.name,
                doctor.stdout
            );
        }
        let (status, doctor) = (attention(&status.stdout), of_canary(&doctor.stdout));
        write!(golden, "── {}\n{status}{doctor}", row.name).unwrap();
    }
    insta::assert_snapshot!(golden);
}

#[test]
fn a_canary_without_trouble_has_none_of_these_lines() {
    let api = Around::new().serve();
    let (status, doctor) = (
        on(&api, &["status", "podinfo"]),
        on(&api, &["doctor", "podinfo"]),
    );
    assert_eq!(
        (attention(&status.stdout), of_canary(&doctor.stdout)),
        (String::new(), String::new())
    );
    assert!(doctor.stdout.contains("ok   around"), "{}", doctor.stdout);
}

#[test]
fn a_hindered_release_goes_no_further_and_the_way_back_is_offered() {
    for row in HINDERED.iter().filter(|row| !row.name.starts_with("A4")) {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let api = around.serve();
        let status = on(&api, &["status", "podinfo"]).stdout;
        assert!(
            status.contains(&format!("next       {ROLLBACK}")),
            "{}: {status}",
            row.name
        );
        let explained = on(&api, &["explain", "podinfo"]).stdout;
        assert!(
            explained.contains("goes no further: "),
            "{}: {explained}",
            row.name
        );
        assert!(
            explained.contains(&format!("it can be rolled back: {ROLLBACK}")),
            "{}: {explained}",
            row.name
        );
    }
}

#[test]
fn explain_says_that_a_rollback_is_decided_and_why_it_is_not_routed() {
    let mut around = Around::new();
    let row = HINDERED.last().unwrap();
    (row.happens)(&mut around);
    let explained = on(&around.serve(), &["explain", "podinfo"]).stdout;
    assert!(
        explained.contains("is being rolled back: failed checks threshold reached 10"),
        "{explained}"
    );
    assert!(
        flat(&explained).contains("not routed the rollback of release 2 is decided"),
        "{explained}"
    );
    assert!(flat(&explained).contains(REFUSED), "{explained}");
}

#[test]
fn explain_says_why_pods_do_not_come_of_either_side() {
    for row in WAITING.iter().filter(|row| row.name.starts_with("A5")) {
        let mut around = Around::new();
        (row.happens)(&mut around);
        let explained = on(&around.serve(), &["explain", "podinfo"]).stdout;
        for text in row.both {
            assert!(
                flat(&explained).contains(text),
                "{}: {text}\n{explained}",
                row.name
            );
        }
    }
}

#[test]
fn the_report_for_programs_has_the_trouble_with_its_hint() {
    let mut around = Around::new();
    around.condition("Ready", "AutoscalerNotFound", "no HPA");
    let ran = on(&around.serve(), &["status", "podinfo", "-o", "json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        report["attention"],
        json!([{
            "type": "Ready", "reason": "AutoscalerNotFound", "message": "no HPA",
            "hint": format!("create it, or correct or take out spec.autoscalerRef: {EDIT}"),
        }])
    );
}

#[test]
fn what_this_user_may_not_list_is_one_line_of_doctor_and_no_failure() {
    let mut around = Around::new();
    around.forbidden = vec!["services", "poddisruptionbudgets"];
    let doctor = on(&around.serve(), &["doctor", "podinfo"]).stdout;
    let lines: Vec<&str> = doctor
        .lines()
        .filter(|line| line.contains("skip around"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{doctor}")
    };
    assert!(
        line.contains("Service, PodDisruptionBudget cannot be read: "),
        "{line}"
    );
}

#[test]
fn doctor_only_reads() {
    let api = Around::new().serve();
    on(&api, &["doctor", "podinfo"]);
    for url in api.urls() {
        let allowed = url.contains("dryRun=All") || url.contains("selfsubjectaccessreviews");
        assert!(url.starts_with("GET") || allowed, "{url}");
    }
}

/// A rollback that was asked for is decided, and its write refused.
fn pending(id: &str) -> Value {
    let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
    status["lastRequest"]["pending"] = json!(true);
    status["release"] = json!({"outcome": "RolledBack", "message": "on request of alice"});
    status["conditions"] =
        json!([{"type": "Ready", "status": "False", "reason": "WriteFailed", "message": REFUSED}]);
    status
}

#[test]
fn a_rollback_that_cannot_be_routed_is_waited_for_and_never_said_to_be_done() {
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(pending)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "3s"]);
    ran.failed(
        1,
        "the rollback of release 2 is decided (on request of alice) and not routed yet: it is tried again by itself",
    );
    assert!(ran.stderr.contains(REFUSED), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    // It was heard: it is not withdrawn.
    assert_eq!(api.patches().len(), 1);
}

#[test]
fn a_rollback_that_is_routed_in_the_end_is_done() {
    let routed = |_: &str| json!({"lastRequest": {"pending": null}, "conditions": []});
    let api = FakeApi::reacting(
        canary(&progressing()),
        vec![
            Box::new(pending),
            Box::new(routed),
            Box::new(|_| ended("Failed", "RolledBack")),
        ],
    );
    on(&api, &["rollback", "podinfo"])
        .said("podinfo.test: release 2 rolled back, all traffic goes to the primary\n");
}

#[test]
fn a_rollback_is_not_done_while_the_primary_is_still_put_back() {
    let recovering = |id: &str| {
        let mut status = answer_to(id, "Done", "rolling back: all traffic goes to the primary");
        status["phase"] = json!("Failed");
        status["release"] =
            json!({"outcome": "RolledBack", "endedAt": "2026-03-01T12:00:34Z", "recovering": true});
        status
    };
    let api = FakeApi::reacting(canary(&progressing()), vec![Box::new(recovering)]);
    let ran = on(&api, &["rollback", "podinfo", "--timeout", "2s"]);
    ran.failed(3, "was accepted, but has not happened within 2s");
}

#[test]
fn a_verb_that_nobody_answers_says_what_the_canary_lacks() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "Forbidden", "message": "the server may not patch apisixroutes"}]);
    let api = FakeApi::new(canary(&hindered));
    let ran = on(&api, &["promote", "podinfo", "--timeout", "6s"]);
    ran.failed(
        3,
        "the controller did not answer the promote of podinfo.test within 6s",
    );
    assert!(
        ran.stderr
            .contains("it is not ready, the server may not patch apisixroutes"),
        "{}",
        ran.stderr
    );
    assert!(
        !ran.stderr.contains("is canary-webhook running?"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_wait_that_ends_in_vain_says_what_hinders_the_release() {
    let mut hindered = progressing();
    hindered["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "TargetNotFound", "message": "deployment podinfo.test not found"}]);
    let ran = on(
        &FakeApi::new(canary(&hindered)),
        &["wait", "podinfo", "--timeout", "2s"],
    );
    ran.failed(
        3,
        "has not ended within 2s: deployment podinfo.test not found",
    );
    assert!(
        ran.stdout.contains("not ready: TargetNotFound"),
        "{}",
        ran.stdout
    );
}
