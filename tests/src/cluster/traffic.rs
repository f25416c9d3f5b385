//! Real requests to pods that are simulated.

use std::time::Duration;

use anyhow::Result;

use super::Namespace;
use crate::fixtures::app::App;
use crate::fixtures::gateway::redirect::Redirects;
use crate::fixtures::gateway::{Config, Gateway};
use crate::fixtures::load::{Load, Plan, Report};

/// Requests a second.
const RATE: u32 = 60;
/// How old the gateway's view of the cluster is, as an ingress controller's.
const LAG: Duration = Duration::from_secs(1);

/// A steady load on a namespace's Canary. A gateway obeys its generated route and goes where there are
/// ready addresses; two applications answer for the pods of primary and canary.
#[derive(Debug)]
pub struct Traffic {
    lag: Duration,
    // Dropped in this order: each uses what follows.
    load: Load,
    _gateway: Gateway,
    _primary: App,
    _canary: App,
}

impl Traffic {
    /// Starts it for that host, which no other namespace of the cluster may have. The route has to be
    /// there: what is asked before the gateway has seen it is lost.
    pub async fn start(test: &Namespace<'_>, host: &str) -> Result<Self> {
        Self::behind(test, host, LAG).await
    }

    /// The same through a gateway whose view of the cluster is so old.
    pub async fn behind(test: &Namespace<'_>, host: &str, lag: Duration) -> Result<Self> {
        let (primary, canary) = (App::start("primary").await?, App::start("canary").await?);
        let mut gateway = Gateway::start(Config {
            lag,
            redirects: Redirects::of_release(&test.name, &primary, &canary),
            ..Config::default()
        })
        .await?;
        gateway.follow(test.plane.client().await?);
        // Until it has listed everything, and a moment more.
        tokio::time::sleep(2 * lag).await;
        let load = Load::start(Plan {
            address: gateway.address().to_string(),
            host: host.to_owned(),
            path: "/api/info".to_owned(),
            rate: RATE,
            timeout: Duration::from_secs(10),
        });
        Ok(Self {
            lag,
            load,
            _gateway: gateway,
            _primary: primary,
            _canary: canary,
        })
    }

    /// Ends it once the gateway has seen what was last changed, and says what became of the requests.
    pub async fn stop(self) -> Report {
        tokio::time::sleep(2 * self.lag).await;
        self.load.stop().await
    }
}
