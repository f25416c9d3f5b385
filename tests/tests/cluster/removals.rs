//! What is taken out of a source leaves the copy too, by one write, and none follows.

#![cfg(test)] // so that helpers may unwrap as tests do

use std::time::Duration;

use anyhow::Result;
use canary_tests::cluster::{ALICE, Recorder, deployment, route};
use serde_json::{Value, json};

use crate::alone::Alone;
use crate::setup::{initialized, namespace};

const MARK: &str = "kubectl-canary.dev/generated";
const APPLIED: &str = "kubectl-canary.dev/applied";
const COPY: &str = "horizontalpodautoscalers/podinfo-primary";

fn autoscaler(name: &str, target: &str) -> Value {
    let usage = |resource: &str| {
        let target = json!({"type": "Utilization", "averageUtilization": 99});
        json!({"type": "Resource", "resource": {"name": resource, "target": target}})
    };
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "annotations": {"note": "a"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": 1, "maxReplicas": 4,
            "metrics": [usage("cpu"), usage("memory")],
            "behavior": {"scaleDown": {"selectPolicy": "Disabled"}},
        },
    })
}

/// Writes of ours on an object since then. What follows the one that was waited for comes within the time.
async fn writes(alone: &Alone, seen: usize, object: &str) -> Result<Vec<String>> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let requests = alone.requests()?;
    let writes = requests[seen..].iter().filter(|it| it.writes());
    let of_it = writes.filter(|it| it.object == object);
    Ok(of_it.map(|it| it.verb.clone()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_out_of_an_autoscaler_that_flagger_copied_is_gone_after_one_write()
-> Result<()> {
    let alone = Alone::turn().await?;
    let mut server = alone.server("leading").await?;
    let test = alone.at_rest("behavior", "60s").await?;
    server.process().kill()?;
    // Another manager owns each of its fields.
    let canary = test.get("canaries/podinfo").await?;
    let mut copy = autoscaler("podinfo-primary", "podinfo-primary");
    copy["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo",
        "uid": canary["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }]);
    for object in [autoscaler("podinfo", "podinfo"), copy] {
        let create = ["create", "--field-manager=flagger", "-f", "-"];
        let object = object.to_string();
        test.kubectl_with(ALICE, &create, &object).await?.ok()?;
    }
    server.restart()?;
    let taken = |copy: &Value| {
        let metadata = &copy["metadata"];
        metadata["labels"][MARK].is_string() && metadata["annotations"][APPLIED].is_string()
    };
    let taken = test.until(COPY, taken).await?;
    assert_eq!(
        taken["spec"]["behavior"]["scaleDown"]["selectPolicy"],
        "Disabled"
    );

    let first = &taken["spec"]["metrics"][0];
    let source = "horizontalpodautoscalers/podinfo";
    for (change, lost) in [
        (
            json!({"spec": {"behavior": null}}),
            "/spec/behavior/scaleDown/selectPolicy",
        ),
        (json!({"spec": {"metrics": [first]}}), "/spec/metrics/1"),
        (
            json!({"metadata": {"annotations": {"note": null}}}),
            "/metadata/annotations/note",
        ),
    ] {
        let seen = alone.requests()?.len();
        test.patch(source, &change).await?;
        let gone = |copy: &Value| copy.pointer(lost) != taken.pointer(lost);
        test.until(COPY, gone).await?;
        assert_eq!(writes(&alone, seen, COPY).await?, ["update"], "{lost}");
    }
    Ok(())
}

fn specs(service: &Recorder) -> usize {
    let spec = |service: &Value| Some(service["spec"].clone());
    service.changes(spec).len()
}

#[tokio::test]
async fn what_is_taken_out_of_a_canarys_service_leaves_the_generated_services() -> Result<()> {
    let test = namespace("service-removals").await?;
    let mut target = deployment();
    let ports = json!([
        {"name": "http", "containerPort": 9898}, {"name": "grpc", "containerPort": 9999},
    ]);
    target["spec"]["template"]["spec"]["containers"][0]["ports"] = ports;
    let mut canary = test.canary();
    let custom = json!({"labels": {"team": "web"}, "annotations": {"note": "x"}});
    canary["spec"]["service"] = json!({
        "port": 80, "targetPort": 9898, "portDiscovery": true, "appProtocol": "http",
        "trafficDistribution": "PreferClose", "apex": custom, "primary": custom, "canary": custom,
    });
    for object in [&target, &route(), &canary] {
        test.create(object).await?;
    }
    test.phase("Initialized").await?;
    // Somebody else's stays.
    let theirs = json!({"metadata": {"annotations": {"theirs": "y"}}});
    let names = ["podinfo", "podinfo-primary", "podinfo-canary"].map(|it| format!("services/{it}"));
    let mut all = Vec::new();
    for name in &names {
        test.patch_as_admin(name, &theirs).await?;
        let before = test.get(name).await?;
        assert_eq!(before["spec"]["ports"][1]["name"], "grpc");
        assert_eq!(before["spec"]["trafficDistribution"], "PreferClose");
        all.push((name, before, test.record(name).await?));
    }
    let service = json!({
        "portDiscovery": null, "appProtocol": null, "trafficDistribution": null,
        "apex": null, "primary": null, "canary": null,
    });
    let change = json!({"spec": {"service": service}});
    test.patch("canaries/podinfo", &change).await?;
    for (name, before, record) in &all {
        let bare = |it: &Value| it["spec"]["ports"].as_array().map(Vec::len) == Some(1);
        let now = test.until(name, bare).await?;
        assert!(now["spec"].get("trafficDistribution").is_none(), "{now:#}");
        assert!(
            now["spec"]["ports"][0].get("appProtocol").is_none(),
            "{now:#}"
        );
        let metadata = &now["metadata"];
        assert!(metadata["labels"].get("team").is_none(), "{metadata:#}");
        assert!(
            metadata["annotations"].get("note").is_none(),
            "{metadata:#}"
        );
        assert_eq!(metadata["annotations"]["theirs"], "y");
        for kept in ["clusterIP", "clusterIPs", "ipFamilies", "type", "selector"] {
            assert_eq!(now["spec"][kept], before["spec"][kept], "{name} {kept}");
        }
        // The fields at once, the port when the gateway has seen that nothing leads there.
        assert!(specs(record) <= 3, "{:#?}", record.versions());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_taken_out_of_the_users_route_leaves_the_generated_one() -> Result<()> {
    const ROUTE: &str = "apisixroutes/podinfo-podinfo-canary";
    let test = initialized("route-removals").await?;
    let own = test.get("apisixroutes/podinfo").await?;
    let mut more = json!({"spec": own["spec"], "metadata": {"annotations": {"note": "x"}}});
    let rule = &mut more["spec"]["http"][0];
    rule["timeout"] = json!({"read": "5s"});
    rule["plugins"] = json!([{"name": "limit-count", "enable": true}]);
    test.patch("apisixroutes/podinfo", &more).await?;
    let has = |route: &Value| {
        let rule = &route["spec"]["http"][0];
        let both = rule["timeout"].is_object() && rule["plugins"].is_array();
        (both, route["metadata"]["annotations"]["note"] == "x")
    };
    test.until(ROUTE, |route| has(route) == (true, true))
        .await?;
    let record = test.record(ROUTE).await?;
    let back = json!({"spec": own["spec"], "metadata": {"annotations": {"note": null}}});
    test.patch("apisixroutes/podinfo", &back).await?;
    let now = test
        .until(ROUTE, |route| has(route) == (false, false))
        .await?;
    assert!(now["spec"]["http"][0].get("timeout").is_none(), "{now:#}");
    assert!(now["spec"]["http"][0].get("plugins").is_none(), "{now:#}");
    assert_eq!(
        record.versions().len(),
        2,
        "one write: {:#?}",
        record.versions()
    );
    assert_eq!(test.weights().await?, (100, 0));
    Ok(())
}

#[tokio::test]
async fn the_note_of_what_was_written_is_put_back_by_one_write() -> Result<()> {
    let test = initialized("note-lost").await?;
    let record = test.record("services/podinfo-canary").await?;
    let applied = |it: &Value| it["metadata"]["annotations"][APPLIED].is_string();
    for _ in 0..2 {
        let drop = json!({"metadata": {"annotations": {APPLIED: null}}});
        test.patch_as_admin("services/podinfo-canary", &drop)
            .await?;
        test.until("services/podinfo-canary", applied).await?;
    }
    assert_eq!(record.versions().len(), 5, "{:#?}", record.versions());
    Ok(())
}
