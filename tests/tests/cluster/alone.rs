//! A control plane for tests that start servers of their own, stop them, or break their registration: one
//! such test at a time.

#![cfg(test)] // so that helpers may unwrap as tests do

use anyhow::Result;
use canary_tests::cluster::{LIMIT, Namespace, QUICK, asked, install};
use canary_tests::control_plane::ControlPlane;
use canary_tests::fixtures::relay::Relay;
use canary_tests::server::{NAMESPACE, Server};
use canary_tests::tools::folder;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// The control plane, for as long as this value lives.
pub struct Alone {
    pub plane: &'static ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

impl Alone {
    /// Waits for its turn; nobody leads then.
    pub async fn turn() -> Result<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        static PLANE: OnceCell<ControlPlane> = OnceCell::const_new();
        let turn = TURN.lock().await;
        let start = async || {
            let plane = ControlPlane::start().await?;
            install(&plane).await?;
            anyhow::Ok(plane)
        };
        let plane = PLANE.get_or_try_init(start).await?;
        let delete = ["-n", NAMESPACE, "delete", "lease", "--all"];
        plane.kubectl(&delete).await?.ok()?;
        as_shipped(plane).await?;
        Ok(Self { plane, _turn: turn })
    }

    /// A quick server, which may have to wait for another.
    pub async fn server(&self, until: &str) -> Result<Server> {
        let mut server = Server::beside(self.plane, &QUICK)?;
        server.logged(until, LIMIT).await?;
        Ok(server)
    }

    /// The same by another name.
    pub async fn server_named(&self, identity: &str) -> Result<Server> {
        let identity = format!("--identity={identity}");
        let args: Vec<&str> = QUICK.into_iter().chain([identity.as_str()]).collect();
        let mut server = Server::beside(self.plane, &args)?;
        server.logged("leading", LIMIT).await?;
        Ok(server)
    }

    /// A quick server that leads, and the relay through which alone its webhook can be reached.
    pub async fn behind_relay(&self) -> Result<(Server, Relay)> {
        let (mut server, relay) = Server::behind_relay(self.plane, &QUICK)?;
        server.logged("leading", LIMIT).await?;
        asked(self.plane).await?;
        Ok((server, relay))
    }

    /// A new namespace with a Canary at rest, whose releases have two steps of `interval`.
    pub async fn at_rest(&self, name: &str, interval: &str) -> Result<Namespace<'static>> {
        let test = Namespace::new(self.plane, name).await?;
        test.create_with(|canary| canary["spec"]["analysis"]["interval"] = interval.into())
            .await?;
        test.phase("Initialized").await?;
        Ok(test)
    }

    /// Requests of our servers so far as the API server tells them, but watches and Leases.
    pub fn requests(&self) -> Result<Vec<Request>> {
        let log = std::fs::read_to_string(self.plane.audit_log())?;
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(entries.filter_map(|entry| Request::of(&entry)).collect())
    }
}

/// Registrations and rights as they are shipped, whatever the test before did to them, or failed to undo; the
/// next leader puts its own address into the registrations.
async fn as_shipped(plane: &ControlPlane) -> Result<()> {
    plane.apply_file("manifests/base/rbac.yaml").await?;
    let file = folder("manifests/base/webhooks.yaml").display().to_string();
    plane.kubectl(&["replace", "-f", &file]).await?.ok()?;
    Ok(())
}

/// A request of one of our servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tells processes apart: each has a client certificate of its own.
    pub certificate: String,
    pub verb: String,
    pub object: String,
}

impl Request {
    fn of(entry: &Value) -> Option<Self> {
        let (user, object) = (&entry["user"], &entry["objectRef"]);
        let ours = user["username"] == "system:serviceaccount:canary-system:canary-webhook";
        let (verb, resource) = (entry["verb"].as_str()?, object["resource"].as_str()?);
        let certificate = &user["extra"]["authentication.kubernetes.io/credential-id"][0];
        (ours && verb != "watch" && resource != "leases").then(|| Self {
            certificate: certificate.as_str().unwrap_or_default().to_owned(),
            verb: verb.to_owned(),
            object: format!("{resource}/{}", object["name"].as_str().unwrap_or_default()),
        })
    }

    pub fn writes(&self) -> bool {
        !["get", "list"].contains(&self.verb.as_str())
    }
}
