//! How many releases a namespace has at once.

use anyhow::Result;
use canary_tests::cluster::{ALICE, Namespace, Recorder, deployment};
use serde_json::{Value, json};

use super::{policy, refused, set_image};
use crate::setup::initialized;

/// A target `other` with a Canary of its own, at rest; both targets read ConfigMap `config`.
pub async fn two(name: &str) -> Result<Namespace<'static>> {
    let test = initialized(name).await?;
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"},
        "data": {"color": "blue"},
    });
    test.create(&config).await?;
    let (mut target, mut canary) = (deployment(), test.canary());
    for object in [&mut target, &mut canary] {
        object["metadata"]["name"] = json!("other");
    }
    target["spec"]["selector"]["matchLabels"] = json!({"app": "other"});
    let template = &mut target["spec"]["template"];
    template["metadata"]["labels"] = json!({"app": "other"});
    template["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "config"}}]);
    canary["spec"]["provider"] = json!("kubernetes");
    canary["spec"]["routeRef"] = Value::Null;
    canary["spec"]["targetRef"]["name"] = json!("other");
    canary["spec"]["analysis"] = json!({"interval": "1s", "threshold": 3, "iterations": 3});
    test.create(&target).await?;
    test.create(&canary).await?;
    test.until("canaries/other", |it| {
        it["status"]["phase"] == "Initialized"
    })
    .await?;
    Ok(test)
}

/// Phases with the moments at which they were stored.
fn phases(recorder: &Recorder, of: usize) -> Vec<(u64, usize, bool)> {
    let versions = recorder.versions();
    let phases = versions.iter().filter_map(|(_, canary)| {
        let at = canary["metadata"]["resourceVersion"]
            .as_str()?
            .parse()
            .ok()?;
        let phase = canary["status"]["phase"].as_str()?;
        let releasing = ["Progressing", "WaitingPromotion", "Promoting", "Finalising"];
        Some((at, of, releasing.contains(&phase)))
    });
    phases.collect()
}

#[tokio::test]
async fn a_release_is_refused_where_another_has_the_only_place() -> Result<()> {
    let test = two("places").await?;
    let rule = json!({
        "release": {"maxConcurrentPerNamespace": 1}, "approvals": {"promote": {"required": true}},
    });
    let name = policy(&test, "prod", rule).await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    let image = "podinfod=stefanprodan/podinfo:6.0.1";
    let other = ["set", "image", "deployment/other", image];
    let field = "spec.release.maxConcurrentPerNamespace: 1 of 1 releases run";
    refused(
        &test.kubectl(ALICE, &other).await?,
        &[&format!("CanaryPolicy {name}: {field}")],
    );
    set_image(&test, "6.0.0").await?.ok()?;
    test.phase("Failed").await?;
    test.kubectl(ALICE, &other).await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn two_releases_that_begin_together_take_the_only_place_in_turn() -> Result<()> {
    let test = two("turns").await?;
    let env = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "podinfod", "envFrom": [{"configMapRef": {"name": "config"}}]},
    ]}}}})
    .to_string();
    let patch = ["patch", "deployment", "podinfo", "-p", &env];
    test.kubectl(ALICE, &patch).await?.ok()?;
    test.phase("Succeeded").await?;
    let rule = json!({"release": {"maxConcurrentPerNamespace": 1}});
    let name = policy(&test, "prod", rule).await?;
    let both = [
        test.record("canaries/podinfo").await?,
        test.record("canaries/other").await?,
    ];
    // No admission sees it, and it starts both.
    let green = json!({"data": {"color": "green"}});
    test.patch("configmaps/config", &green).await?;
    for (canary, number) in [("podinfo", 2), ("other", 1)] {
        let canary = format!("canaries/{canary}");
        test.until(&canary, |it| {
            it["status"]["phase"] == "Succeeded" && it["status"]["release"]["number"] == number
        })
        .await?;
    }
    let mut all: Vec<_> = both
        .iter()
        .enumerate()
        .flat_map(|(of, recorder)| phases(recorder, of))
        .collect();
    all.sort_unstable();
    let mut releasing = [false; 2];
    let mut begun = [false; 2];
    for (at, of, is) in all {
        releasing[of] = is;
        begun[of] |= is;
        assert_ne!(releasing, [true; 2], "both at resourceVersion {at}");
    }
    assert_eq!(begun, [true; 2]);
    let gate = format!("CanaryPolicy {name}");
    let waited = both.iter().any(|recorder| {
        let versions = recorder.versions();
        let mut gates = versions
            .iter()
            .map(|(_, it)| &it["status"]["release"]["waitingFor"]);
        gates.any(|waiting| *waiting == gate)
    });
    assert!(waited, "neither waited for the other");
    Ok(())
}
