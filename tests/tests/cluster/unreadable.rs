//! Objects and kinds that the server cannot read: each is said, and everything else goes on.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{ALICE, LIMIT, Namespace, QUICK, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::process::Output;
use canary_tests::server::Server;
use serde_json::{Value, json};

const LEVELS: usize = 170;
const ROLE: [&str; 2] = ["clusterrole", "canary-webhook"];

/// The object with something nested deeper than can be read in place of `"DEEP"`.
async fn create_deep(test: &Namespace<'_>, object: &Value) -> Result<()> {
    let nested = format!("{}1{}", r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS));
    let manifest = object.to_string().replace(r#""DEEP""#, &nested);
    assert!(manifest.contains(&nested));
    test.kubectl_as_admin(&["create", "-f", "-"], &manifest)
        .await?
        .ok()?;
    Ok(())
}

fn deep_canary(test: &Namespace<'_>) -> Value {
    let mut canary = test.canary();
    canary["metadata"]["name"] = json!("deep");
    canary["spec"]["targetRef"]["name"] = json!("deep");
    canary["spec"]["service"]["corsPolicy"] = json!({"odd": "DEEP"});
    canary
}

async fn deep_route(test: &Namespace<'_>) -> Result<Value> {
    let live = test.get("apisixroutes/podinfo").await?;
    let mut rule = live["spec"]["http"][0].clone();
    rule["plugins"] = json!([{"name": "odd", "enable": false, "config": {"odd": "DEEP"}}]);
    Ok(json!({
        "apiVersion": live["apiVersion"],
        "kind": "ApisixRoute",
        "metadata": {"name": "deep", "namespace": test.name},
        "spec": {"http": [rule]},
    }))
}

fn left_alone(server: &Server, kind: &str) -> usize {
    let log = server.log();
    let of_kind = log.iter().filter(|line| {
        let text = line.to_string();
        text.contains("cannot be read and is left alone") && text.contains(kind)
    });
    of_kind.count()
}

async fn list(test: &Namespace<'_>, args: &[&str]) -> Result<Output> {
    test.plugin(ALICE, &[&["status"], args].concat()).await
}

#[tokio::test]
async fn an_object_nested_too_deep_keeps_nobody_from_releasing() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let test = Namespace::new(&plane, "deep").await?;
    {
        let mut server = Server::beside(&plane, &QUICK)?;
        server.logged("leading", LIMIT).await?;
        test.create_all().await?;
        test.phase("Initialized").await?;
        server.process().kill()?;
    }
    create_deep(&test, &deep_canary(&test)).await?;
    create_deep(&test, &deep_route(&test).await?).await?;

    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    for kind in ["Canary", "ApisixRoute"] {
        let said = left_alone(&server, &format!("\"{kind}\""));
        assert_eq!(said, 1, "{kind}: {:#?}", server.log());
    }

    let shown = list(&test, &[]).await?;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("podinfo"), "{shown:?}");
    let warning = format!("warning: canary {}/deep cannot be read", test.name);
    assert_eq!(shown.stderr.matches(&warning).count(), 1, "{shown:?}");
    let named = list(&test, &["deep"]).await?;
    assert_eq!(named.code, Some(1), "{named:?}");
    assert!(
        named.stderr.contains("canary deep cannot be read"),
        "{named:?}"
    );
    Ok(())
}

/// What the server's role says, and a way back to it.
async fn forbid_policies(plane: &ControlPlane) -> Result<String> {
    let get = ["get", ROLE[0], ROLE[1], "-o", "json"];
    let before = plane.kubectl(&get).await?.ok()?;
    let mut role: Value = serde_json::from_str(&before)?;
    let rules = role["rules"].as_array_mut().unwrap();
    rules.retain(|rule| rule["resources"] != json!(["canarypolicies"]));
    write(plane, &role.to_string()).await?;
    let mut allowed: Value = serde_json::from_str(&before)?;
    allowed["metadata"]["resourceVersion"].take();
    Ok(allowed.to_string())
}

async fn write(plane: &ControlPlane, object: &str) -> Result<()> {
    let replace = ["replace", "-f", "-"];
    let replaced = plane.kubectl_with(plane.admin_kubeconfig(), &replace, object);
    replaced.await?.ok()?;
    Ok(())
}

#[tokio::test]
async fn policies_that_may_not_be_read_hold_promotions_and_no_rollback() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    let allowed = forbid_policies(&plane).await?;
    let mut server = Server::beside(&plane, &QUICK)?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(&plane, "unread").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("WaitingPromotion").await?;
    let why = test.condition("Held", "True", "PoliciesUnreadable").await?;
    for part in ["canarypolicies", "--policies=off"] {
        assert!(why.contains(part), "{why}");
    }
    let doctor = test.plugin(ALICE, &["doctor", "podinfo"]).await?;
    assert!(doctor.stdout.contains("CanaryPolicies"), "{doctor:?}");
    test.bind(ALICE, "canary-operator").await?;
    test.plugin(ALICE, &["rollback", "podinfo"]).await?.ok()?;
    test.phase("Failed").await?;

    test.set_image("6.0.2").await?;
    test.phase("WaitingPromotion").await?;
    write(&plane, &allowed).await?;
    test.phase("Succeeded").await?;
    Ok(())
}

#[tokio::test]
async fn without_policies_nobody_needs_the_right_to_read_them() -> Result<()> {
    let plane = ControlPlane::start().await?;
    install(&plane).await?;
    forbid_policies(&plane).await?;
    let args = [QUICK.as_slice(), &["--policies=off"]].concat();
    let mut server = Server::beside(&plane, &args)?;
    server.logged("leading", LIMIT).await?;
    let test = Namespace::new(&plane, "without").await?;
    test.create_all().await?;
    test.phase("Initialized").await?;
    test.set_image("6.0.1").await?;
    test.phase("Succeeded").await?;
    let log = server.log();
    let failed = log
        .iter()
        .filter(|line| line.to_string().contains("cannot watch"));
    assert_eq!(failed.count(), 0, "{log:#?}");
    Ok(())
}
