//! Our server beside a control plane: started, killed, stopped and continued as the other tests do it.

use std::time::Duration;

use canary_tests::clock::{eventually, now};
use canary_tests::control_plane::ControlPlane;
use canary_tests::server::{Server, register};
use canary_tests::{plugin, scenario};

const LIMIT: Duration = Duration::from_secs(20);

async fn phase(plane: &ControlPlane) -> anyhow::Result<String> {
    let get = [
        "-n",
        "test",
        "get",
        "canary",
        "podinfo",
        "-o",
        "jsonpath={.status.phase}",
    ];
    plane.kubectl(&get).await?.ok()
}

#[tokio::test]
async fn with_the_shipped_rights_a_canary_is_initialized() {
    let plane = ControlPlane::start().await.unwrap();
    register(&plane).await.unwrap();
    scenario::apply(&plane).await.unwrap();
    let route = scenario::user_yaml("podinfo-apisixroute.yaml").unwrap();
    plane.apply(&route).await.unwrap();
    let mut server = Server::beside(&plane, &[]).unwrap();
    server.logged("caches are synced", LIMIT).await.unwrap();

    let canary = scenario::user_yaml("podinfo-canary.yaml").unwrap();
    plane.apply(&canary).await.unwrap();
    let created = now();
    eventually("Initialized", LIMIT, async || {
        Ok((phase(&plane).await? == "Initialized").then_some(()))
    })
    .await
    .unwrap();

    println!("Initialized: {:?}", created.elapsed());
    let status = ["status", "podinfo", "-n", "test"];
    let shown = plugin::plugin(plane.admin_kubeconfig(), &status)
        .await
        .unwrap();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("Initialized"), "{shown:?}");
}
