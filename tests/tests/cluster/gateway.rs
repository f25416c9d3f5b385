//! The gateway against a real API server: it sees what is written there, by the rights that its own
//! manifest gives it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use canary_tests::clock::{eventually, now};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::app::App;
use canary_tests::fixtures::gateway::redirect::ServiceRedirect;
use canary_tests::fixtures::gateway::{Config, Gateway};
use canary_tests::fixtures::load::{Load, Plan, get};

const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: gateway}
rules:
- {apiGroups: [''], resources: [services], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
- {apiGroups: [apisix.apache.org], resources: [apisixroutes], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gateway}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gateway}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: gateway}]
";

const HOST: &str = "app.example.com";

fn application(name: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: default}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: app, image: app:1, ports: [{{name: http, containerPort: 9898}}]}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
"
    )
}

fn route(primary: u32, canary: u32) -> String {
    format!(
        "
apiVersion: apisix.apache.org/v2
kind: ApisixRoute
metadata: {{name: podinfo-podinfo-canary, namespace: default}}
spec:
  http:
  - name: method
    priority: 10000
    match: {{hosts: [{HOST}], methods: [GET], paths: [/*]}}
    backends:
    - {{serviceName: podinfo-primary, servicePort: 80, weight: {primary}}}
    - {{serviceName: podinfo-canary, servicePort: 80, weight: {canary}}}
"
    )
}

async fn status(gateway: &Gateway) -> Result<u16> {
    let reply = get(&gateway.address().to_string(), HOST, "/").await;
    Ok(reply
        .map_err(|failure| anyhow!("{failure}"))?
        .status
        .as_u16())
}

async fn answers(gateway: &Gateway, code: u16) -> Result<Duration> {
    let start = now();
    let what = format!("the gateway to answer {code}");
    let answered = async || Ok((status(gateway).await? == code).then_some(()));
    eventually(&what, Duration::from_secs(10), answered).await?;
    Ok(start.elapsed())
}

async fn following(plane: &ControlPlane, lag: Duration) -> Result<Gateway> {
    plane.apply(RIGHTS).await?;
    let config = Config {
        lag,
        ..Config::default()
    };
    let mut gateway = Gateway::start(config).await?;
    gateway.follow(plane.client_for("gateway", &[]).await?);
    Ok(gateway)
}

#[tokio::test]
async fn the_gateway_splits_requests_by_the_route_as_it_is_stored() {
    let plane = ControlPlane::start().await.unwrap();
    let lag = Duration::from_millis(300);
    let gateway = following(&plane, lag).await.unwrap();
    let (old, new) = (
        App::start("old").await.unwrap(),
        App::start("new").await.unwrap(),
    );
    for (service, app) in [("podinfo-primary", &old), ("podinfo-canary", &new)] {
        plane.apply(&application(service)).await.unwrap();
        let to = app.address().to_string();
        gateway.redirect(ServiceRedirect(
            "default".to_owned(),
            service.to_owned(),
            to,
        ));
    }
    assert_eq!(status(&gateway).await.unwrap(), 404);

    plane.apply(&route(90, 10)).await.unwrap();
    answers(&gateway, 200).await.unwrap();
    let load = Load::start(Plan {
        address: gateway.address().to_string(),
        host: HOST.to_owned(),
        path: "/version".to_owned(),
        rate: 100,
        timeout: Duration::from_secs(2),
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let counts = load.stop().await.total();
    assert_eq!(counts.lost(), 0, "{counts}");
    assert!((9.0..=11.0).contains(&counts.percent("new")), "{counts}");

    // No pod is left behind all of the traffic.
    plane.apply(&route(0, 100)).await.unwrap();
    let scale = ["scale", "deployment", "podinfo-canary", "--replicas=0"];
    plane.kubectl(&scale).await.unwrap().ok().unwrap();
    assert!(answers(&gateway, 503).await.unwrap() < Duration::from_secs(3));

    let delete = ["delete", "apisixroute", "podinfo-podinfo-canary"];
    plane.kubectl(&delete).await.unwrap().ok().unwrap();
    answers(&gateway, 404).await.unwrap();
}

#[tokio::test]
async fn the_gateway_notices_the_crd_that_arrives_after_it() {
    let plane = ControlPlane::options()
        .without_crds()
        .start()
        .await
        .unwrap();
    let gateway = following(&plane, Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!gateway.ready(), "there is no ApisixRoute to be listed");

    let crd = plane.tools().join("apisix-crds/ApisixRoute.yaml");
    let install = ["apply", "-f", &crd.display().to_string()];
    plane.kubectl(&install).await.unwrap().ok().unwrap();

    eventually("a whole view", Duration::from_secs(4), async || {
        Ok(gateway.ready().then_some(()))
    })
    .await
    .unwrap();
}
