//! A control plane with everything installed and our server at work beside it.
//!
//! ```text
//!  Cluster ─┬─ plane   etcd, API server, …, kwok            one for many tests
//!           ├─ server  canary-webhook with its shipped rights, webhook by URL, quick intervals
//!           └─ namespace(name) ─► Namespace: target, route, Canary, and a Prometheus of its own
//! ```

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::clock::eventually;
use crate::control_plane::ControlPlane;
use crate::server::{Server, grant, register};

mod namespace;
mod objects;
mod record;
mod traffic;

pub use namespace::{Namespace, group_of};
pub use objects::{canary, deployment, route};
pub use record::Recorder;
pub use traffic::Traffic;

/// How long a test waits for what takes a moment on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Edits the objects of a namespace, and may not decide a release.
pub const ALICE: &str = "alice";
/// Reads, and decides releases.
pub const BOB: &str = "bob";

/// So that a release takes seconds.
pub const QUICK: [&str; 2] = ["--min-interval=1s", "--drain=200ms"];

/// People who edit may edit routes too; APISIX's own manifests leave it to the administrator.
const RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: edit-apisix-routes
  labels: {rbac.authorization.k8s.io/aggregate-to-edit: 'true'}
rules: [{apiGroups: [apisix.apache.org], resources: [apisixroutes], verbs: ['*']}]
";

/// A control plane and a server. Both are gone when the value is dropped.
pub struct Cluster {
    // First, so that it ends before the API server does.
    pub server: Server,
    pub plane: ControlPlane,
}

impl Cluster {
    /// A new one with a quick server; further arguments come last.
    pub async fn start(args: &[&str]) -> Result<Self> {
        Self::on(ControlPlane::start().await?, args).await
    }

    /// The one that the tests of a program share: each works in a namespace of its own.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(&[])).await
    }

    /// Installs everything on that control plane, and returns when the server leads and is asked.
    pub async fn on(plane: ControlPlane, args: &[&str]) -> Result<Self> {
        install(&plane).await?;
        let all: Vec<&str> = QUICK.iter().chain(args).copied().collect();
        let mut server = Server::beside(&plane, &all)?;
        server.logged("leading", LIMIT).await?;
        asked(&plane).await?;
        Ok(Self { server, plane })
    }

    /// A new namespace with `name` in its name, where alice edits and bob operates.
    pub async fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        Namespace::new(&self.plane, name).await
    }
}

/// Rights, policies, registrations, and what people may do: all but the server.
pub async fn install(plane: &ControlPlane) -> Result<()> {
    register(plane).await?;
    plane.apply(RIGHTS).await
}

/// The same without registrations: nobody is asked, and the policies hold all the same.
pub async fn install_policies(plane: &ControlPlane) -> Result<()> {
    grant(plane).await?;
    plane.apply(RIGHTS).await
}

/// Waits until the API server asks the webhook: a Canary that only the webhook refuses is refused.
pub async fn asked(plane: &ControlPlane) -> Result<()> {
    let client = plane.client().await?;
    let bad = json!({
        "apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "bad"},
        "spec": {
            "provider": "istio",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "bad"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 1, "maxWeight": 50, "stepWeight": 10},
        },
    });
    let path = format!(
        "/{}/namespaces/default/canaries?dryRun=All",
        group_of("canaries")
    );
    eventually("the webhook to be asked", LIMIT, async || {
        let request = http::Request::post(&path).body(serde_json::to_vec(&bad)?)?;
        let answer = client.request::<serde_json::Value>(request).await;
        Ok(answer.is_err().then_some(()))
    })
    .await
    .context("is the server's admission address reachable?")
}
