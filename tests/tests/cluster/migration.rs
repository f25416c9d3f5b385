//! From a running Flagger to us: what it left behind in each of four states (`tests/flagger-state`) is
//! taken over as it is. The way back is in `back`.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "migration/back.rs"]
mod back;
#[path = "migration/labels.rs"]
mod labels;

#[path = "migration/others.rs"]
mod others;

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, LIMIT, Namespace, QUICK, Recorder, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use canary_tests::tools::folder;
use serde_json::{Value, json};

use crate::configs::{assert_dropped, drop_from};
use crate::generated::owned;
use crate::setup::image;

/// The objects of a dump, without what the API server makes up.
fn dump(state: &str) -> Result<Vec<Value>> {
    let path = folder("tests/flagger-state").join(format!("{state}.yaml"));
    let list: Value = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
    let mut items = list["items"].as_array().context("items")?.clone();
    for item in &mut items {
        let metadata = item["metadata"].as_object_mut().context("metadata")?;
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "namespace",
        ] {
            metadata.remove(field);
        }
        if item["kind"] == "Service" {
            for field in ["clusterIP", "clusterIPs"] {
                item["spec"].as_object_mut().context("spec")?.remove(field);
            }
        }
    }
    Ok(items)
}

/// Puts them where they were: the user's, the Canary with its status, and what it owns. Only the metric
/// server and the interval are the test's, and what `change` does to each.
async fn restore(test: &Namespace<'_>, state: &str, change: impl Fn(&mut Value)) -> Result<()> {
    let (mut uid, mut items) = (Value::Null, dump(state)?);
    items.iter_mut().for_each(change);
    let is_canary = |item: &&Value| item["kind"] == "Canary";
    let is_owned = |item: &&Value| item["metadata"]["ownerReferences"].is_array();
    for item in items
        .iter()
        .filter(|item| !is_canary(item) && !is_owned(item))
    {
        // The tokens and CAs that each namespace has are not the user's.
        if item["metadata"]["name"] != "kube-root-ca.crt" {
            test.create(item).await?;
        }
    }
    for canary in items.iter().filter(is_canary) {
        let mut canary = canary.clone();
        canary["spec"]["metricsServer"] = json!(test.prometheus.url());
        canary["spec"]["analysis"]["interval"] = json!("1s");
        uid = test.create(&canary).await?["metadata"]["uid"].clone();
        let status = json!({"status": canary["status"]});
        test.patch_as_admin("canaries/podinfo/status", &status)
            .await?;
    }
    for owned in items.iter().filter(is_owned) {
        let mut owned = owned.clone();
        owned["metadata"]["ownerReferences"][0]["uid"] = uid.clone();
        test.create(&owned).await?;
    }
    Ok(())
}

/// A namespace as somebody left it, everything that a takeover might touch on record.
struct Left<'a> {
    test: Namespace<'a>,
    canary: Recorder,
    target: Recorder,
    primary: Recorder,
    route: Recorder,
    apex: Recorder,
}

// === impl Left ===

impl<'a> Left<'a> {
    async fn by_flagger(plane: &'a ControlPlane, state: &str) -> Result<Self> {
        Self::by_flagger_with(plane, state, state, |_| ()).await
    }

    async fn by_flagger_with(
        plane: &'a ControlPlane,
        name: &str,
        state: &str,
        change: impl Fn(&mut Value),
    ) -> Result<Self> {
        let test = Namespace::new(plane, name).await?;
        restore(&test, state, change).await?;
        // Its pods are there, as they were.
        test.until("deployments/podinfo-primary", |primary| {
            primary["status"]["readyReplicas"] == 2
        })
        .await?;
        Self::of(test).await
    }

    /// From now on.
    async fn of(test: Namespace<'a>) -> Result<Self> {
        Ok(Self {
            canary: test.record("canaries/podinfo").await?,
            target: test.record("deployments/podinfo").await?,
            primary: test.record("deployments/podinfo-primary").await?,
            route: test.record("apisixroutes/podinfo-podinfo-canary").await?,
            apex: test.record("services/podinfo").await?,
            test,
        })
    }

    async fn taken_over(&self) -> Result<Value> {
        self.test
            .until("deployments/podinfo", |target| {
                target["metadata"]["labels"]["kubectl-canary.dev/managed"] == "true"
            })
            .await?;
        self.test
            .until("canaries/podinfo", |canary| {
                canary["status"]["target"]["revision"].is_string()
            })
            .await
    }

    /// How many templates target and primary have had since then: no pod has moved while each had one.
    fn templates(&self) -> [usize; 2] {
        [&self.target, &self.primary].map(|workload| {
            workload
                .changes(|workload| Some(workload["spec"]["template"].clone()))
                .len()
        })
    }

    fn replicas(&self) -> Vec<i64> {
        self.target
            .changes(|target| target["spec"]["replicas"].as_i64())
    }

    fn selectors(&self) -> Vec<Value> {
        self.apex
            .changes(|apex| Some(apex["spec"]["selector"].clone()))
    }
}

async fn plane() -> Result<ControlPlane> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    Ok(plane)
}

async fn start(plane: &ControlPlane) -> Result<Server> {
    let mut server = Server::beside(plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    Ok(server)
}

#[tokio::test]
async fn what_flagger_left_at_rest_is_taken_over_without_a_rollout() -> Result<()> {
    let plane = plane().await?;
    let mut all = Vec::new();
    for (state, phase) in [
        ("initialized", "Initialized"),
        ("succeeded", "Succeeded"),
        ("failed", "Failed"),
    ] {
        all.push((phase, Left::by_flagger(&plane, state).await?));
    }
    let mut server = start(&plane).await?;
    for (_, left) in &all {
        left.taken_over().await?;
    }
    // Its objects are ours, and marked so; that no template changed is seen below.
    for (phase, left) in &all {
        let uid = left.test.get("canaries/podinfo").await?["metadata"]["uid"].clone();
        eventually("marks", LIMIT, async || {
            let owned = owned(&left.test).await?;
            let marked = owned.iter().all(|(_, mark)| *mark == uid);
            Ok((marked && owned.len() > 4).then_some(()))
        })
        .await
        .context(*phase)?;
    }
    // What it has written by now is all that it goes by.
    server.restart()?;
    for (phase, left) in &all {
        drop_from(&left.test).await.context(*phase)?;
        left.test.phase("Progressing").await.context(*phase)?;
        assert_eq!(left.templates(), [2, 1], "{phase}: the user's change only");
        assert_eq!(left.canary.phases(), [*phase, "Progressing"]);
        assert_eq!(left.route.weights()[0], (100, 0), "{phase}");
    }
    for (phase, left) in &all {
        left.test.phase("Succeeded").await.context(*phase)?;
        assert_dropped(&left.test.get("deployments/podinfo-primary").await?);
        assert_eq!(left.templates(), [2, 2], "{phase}: one promotion");
        assert_eq!(
            left.selectors(),
            [json!({"app": "podinfo-primary"})],
            "{phase}"
        );
        assert_eq!(left.replicas().first(), Some(&0), "{phase}");
        let events = left.test.events().await?;
        let releases = events
            .iter()
            .filter(|text| text.contains("New revision detected"));
        assert_eq!(releases.count(), 1, "{phase}: {events:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_release_that_flagger_saw_fail_can_be_tried_again() -> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger(&plane, "failed").await?;
    let _server = start(&plane).await?;
    left.taken_over().await?;
    assert_eq!(left.canary.phases(), ["Failed"]);
    left.test.plugin(BOB, &["retry", "podinfo"]).await?.ok()?;
    left.test.phase("Succeeded").await?;
    let primary = left.test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.2");
    assert_eq!(left.templates(), [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_release_that_flagger_began_goes_on_at_its_weight() -> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger(&plane, "progressing").await?;
    let _server = start(&plane).await?;
    left.test.phase("Succeeded").await?;
    assert_eq!(left.route.weights(), [(60, 40), (50, 50), (100, 0)]);
    assert_eq!(
        left.canary.phases(),
        ["Progressing", "Promoting", "Finalising", "Succeeded"]
    );
    assert_eq!(left.templates(), [1, 2]);
    assert_eq!(left.replicas(), [2, 0]);
    let primary = left.test.get("deployments/podinfo-primary").await?;
    assert_eq!(image(&primary), "stefanprodan/podinfo:6.0.1");
    let events = left.test.events().await?;
    assert!(
        !events
            .iter()
            .any(|text| text.contains("New revision") || text.contains("Starting canary")),
        "{events:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_image_that_was_changed_while_neither_ran_is_a_release() -> Result<()> {
    let plane = plane().await?;
    let left = Left::by_flagger(&plane, "succeeded").await?;
    left.test.set_image("6.0.2").await?;
    let _server = start(&plane).await?;
    left.test.phase("Progressing").await?;
    assert_eq!(left.templates(), [2, 1]);
    left.test
        .until("deployments/podinfo-primary", |primary| {
            image(primary) == "stefanprodan/podinfo:6.0.2"
        })
        .await?;
    left.test.phase("Succeeded").await?;
    Ok(())
}
