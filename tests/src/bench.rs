//! How fast releases are: a release build of the server, a real API server, and a client that sees only
//! what any client sees.
//!
//! ```text
//!  changes ──PATCH──► API server ◄──── server under test ──► scripted Prometheus
//!  sights  ◄──watch──┘   time of arrival here: stored timestamps have only seconds
//!  usage   ◄── /metrics, /proc of the server
//!     └─► report: figures, sample counts, bars
//! ```

use std::time::Duration;

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::fixtures::prometheus::{Answer, Prometheus};
use crate::server::{Server, register};

mod apps;
mod changes;
mod report;
mod sights;
mod usage;

use apps::Apps;
pub use report::Report;
use sights::Sights;
use usage::Usage;

/// So many Canaries are changed; further ones only have to be kept.
const CHANGED: usize = 30;
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long an idle server is watched.
const IDLE: Duration = Duration::from_secs(30);
/// For the last controllers to finish what adoption left to them.
const SETTLE: Duration = Duration::from_secs(8);

/// Everything of a run; dropping it leaves nothing behind.
struct Bench {
    // Dropped first: they use what follows.
    sights: Sights,
    server: Server,
    apps: Apps,
    _prometheus: Prometheus,
    _plane: ControlPlane,
}

/// Measures with that many Canaries, telling on stderr what it is at.
pub async fn run(canaries: usize) -> Result<Report> {
    let total = canaries.max(CHANGED);
    eprintln!("starting a control plane and the server");
    let mut bench = Bench::start().await?;
    let mut report = Report::new(total);

    eprintln!("creating {total} Canaries");
    report.init(&bench.adopt(CHANGED, total).await?);
    tokio::time::sleep(SETTLE).await;
    eprintln!("watching the idle server for {IDLE:?}");
    bench.idle(&mut report).await?;
    eprintln!("changing images of {CHANGED} Canaries, and setting them back");
    report.detect(&changes::detect(&bench.apps, &bench.sights, CHANGED).await?);
    eprintln!("{CHANGED} releases at the usual interval of 10 s");
    let routes = bench.sights.weights.len();
    let (releases, steps) = tokio::try_join!(
        changes::release(&bench.apps, &bench.sights, CHANGED),
        usage::of_steps(&mut bench.server, &bench.sights, CHANGED, routes),
    )?;
    report.releases(&releases);
    report.steps(&steps);
    Ok(report)
}

// === impl Bench ===

impl Bench {
    async fn start() -> Result<Self> {
        let plane = ControlPlane::start().await?;
        register(&plane).await?;
        let prometheus = Prometheus::start().await?;
        prometheus.answer("", Answer::value(100.0));
        prometheus.answer("latency", Answer::value(5.0));
        let metrics = format!("--metrics-server={}", prometheus.url());
        let mut server = Server::beside(&plane, &[&metrics])?;
        server.logged("caches are synced", START_LIMIT).await?;
        let apps = Apps::new(&plane).await?;
        // A client of its own: what is measured does not queue behind what is asked.
        let sights = Sights::start(&plane.client().await?, apps::NAMESPACE).await?;
        Ok(Self {
            sights,
            server,
            apps,
            _prometheus: prometheus,
            _plane: plane,
        })
    }

    /// Creates the Canaries, and answers how long the first of them took to be Initialized.
    async fn adopt(&self, measured: usize, total: usize) -> Result<Vec<Duration>> {
        self.apps.create(0..total).await?;
        let times = changes::adopt(&self.apps, &self.sights, 0..measured, 2).await?;
        changes::adopt(&self.apps, &self.sights, measured..total, 16).await?;
        Ok(times)
    }

    async fn idle(&mut self, report: &mut Report) -> Result<()> {
        let before = Usage::of(&mut self.server).await?;
        tokio::time::sleep(IDLE).await;
        let after = Usage::of(&mut self.server).await?;
        report.idle(&before, &after);
        Ok(())
    }
}
