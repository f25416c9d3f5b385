//! The way back is always open: whatever goes missing or is refused in mid-release closes the ways forward,
//! and none of the ways back.

#![cfg(test)] // so that helpers may unwrap as tests do

#[path = "way_back/anew.rs"]
mod anew;
#[path = "way_back/autoscaler.rs"]
mod autoscaler;
#[path = "way_back/behind.rs"]
mod behind;
#[path = "way_back/hanging.rs"]
mod hanging;
#[path = "way_back/hindered.rs"]
mod hindered;
#[path = "way_back/lost.rs"]
mod lost;
#[path = "way_back/refused.rs"]
mod refused;
#[path = "way_back/rights.rs"]
mod rights;
#[path = "way_back/room.rs"]
mod room;
#[path = "way_back/suspended.rs"]
mod suspended;
#[path = "way_back/target.rs"]
mod target;
#[path = "way_back/unanswered.rs"]
mod unanswered;
#[path = "way_back/undone.rs"]
mod undone;

use anyhow::Result;
use canary_tests::clock::eventually;
use canary_tests::cluster::{BOB, Cluster, LIMIT, Namespace, deployment};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::prometheus::Answer;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// A cluster whose API server asks nobody whether a Canary is valid.
async fn unchecked() -> Result<&'static Cluster> {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    let start = async || {
        let cluster = Cluster::start(&[]).await?;
        let delete = ["delete", "validatingwebhookconfiguration", "canary-webhook"];
        cluster.plane.kubectl(&delete).await?.ok()?;
        anyhow::Ok(cluster)
    };
    SHARED.get_or_try_init(start).await
}

/// What the checks of the success rate find from now on.
fn success_rate(test: &Namespace<'_>, percent: f64) {
    let answer = Answer::value(percent);
    test.prometheus.answer("apisix_http_status", answer);
}

/// So many failed checks that no test reaches it.
const PATIENT: i64 = 1000;

/// A Canary at rest that bears failed checks, made different by `change`.
async fn at_rest<'a>(
    plane: &'a ControlPlane,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Namespace<'a>> {
    let test = Namespace::new(plane, name).await?;
    test.create_with(|canary| {
        canary["spec"]["analysis"]["threshold"] = json!(PATIENT);
        change(canary);
    })
    .await?;
    test.phase("Initialized").await?;
    Ok(test)
}

/// A release stands at its first step, because its checks fail, until somebody says otherwise.
async fn release_to_first_step(test: &Namespace<'_>) -> Result<()> {
    success_rate(test, 50.0);
    test.set_image("6.0.1").await?;
    test.until("canaries/podinfo", |canary| {
        let status = &canary["status"];
        status["canaryWeight"] == 20 && status["failedChecks"].as_i64() > Some(0)
    })
    .await?;
    Ok(())
}

/// Such a release of a new Canary.
async fn at_first_step<'a>(plane: &'a ControlPlane, name: &str) -> Result<Namespace<'a>> {
    let test = at_rest(plane, name, |_| ()).await?;
    release_to_first_step(&test).await?;
    Ok(test)
}

/// A release whose primary has the new template and can never become ready: none of its new pods may run
/// beside an old one.
async fn promoting<'a>(
    plane: &'a ControlPlane,
    name: &str,
    change: impl FnOnce(&mut Value),
) -> Result<Namespace<'a>> {
    let test = at_rest(plane, name, change).await?;
    let mut pod = deployment()["spec"]["template"]["spec"].clone();
    pod["containers"][0]["image"] = json!("stefanprodan/podinfo:6.0.1");
    pod["affinity"] = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "podinfo"}}, "topologyKey": "type"},
    ]}});
    let change = json!({"spec": {"template": {"spec": pod}}});
    test.patch("deployments/podinfo", &change).await?;
    until_copied(&test).await?;
    Ok(test)
}

/// Waits until the primary was given the released template.
async fn until_copied(test: &Namespace<'_>) -> Result<()> {
    test.phase("Promoting").await?;
    test.until("deployments/podinfo-primary", |primary| {
        let updated = primary["status"]["observedGeneration"] == primary["metadata"]["generation"];
        updated && crate::setup::image(primary) == "stefanprodan/podinfo:6.0.1"
    })
    .await?;
    Ok(())
}

/// Checks pass from now on, and one has.
async fn until_checks_pass(test: &Namespace<'_>) -> Result<()> {
    success_rate(test, 100.0);
    test.until("canaries/podinfo", |canary| {
        condition(canary, "Halted").is_none()
    })
    .await?;
    Ok(())
}

/// The message of a condition that stands.
fn condition(canary: &Value, kind: &str) -> Option<String> {
    let conditions = canary["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|it| it["type"] == kind)?;
    found["message"].as_str().map(str::to_owned)
}

/// The problem is told, checks go on and pass, and the release stays where it is.
async fn only_forward_is_closed(test: &Namespace<'_>, reason: &str, part: &str) -> Result<()> {
    let message = test.condition("Ready", "False", reason).await?;
    assert!(message.contains(part), "{message}");
    until_checks_pass(test).await?;
    assert_eq!(test.weights().await?, (80, 20));
    assert_eq!(
        test.get("canaries/podinfo").await?["status"]["phase"],
        "Progressing"
    );
    Ok(())
}

/// A person rolls back, is answered, and it is so.
async fn bob_rolls_back(test: &Namespace<'_>) -> Result<()> {
    let output = test.plugin(BOB, &["rollback", "podinfo"]).await?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let canary = test.get("canaries/podinfo").await?;
    let answer = &canary["status"]["lastRequest"];
    assert_eq!(answer["outcome"], "Done", "{canary:#}");
    assert_ne!(answer["pending"], true, "{canary:#}");
    assert_eq!(test.weights().await?, (100, 0));
    failed(test).await
}

/// The release has ended where everybody is on the primary.
async fn failed(test: &Namespace<'_>) -> Result<()> {
    test.phase("Failed").await?;
    assert_eq!(test.weights().await?, (100, 0));
    let status = test.get("canaries/podinfo").await?["status"].clone();
    assert_eq!(status["release"]["outcome"], "RolledBack", "{status:#}");
    assert_eq!(status["canaryWeight"], 0);
    Ok(())
}

/// How often people were told a text with `part`, repetitions counted.
async fn told(test: &Namespace<'_>, part: &str) -> Result<i64> {
    let events = test.list("events").await?;
    let those = events.iter().filter(|event| {
        event["involvedObject"]["kind"] == "Canary"
            && event["message"]
                .as_str()
                .is_some_and(|message| message.contains(part))
    });
    Ok(those.filter_map(|event| event["count"].as_i64()).sum())
}

/// Deletes a generated object, and has somebody else create one of its name first.
async fn taken(test: &Namespace<'_>, object: &str, others: &Value) -> Result<()> {
    eventually("the name to be taken", LIMIT, async || {
        // It is generated anew at once: whoever is faster has the name.
        test.delete(object).await?;
        test.create_as_admin(others).await?;
        Ok(Some(()))
    })
    .await
}
