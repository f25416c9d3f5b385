//! What an uninstallation leaves, and in which order it goes.

use anyhow::{Context, Result};
use canary_tests::clock::eventually;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, QUICK, Recorder, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::Server;
use serde_json::{Value, json};

use super::{SERVER, admin, find, get};

/// Everything installed by the plugin, and a server at work beside it in place of its simulated pods.
async fn installed() -> Result<(ControlPlane, Server)> {
    let plane = ControlPlane::start().await?;
    // The people's rights, and a first kubectl apply, whose fields are then taken over.
    install(&plane).await?;
    let flags = ["install", "--force-conflicts"];
    admin(&plane, &flags).await?.ok()?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    Ok((plane, server))
}

async fn app(plane: &ControlPlane, change: impl FnOnce(&mut Value)) -> Result<Namespace<'_>> {
    let test = Namespace::new(plane, "app").await?;
    test.create_with(change).await?;
    test.phase("Initialized").await?;
    Ok(test)
}

/// What the installation has, but for the definitions.
const PARTS: [&str; 8] = [
    "mutatingwebhookconfiguration canary-webhook",
    "validatingwebhookconfiguration canary-webhook",
    "validatingadmissionpolicy canary-decisions",
    "clusterrole canary-webhook",
    "clusterrolebinding canary-webhook",
    SERVER,
    "service canary-webhook -n canary-system",
    "secret canary-webhook-tls -n canary-system",
];

const PEOPLE: &str = "clusterrole canary-editor";

#[tokio::test]
async fn an_uninstallation_leaves_canaries_that_serve_and_can_be_deleted() -> Result<()> {
    let (plane, mut server) = installed().await?;
    let test = app(&plane, |canary| {
        canary["spec"]["revertOnDeletion"] = json!(true);
    })
    .await?;
    test.until("canaries/podinfo", |canary| {
        canary["metadata"]["finalizers"].is_array()
    })
    .await?;

    let unasked = admin(&plane, &["uninstall"]).await?;
    assert_eq!(unasked.code, Some(1));
    assert!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let listed = admin(&plane, &["uninstall", "--dry-run"]).await?.ok()?;
    assert!(listed.contains("deployment.apps/canary-webhook would be deleted"));
    for part in PARTS {
        assert!(find(&plane, part).await?.is_some(), "{part}");
    }

    let said = admin(&plane, &["uninstall", "--yes"]).await?.ok()?;
    let at = |text: &str| said.find(text).with_context(|| format!("{text}: {said}"));
    assert!(at("mutatingwebhookconfiguration.")? < at("deployment.apps/")?);
    assert!(at("validatingwebhookconfiguration.")? < at("deployment.apps/")?);
    assert!(at("deployment.apps/")? < at("clusterrole.")?);
    for part in PARTS {
        assert!(find(&plane, part).await?.is_none(), "{part}");
    }
    // Those of people are not: somebody must be able to read and delete what stays.
    assert!(find(&plane, PEOPLE).await?.is_some());
    // Its rights are gone, as its pods would be.
    server.process().terminate()?;
    let canary = test.get("canaries/podinfo").await?;
    assert_eq!(canary["status"]["phase"], "Initialized");
    assert!(canary["metadata"]["finalizers"].is_null(), "{canary}");
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(primary["status"]["readyReplicas"], 1);
    let apex = test.get("services/podinfo").await?;
    assert_eq!(apex["spec"]["selector"], json!({"app": "podinfo-primary"}));
    assert_eq!(test.weights().await?, (100, 0));
    test.delete("canaries/podinfo").await?;
    test.gone("canaries/podinfo").await?;
    Ok(())
}

#[tokio::test]
async fn a_second_installation_goes_on_where_the_first_one_ended() -> Result<()> {
    let (plane, mut server) = installed().await?;
    let test = app(&plane, |_| ()).await?;
    admin(&plane, &["uninstall", "--yes"]).await?.ok()?;
    server.process().terminate()?;
    let primary = test.record("deployments/podinfo-primary").await?;
    let canary = test.record("canaries/podinfo").await?;
    // Nobody is there to see it.
    test.set_image("6.0.1").await?;

    admin(&plane, &["install"]).await?.ok()?;
    server.restart()?;
    test.phase("Succeeded").await?;
    assert_eq!(
        canary.phases(),
        [
            "Initialized",
            "Progressing",
            "Promoting",
            "Finalising",
            "Succeeded"
        ]
    );
    let templates = primary.changes(|primary| Some(primary["spec"]["template"].clone()));
    assert_eq!(templates.len(), 2, "before and after the promotion");
    Ok(())
}

/// When an object was first so.
fn since(recorder: &Recorder, check: impl Fn(&Value) -> bool) -> Result<std::time::Instant> {
    let versions = recorder.versions();
    let first = versions.iter().find(|(_, object)| check(object));
    Ok(first.context("never")?.0)
}

#[tokio::test]
async fn a_purge_gives_each_application_back_before_anything_of_it_is_deleted() -> Result<()> {
    let (plane, _server) = installed().await?;
    let test = app(&plane, |_| ()).await?;
    let target = test.record("deployments/podinfo").await?;
    let apex = test.record("services/podinfo").await?;
    let primary = test.get("deployments/podinfo-primary").await?;
    assert_eq!(primary["status"]["readyReplicas"], 1);

    let scale = ["scale", "deployment/canary-webhook", "-n", "canary-system"];
    let to = |count: &'static str| [scale.as_slice(), &[count]].concat();
    plane.kubectl(&to("--replicas=0")).await?.ok()?;
    eventually("the server to be gone", LIMIT, async || {
        let server = get(&plane, SERVER).await?;
        Ok(server["status"]["availableReplicas"]
            .is_null()
            .then_some(()))
    })
    .await?;
    let refused = admin(&plane, &["uninstall", "--purge", "--yes"]).await?;
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("only the server can revert"),
        "{}",
        refused.stderr
    );
    plane.kubectl(&to("--replicas=2")).await?.ok()?;
    eventually("the server to be back", LIMIT, async || {
        let server = get(&plane, SERVER).await?;
        Ok((server["status"]["availableReplicas"] == 2).then_some(()))
    })
    .await?;

    let said = admin(&plane, &["uninstall", "--purge", "--yes"])
        .await?
        .ok()?;
    assert!(said.contains("reverted and deleted"), "{said}");
    let served = since(&target, |target| target["status"]["readyReplicas"] == 1)?;
    let given_back = |apex: &Value| apex["spec"]["selector"] == json!({"app": "podinfo"});
    assert!(served < since(&apex, given_back)?);
    let apex = test.get("services/podinfo").await?;
    assert!(
        apex["metadata"]["ownerReferences"].is_null() && given_back(&apex),
        "{apex}"
    );
    let target = test.get("deployments/podinfo").await?;
    assert_eq!(target["status"]["readyReplicas"], 1);
    assert!(target["metadata"]["labels"]["kubectl-canary.dev/managed"].is_null());
    for generated in [
        "deployments/podinfo-primary",
        "apisixroutes/podinfo-podinfo-canary",
        "services/podinfo-primary",
        "services/podinfo-canary",
    ] {
        test.gone(generated).await?;
    }
    assert!(test.find("apisixroutes/podinfo").await?.is_some());
    for part in PARTS
        .into_iter()
        .chain([PEOPLE, "crd canaries.flagger.app"])
    {
        assert!(find(&plane, part).await?.is_none(), "{part}");
    }
    Ok(())
}

#[tokio::test]
async fn whoever_is_no_administrator_removes_nothing() -> Result<()> {
    let (plane, _server) = installed().await?;
    let test = app(&plane, |_| ()).await?;
    let refused = test.plugin(ALICE, &["uninstall", "--yes"]).await?;
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);
    for part in PARTS {
        assert!(find(&plane, part).await?.is_some(), "{part}");
    }
    Ok(())
}
