//! SIGKILL of the server in every phase, and a start with the same identity: the release ends as if nothing
//! had happened. The tests share one server, so that each release also sees the kills of the others.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{LIMIT, Namespace, Recorder, deployment, install, route};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::hooks::{Hooks, Reply};
use canary_tests::fixtures::prometheus::Answer;
use canary_tests::server::Server;
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use crate::setup::story;

/// Long enough to be killed in.
const ARGS: [&str; 2] = ["--min-interval=1s", "--drain=1500ms"];
const STEPS: [(i64, i64); 4] = [(100, 0), (80, 20), (60, 40), (100, 0)];

struct Mortal {
    server: Mutex<Server>,
    plane: ControlPlane,
}

impl Mortal {
    async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Mortal> = OnceCell::const_new();
        let start = async || {
            let plane = ControlPlane::start().await?;
            install(&plane).await?;
            let mut server = Server::beside(&plane, &ARGS)?;
            server.logged("leading", LIMIT).await?;
            let server = Mutex::new(server);
            anyhow::Ok(Self { server, plane })
        };
        SHARED.get_or_try_init(start).await
    }

    async fn kill_and_start(&self) -> Result<()> {
        self.server.lock().await.restart()
    }
}

/// A release that is watched from its beginning.
struct Watched {
    test: Namespace<'static>,
    mortal: &'static Mortal,
    route: Recorder,
    before: usize,
}

impl Watched {
    /// A Canary at rest, with steps of two seconds, that `change` made different.
    async fn start(name: &str, change: impl FnOnce(&mut Value)) -> Result<Self> {
        let mortal = Mortal::shared().await?;
        let test = Namespace::new(&mortal.plane, name).await?;
        test.create_with(|canary| {
            canary["spec"]["analysis"]["interval"] = json!("2s");
            change(canary);
        })
        .await?;
        test.phase("Initialized").await?;
        test.event("Initialization done!").await?;
        Ok(Self {
            route: test.record("apisixroutes/podinfo-podinfo-canary").await?,
            before: test.events().await?.len(),
            test,
            mortal,
        })
    }

    /// A new image, and a kill as soon as the Canary is as wanted.
    async fn killed_when(&self, wanted: impl Fn(&Value) -> bool) -> Result<()> {
        self.test.set_image("6.0.1").await?;
        self.test.until("canaries/podinfo", wanted).await?;
        self.mortal.kill_and_start().await
    }

    async fn killed_in(&self, phase: &str) -> Result<()> {
        self.killed_when(|canary| canary["status"]["phase"] == phase)
            .await
    }

    /// Its Events with their counts, but those that tell how long pods took.
    async fn told(&self) -> Result<Vec<(String, i64)>> {
        let mut events = self.test.list("events").await?;
        events.retain(|event| event["involvedObject"]["kind"] == "Canary");
        events.sort_by_key(|event| event["metadata"]["name"].as_str().unwrap().to_owned());
        let told = events.iter().map(|event| {
            let text = event["message"].as_str().unwrap().to_owned();
            (text, event["count"].as_i64().unwrap())
        });
        let all: Vec<_> = told.collect();
        let new = all.into_iter().skip(self.before);
        Ok(new
            .filter(|(text, _)| !text.contains("not ready"))
            .collect())
    }

    /// It ended as an undisturbed one: same steps, each text once.
    async fn assert_undisturbed(&self) -> Result<()> {
        self.test.phase("Succeeded").await?;
        self.test.event("Promotion completed!").await?;
        assert_eq!(self.route.weights(), STEPS);
        let told = self.told().await?;
        let gate = |text: &str| text.contains("approval") || text.contains("check gate");
        let told: Vec<_> = told.iter().filter(|(text, _)| !gate(text)).collect();
        let expected = story(&self.test.name);
        let expected: Vec<_> = expected.into_iter().map(|text| (text, 1)).collect();
        assert_eq!(told, expected.iter().collect::<Vec<_>>());
        let target = self.test.get("deployments/podinfo").await?;
        assert_eq!(target["spec"]["replicas"], 0);
        Ok(())
    }
}

/// Pods of it take three seconds to be Ready.
fn slow() -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": {"lab/ready-after": "3s"}}}}})
}

fn gate(hooks: &Hooks, kind: &str) -> impl Fn(&mut Value) {
    hooks.reply("/gate", Reply::status(403));
    let hook = json!([{"name": "gate", "type": kind, "url": hooks.url("/gate")}]);
    move |canary| canary["spec"]["analysis"]["webhooks"] = hook.clone()
}

#[tokio::test]
async fn killed_while_initializing_it_is_initialized_once() -> Result<()> {
    let mortal = Mortal::shared().await?;
    let test = Namespace::new(&mortal.plane, "initializing").await?;
    let mut target = deployment();
    target["spec"]["template"]["metadata"]["annotations"] = json!({"lab/ready-after": "3s"});
    test.create(&target).await?;
    test.create(&route()).await?;
    test.create(&test.canary()).await?;
    test.phase("Initializing").await?;
    mortal.kill_and_start().await?;
    test.phase("Initialized").await?;
    test.event("Initialization done!").await?;
    let told = test.events().await?;
    let done = told.iter().filter(|text| text.contains("Initialization"));
    assert_eq!(done.count(), 1, "{told:?}");
    assert_eq!(test.weights().await?, (100, 0));
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 0);
    Ok(())
}

#[tokio::test]
async fn killed_right_after_the_change_it_starts_the_release_once() -> Result<()> {
    let watched = Watched::start("detection", |_| ()).await?;
    watched.killed_when(|_| true).await?;
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_at_a_step_it_neither_skips_nor_repeats_one() -> Result<()> {
    let watched = Watched::start("step", |_| ()).await?;
    watched
        .killed_when(|canary| canary["status"]["canaryWeight"] == 20)
        .await?;
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_at_the_first_gate_it_waits_on() -> Result<()> {
    let hooks = Hooks::start().await?;
    let watched = Watched::start("waiting", gate(&hooks, "confirm-rollout")).await?;
    watched.killed_in("Waiting").await?;
    hooks.reply("/gate", Reply::status(200));
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_at_the_last_gate_it_waits_on() -> Result<()> {
    let hooks = Hooks::start().await?;
    let watched = Watched::start("confirm", gate(&hooks, "confirm-promotion")).await?;
    watched.killed_in("WaitingPromotion").await?;
    hooks.reply("/gate", Reply::status(200));
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_while_promoting_it_promotes_once() -> Result<()> {
    let watched = Watched::start("promoting", |_| ()).await?;
    // One change with the image: a second one would be a second revision.
    let mut change = slow();
    change["spec"]["template"]["spec"] = json!({"containers": [{
        "name": "podinfod", "image": "stefanprodan/podinfo:6.0.1",
        "ports": [{"name": "http", "containerPort": 9898, "protocol": "TCP"}],
    }]});
    watched.test.patch("deployments/podinfo", &change).await?;
    watched.test.phase("Promoting").await?;
    watched.mortal.kill_and_start().await?;
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_while_finalising_it_ends_once() -> Result<()> {
    let watched = Watched::start("finalising", |_| ()).await?;
    watched.killed_in("Finalising").await?;
    watched.assert_undisturbed().await
}

#[tokio::test]
async fn killed_in_the_drain_of_a_rollback_it_rolls_back_once() -> Result<()> {
    let watched = Watched::start("rollback", |_| ()).await?;
    let bad = Answer::value(0.0);
    watched.test.prometheus.answer("apisix_http_status", bad);
    watched
        .killed_when(|canary| canary["status"]["drain"]["then"] == "Failed")
        .await?;
    watched.test.phase("Failed").await?;
    watched.test.event("Canary failed!").await?;

    assert_eq!(watched.route.weights(), [(100, 0), (80, 20), (100, 0)]);
    let id = format!("podinfo.{}", watched.test.name);
    let expected = [
        (format!("New revision detected! Scaling up {id}"), 1),
        (format!("Starting canary analysis for {id}"), 1),
        (format!("Advance {id} canary weight 20"), 1),
        (format!("Halt {id} advancement success rate 0.00% < 99%"), 3),
        (
            format!("Rolling back {id} failed checks threshold reached 3"),
            1,
        ),
        (format!("Canary failed! Scaling down {id}"), 1),
    ];
    assert_eq!(watched.told().await?, expected);
    let target = watched.test.get("deployments/podinfo").await?;
    assert_eq!(target["spec"]["replicas"], 0);
    Ok(())
}
