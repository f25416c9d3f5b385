//! The user's scenario as a cluster's objects: the YAML in `tests/scenario`, and the images that it names.
//!
//! `tests/seed` is the user's own YAML, which is applied as it is and never edited.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use serde_json::Value;

use crate::control_plane::ControlPlane;
use crate::image::Image;
use crate::node::Node;
use crate::tools::{Level, binary, folder, require, tools};

/// The host that the user's route answers for.
pub const HOST: &str = "app.example.com";
/// The port of a node's address at which the gateway takes requests.
pub const GATEWAY_PORT: u16 = 30_080;
/// The port of a node's address at which Prometheus answers.
pub const PROMETHEUS_PORT: u16 = 30_090;

/// The image that the manifests name.
const SERVER_IMAGE: &str = concat!(
    "ghcr.io/kubectl-canary/canary-webhook:",
    env!("CARGO_PKG_VERSION")
);

/// What has to be there before the user's YAML: the application, and what surrounds it.
const SURROUNDINGS: [&str; 5] = [
    "namespaces.yaml",
    "podinfo.yaml",
    "gateway.yaml",
    "loadtester.yaml",
    "prometheus.yaml",
];

/// Everything on a real node: imports the images, applies the objects and waits until the pods are Ready.
pub async fn prepare(node: &Node) -> Result<()> {
    try_join_all(images()?.iter().map(|image| node.import_image(image))).await?;
    apply(node.plane()).await?;
    for namespace in ["apisix", "test"] {
        let limit = Duration::from_secs(90).as_secs();
        let timeout = format!("--timeout={limit}s");
        let wait = [
            "-n",
            namespace,
            "wait",
            "--for=condition=Available",
            "deployment",
            "--all",
        ];
        node.plane()
            .kubectl(&[wait.as_slice(), &[&timeout]].concat())
            .await?
            .ok()
            .with_context(|| format!("the scenario's pods in namespace {namespace}"))?;
    }
    Ok(())
}

/// What `make image` made: it must not be older than what it is made of.
pub fn server_image() -> Result<PathBuf> {
    let archive = folder("target/image/canary-webhook.tar");
    let made = |path: &Path| path.metadata()?.modified();
    let made_at = made(&archive).context("there is no image of the server: make image")?;
    let mut folders = vec![folder("core/src"), folder("webhook/src")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if made(&path)? > made_at {
                let path = path.display();
                bail!("the image of the server is older than {path}: make image");
            }
        }
    }
    Ok(archive)
}

/// Our server in a pod, as it was built last for the tests, installed into namespace `apisix` as a user
/// would, and waits until it serves.
pub async fn install(node: &Node) -> Result<()> {
    node.import_image(&program("canary-webhook", SERVER_IMAGE)?)
        .await?;
    let overlay = folder("tests/scenario/install").display().to_string();
    let plane = node.plane();
    plane
        .kubectl(&["apply", "--server-side", "-k", &overlay])
        .await?
        .ok()?;
    let rollout = [
        "-n",
        "apisix",
        "rollout",
        "status",
        "deployment/canary-webhook",
    ];
    plane
        .kubectl(&[rollout.as_slice(), &["--timeout=60s"]].concat())
        .await?
        .ok()
        .context("the server's pods")?;
    Ok(())
}

/// The surroundings alone, e.g. for simulated pods.
pub async fn apply(plane: &ControlPlane) -> Result<()> {
    for file in SURROUNDINGS {
        plane.apply_file(&format!("tests/scenario/{file}")).await?;
    }
    Ok(())
}

/// Asks podinfo for a path through the gateway, as a client of the user's would; an answer but 2xx is an
/// error.
pub async fn get(node: &Node, path: &str) -> Result<Value> {
    let url = format!("http://{}:{GATEWAY_PORT}{path}", node.address());
    let request = reqwest::Client::new().get(url).header("host", HOST);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// Asks Prometheus; a query without a result is an error.
pub async fn query(node: &Node, query: &str) -> Result<f64> {
    let url = format!("http://{}:{PROMETHEUS_PORT}/api/v1/query", node.address());
    let url = reqwest::Url::parse_with_params(&url, [("query", query)])?;
    let answer: Value = reqwest::get(url).await?.json().await?;
    let value = answer["data"]["result"][0]["value"][1].as_str();
    Ok(value
        .with_context(|| format!("no result: {answer}"))?
        .parse()?)
}

/// A file of the user's, as it is.
pub fn user_yaml(file: &str) -> Result<String> {
    let path = folder("tests/seed").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// All images that the scenario's objects name.
pub fn images() -> Result<Vec<Image>> {
    let hey = tools(Level::Node)?.join("hey");
    Ok(vec![
        podinfo("6.0.0", &[])?,
        podinfo("6.0.1", &[])?,
        podinfo("6.0.2", &[])?,
        own("canary-gateway")?,
        own("canary-loadtester")?.file(hey, "/bin/hey"),
        Image::new("docker.io/local/prometheus:1")
            .program(&require("prometheus")?, "prometheus")?
            .entrypoint(&["/bin/prometheus"]),
    ])
}

/// podinfo of that version, with further variables in the image's own environment.
pub fn podinfo(version: &str, env: &[(&str, &str)]) -> Result<Image> {
    let program = tools(Level::Node)?.join(format!("podinfo-{version}"));
    let mut image = Image::new(&format!("docker.io/stefanprodan/podinfo:{version}"))
        .file(program, "/bin/podinfo")
        .entrypoint(&["/bin/podinfo", "--port=9898"]);
    for (name, value) in env {
        image = image.env(name, value);
    }
    Ok(image)
}

/// A program of the tests as `local/<name>:1`.
fn own(name: &str) -> Result<Image> {
    program(name, &format!("docker.io/local/{name}:1"))
}

fn program(name: &str, image: &str) -> Result<Image> {
    let entrypoint = format!("/bin/{name}");
    Ok(Image::new(image)
        .program(&binary(name)?, name)?
        .entrypoint(&[entrypoint.as_str()]))
}
