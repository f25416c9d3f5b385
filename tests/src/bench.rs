//! How fast releases are: a release build of the server, a real API server, and a client that sees only
//! what any client sees.
//!
//! ```text
//!  changes ──PATCH──► API server ◄──── server under test ──► scripted Prometheus
//!  sights  ◄──watch──┘   time of arrival here: stored timestamps have only seconds
//!  usage   ◄── /metrics, /proc of the server
//!     └─► report: figures, sample counts, bars
//!
//!  with a thousand Canaries and twenty policies (herd):
//!  recorder ◄── reviews of the API server ──► caller, at a pace ──TLS──► server, and one on a single CPU
//!  apiserver: dry-run changes at a pace, and what the API server's histogram says of our webhooks
//!  plugin: how long `kubectl canary status` takes for all of them, and what it asks for
//! ```

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::control_plane::ControlPlane;
use crate::fixtures::prometheus::{Answer, Prometheus};
use crate::server::{Server, register};

mod admission;
mod apiserver;
mod apps;
mod caller;
mod changes;
mod cores;
mod herd;
mod pace;
mod plugin;
mod recorder;
mod report;
mod reviews;
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
    plane: ControlPlane,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    All,
    Releases,
    Admission,
    Plugin,
}

/// Measures with that many Canaries, telling on stderr what it is at.
pub async fn run(canaries: usize, part: Part, builds: &[PathBuf]) -> Result<Report> {
    let total = canaries.max(CHANGED);
    eprintln!("starting a control plane and the server");
    let mut bench = Bench::start().await?;
    let mut report = Report::new(total);

    eprintln!("creating {total} Canaries");
    report.init(&bench.adopt(CHANGED, total).await?);
    if matches!(part, Part::All | Part::Releases) {
        bench.releases(&mut report).await?;
    }
    if part == Part::Releases {
        return Ok(report);
    }
    let measured = bench.herd(total, part, builds, &mut report).await;
    if measured.is_err() {
        eprint!("{report}");
    }
    measured.map(|()| report)
}

// === impl Bench ===

impl Bench {
    async fn start() -> Result<Self> {
        // Two CPUs for everything: without this a fifth of the API server's goes into collecting garbage.
        let options = ControlPlane::options().apiserver_env("GOGC", "400");
        let plane = options.start().await?;
        register(&plane).await?;
        let prometheus = Prometheus::start().await?;
        prometheus.answer("", Answer::value(100.0));
        prometheus.answer("latency", Answer::value(5.0));
        prometheus.answer("vector(1)", Answer::value(1.0));
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
            plane,
        })
    }

    /// Creates the Canaries, and answers how long the first of them took to be Initialized.
    async fn adopt(&self, measured: usize, total: usize) -> Result<Vec<Duration>> {
        self.apps.create(0..total).await?;
        let times = changes::adopt(&self.apps, &self.sights, 0..measured, 2).await?;
        changes::adopt(&self.apps, &self.sights, measured..total, 16).await?;
        Ok(times)
    }

    /// What releases take, and what the server takes for them.
    async fn releases(&mut self, report: &mut Report) -> Result<()> {
        tokio::time::sleep(SETTLE).await;
        eprintln!("watching the idle server for {IDLE:?}");
        self.idle(report).await?;
        eprintln!("changing images of {CHANGED} Canaries, and setting them back");
        report.detect(&changes::detect(&self.apps, &self.sights, CHANGED).await?);
        eprintln!("{CHANGED} releases at the usual interval of 10 s");
        let routes = self.sights.weights.len();
        let (releases, steps) = tokio::try_join!(
            changes::release(&self.apps, &self.sights, CHANGED),
            usage::of_steps(&mut self.server, &self.sights, CHANGED, routes),
        )?;
        report.releases(&releases);
        report.steps(&steps);
        Ok(())
    }

    /// What it is like with a thousand Canaries at least, of which `there` are there.
    async fn herd(
        &mut self,
        there: usize,
        part: Part,
        builds: &[PathBuf],
        report: &mut Report,
    ) -> Result<()> {
        let total = there.max(herd::HERD);
        eprintln!(
            "creating {} more Canaries, and {} policies",
            total - there,
            herd::POLICIES
        );
        herd::add(self, there..total).await?;
        if part != Part::Plugin {
            admission::measure(self, total, builds, report).await?;
        }
        if part != Part::Admission {
            plugin::measure(&self.plane, total, report).await?;
        }
        Ok(())
    }

    async fn idle(&mut self, report: &mut Report) -> Result<()> {
        let before = Usage::of(&mut self.server).await?;
        tokio::time::sleep(IDLE).await;
        let after = Usage::of(&mut self.server).await?;
        report.idle(&before, &after);
        Ok(())
    }
}
